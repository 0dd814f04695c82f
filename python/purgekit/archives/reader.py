"""One archive file: its header, its chunks, its rows as typed values."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from purgekit.archives.frames import (
    CHUNK_MAGIC,
    DATA_MAGIC,
    HEADER_MAGIC,
    LARGEST_HEADER_BYTES,
    LARGEST_RECORD_BYTES,
    DataFrame,
    decompressed,
    read_magic,
    read_skippable,
    walk_data,
)
from purgekit.archives.records import ChunkRecord, Column, Header, parse_header, parse_record
from purgekit.archives.values import Decode, Value, decoder, parse_line
from purgekit.errors import ArchiveError
from purgekit.text import printable

UNFINISHED = ".part"
MOST_ROW_BYTES = 256 * 1024 * 1024
MOST_CHUNK_BYTES = 4 * 1024 * 1024 * 1024
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Chunk:
    """A chunk of a file: what it says of itself, and where its rows lie."""

    record: ChunkRecord
    frame: DataFrame


class ArchiveFile:
    """A file that ``--archive PATH/`` wrote, read without trusting it.

    with ArchiveFile("kept/iam/SESSIONS/….jsonl.zst") as archive:
        for row in archive.rows():
            print(row["ID"], row["EXPIRES"])

    A chunk's rows are given only when all of the chunk agrees with its hash. Memory stays flat, however long the file
    is; a chunk or row larger than ``most_chunk_bytes`` and ``most_row_bytes`` is refused. What lies behind ``end``
    bytes is as if it were not there: of an unfinished file the ledger knows how much counts. Whatever is wrong is an
    ``ArchiveError``. Whether whole chunks are missing at the end only a manifest tells: see ``verify``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        most_row_bytes: int = MOST_ROW_BYTES,
        most_chunk_bytes: int = MOST_CHUNK_BYTES,
        end: int | None = None,
    ) -> None:
        self.path = Path(path)
        self._end = end
        self._most_row_bytes, self._most_chunk_bytes = most_row_bytes, most_chunk_bytes
        self._file = open_regular(self.path)
        try:
            with self._named():
                if read_magic(self._file) != HEADER_MAGIC:
                    raise ArchiveError("it does not begin as an archive of purgekit does", code="archive_foreign")
                self.header: Header = parse_header(read_skippable(self._file, LARGEST_HEADER_BYTES))
        except BaseException:
            self._file.close()
            raise
        self._first_chunk_at = self._file.tell()
        self._names = [column.name for column in self.header.columns]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The table's columns, in the order of the rows' values."""
        return self.header.columns

    @property
    def is_finished(self) -> bool:
        """False while the run that writes it has not ended: its last chunk may yet be rolled back."""
        return not self.path.name.endswith(UNFINISHED)

    def chunks(self) -> Iterator[Chunk]:
        """The chunks in the order of their commits, without reading their rows."""
        seen: set[tuple[int, str]] = set()
        position = self._first_chunk_at
        while self._end is None or position < self._end:
            with self._named():
                self._file.seek(position)
                chunk = self._next_chunk()
                if chunk and self._end is not None and chunk.frame.end > self._end:
                    raise ArchiveError(f"chunk {chunk.record.number} does not end where its file's end should be")
            if chunk is None:
                return
            # With several workers the number of a chunk that was rolled back may be given again; its rows are others.
            identity = (chunk.record.number, chunk.record.sha256)
            if identity in seen and chunk.record.rows:
                raise self._error(f"chunk {chunk.record.number} is there twice")
            seen.add(identity)
            position = chunk.frame.end
            yield chunk

    def _next_chunk(self) -> Chunk | None:
        magic = read_magic(self._file)
        if magic is None:
            return None
        if magic != CHUNK_MAGIC:
            raise ArchiveError("something that is no chunk stands where one should begin")
        record = parse_record(read_skippable(self._file, LARGEST_RECORD_BYTES))
        if read_magic(self._file) != DATA_MAGIC:
            raise ArchiveError(f"the rows of chunk {record.number} are missing")
        frame = walk_data(self._file)
        if record.bytes > frame.most_bytes or frame.content_bytes not in (None, record.bytes):
            raise ArchiveError(f"chunk {record.number} claims {record.bytes:,} bytes, which its rows can't have")
        if record.bytes > self._most_chunk_bytes:
            raise ArchiveError(
                f"chunk {record.number} has {record.bytes:,} bytes, more than the {self._most_chunk_bytes:,} allowed",
                code="archive_limit",
            )
        return Chunk(record, frame)

    def check(self, chunk: Chunk) -> None:
        """ArchiveError unless the chunk's rows are as many and as long as it says, and of its hash."""
        with self._named():
            record = chunk.record
            digest = hashlib.sha256()
            size = rows = 0
            last = b""
            for piece in decompressed(self._file, chunk.frame):
                size += len(piece)
                if size > record.bytes:
                    break
                digest.update(piece)
                rows += piece.count(b"\n")
                last = piece[-1:]
            if size != record.bytes or digest.hexdigest() != record.sha256:
                raise ArchiveError(
                    f"the rows of chunk {record.number} are not those that were archived: their hash differs"
                )
            if rows != record.rows or last not in (b"\n", b""):
                raise ArchiveError(f"chunk {record.number} says {record.rows:,} rows and holds {rows:,}")

    def lines(self, chunk: Chunk) -> Iterator[bytes]:
        """The rows of a chunk as they stand in the file, each one JSON object, after ``check``."""
        self.check(chunk)
        rest: list[bytes] = []
        rest_bytes = 0
        pieces = decompressed(self._file, chunk.frame)
        while True:
            with self._named():
                piece = next(pieces, None)
            if piece is None:
                return
            *whole, tail = piece.split(b"\n")
            for line in whole:
                if rest:
                    line, rest, rest_bytes = b"".join([*rest, line]), [], 0
                yield line
            rest_bytes += len(tail)
            if rest_bytes > self._most_row_bytes:
                raise self._error(f"a row has more than the {self._most_row_bytes:,} bytes allowed", "archive_limit")
            if tail:
                rest.append(tail)

    def rows(self) -> Iterator[dict[str, Value]]:
        """All rows, by names of columns."""
        names = self._names
        for _, _, values in self.records():
            yield dict(zip(names, values, strict=True))

    def records(self) -> Iterator[tuple[bytes, list[Any], list[Value]]]:
        """Each row as its line, as the JSON values in it and as the values that they stand for."""
        decoders = [decoder(column) for column in self.columns]
        for chunk in self.chunks():
            for line in self.lines(chunk):
                plain = self._values_of(line)
                yield line, plain, self._decoded(decoders, plain)

    def fingerprint(self) -> tuple[int, str]:
        """Length and SHA-256 of the file as it lies there, up to its end."""
        digest = hashlib.sha256()
        size = 0
        with self._named():
            while piece := os.pread(self._file.fileno(), self._left(size), size):
                digest.update(piece)
                size += len(piece)
        return size, digest.hexdigest()

    def _left(self, position: int) -> int:
        return _PIECE_BYTES if self._end is None else min(_PIECE_BYTES, self._end - position)

    def _values_of(self, line: bytes) -> list[Any]:
        with self._named():
            members = parse_line(line)
        if [name for name, _ in members] != self._names:
            raise self._error("a row has other columns than the file's header")
        return [value for _, value in members]

    def _decoded(self, decoders: list[Decode], plain: list[Any]) -> list[Value]:
        out: list[Value] = []
        for column, decode, value in zip(self.columns, decoders, plain, strict=True):
            try:
                out.append(decode(value))
            except (ValueError, ArithmeticError):
                raise self._error(
                    f"a value of column {column.name} ({column.type}) is none that such a column holds"
                ) from None
        return out

    def _error(self, message: str, code: str = "") -> ArchiveError:
        return ArchiveError(f"{printable(self.path)}: {message}", code=code, table=self.header.table)

    def _named(self) -> _Named:
        return _Named(self.path)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> ArchiveFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Named:
    """Puts the file's name before what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if isinstance(error, ArchiveError):
            error.args = (f"{printable(self._path)}: {error.message}",)
        elif isinstance(error, OSError):
            raise ArchiveError(f"{printable(self._path)} can't be read: {error.strerror}", code="archive_io") from None


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading; a pipe or a device in its place would keep its reader waiting for ever."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ArchiveError(f"{printable(path)} can't be read: {reason}", code="archive_io") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ArchiveError(f"{printable(path)} is no file", code="archive_io")
    return os.fdopen(descriptor, "rb")
