"""Which files below a folder are archives."""

from __future__ import annotations

import os
from pathlib import Path

from purgekit.archives.reader import UNFINISHED
from purgekit.errors import ArchiveError
from purgekit.text import printable

SUFFIX = ".jsonl.zst"
MANIFEST_SUFFIX = ".manifest.json"


def find_archives(path: str | os.PathLike[str], *, unfinished: bool = True) -> list[Path]:
    """The archive files below a folder by name, or the one file that ``path`` is. Links are not followed."""
    return _find(Path(path), (SUFFIX, SUFFIX + UNFINISHED) if unfinished else (SUFFIX,))


def find_manifests(path: str | os.PathLike[str]) -> list[Path]:
    """The manifests below a folder, or those that may name the one file that ``path`` is."""
    place = Path(path)
    if place.is_dir():
        return _find(place, (MANIFEST_SUFFIX,))
    name = place.name.removesuffix(UNFINISHED).removesuffix(SUFFIX) + MANIFEST_SUFFIX
    # A run's manifest lies beside the folders of its tables.
    beside = (folder / name for folder in (place.resolve().parent.parent, place.resolve().parent))
    return [found for found in beside if found.is_file()]


def _find(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ArchiveError(f"{printable(path)} is neither a folder nor a file", code="archive_io")

    def unreadable(error: OSError) -> None:
        raise ArchiveError(f"{printable(error.filename)} can't be read: {error.strerror}", code="archive_io")

    found = []
    for folder, _, names in os.walk(path, onerror=unreadable):
        found += [Path(folder, name) for name in names if name.endswith(suffixes) and name[0] != "."]
    return sorted(entry for entry in found if not entry.is_symlink())
