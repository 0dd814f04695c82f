"""What an archive file says of itself: its header, and the record of each chunk. It may come from anybody."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from purgekit.errors import ArchiveError
from purgekit.text import printable

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Kind(IntEnum):
    """What a column holds; the numbers are those of pk_column_kind in purgekit/abi.h."""

    OTHER = 0
    INT = 1
    UINT = 2
    DECIMAL = 3
    REAL = 4
    BOOL = 5
    TEXT = 6
    BYTES = 7
    DATE = 8
    TIMESTAMP = 9
    TIMESTAMP_ZONED = 10
    TIME = 11
    UUID = 12
    BIT = 13
    ANY = 14


@dataclass(frozen=True)
class Column:
    """A column of the table that the rows came from; ``type`` as its database prints it."""

    name: str
    type: str
    kind: Kind


@dataclass(frozen=True)
class Header:
    """Whose rows these are."""

    table: str
    database: str
    run_id: str
    policy: str
    started_utc: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class ChunkRecord:
    """What the file says of one chunk: its number, and of its rows how many, how long and their hash."""

    number: int
    rows: int
    bytes: int
    sha256: str
    archived_utc: str


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def parse_object(data: bytes, what: str) -> Mapping[str, Any]:
    """A JSON object, none of its names there twice."""
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"its {what} is no JSON ({type(error).__name__})") from None
    if not isinstance(found, dict):
        raise ArchiveError(f"its {what} is no JSON object")
    return found


def text_of(document: Mapping[str, Any], name: str, what: str) -> str:
    """A member that must be text."""
    value = document.get(name)
    if not isinstance(value, str):
        raise ArchiveError(f"its {what} lacks the text {name!r}")
    return value


def count_of(document: Mapping[str, Any], name: str, what: str) -> int:
    """A member that must be a whole number from 0 on."""
    value = document.get(name)
    if type(value) is not int or not 0 <= value < 2**63:
        raise ArchiveError(f"its {what} lacks the number {name!r}")
    return value


def sha256_of(document: Mapping[str, Any], what: str) -> str:
    """A member that must be a hash."""
    value = text_of(document, "sha256", what)
    if not _SHA256.fullmatch(value):
        raise ArchiveError(f"the sha256 in its {what} is none")
    return value


def require_schema(found: object, name: str, newest: int) -> None:
    """ArchiveError unless ``found`` is ``name/N`` with N up to ``newest``."""
    match = re.fullmatch(re.escape(name) + r"/(\d{1,9})", found) if isinstance(found, str) else None
    if match is None:
        raise ArchiveError(f"it is of schema {printable(found)[:80]!r}, not {name}", code="archive_foreign")
    if int(match[1]) > newest:
        raise ArchiveError(
            f"it is of schema {name}/{match[1]}, and this version reads up to {name}/{newest}: use a newer purgekit",
            code="archive_newer",
        )


def parse_header(data: bytes) -> Header:
    """The header frame's content."""
    what = "header"
    document = parse_object(data, what)
    require_schema(document.get("schema"), "purgekit.archive", 1)
    columns = document.get("columns")
    if not isinstance(columns, list) or not columns:
        raise ArchiveError("its header lists no columns")
    parsed = tuple(_parse_column(column) for column in columns)
    if len({column.name for column in parsed}) != len(parsed):
        raise ArchiveError("its header lists a column twice")
    if text_of(document, "columns_hash", what) != hash_of(parsed):
        raise ArchiveError("the columns in its header are not those that were written: their hash differs")
    table, database, run_id, policy, started_utc = (
        text_of(document, name, what) for name in ("table", "database", "run_id", "policy", "started_utc")
    )
    return Header(table, database, run_id, policy, started_utc, parsed)


def hash_of(columns: Sequence[Column]) -> str:
    """What tells that the columns in a header are still those that the rows have."""
    document = [[column.name, column.type, int(column.kind)] for column in columns]
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _parse_column(document: Any) -> Column:
    if not isinstance(document, dict):
        raise ArchiveError("a column in its header is no JSON object")
    kind = count_of(document, "kind", "header")
    if kind > max(Kind):
        raise ArchiveError(
            f"its header has a column of kind {kind}, which this version does not know", code="archive_newer"
        )
    return Column(text_of(document, "name", "header"), text_of(document, "type", "header"), Kind(kind))


def parse_record(data: bytes) -> ChunkRecord:
    """The content of the frame before a chunk's rows."""
    what = "record of a chunk"
    document = parse_object(data, what)
    number, rows, size = (count_of(document, name, what) for name in ("chunk", "rows", "bytes"))
    if (rows == 0) != (size == 0):
        raise ArchiveError(f"chunk {number} claims {rows} rows in {size} bytes")
    return ChunkRecord(number, rows, size, sha256_of(document, what), text_of(document, "archived_utc", what))
