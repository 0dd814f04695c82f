"""Files that are put in place as a whole: whoever looks sees the old one, the new one or none."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def placed(path: Path) -> Iterator[BinaryIO]:
    """A file to write; at the end of the block it is flushed to the disk and takes the place of ``path``.

    When the block raises, nothing is left of it. OSError when it can't be written.
    """
    part = path.with_name(f".purgekit-{secrets.token_hex(8)}.part")
    try:
        with os.fdopen(os.open(part, _WRITE, 0o644), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
