"""SQLite: a file, write-ahead log, full durability."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import ClassVar, cast

from bench import data
from bench.place import Place, memory_for_building_mb
from servers import Connection

PAGE_BYTES = 4096


def copy_by_pages(source: Path, target: Path) -> None:
    """As an application would have written it.

    Larger writes leave the file in large folios of the page cache (Linux 6.16 and later), where writing a single page
    costs several times as much.
    """
    with source.open("rb", buffering=1 << 20) as pages, target.open("wb", buffering=0) as out:
        while page := pages.read(PAGE_BYTES):
            out.write(page)


class Sqlite(Place):
    backend: ClassVar[str] = "sqlite"

    def start(self) -> None:
        """No server."""

    def stop(self) -> None:
        """No server."""

    def has(self, shape: data.Shape) -> bool:
        return self._template(shape).exists()

    def _template(self, shape: data.Shape) -> Path:
        return self.keep / f"{shape.name}.db"

    def make(self, shape: data.Shape) -> None:
        half_made = self._template(shape).with_suffix(".building")
        half_made.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(half_made, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=OFF")
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute(f"PRAGMA cache_size={-1024 * memory_for_building_mb()}")
            connection.execute("BEGIN")
            self.fill(connection, shape)
            connection.execute("COMMIT")
            connection.execute("ANALYZE")
            connection.execute("PRAGMA journal_mode=WAL")
        half_made.rename(self._template(shape))

    def fill(self, connection: sqlite3.Connection, shape: data.Shape) -> None:
        """Create and load the tables."""
        connection.execute(data.create_table("BLOB"))
        for statement in data.create_indexes(shape):
            connection.execute(statement)
        marks = ", ".join("?" * len(data.COLUMNS))
        connection.executemany(f"INSERT INTO {data.TABLE} VALUES ({marks})", data.rows(shape))

    @property
    def file(self) -> Path:
        return self.work / "run.db"

    @property
    def wal_file(self) -> Path:
        return self.work / "run.db-wal"

    def fresh(self, shape: data.Shape) -> str:
        for path in self.work.glob("run.db*"):
            path.unlink()
        copy_by_pages(self._template(shape), self.file)  # what was just written is in the page cache
        os.sync()
        return f"sqlite:///{self.file}"

    def facts(self) -> dict[str, str]:
        return {
            "SQLite": sqlite3.sqlite_version,
            "settings": "journal_mode=WAL, synchronous=FULL; the plain DELETE and the loop with 512 MB of cache",
        }

    def survivors_sql(self, connection: Connection) -> str:
        raw = cast(sqlite3.Connection, connection)
        raw.create_function("digits", 2, lambda key, at: int(key[at : at + 8], 16), deterministic=True)
        return f"SELECT count(*), sum(digits(SESSION_ID, 0)), sum(digits(SESSION_ID, 8)) FROM {data.TABLE}"
