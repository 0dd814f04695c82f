"""Archives in forms that other programs read: CSV (RFC 4180), JSON, Parquet."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from purgekit.archives.find import SUFFIX, find_archives
from purgekit.archives.reader import ArchiveFile
from purgekit.archives.values import cell
from purgekit.archives.verify import require_intact
from purgekit.errors import ArchiveError, PurgekitError
from purgekit.placing import placed
from purgekit.text import printable

FORMATS = ("csv", "json", "parquet")
_MARKS = frozenset('",\r\n')


def write_csv(archive: ArchiveFile, out: BinaryIO) -> int:
    """RFC 4180, in UTF-8 with a line of names. NULL is an empty field, empty text a pair of quotes.

    Bytes are base64, and what is not of its column's kind is as in the archive: ``{"$int":7}``.
    """
    rows = 0
    with _text(out) as text:
        text.write(",".join(_field(column.name) for column in archive.columns) + "\r\n")
        for _, plain, _ in archive.records():
            text.write(",".join("" if value is None else _field(cell(value)) for value in plain) + "\r\n")
            rows += 1
    return rows


def _field(text: str) -> str:
    if text and _MARKS.isdisjoint(text):
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


@contextlib.contextmanager
def _text(out: BinaryIO) -> Iterator[io.TextIOWrapper]:
    wrapper = io.TextIOWrapper(out, encoding="utf-8", newline="")
    try:
        yield wrapper
        wrapper.flush()
    finally:
        with contextlib.suppress(ValueError, OSError):
            wrapper.detach()  # the file stays the caller's


def write_json(archive: ArchiveFile, out: BinaryIO) -> int:
    """One array with an object for each row, values as in the archive."""
    rows = 0
    out.write(b"[")
    for line, _, _ in archive.records():
        out.write((b",\n" if rows else b"\n") + line)
        rows += 1
    out.write(b"\n]\n")
    return rows


def _writer(format: str) -> Callable[[ArchiveFile, BinaryIO], int]:
    if format == "parquet":
        from purgekit.archives.parquet import write_parquet

        return write_parquet
    writers = {"csv": write_csv, "json": write_json}
    if format not in writers:
        raise PurgekitError(f"there is no format {printable(format)}: take one of {', '.join(FORMATS)}", code="usage")
    return writers[format]


def export_to(path: str | os.PathLike[str], out: BinaryIO, *, format: str = "csv") -> int:
    """Write one archive file's rows to an open file; how many.

    Nothing is written unless all of the archive is as it was when it was made.
    """
    write = _writer(format)
    require_intact(Path(path))
    with ArchiveFile(path) as archive:
        return write(archive, out)


def export(
    path: str | os.PathLike[str], to: str | os.PathLike[str], *, format: str = "csv", overwrite: bool = False
) -> dict[Path, int]:
    """Write archives below a folder into the folder ``to``, or one file into the file ``to``.

    Args:
        path: an archive file, or a folder of them; unfinished ones in it are left out.
        to: where to; folders are made as needed. A file that is there is refused unless ``overwrite``.
        format: ``"csv"``, ``"json"`` or ``"parquet"`` (needs the extra ``purgekit[parquet]``).
        overwrite: replace files that are there.

    Returns:
        The files written, with their numbers of rows. Each is put in place as a whole, after its archive was verified.
    """
    source, target = Path(path), Path(to)
    _writer(format)
    if source.is_dir():
        pairs = [(found, _beside(source, found, target, format)) for found in find_archives(source, unfinished=False)]
    else:
        pairs = [(source, target)]
    for _, place in pairs:
        if place.exists() and not overwrite:
            raise ArchiveError(
                f"{printable(place)} is there already: name another place or overwrite it", code="archive_io"
            )
    return {place: _export_one(found, place, format) for found, place in pairs}


def _beside(source: Path, found: Path, target: Path, format: str) -> Path:
    relative = found.relative_to(source)
    return target / relative.with_name(relative.name.removesuffix(SUFFIX) + f".{format}")


def _export_one(source: Path, place: Path, format: str) -> int:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with placed(place) as out:
            rows = export_to(source, out, format=format)
    except OSError as error:
        raise ArchiveError(f"{printable(place)} can't be written: {error.strerror}", code="archive_io") from None
    return rows
