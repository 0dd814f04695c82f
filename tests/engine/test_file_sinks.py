"""Rows on their way from a server into files: each that is deleted once, as it was, and no other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import purgekit as pk
from engine.tables import HOUR_S, TABLE, make_sessions, now_s, sessions_policy, survivors
from purgekit.archives import ArchiveFile, find_archives, verify
from servers import Connection

OLD = 1_000_000_000


def rows_of(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    cursor.execute(statement)
    return [tuple(row) for row in cursor.fetchall()]


def archived(folder: Path) -> list[tuple[Any, ...]]:
    """Rows of all files below a folder, each file intact."""
    assert {verdict.state for verdict in verify(folder)} == {"intact"}
    out: list[tuple[Any, ...]] = []
    for path in find_archives(folder):
        with ArchiveFile(path) as archive:
            out += [tuple(row.values()) for row in archive.rows()]
    return out


def test_several_workers(server_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    db_ = admin(server_url)
    make_sessions(db_, server_url, [now_s() + (HOUR_S if n % 4 == 0 else -5 * HOUR_S) for n in range(20_000)])
    before = rows_of(db_, f"SELECT ID, EXPIRES, NOTE FROM {TABLE}")
    with pk.connect(server_url) as db:
        plan = db.plan(sessions_policy(), archive=f"{tmp_path}/kept/")
        report = db.run(plan, limits=pk.Limits(chunk_ms=50, workers=3))
    assert report.rows_deleted == report.rows_archived == 15_000
    left = survivors(db_)
    assert sorted(archived(tmp_path / "kept")) == sorted(row for row in before if row[0] not in left)


def test_rows_that_are_renewed_meanwhile(server_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    """A row is either kept, or in the archive as it was last."""
    db_, other = admin(server_url), admin(server_url)
    make_sessions(db_, server_url, [now_s() - 5 * HOUR_S] * 6_000)
    stop = threading.Event()
    renewed: dict[int, int] = {}

    def renew() -> None:
        cursor = other.cursor()
        for number in range(1, 4_000):
            if stop.is_set():
                return
            key = (number * 7919) % 6_000 + 1
            expires = now_s() + HOUR_S if number % 2 else OLD + number
            cursor.execute(f"UPDATE {TABLE} SET EXPIRES = {expires}, NOTE = '{number}' WHERE ID = {key}")
            if cursor.rowcount == 1:
                renewed[key] = number

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        with pk.connect(server_url) as db:
            report = db.run(
                sessions_policy(max_fraction=1.0), archive=f"{tmp_path}/kept/", limits=pk.Limits(chunk_ms=50)
            )
    finally:
        stop.set()
        thread.join()
    rows = archived(tmp_path / "kept")
    left = survivors(db_)
    assert report.rows_deleted == report.rows_archived == len(rows)
    assert {row[0] for row in rows} | left == set(range(1, 6_001))
    assert {row[0] for row in rows} & left == set()
    for key, expires, note in rows:
        assert note == (str(renewed[key]) if key in renewed else "x" * 100)
        assert expires < now_s()


def test_pages_of_very_different_fill(postgresql_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    """A range of pages that proves too long is undone: none of its rows may be left in the archive twice."""
    db_ = admin(postgresql_url)
    cursor = db_.cursor()
    cursor.execute(f"CREATE TABLE {TABLE} (ID BIGINT PRIMARY KEY, EXPIRES BIGINT, NOTE TEXT)")
    cursor.execute(f"ALTER TABLE {TABLE} ALTER NOTE SET STORAGE PLAIN")
    for block in range(8):
        wide = block % 2 == 0
        cursor.execute(
            f"INSERT INTO {TABLE} SELECT n, {OLD}, repeat('w', {3_000 if wide else 1})"
            f" FROM generate_series({block * 10_000 + 1}, {block * 10_000 + (200 if wide else 9_000)}) n"
        )
    before = rows_of(db_, f"SELECT ID, EXPIRES, NOTE FROM {TABLE}")
    with pk.connect(postgresql_url) as db:
        report = db.run(sessions_policy(max_fraction=1.0), archive=f"{tmp_path}/kept/", limits=pk.Limits(chunk_ms=50))
    assert report.rows_deleted == report.rows_archived == len(before)
    assert sorted(archived(tmp_path / "kept")) == sorted(before)


def test_a_table_without_a_key(mariadb_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    """MariaDB returns what a DELETE with a limit took; equal rows are kept as often as they were there."""
    db_ = admin(mariadb_url)
    cursor = db_.cursor()
    cursor.execute(f"CREATE TABLE {TABLE} (EXPIRES BIGINT, NOTE VARCHAR(9)) ENGINE=InnoDB")
    cursor.execute(f"INSERT INTO {TABLE} VALUES " + ", ".join(f"({OLD}, '{n % 3}')" for n in range(3_000)))
    with pk.connect(mariadb_url) as db:
        report = db.run(sessions_policy(max_fraction=1.0), archive=f"{tmp_path}/kept/", limits=pk.Limits(chunk_ms=50))
    assert report.rows_archived == 3_000
    notes = [row[1] for row in archived(tmp_path / "kept")]
    assert [notes.count(note) for note in "012"] == [1_000] * 3
