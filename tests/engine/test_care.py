"""Care after a purge on real databases: statistics, space, and what is told when it can't be had."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk
from engine.tables import HOUR_S, TABLE, make_sessions, now_s, sessions_policy, survivors
from purgekit.testing.bench import Bench
from purgekit.testing.quirks import Quirks
from servers import Connection

ROWS = 6_000
LIVE = {n + 1 for n in range(0, ROWS, 10)}
Admin = Callable[[str], Connection]
FAST = pk.Limits(pace="fast", max_fraction=1)


def is_mysql(url: str) -> bool:
    return re.match("mysql|mariadb", url) is not None


def make(admin: Admin, url: str) -> Connection:
    connection = admin(url)
    make_sessions(connection, url, [now_s() + (HOUR_S if n % 10 == 0 else -5 * HOUR_S) for n in range(ROWS)])
    connection.cursor().execute(f"CREATE INDEX BY_EXPIRY ON {TABLE} (EXPIRES)")
    return connection


def purge(url: str, reclaim: str, **options: Any) -> dict[str, Any]:
    with pk.connect(url) as db:
        report = db.run(sessions_policy(), limits=FAST, reclaim=reclaim, **options)
    assert report.exit_code == 0
    (entry,) = report.policies
    assert entry["rows_deleted"] == ROWS - len(LIVE)
    found: dict[str, Any] = entry
    return found


def statistics_rows(connection: Connection, url: str) -> int:
    """Rows of the table as the optimizer believes."""
    cursor = connection.cursor()
    if url.startswith("sqlite"):
        cursor.execute("SELECT stat FROM sqlite_stat1 WHERE tbl = ? COLLATE NOCASE", (TABLE,))
        return max(int(row[0].split()[0]) for row in cursor.fetchall())
    cursor.execute(
        f"SELECT n_rows FROM mysql.innodb_table_stats WHERE database_name = DATABASE() AND table_name = '{TABLE}'"
        if is_mysql(url)
        else f"SELECT reltuples::bigint FROM pg_class WHERE oid = '{TABLE.lower()}'::regclass"
    )
    return int(cursor.fetchall()[0][0])


@pytest.mark.parametrize("reclaim", ["statistics", "space"])
def test_statistics_are_fresh_afterwards(any_url: str, admin: Admin, reclaim: str) -> None:
    connection = make(admin, any_url)
    entry = purge(any_url, reclaim)
    assert (entry["care"]["status"], entry["care"]["warning"]) == ("done", None)
    assert abs(statistics_rows(connection, any_url) - len(LIVE)) <= len(LIVE) / 5
    assert survivors(connection) == LIVE


def test_nothing_is_done_unasked(any_url: str, admin: Admin) -> None:
    make(admin, any_url)
    entry = purge(any_url, "none")
    assert entry["care"] is None
    assert entry["space"]["before"]["bytes"] > 0


def test_unknown_word_is_refused(sqlite_url: str, admin: Admin) -> None:
    connection = make(admin, sqlite_url)
    with pk.connect(sqlite_url) as db, pytest.raises(pk.PurgeRefused, match="did you mean space"):
        db.run(sessions_policy(), reclaim="spaces")
    assert len(survivors(connection)) == ROWS


# PostgreSQL


def dead_rows(connection: Connection) -> int:
    cursor = connection.cursor()
    cursor.execute(f"SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = '{TABLE.lower()}'")
    return int(cursor.fetchall()[0][0])


def test_postgresql_tells_dead_rows_and_vacuum_makes_them_reusable(postgresql_url: str, admin: Admin) -> None:
    connection = make(admin, postgresql_url)
    connection.cursor().execute(f"ALTER TABLE {TABLE} SET (autovacuum_enabled = false)")
    connection.cursor().execute(f"ANALYZE {TABLE}")
    none = purge(postgresql_url, "none")["space"]
    row_bytes = 24 + 8 + 8 + 101 + 4
    assert none["after"]["dead_bytes"] == pytest.approx((ROWS - len(LIVE)) * row_bytes, rel=0.1)
    assert none["returned_bytes"] == 0
    assert "VACUUM" in none["advice"]
    connection.cursor().execute(f"DROP TABLE {TABLE}")
    connection = make(admin, postgresql_url)
    connection.cursor().execute(f"ALTER TABLE {TABLE} SET (autovacuum_enabled = false)")
    entry = purge(postgresql_url, "space")
    assert entry["care"]["steps"] == 2  # VACUUM, ANALYZE
    assert entry["space"]["after"]["dead_bytes"] == 0
    assert entry["space"]["after"]["reusable_bytes"] == pytest.approx(entry["space"]["before"]["bytes"] * 0.8, rel=0.3)
    assert dead_rows(connection) == 0


def test_postgresql_goes_by_partitions(postgresql_url: str, admin: Admin) -> None:
    connection = admin(postgresql_url)
    cursor = connection.cursor()
    cursor.execute(f"CREATE TABLE {TABLE} (ID BIGINT, EXPIRES BIGINT, NOTE VARCHAR(200)) PARTITION BY RANGE (ID)")
    for part in range(3):
        first = part * 2_000 + 1
        cursor.execute(
            f"CREATE TABLE {TABLE}_{part} PARTITION OF {TABLE} FOR VALUES FROM ({first}) TO ({first + 2_000})"
        )
        cursor.execute(f"ALTER TABLE {TABLE}_{part} SET (autovacuum_enabled = false)")
    cursor.execute(
        f"INSERT INTO {TABLE} SELECT n + 1, {now_s()} + CASE WHEN n % 10 = 0 THEN {HOUR_S} ELSE {-5 * HOUR_S} END, 'x'"
        f" FROM generate_series(0, {ROWS - 1}) n"
    )
    entry = purge(postgresql_url, "space")
    assert (entry["care"]["status"], entry["care"]["steps"]) == ("done", 4)  # a VACUUM each, one ANALYZE
    assert entry["space"]["after"]["dead_bytes"] == 0
    cursor.execute("SELECT count(*) FROM pg_stat_user_tables WHERE vacuum_count = 1 AND relname LIKE 'sessions_%'")
    assert cursor.fetchall()[0][0] == 3


def test_postgresql_leaves_a_locked_table_alone(postgresql_url: str, admin: Admin) -> None:
    """What keeps VACUUM out keeps nobody out of the purge; the wait for it has a bound."""
    make(admin, postgresql_url)
    holder = admin(postgresql_url).cursor()
    holder.execute("BEGIN")
    holder.execute(f"LOCK TABLE {TABLE} IN SHARE UPDATE EXCLUSIVE MODE")
    with pk.connect(postgresql_url, lock_wait_ms=200) as db:
        report = db.run(sessions_policy(), limits=FAST, reclaim="space")
    holder.execute("ROLLBACK")
    care = report.policies[0]["care"]
    assert (report.status, report.exit_code, care["status"]) == ("completed", 0, "failed")
    assert "holds a lock" in care["warning"]


# MySQL and MariaDB


@pytest.mark.parametrize("name", ["mariadb", pytest.param("mysql56")])
@pytest.mark.needs_server
def test_mysql_gives_space_back_while_others_write(request: pytest.FixtureRequest, admin: Admin, name: str) -> None:
    url = str(request.getfixturevalue(f"{name}_url"))
    connection = make(admin, url)
    cursor = connection.cursor()
    for _ in range(4):  # beyond the first extents, which are never given back one by one
        cursor.execute(
            f"INSERT INTO {TABLE} SELECT ID + (SELECT MAX(ID) FROM {TABLE} AS other), {now_s() - 5 * HOUR_S}, NOTE"
            f" FROM {TABLE}"
        )
    # MySQL 5.6 has no word on files, only what InnoDB counted last, and that lags behind a load.
    cursor.execute(f"ANALYZE TABLE {TABLE}")
    cursor.fetchall()
    over = threading.Event()
    errors: list[BaseException] = []
    writer = admin(url).cursor()

    def write() -> None:
        number = -1
        while not over.is_set():
            try:
                writer.execute(f"INSERT INTO {TABLE} VALUES ({number}, {now_s() + HOUR_S}, 'new')")
            except Exception as error:
                errors.append(error)
                return
            number -= 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with pk.connect(url) as db:
            report = db.run(sessions_policy(), limits=FAST, reclaim="space")
    finally:
        over.set()
        thread.join()
    entry = report.policies[0]
    assert not errors
    assert (report.exit_code, entry["care"]["status"], entry["care"]["steps"]) == (0, "done", 2)
    assert entry["space"]["returned_bytes"] > entry["space"]["before"]["bytes"] / 2
    assert {n for n in survivors(connection) if n > 0} == LIVE
    with pk.connect(url) as db:  # the rebuilt table is planned for and purged like any other
        assert db.run(sessions_policy(), reclaim="space").policies[0]["care"]["status"] == "not_needed"


@pytest.mark.needs_server
def test_mysql_knows_room_on_this_machine(mariadb_url: str, admin: Admin) -> None:
    connection = make(admin, mariadb_url)
    cursor = connection.cursor()
    cursor.execute("SELECT @@datadir, @@hostname")
    ((folder, host),) = cursor.fetchall()
    assert host == socket.gethostname()
    with Bench(Quirks(mariadb_url, lambda: connection)).session() as session:
        space = session.space(sessions_policy())
    assert space["needed_bytes"] > 0
    facts = os.statvfs(folder)
    assert space["free_bytes"] == pytest.approx(facts.f_bavail * facts.f_frsize, rel=0.2)


@pytest.mark.needs_server
def test_mysql_open_transaction_is_not_waited_for(mariadb_url: str, admin: Admin) -> None:
    make(admin, mariadb_url)
    holder = admin(mariadb_url).cursor()
    holder.execute("BEGIN")
    holder.execute(f"SELECT COUNT(*) FROM {TABLE}")
    entry = purge(mariadb_url, "space")
    holder.execute("ROLLBACK")
    assert entry["care"]["status"] == "failed"
    assert "transaction that has used the table is still open" in entry["care"]["warning"]


# SQLite


INCREMENTAL = "PRAGMA auto_vacuum = incremental; PRAGMA journal_mode = wal; CREATE TABLE other (x);"


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


@contextlib.contextmanager
def sqlite_file(url: str, pragmas: str) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(file_of(url), isolation_level=None)) as connection:
        connection.executescript(pragmas)
        yield connection


def test_sqlite_incremental_file_shrinks(sqlite_url: str, admin: Admin) -> None:
    with sqlite_file(sqlite_url, INCREMENTAL):
        pass
    connection = make(admin, sqlite_url)
    connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before_bytes = file_of(sqlite_url).stat().st_size
    entry = purge(sqlite_url, "space")
    assert entry["care"]["status"] == "done"
    assert file_of(sqlite_url).stat().st_size < before_bytes / 2
    assert entry["space"]["after"]["reusable_bytes"] == 0
    assert entry["space"]["returned_bytes"] > before_bytes / 2
    with sqlite_file(sqlite_url, "") as check:
        assert check.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_sqlite_other_files_keep_their_size_and_say_what_would_help(sqlite_url: str, admin: Admin) -> None:
    make(admin, sqlite_url)
    before_bytes = file_of(sqlite_url).stat().st_size
    entry = purge(sqlite_url, "space")
    assert entry["care"]["status"] == "done"
    assert file_of(sqlite_url).stat().st_size >= before_bytes
    assert entry["space"]["after"]["reusable_bytes"] > before_bytes / 2
    assert "VACUUM" in entry["space"]["advice"]


def test_sqlite_reader_keeps_only_the_log(sqlite_url: str, admin: Admin) -> None:
    """A reader of an older state is not disturbed, and nothing fails because of it."""
    with sqlite_file(sqlite_url, INCREMENTAL):
        pass
    make(admin, sqlite_url)
    with sqlite_file(sqlite_url, "") as reader:
        reader.execute("BEGIN")
        assert reader.execute(f"SELECT COUNT(*) FROM {TABLE}").fetchone() == (ROWS,)
        entry = purge(sqlite_url, "space")
        assert reader.execute(f"SELECT COUNT(*) FROM {TABLE}").fetchone() == (ROWS,)
        reader.execute("COMMIT")
    assert entry["care"]["status"] == "done"


# Privileges


def as_user(url: str, user: str) -> str:
    return re.sub(r"//[^@/]*@", f"//{user}:secret@", url)


@pytest.mark.parametrize("reclaim", ["statistics", "space"])
def test_privileges_missing_are_named(server_url: str, admin: Admin, reclaim: str) -> None:
    connection = make(admin, server_url)
    cursor = connection.cursor()
    mysql = is_mysql(server_url)
    user, account = "carer", "'carer'@'%'" if mysql else "carer"
    with contextlib.suppress(Exception):
        cursor.execute(f"DROP USER {account}" if mysql else "DROP OWNED BY carer; DROP ROLE carer")
    if mysql:
        cursor.execute(f"CREATE USER {account} IDENTIFIED BY 'secret'")
        cursor.execute(f"GRANT SELECT, DELETE ON {TABLE} TO {account}")
    else:
        cursor.execute("CREATE ROLE carer LOGIN PASSWORD 'secret'")
        cursor.execute(f"GRANT SELECT, DELETE ON {TABLE} TO carer")
    try:
        entry = purge(as_user(server_url, user), reclaim, ledger="none")
    finally:
        cursor.execute(f"DROP USER {account}" if mysql else "DROP OWNED BY carer; DROP ROLE carer")
    assert entry["care"]["status"] == "failed"
    wanted = "INSERT ON" if mysql else "GRANT"
    assert wanted in entry["care"]["warning"]
    assert "the purge itself is complete" in entry["care"]["warning"]
    assert survivors(connection) == LIVE
