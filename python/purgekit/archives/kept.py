"""Which archive files keep what a run deleted, found intact, chunk by chunk: for a restore.

A run's files are known from the ledger, as long as it still tells of them, or else from their manifest. What one of
these says of a file is what it must be, to the byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from purgekit import _core
from purgekit.archives.find import find_archives, find_manifests
from purgekit.archives.manifest import ManifestFile, read_manifest
from purgekit.archives.reader import UNFINISHED, ArchiveFile, Chunk
from purgekit.archives.verify import judge
from purgekit.errors import ArchiveError, PolicyError, PurgekitError
from purgekit.text import printable

Json = dict[str, Any]


@dataclass(frozen=True)
class FileSet:
    """The files of one policy, and what vouches for them."""

    run_id: str
    runs: tuple[str, ...]
    policy: str
    files: tuple[ManifestFile, ...]


def kept_files(
    places: Mapping[str, Any],
    run_id: str,
    *,
    path: Path | None,
    policies: Sequence[str] = (),
    tables: Sequence[str] = (),
) -> list[Json]:
    """What a run keeps in files, as ``Connection.restore`` takes it: of each table its columns and chunks.

    Args:
        places: what ``Connection.archive_places`` tells.
        run_id: the run.
        path: where the files are now, if not where the run wrote them.
        policies: only of these; none: all.
        tables: likewise, by the last part of their names.

    Raises:
        ArchiveError: files are missing, or are not what they were.
    """
    found = places["policies"]
    if path is not None and not found:
        raise PolicyError(f"run {printable(run_id)} kept no rows in archive files; leave --from out")
    kept: dict[str, Json] = {}
    for place in found:
        if policies and place["policy"] not in policies:
            continue
        root = path or Path(place["folder"])
        files = _set_of(place, run_id, root)
        for table, chunks, columns in _read(files, place, run_id, root, {_last_part(name) for name in tables}):
            entry = kept.setdefault(table, {"table": table, "policies": [], "columns": columns, "chunks": []})
            if entry["columns"] != columns:
                raise ArchiveError(f"the files of table {printable(table)} differ in columns: restore by --policy")
            entry["policies"].append(place["policy"])
            entry["chunks"] += chunks
    return list(kept.values())


def _last_part(name: str) -> str:
    return name.rsplit(".", 1)[-1].strip('"').casefold()


def _set_of(place: Mapping[str, Any], run_id: str, root: Path) -> FileSet:
    for told in place["sets"]:
        files = [
            ManifestFile(Path(f["file"]), f["table"], f["rows"], f["chunks"], f["end"], f["sha256"])
            for f in told["files"]
            if f["end"]
        ]
        return FileSet(told["run_id"], tuple(told["runs"]), told["policy"], tuple(files))
    for manifest_path in _manifests(root, run_id):
        manifest = read_manifest(manifest_path)
        if run_id in (manifest.run_id, *manifest.runs) and manifest.policy == place["policy"]:
            return FileSet(manifest.run_id, manifest.runs, manifest.policy, manifest.files)
    policy = f"policy {printable(place['policy'])} of run {printable(run_id)}"
    if place["runs"].get(run_id) == 0:
        return FileSet(run_id, (run_id,), place["policy"], ())
    raise ArchiveError(
        f"no manifest under {printable(root)} names files of {policy}; nothing was changed: name the folder where the"
        " files and their manifest are with --from",
        code="archive_io",
    )


def _manifests(root: Path, run_id: str) -> Iterator[Path]:
    """Those that have the run in their names first; another may have begun the files that it went on with."""
    paths = find_manifests(root)
    yield from sorted(paths, key=lambda found: not found.name.startswith(run_id))


def _read(
    files: FileSet, place: Mapping[str, Any], run_id: str, root: Path, tables: set[str]
) -> Iterator[tuple[str, list[Json], list[tuple[str, str, int]]]]:
    opened = {file.table: _found(root, file) for file in files.files}
    own = _own_chunks(files, opened, place, run_id) if set(files.runs) - {run_id} else None
    for file in files.files:
        if tables and _last_part(file.table) not in tables:
            continue
        found = opened[file.table]
        _require(found, file, files, place, run_id)
        with found.open() as archive:
            columns = [(column.name, column.type, int(column.kind)) for column in archive.columns]
            chunks = [
                _document(found.path, chunk)
                for number, chunk in enumerate(archive.chunks())
                if own is None or number in own[file.table]
            ]
        yield file.table, chunks, columns


def _own_chunks(
    files: FileSet, opened: Mapping[str, _Found], place: Mapping[str, Any], run_id: str
) -> dict[str, set[int]]:
    """Of files that several runs wrote into, one after the other: which chunks of each are of this run.

    The ledger counts each run's rows, and chunks lie in the order of their commits; a chunk's children have its number.
    """
    records = {}
    for table, found in opened.items():
        with found.open() as archive:
            records[table] = [chunk.record for chunk in archive.chunks()]
    position = dict.fromkeys(records, 0)
    steps = iter(records.get(place["table"], []))
    for run in files.runs:
        mine: dict[str, set[int]] = {table: set() for table in records}
        rows = 0
        while run == files.runs[-1] or rows < place["runs"].get(run, 0):
            step = next(steps, None)
            if step is None:
                break
            for table, found_records in records.items():
                while position[table] < len(found_records) and found_records[position[table]].number == step.number:
                    mine[table].add(position[table])
                    rows += found_records[position[table]].rows
                    position[table] += 1
                    if table == place["table"]:
                        break
        if run != files.runs[-1] and rows != place["runs"].get(run):
            break
        if run == run_id:
            return mine
    raise ArchiveError(
        f"runs {', '.join(printable(run) for run in files.runs)} went on with each other's files, and the ledger does"
        f" not tell any more which rows are of run {printable(run_id)}; nothing was changed: purgekit archive export"
        " writes all of them as CSV or JSON to load"
    )


@dataclass(frozen=True)
class _Found:
    """A file in its place. Of an unfinished one counts what lies before ``end``."""

    path: Path
    end: int | None

    def open(self) -> ArchiveFile:
        return ArchiveFile(self.path, end=self.end)


def _found(root: Path, file: ManifestFile) -> _Found:
    path = _locate(root, file)
    return _Found(path, file.bytes if path.name.endswith(UNFINISHED) else None)


def _locate(root: Path, file: ManifestFile) -> Path:
    if root.is_file():
        root = root.parent
    # As the run laid them out; or with the folders above left off.
    parts = file.path.parts
    tails = [Path(*parts[-count:]) for count in (3, 2, 1) if len(parts) >= count]
    direct = [root / tail for tail in tails] + ([file.path] if file.path.is_absolute() else [])
    for found in direct:
        for path in (found, found.with_name(found.name + UNFINISHED)):
            if path.is_file() and not path.is_symlink():
                return path
    wanted = tails[1] if len(tails) > 1 else tails[0]
    for path in find_archives(root):
        if Path(path.parent.name, path.name.removesuffix(UNFINISHED)) == wanted:
            return path
    raise ArchiveError(
        f"the archive file {printable(file.path.name)} of table {printable(file.table)} ({file.rows:,} rows) is not"
        f" under {printable(root)}; nothing was changed: name the folder where it is with --from",
        code="archive_io",
    )


def _require(found: _Found, file: ManifestFile, files: FileSet, place: Mapping[str, Any], run_id: str) -> None:
    verdict = judge(found.path, file, end=found.end)
    if verdict.is_bad:
        raise ArchiveError(f"{verdict.problem}; nothing was changed")
    with found.open() as archive:
        header = archive.header
    wanted = (files.run_id, files.policy, file.table)
    if (header.run_id, header.policy, header.table) != wanted:
        raise ArchiveError(
            f"{printable(found.path)} is of run {printable(header.run_id)}, policy {printable(header.policy)} and table"
            f" {printable(header.table)}, not of run {', policy '.join(map(printable, wanted[:2]))} and table"
            f" {printable(file.table)}; nothing was changed",
            code="archive_foreign",
        )
    if files.run_id == run_id and header.database != place["database"]:
        raise ArchiveError(
            f"{printable(found.path)} is of database {printable(header.database)}, and the run was in"
            f" {printable(place['database'])}; nothing was changed",
            code="archive_foreign",
        )


def _document(path: Path, chunk: Chunk) -> Json:
    record = chunk.record
    try:
        archived_ns = _core.parse_instant(record.archived_utc)
    except PurgekitError:
        raise ArchiveError(f"{printable(path)}: chunk {record.number} has no instant of its archiving") from None
    if record.number == 0:
        raise ArchiveError(f"{printable(path)}: a chunk has no number")
    return {
        "path": str(path),
        "number": record.number,
        "begin": chunk.frame.begin,
        "end": chunk.frame.end,
        "rows": record.rows,
        "bytes": record.bytes,
        "sha256": record.sha256,
        "archived_ns": archived_ns,
    }
