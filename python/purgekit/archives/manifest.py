"""The manifest that a run leaves beside its archive files when it has ended: what they were then."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from purgekit.archives.reader import open_regular
from purgekit.archives.records import count_of, parse_object, require_schema, sha256_of, text_of
from purgekit.errors import ArchiveError
from purgekit.text import printable

MOST_BYTES = 16 * 1024 * 1024
_PART_OF_NAME = re.compile(r"[^/\0]+")


@dataclass(frozen=True)
class ManifestFile:
    """What the manifest says of one file."""

    path: Path
    table: str
    rows: int
    chunks: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What one policy of a run archived."""

    path: Path
    run_id: str
    policy: str
    policy_hash: str
    files: tuple[ManifestFile, ...]
    runs: tuple[str, ...] = ()  # that wrote into them, in order


def read_manifest(path: Path) -> Manifest:
    """Read it. ArchiveError when it is none, damaged, newer, or names files anywhere but beside itself."""
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > MOST_BYTES:
            raise ArchiveError(f"{printable(path)}: it is too large for a manifest", code="archive_limit")
        data = file.read(MOST_BYTES)
    try:
        return _parse(path, data)
    except ArchiveError as error:
        error.args = (f"{printable(path)}: {error.message}",)
        raise


def _parse(path: Path, data: bytes) -> Manifest:
    what = "content"
    document = parse_object(data, what)
    require_schema(document.get("schema"), "purgekit.archive-manifest", 1)
    entries = document.get("files")
    if not isinstance(entries, list):
        raise ArchiveError("it lists no files")
    files = []
    for entry in entries:
        if not isinstance(entry, dict):
            raise ArchiveError("a file in it is no JSON object")
        rows, chunks, size = (count_of(entry, name, what) for name in ("rows", "chunks", "bytes"))
        place = _inside(path.parent, text_of(entry, "file", what))
        files.append(ManifestFile(place, text_of(entry, "table", what), rows, chunks, size, sha256_of(entry, what)))
    if len({file.path for file in files}) != len(files):
        raise ArchiveError("it lists a file twice")
    run_id, policy, policy_hash = (text_of(document, name, what) for name in ("run_id", "policy", "policy_hash"))
    runs = document.get("runs", [run_id])
    if not isinstance(runs, list) or not all(isinstance(run, str) for run in runs):
        raise ArchiveError("the runs in it are no list of texts")
    return Manifest(path, run_id, policy, policy_hash, tuple(files), tuple(runs))


def _inside(folder: Path, name: str) -> Path:
    parts = name.split("/")
    if not all(_PART_OF_NAME.fullmatch(part) and part not in (".", "..") for part in parts):
        raise ArchiveError(f"it names a file outside of its folder: {printable(name)[:200]}")
    return folder.joinpath(*parts)
