"""A watch as a user starts it, and what the tests of watching share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

LONGEST_WAIT_S = 120.0
POLICIES = """
[[policy]]
name = "sessions"
table = "SESSIONS"
grace = "0s"
evidence_retention = "1d"
expired = { column = "EXPIRES", unit = "s" }
"""


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Fails when it does not come at all; how long it takes is nobody's business here."""
    end = time.monotonic() + LONGEST_WAIT_S
    while not condition():
        assert time.monotonic() < end, f"waited {LONGEST_WAIT_S:.0f} s in vain: {what}"
        time.sleep(0.02)


class Watch:
    """``purgekit watch … --json`` as a process; its lines as they come. Ended at the end of a ``with``."""

    def __init__(self, url: str, folder: Path, *options: str, policies: str = POLICIES) -> None:
        file = folder / "watched.toml"
        file.write_text(policies)
        command = [sys.executable, "-m", "purgekit", "watch", url, str(file), "--json", "--interval", "0.1", *options]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
        )
        self.documents: list[dict[str, Any]] = []
        self.talk: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_documents, daemon=True),
            threading.Thread(target=self._read_talk, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()
        assert self.process.stdout is not None and self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()

    def purges(self) -> list[dict[str, Any]]:
        """What it told of each purge."""
        return [document for document in list(self.documents) if document["schema"] == "purgekit.watch/1"]

    def rows_deleted(self) -> int:
        """So far, as told."""
        return sum(purge["rows_deleted"] for purge in self.purges())

    def end(self, number: signal.Signals = signal.SIGTERM) -> dict[str, Any]:
        """Ask it to end; its report."""
        self.process.send_signal(number)
        return self.report()

    def report(self) -> dict[str, Any]:
        """When it has ended by itself."""
        self.process.wait(LONGEST_WAIT_S)
        for reader in self._readers:
            reader.join()
        assert self.documents, self.talk
        return self.documents[-1]

    def memory_kb(self) -> int:
        """Resident, now."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    def _read_documents(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.documents.append(json.loads(line))

    def _read_talk(self) -> None:
        assert self.process.stderr is not None
        self.talk.extend(line.rstrip("\n") for line in self.process.stderr)
