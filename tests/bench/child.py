"""A command run to its end, with the processor time and memory that it alone took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str
    wall_s: float
    cpu_s: float
    max_rss_mb: float


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> Ended:
    """Its output goes to files in ``folder``, so that no pipe can fill up."""
    out, err, usage = folder / "child.out", folder / "child.err", folder / "child.usage"
    # Linux counts the memory of the process that forks as the new one's too; so a small one forks, not this one.
    launcher = [sys.executable, "-I", "-S", __file__, str(usage), *command]
    with out.open("wb") as stdout, err.open("wb") as stderr:
        subprocess.run(
            launcher,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, **(environment or {})},
            check=True,
        )
    figures = json.loads(usage.read_text())
    return Ended(out=out.read_text(errors="replace"), err=err.read_text(errors="replace"), **figures)


def _launch(usage_file: str, command: Sequence[str]) -> None:
    started = time.perf_counter()
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    figures = {
        "code": os.waitstatus_to_exitcode(status),
        "wall_s": time.perf_counter() - started,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "max_rss_mb": usage.ru_maxrss / 1024,
    }
    Path(usage_file).write_text(json.dumps(figures))


if __name__ == "__main__":
    _launch(sys.argv[1], sys.argv[2:])
