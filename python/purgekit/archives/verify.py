"""Whether archives are what they were when they were made."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from purgekit.archives.find import find_archives, find_manifests
from purgekit.archives.manifest import ManifestFile, read_manifest
from purgekit.archives.reader import ArchiveFile
from purgekit.errors import ArchiveError

INTACT, UNSEALED, UNFINISHED, DAMAGED, MISSING = "intact", "unsealed", "unfinished", "damaged", "missing"


@dataclass(frozen=True)
class Verdict:
    """What is known of one file.

    Attributes:
        path: the file.
        state: ``"intact"`` (it is the very file that its manifest names), ``"unsealed"`` (its chunks agree with their
            hashes, but no manifest tells whether chunks are missing at its end), ``"unfinished"`` (the same, of a run
            that has not ended), ``"damaged"`` or ``"missing"`` (a manifest names it and it is not there).
        rows: rows in it; None when that can't be told.
        chunks: chunks in it.
        bytes: its length.
        table: the table they came from.
        run_id: the run that archived them.
        problem: what is wrong, or empty.
    """

    path: Path
    state: str
    rows: int | None = None
    chunks: int | None = None
    bytes: int | None = None
    table: str | None = None
    run_id: str | None = None
    problem: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether rows are lost or are not the ones that were archived."""
        return self.state in (DAMAGED, MISSING)


def verify(path: str | os.PathLike[str]) -> list[Verdict]:
    """Judge an archive file, or all below a folder with their manifests, by reading all of each. Changes nothing."""
    place = Path(path)
    files = find_archives(place)
    named: dict[Path, ManifestFile] = {}
    verdicts = []
    for manifest_path in find_manifests(place):
        try:
            named |= {file.path: file for file in read_manifest(manifest_path).files}
        except ArchiveError as error:
            verdicts.append(Verdict(manifest_path, DAMAGED, problem=error.message))
    verdicts += [judge(file, named.get(file if place.is_dir() else file.resolve())) for file in files]
    if place.is_dir():
        verdicts += _missing(named.values(), files)
    return sorted(verdicts, key=lambda verdict: verdict.path)


def _missing(named: Iterable[ManifestFile], files: list[Path]) -> list[Verdict]:
    there = set(files)
    problem = "a manifest names it, and it is not there"
    return [Verdict(file.path, MISSING, table=file.table, problem=problem) for file in named if file.path not in there]


def require_intact(path: Path) -> None:
    """ArchiveError unless the file is what it was, as far as that can be told."""
    for verdict in verify(path):
        if verdict.is_bad:
            raise ArchiveError(verdict.problem)


def judge(path: Path, sealed: ManifestFile | None, *, end: int | None = None) -> Verdict:
    """Judge one file, or what of it lies before ``end``, by reading it and by what its manifest or the ledger says."""
    size = rows = chunks = 0
    table = run_id = None
    try:
        with ArchiveFile(path, end=end) as archive:
            table, run_id = archive.header.table, archive.header.run_id
            for chunk in archive.chunks():
                archive.check(chunk)
                rows += chunk.record.rows
                chunks += 1
            finished = archive.is_finished
            size, digest = archive.fingerprint()
    except ArchiveError as error:
        return Verdict(path, DAMAGED, table=table, run_id=run_id, problem=error.message)
    state = UNSEALED if finished else UNFINISHED
    problem = ""
    if sealed is not None:
        if (size, digest, rows, chunks) == (sealed.bytes, sealed.sha256, sealed.rows, sealed.chunks):
            state = INTACT
        else:
            state = DAMAGED
            problem = (
                f"{path}: it has {rows:,} rows in {size:,} bytes and is not the file that its manifest names"
                f" ({sealed.rows:,} rows in {sealed.bytes:,} bytes, another hash)"
            )
    return Verdict(path, state, rows, chunks, size, table, run_id, problem)
