"""Starts purges without paying for the interpreter each time: a process with everything imported, which forks.

Reads one JSON request a line on standard input, ``{"arguments": [...], "environment": {...}, "stdout": path, "stderr":
path, "memory_bytes": n | null}``, and answers ``{"pid": n}``, later ``{"pid": n, "code": wait status}``. Nothing is
connected and no plugin is loaded before the fork.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import selectors
import sys
import time
from pathlib import Path
from typing import Any

from faults.parent import die_with_parent

PRELOADED = (
    "importlib.metadata",
    "importlib.resources",
    "purgekit.cli.app",
    "purgekit.cli.progress",
    "purgekit.cli.reportview",
    "purgekit.database",
    "purgekit.logs",
    "purgekit.policies",
    "purgekit.policyfaults",
    "purgekit.policyfile",
    "purgekit.policyschema",
    "purgekit.signals",
)


def main() -> None:
    die_with_parent()
    for module in PRELOADED:
        importlib.import_module(module)
    gc.freeze()  # collecting in a child would copy what is shared
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
    pending = b""
    while True:
        for key, _ in selector.select():
            if key.fd == sys.stdin.fileno():
                content = os.read(key.fd, 65536)
                if not content:
                    return
                *requests, pending = (pending + content).split(b"\n")
                for request in requests:
                    pid = _forked(json.loads(request))
                    selector.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
                    _answer({"pid": pid})
            else:
                _, status = os.waitpid(key.data, 0)
                selector.unregister(key.fd)
                os.close(key.fd)
                _answer({"pid": key.data, "code": os.waitstatus_to_exitcode(status)})


def _answer(document: dict[str, Any]) -> None:
    os.write(1, json.dumps(document).encode() + b"\n")


def _forked(request: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        code = _purge(request)
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _purge(request: dict[str, Any]) -> int:
    die_with_parent()
    for target, path in ((0, os.devnull), (1, request["stdout"]), (2, request["stderr"])):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(opened, target)
        os.close(opened)
    os.environ.update(request["environment"])
    time.tzset()
    if request["memory_bytes"] is not None:
        used_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGESIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used_bytes + request["memory_bytes"],) * 2)
    from purgekit.cli.app import run

    return run(request["arguments"])


if __name__ == "__main__":
    main()
