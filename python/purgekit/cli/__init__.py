"""The command ``purgekit``."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Entry point: run the command line of this process and exit with its code."""
    from purgekit.cli.app import run

    sys.exit(run(sys.argv[1:]))
