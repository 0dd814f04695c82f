"""The folder that run history lives in: for its owner only, and nothing that others planted there is followed.

All names are looked up from open folder descriptors, so that a folder exchanged meanwhile changes nothing. What goes
wrong is an OSError whose text tells people what and why.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OWN_NAMES = frozenset({"runs", "flights", "tune", "evidence.key"})
LARGEST_FILE_BYTES = 64 * 1024 * 1024
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe in a file's place would otherwise keep its reader waiting for ever.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class StateFolder:
    """One folder (``runs``) below the state folder."""

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.path = root / name

    def read(self, name: str, *, own: bool = False) -> Any:
        """The JSON of a file. OSError and ValueError when it can't be had.

        ``own``: PermissionError unless this user or root wrote it and nobody else can.
        """
        with self._opened(create=False) as folder:
            descriptor = os.open(name, _READ, dir_fd=folder)
            with os.fdopen(descriptor, encoding="utf-8") as file:
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode):
                    raise ValueError("it is not a file")
                if found.st_size > LARGEST_FILE_BYTES:
                    raise ValueError("it is too large for one of ours")
                if own and (found.st_uid not in (os.geteuid(), 0) or found.st_mode & 0o022):
                    raise PermissionError(errno.EPERM, "others could have written it", name)
                return json.load(file)

    def write(self, name: str, document: Any, *, durable: bool = True) -> None:
        """Put a file in place as a whole: readers see the old one or the new one."""
        part = f".{name}.{secrets.token_hex(4)}.part"
        with self._opened(create=True) as folder:
            try:
                with os.fdopen(os.open(part, _WRITE, 0o600, dir_fd=folder), "w", encoding="utf-8") as file:
                    json.dump(document, file, indent=1)
                    if durable:
                        file.flush()
                        os.fsync(file.fileno())
                os.replace(part, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(part, dir_fd=folder)
                raise

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(FileNotFoundError), self._opened(create=False) as folder:
            os.unlink(name, dir_fd=folder)

    def names(self) -> list[str]:
        """Names of the JSON files there, in order; none when there is no folder yet."""
        try:
            with self._opened(create=False) as folder:
                return sorted(name for name in _names(folder) if name.endswith(".json") and name[0] != ".")
        except FileNotFoundError:
            return []

    @contextlib.contextmanager
    def _opened(self, *, create: bool) -> Iterator[int]:
        if create:
            _make(self.root)
        root = os.open(self.root, _FOLDER & ~os.O_NOFOLLOW)  # the operator may have put a link there
        try:
            if create:
                _check_root(root, self.root)
                with contextlib.suppress(FileExistsError):
                    os.mkdir(self.path.name, 0o700, dir_fd=root)
            folder = os.open(self.path.name, _FOLDER, dir_fd=root)
        finally:
            os.close(root)
        try:
            if create:
                _keep_private(folder, self.path)
            yield folder
        finally:
            os.close(folder)


def own_secret(root: Path, name: str, size_bytes: int) -> bytes:
    """Random bytes of this user's in the state folder itself, made when they are not there yet.

    OSError and ValueError when they can't be had, or others could have read them.
    """
    _make(root)
    folder = os.open(root, _FOLDER & ~os.O_NOFOLLOW)
    try:
        _check_root(folder, root)
        try:
            return _read_secret(folder, name, size_bytes)
        except FileNotFoundError:
            _make_secret(folder, name, size_bytes)
        return _read_secret(folder, name, size_bytes)
    finally:
        os.close(folder)


def _read_secret(folder: int, name: str, size_bytes: int) -> bytes:
    with os.fdopen(os.open(name, _READ, dir_fd=folder), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is not a file")
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise PermissionError(errno.EPERM, "others could have read it or put it there", name)
        secret = file.read(size_bytes + 1)
    if len(secret) != size_bytes:
        raise ValueError(f"it does not have {size_bytes} bytes")
    return secret


def _make_secret(folder: int, name: str, size_bytes: int) -> None:
    """Whole or not at all; of two that make one at a time, one's stays."""
    part = f".{name}.{secrets.token_hex(4)}.part"
    try:
        with os.fdopen(os.open(part, _WRITE, 0o600, dir_fd=folder), "wb") as file:
            file.write(secrets.token_bytes(size_bytes))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(part, dir_fd=folder)


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _make(folder: Path) -> None:
    """Make a folder and those above it, each for us only, whatever the umask."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        _make(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)


def _check_root(folder: int, path: Path) -> None:
    found = os.fstat(folder)
    if found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, f"it belongs to another user (uid {found.st_uid})", str(path))
    if not stat.S_IMODE(found.st_mode) & 0o077:
        return
    if OWN_NAMES.issuperset(_names(folder)):
        os.fchmod(folder, 0o700)
    elif found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        why = "anyone may write to it, and it holds files of others, so it is left alone"
        raise PermissionError(errno.EPERM, why, str(path))


def _keep_private(folder: int, path: Path) -> None:
    found = os.fstat(folder)
    if found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, f"it belongs to another user (uid {found.st_uid})", str(path))
    if not stat.S_IMODE(found.st_mode) & 0o077:
        return
    os.fchmod(folder, 0o700)
    for name in _names(folder):
        with contextlib.suppress(OSError):
            _tighten(folder, name)


def _tighten(folder: int, name: str) -> None:
    descriptor = os.open(name, _READ, dir_fd=folder)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
