"""``python -m purgekit``."""

import contextlib
import sys
from pathlib import Path

# Python puts the current directory first, where anybody's modules and entry points may lie; nothing is looked up there.
with contextlib.suppress(OSError):  # a directory that was removed holds nothing
    if sys.path[:1] in ([""], [str(Path.cwd())]):
        del sys.path[0]

from purgekit.cli import main

main()
