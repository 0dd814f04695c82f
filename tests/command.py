"""The command line tool as a user starts it: a process of its own, of this Python."""

from __future__ import annotations

import os
import subprocess
import sys


def purgekit(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What it printed and how it ended."""
    return subprocess.run(
        [sys.executable, "-m", "purgekit", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": "200", **environment},
    )
