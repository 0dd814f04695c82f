"""Writes archive files as the format is specified, without the engine: for tests of the reader."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import zstandard

HEADER_MAGIC, CHUNK_MAGIC = 0x184D2A50, 0x184D2A51
INT, UINT, DECIMAL, REAL, BOOL, TEXT, BYTES, DATE, TIMESTAMP, ZONED, TIME, UUID, BIT, ANY = range(1, 15)
OTHER = 0

Columns = Sequence[tuple[str, str, int]]
SESSIONS: Columns = (("ID", "bigint", INT), ("NOTE", "text", TEXT), ("DATA", "bytea", BYTES))


def skippable(magic: int, content: bytes, claimed: int | None = None) -> bytes:
    return struct.pack("<II", magic, len(content) if claimed is None else claimed) + content


def header(shape: Columns = SESSIONS, /, **changes: Any) -> bytes:
    document = {
        "schema": "purgekit.archive/1",
        "table": "SESSIONS",
        "database": "iam",
        "run_id": "0193-run",
        "policy": "sessions",
        "started_utc": "2026-11-22T10:00:00Z",
        "columns": [{"name": name, "type": kind_name, "kind": kind} for name, kind_name, kind in shape],
    }
    document["columns_hash"] = columns_hash(shape)
    return skippable(HEADER_MAGIC, json.dumps(document | changes).encode())


def columns_hash(columns: Columns) -> str:
    text = json.dumps([list(column) for column in columns], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def line(columns: Columns, row: Sequence[Any]) -> bytes:
    names = [name for name, _, _ in columns]
    return json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def chunk(number: int, lines: bytes, *, compressed: bytes | None = None, **changes: Any) -> bytes:
    record = {
        "chunk": number,
        "rows": lines.count(b"\n"),
        "bytes": len(lines),
        "sha256": hashlib.sha256(lines).hexdigest(),
        "archived_utc": "2026-11-22T10:00:01Z",
    }
    data = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(lines) if compressed is None else compressed
    return skippable(CHUNK_MAGIC, json.dumps(record | changes).encode()) + data


def archive(columns: Columns, chunks: Iterable[Sequence[Sequence[Any]]], **changes: Any) -> bytes:
    """A whole file: each chunk is its rows, each row its values as JSON has them."""
    parts = [header(columns, **changes)]
    for number, rows in enumerate(chunks, 1):
        parts.append(chunk(number, b"".join(line(columns, row) for row in rows)))
    return b"".join(parts)


def sessions(chunks: int = 3, rows: int = 4) -> list[list[list[Any]]]:
    return [[[c * 100 + n, f"note {c}/{n}", "AP8="] for n in range(rows)] for c in range(1, chunks + 1)]


def seal(folder: Path, *files: Path, **changes: Any) -> Path:
    """The manifest of these files, each of 12 rows in 3 chunks, in ``folder``."""
    entries = []
    for file in files:
        data = file.read_bytes()
        entries.append(
            {
                "file": file.relative_to(folder).as_posix(),
                "table": "SESSIONS",
                "rows": 12,
                "chunks": 3,
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )
    document = {
        "schema": "purgekit.archive-manifest/1",
        "run_id": "0193-run",
        "policy": "sessions",
        "runs": ["0193-run"],
        "policy_hash": "0" * 64,
        "database": "iam",
        "started_utc": "2026-11-22T10:00:00Z",
        "finished_utc": "2026-11-22T10:00:02Z",
        "rows": 12 * len(files),
        "files": entries,
    }
    path = folder / "0193-run.1.manifest.json"
    path.write_text(json.dumps(document | changes))
    return path
