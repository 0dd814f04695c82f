"""Where the frames of an archive file lie, found out before anything is decompressed.

A file is a sequence of zstd frames (RFC 8878): a skippable one with the header, then for each chunk a skippable one
with its record and one with its rows. What a frame claims of itself is checked against the frame: a small file can't
make its reader allocate much or wait long.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import zstandard

from purgekit.errors import ArchiveError

HEADER_MAGIC = 0x184D2A50
CHUNK_MAGIC = 0x184D2A51
DATA_MAGIC = 0xFD2FB528

LARGEST_HEADER_BYTES = 16 * 1024 * 1024  # thousands of columns with long names
LARGEST_RECORD_BYTES = 64 * 1024
LARGEST_BLOCK_BYTES = 128 * 1024  # RFC 8878, 3.1.1.2.4
LARGEST_WINDOW_BYTES = 128 * 1024 * 1024  # what zstdcat takes without being asked
_PIECE_BYTES = 1024 * 1024
_READ_BYTES = 128 * 1024

_RAW, _RLE, _COMPRESSED = 0, 1, 2


@dataclass(frozen=True)
class DataFrame:
    """A frame with rows: from ``begin`` up to ``end`` in the file, and at most ``most_bytes`` when decompressed."""

    begin: int
    end: int
    most_bytes: int
    content_bytes: int | None  # as its own header claims


def read_exactly(file: BinaryIO, count: int) -> bytes:
    """The next bytes. ArchiveError when the file ends before."""
    data = file.read(count)
    if len(data) != count:
        raise ArchiveError("it ends in the middle of a frame: it was cut off, or is still being written")
    return data


def read_magic(file: BinaryIO) -> int | None:
    """What kind of frame begins here; None at the end of the file."""
    data = file.read(4)
    if not data:
        return None
    if len(data) < 4:
        raise ArchiveError("it ends in the middle of a frame: it was cut off, or is still being written")
    return int(struct.unpack("<I", data)[0])


def read_skippable(file: BinaryIO, most_bytes: int) -> bytes:
    """Content of a skippable frame whose magic was read."""
    (size,) = struct.unpack("<I", read_exactly(file, 4))
    if size > most_bytes:
        raise ArchiveError(f"a frame claims to hold {size:,} bytes where at most {most_bytes:,} make sense")
    return read_exactly(file, size)


def walk_data(file: BinaryIO) -> DataFrame:
    """Go over a data frame whose magic was read, block by block, without decompressing it."""
    begin = file.tell() - 4
    content_bytes, has_checksum = _read_frame_header(file)
    file_bytes = os.fstat(file.fileno()).st_size
    most_bytes = 0
    is_last = False
    while not is_last:
        word = int.from_bytes(read_exactly(file, 3), "little")
        is_last, kind, size = bool(word & 1), word >> 1 & 3, word >> 3
        if kind not in (_RAW, _RLE, _COMPRESSED) or size > LARGEST_BLOCK_BYTES:
            raise ArchiveError("a frame has a block of a kind or size that zstd does not know")
        most_bytes += LARGEST_BLOCK_BYTES if kind == _COMPRESSED else size
        _skip(file, 1 if kind == _RLE else size, file_bytes)
    if has_checksum:
        _skip(file, 4, file_bytes)
    return DataFrame(begin, file.tell(), most_bytes, content_bytes)


def _read_frame_header(file: BinaryIO) -> tuple[int | None, bool]:
    descriptor = read_exactly(file, 1)[0]
    is_single, is_reserved = bool(descriptor & 0x20), bool(descriptor & 0x08)
    if is_reserved or descriptor & 3:
        raise ArchiveError("a frame asks for a dictionary or for a later version of zstd")
    window_bytes = 0
    if not is_single:
        window = read_exactly(file, 1)[0]
        base = 1 << (10 + (window >> 3))
        window_bytes = base + (base >> 3) * (window & 7)
    flag = descriptor >> 6
    width = (1 if is_single else 0, 2, 4, 8)[flag]
    content_bytes = None
    if width:
        content_bytes = int.from_bytes(read_exactly(file, width), "little") + (256 if flag == 1 else 0)
    if max(window_bytes, content_bytes or 0 if is_single else 0) > LARGEST_WINDOW_BYTES:
        raise ArchiveError(
            f"a frame asks for a window of more than {LARGEST_WINDOW_BYTES >> 20} MiB of memory", code="archive_limit"
        )
    return content_bytes, bool(descriptor & 0x04)


def _skip(file: BinaryIO, count: int, file_bytes: int) -> None:
    if file.seek(count, os.SEEK_CUR) > file_bytes:
        raise ArchiveError("it ends in the middle of a frame: it was cut off, or is still being written")


class _Slice(io.RawIOBase):
    """The bytes of one frame as a file of their own, wherever the whole file's position is."""

    def __init__(self, file: BinaryIO, begin: int, end: int) -> None:
        self._descriptor, self._position, self._end = file.fileno(), begin, end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = os.pread(self._descriptor, min(len(buffer), self._end - self._position), self._position)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def decompressed(file: BinaryIO, frame: DataFrame) -> Iterator[bytes]:
    """What a data frame holds, in pieces of bounded size."""
    source = io.BufferedReader(_Slice(file, frame.begin, frame.end), _READ_BYTES)
    decompressor = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW_BYTES)
    try:
        with decompressor.stream_reader(source, closefd=False) as reader:
            while piece := reader.read(_PIECE_BYTES):
                yield piece
    except zstandard.ZstdError as error:
        raise ArchiveError(f"a frame can't be decompressed ({error})") from None
    except MemoryError:
        raise ArchiveError("a frame takes more memory than there is", code="archive_limit") from None
