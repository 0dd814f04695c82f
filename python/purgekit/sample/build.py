"""Makes the sample database."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TypeVar

from purgekit.errors import PurgeRefused
from purgekit.sample.rows import Sides, store_rows
from purgekit.sample.schema import INDEXES, SESSION_STORE, SIDE_TABLES, TABLES
from purgekit.text import printable

APPLICATION_ID = 0x70676B64  # marks files that are ours to make anew
BATCH_ROWS = 20_000
SUFFIXES = ("", "-wal", "-shm", "-journal")

Item = TypeVar("Item")


def build_sample(path: Path, rows: int, on_progress: Callable[[str, int], object], now_ns: int | None = None) -> None:
    """Make the database at ``path``, in place of an earlier sample but of nothing else.

    Args:
        path: the file.
        rows: of the session store.
        on_progress: called with what is being done and the session rows written so far.
        now_ns: the instant up to which sessions were written; now when not given.
    """
    _make_room(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        # If this is cut short, the file is thrown away and made again; nothing in it needs to survive a crash yet.
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -262144")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        for ddl in (SESSION_STORE, *SIDE_TABLES):
            db.execute(ddl)
        sides = Sides()
        written = 0
        source = store_rows(rows, time.time_ns() if now_ns is None else now_ns, sides)
        for batch in _batches(source, BATCH_ROWS):
            db.execute("BEGIN")
            db.executemany("INSERT INTO IDN_AUTH_SESSION_STORE VALUES (?, ?, ?, ?, ?, ?, ?)", batch)
            db.execute("COMMIT")
            written += len(batch)
            on_progress("session rows", written)
        on_progress("side tables", written)
        _fill_sides(db, sides)
        for ddl in INDEXES:
            on_progress("indexes", written)
            db.execute(ddl)
        db.execute("PRAGMA journal_mode = WAL")


def count_rows(path: Path) -> dict[str, int]:
    """Rows of each table, read by Python's own SQLite."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        return {table: int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in TABLES}


def free_bytes(path: Path) -> int:
    """Bytes inside the file that no row uses."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        pages = int(db.execute("PRAGMA freelist_count").fetchone()[0])
        return pages * int(db.execute("PRAGMA page_size").fetchone()[0])


def _fill_sides(db: sqlite3.Connection, sides: Sides) -> None:
    db.execute("BEGIN")
    db.executemany("INSERT INTO IDN_AUTH_SESSION_APP_INFO VALUES (?, ?, ?, ?)", sides.app_info)
    db.executemany("INSERT INTO IDN_AUTH_SESSION_META_DATA VALUES (?, ?, ?)", sides.meta_data)
    db.executemany("INSERT INTO IDN_AUTH_USER_SESSION_MAPPING (USER_ID, SESSION_ID) VALUES (?, ?)", sides.users)
    db.executemany(
        "INSERT INTO IDN_FED_AUTH_SESSION_MAPPING (IDP_SESSION_ID, SESSION_ID, IDP_NAME) VALUES (?, ?, ?)",
        sides.federated,
    )
    db.execute("COMMIT")


def _make_room(path: Path) -> None:
    if path.exists() and not _is_sample(path):
        raise PurgeRefused(
            f"{printable(path)} is not a sample that purgekit made; name another folder with --dir", code="file_exists"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for suffix in SUFFIXES:
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise PurgeRefused(f"cannot write to {printable(path.parent)}: {error.strerror}", code="file") from None


def _is_sample(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            return bool(db.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID)
    except sqlite3.Error:
        return False


def _batches(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while batch := list(islice(items, size)):
        yield batch
