"""The key that evidence is made with: of a file that its user names, or made once for this machine's state folder."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from pathlib import Path

from purgekit.errors import EvidenceError
from purgekit.state import state_folder
from purgekit.statefolder import own_secret
from purgekit.text import printable

_log = logging.getLogger("purgekit")

VARIABLE = "PURGEKIT_EVIDENCE_KEY_FILE"
OWN_NAME = "evidence.key"
OWN_BYTES = 32
LEAST_BYTES, MOST_BYTES = 16, 4096
ID_DIGITS = 16
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class Key(bytes):
    """The bytes of a key; shown to people by its id only."""

    @property
    def id(self) -> str:
        """Tells one key from another, and nothing of it."""
        return hashlib.sha256(b"purgekit evidence key" + self).hexdigest()[:ID_DIGITS]

    def __repr__(self) -> str:
        return f"<Key {self.id}>"

    __str__ = __repr__


def find_key(path: str | os.PathLike[str] | None) -> Key:
    """The key in ``path``, else in the file that ``PURGEKIT_EVIDENCE_KEY_FILE`` names, else the state folder's own.

    Empty when the state folder can't keep one: that never stops a purge.

    Raises:
        EvidenceError: a file that was named can't be read, or holds no key.
    """
    named = path if path is not None else os.environ.get(VARIABLE) or None
    if named is not None:
        return read_key(named)
    folder = state_folder()
    try:
        return Key(own_secret(folder, OWN_NAME, OWN_BYTES))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        _log.warning(
            "evidence is made without a key: %s can't be used: %s; name a key with %s",
            printable(folder / OWN_NAME),
            printable(why),
            VARIABLE,
        )
        return Key()


def read_key(path: str | os.PathLike[str]) -> Key:
    """The bytes of a file, all of them, as a key."""
    name = printable(os.fspath(path))
    try:
        descriptor = os.open(Path(path), _READ)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise EvidenceError(f"evidence key {name} is not a file", code="evidence_key")
            key = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that can't be one
        why = getattr(error, "strerror", None) or error
        raise EvidenceError(f"evidence key {name} can't be read: {printable(why)}", code="evidence_key") from None
    if not LEAST_BYTES <= len(key) <= MOST_BYTES:
        raise EvidenceError(
            f"evidence key {name} is no key: one has {LEAST_BYTES} to {MOST_BYTES} bytes; make one with "
            "head -c 32 /dev/urandom",
            code="evidence_key",
        )
    return Key(key)
