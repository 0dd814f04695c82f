"""Tables of every type a database has: purged into files, read back, and put back from the values read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import purgekit as pk
from purgekit.archives import ArchiveFile, Column, Kind, find_archives, verify
from servers import Connection

OLD = 1_000_000_000  # a time in 2001
BOOKKEEPING = 2  # columns ID and E


def rows_of(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    cursor.execute(statement)
    return [tuple(row) for row in cursor.fetchall()]


def execute(connection: Connection, statement: str, parameters: Sequence[Any] | None = None) -> None:
    cursor = connection.cursor()
    if parameters is None:
        cursor.execute(statement)
    else:
        cursor.execute(statement, parameters)


def purge_to_files(
    url: str, table: str, folder: Path, rows: int, *, also: pk.Predicate | None = None
) -> list[tuple[Column, list[Any], list[Any]]]:
    """Purge all of a table; of each column its description, its values as JSON and its values."""
    rule = pk.expired("E", unit="s")
    policy = pk.Policy("types", table=table, where=rule if also is None else rule & also, max_fraction=1.0)
    with pk.connect(url) as db:
        report = db.run(policy, archive=f"{folder}/")
    assert (report.status, report.rows_deleted, report.rows_archived) == ("completed", rows, rows)
    assert [verdict.state for verdict in verify(folder)] == ["intact"]
    (path,) = find_archives(folder)
    with ArchiveFile(path) as archive:
        records = sorted(archive.records(), key=lambda record: int(record[1][0]))
        columns = archive.columns
    plain = [list(values) for values in zip(*(record[1] for record in records), strict=True)]
    typed = [list(values) for values in zip(*(record[2] for record in records), strict=True)]
    return list(zip(columns, plain, typed, strict=True))


def restored(url: str, rows: int) -> None:
    """Put back what the last run has purged into files."""
    with pk.connect(url) as db:
        (run,) = [run for run in db.history() if run["kind"] == "purge"]
        assert db.restore(run["run_id"]).rows_restored == rows


PYTHON_TYPES: dict[Kind, type | tuple[type, ...]] = {
    Kind.INT: int,
    Kind.UINT: int,
    Kind.REAL: float,
    Kind.BOOL: bool,
    Kind.TEXT: str,
    Kind.BYTES: bytes,
    Kind.BIT: str,
}


def in_rows(columns: list[tuple[Column, list[Any], list[Any]]]) -> list[tuple[Any, ...]]:
    return list(zip(*(typed for _, _, typed in columns), strict=True))


def has_own_type(column: Column, value: Any) -> bool:
    """Numbers, text and bytes are never wrapped and never text in a number's place."""
    return value is None or isinstance(value, PYTHON_TYPES.get(column.kind, object))


def utc(value: Any) -> Any:
    """As a driver without zones wants it."""
    return value.replace(tzinfo=None) if isinstance(value, dt.datetime) else value
