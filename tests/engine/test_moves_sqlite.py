"""Big moves on SQLite: both ways of a swap, and truncate."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

import purgekit as pk
from engine.tables import HOUR_S, TABLE, now_s, sessions_policy, survivors
from engine.test_moves import ROWS, fill, policy_file, refusal
from servers import Connection, connect

Admin = Callable[[str], Connection]


def run(url: str, policy: pk.Policy, **limits: Any) -> pk.Report:
    with pk.connect(url) as db:
        return db.run(policy, limits=pk.Limits(max_fraction=1, **limits))


SHAPES = {
    "rowid without a name": "CREATE TABLE T (NAME TEXT, EXPIRES INT)",
    "rowids hidden": "CREATE TABLE T (rowid TEXT, _rowid_ TEXT, oid TEXT, EXPIRES INT, ID INT NOT NULL UNIQUE)",
    "counted": "CREATE TABLE T (ID INTEGER PRIMARY KEY AUTOINCREMENT, A TEXT COLLATE NOCASE DEFAULT 'x', EXPIRES INT)",
    "without rowid": "CREATE TABLE T (A TEXT, B INT, EXPIRES INT, PRIMARY KEY (B DESC, A)) WITHOUT ROWID",
    "strict": "CREATE TABLE T (ID INTEGER PRIMARY KEY, V ANY, EXPIRES INT) STRICT",
    "generated": "CREATE TABLE T (ID INTEGER PRIMARY KEY, EXPIRES INT, H INT AS (EXPIRES / 9), S AS (ID + 1) STORED)",
    "odd name": 'CREATE TABLE "T" ("a ""b" TEXT, "select" BLOB, EXPIRES INT)',
}
INDEXES = (
    "CREATE INDEX I1 ON T (EXPIRES)",
    "CREATE INDEX I2 ON T (EXPIRES DESC) WHERE EXPIRES > 5",
    "CREATE INDEX I3 ON T (abs(EXPIRES), EXPIRES)",
)


OTHERS = (
    "CREATE TABLE O (ID INTEGER PRIMARY KEY AUTOINCREMENT, V REAL CHECK (V > 0), U TEXT UNIQUE)",
    "CREATE TABLE P (A)",
    "INSERT INTO O (V, U) VALUES (1.5, 'a'), (2, 'b'), (3, NULL)",
    "INSERT INTO P VALUES (1), ('1'), (x'31'), (NULL), (1.0)",
    "DELETE FROM O WHERE ID = 3",
    "DELETE FROM P WHERE rowid = 2",
    "CREATE TRIGGER G AFTER INSERT ON O BEGIN UPDATE O SET V = 9 WHERE ID = new.ID; END",
)
SETTINGS = ("journal_mode", "page_size", "auto_vacuum", "user_version", "application_id", "encoding")


def state(checker: Connection) -> dict[str, Any]:
    """All there is, but for the ledger."""
    cursor = checker.cursor()

    def rows(query: str) -> list[Any]:
        cursor.execute(query)
        return list(cursor.fetchall())

    numberless = "SELECT 1 FROM sqlite_schema WHERE name = 'T' AND (sql LIKE '%WITHOUT ROWID' OR sql LIKE '%oid TEXT%')"
    rowid = "" if rows(numberless) else "rowid, "
    counters = rows("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'")
    return {
        "schema": rows(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE tbl_name NOT LIKE 'purgekit%' ORDER BY name"
        ),
        "other tables": [rows(f"SELECT rowid, * FROM {name} ORDER BY rowid") for name in ("O", "P", "sqlite_stat1")],
        "rows": rows(f"SELECT {rowid}* FROM T WHERE coalesce(EXPIRES, 9e9) > {now_s() - 7200}"),
        "counters": rows("SELECT * FROM sqlite_sequence") if counters else [],
        "whole": rows("PRAGMA integrity_check"),
        "settings": [rows(f"PRAGMA {name}") for name in SETTINGS],
    }


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", ["copy", "refill", "no log"])
def test_keeps_all_that_there_is(shape: str, way: str, sqlite_url: str, admin: Admin) -> None:
    checker = admin(sqlite_url)
    cursor = checker.cursor()
    cursor.execute("PRAGMA page_size = 1024")
    cursor.execute(f"PRAGMA encoding = '{'UTF-16le' if shape == 'strict' else 'UTF-8'}'")
    cursor.execute("PRAGMA auto_vacuum = 2")
    cursor.execute(f"PRAGMA journal_mode = {'delete' if way == 'no log' else 'wal'}")
    cursor.execute("PRAGMA user_version = 17")
    cursor.execute("PRAGMA application_id = -5")
    cursor.execute(SHAPES[shape])
    for statement in OTHERS:
        cursor.execute(statement)
    if way == "refill":
        cursor.execute("INSERT INTO P SELECT zeroblob(1000000)")
    cursor.execute("SELECT name FROM pragma_table_info('T') WHERE name NOT IN ('H', 'S')")
    names = [row[0] for row in cursor.fetchall()]
    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    cursor.execute("BEGIN")
    for n in range(1, 1_001):
        row = [now_s() + n + (HOUR_S if n % 5 == 0 else -9 * HOUR_S) if name == "EXPIRES" else n * 3 for name in names]
        cursor.execute(f"INSERT INTO T ({quoted}) VALUES ({', '.join('?' * len(row))})", row)
    cursor.execute("COMMIT")
    cursor.execute("DELETE FROM T WHERE EXPIRES % 7 = 0")
    for statement in INDEXES:
        cursor.execute(statement)
    cursor.execute("CREATE VIEW V AS SELECT EXPIRES FROM T")
    cursor.execute("ANALYZE")
    cursor.execute("CREATE TRIGGER U UPDATE ON T BEGIN SELECT 1; END")
    cursor.execute("SELECT count(*) FROM T")
    rows = int(cursor.fetchone()[0])
    before = state(checker)
    assert len(before["rows"]) > 100
    policy = pk.Policy("t", table="T", where=pk.expired("EXPIRES", unit="s"), strategy="swap")
    with pk.connect(sqlite_url) as db:
        assert ("purgekit_side" in db.plan(policy).policies[0]["statements"][0]) == (way == "copy")
    report = run(sqlite_url, policy)
    assert state(checker) == before
    assert report.rows_deleted == rows - len(before["rows"])
    cursor.execute("SELECT count(*) FROM T")
    assert cursor.fetchone()[0] == len(before["rows"])


def test_rows_that_break_a_rule_of_today_stay(sqlite_url: str, admin: Admin) -> None:
    """Orphans of a foreign key, values that a check would refuse, times that can't be read."""
    checker = admin(sqlite_url)
    cursor = checker.cursor()
    cursor.execute("PRAGMA foreign_keys = OFF")
    cursor.execute("PRAGMA ignore_check_constraints = ON")
    cursor.execute("CREATE TABLE PARENT (ID INTEGER PRIMARY KEY)")
    cursor.execute("CREATE TABLE T (ID INTEGER PRIMARY KEY, AT TEXT, P INT REFERENCES PARENT, N INT CHECK (N > 0))")
    times: list[Any] = ["2020-01-01", "2999-01-01", "soon", None, "2020-01-01T10:00:00+14:00", 17, b"2020-01-01", ""]
    for n, at in enumerate(times):
        cursor.execute("INSERT INTO T VALUES (?, ?, 99, -1)", (n, at))
    policy = pk.Policy("t", table="T", where=pk.expired("AT", unit="timestamp"), strategy="swap")
    assert run(sqlite_url, policy).rows_deleted == 2
    cursor.execute("SELECT * FROM T ORDER BY ID")
    times[5] = "17"  # as the column's affinity has it
    assert cursor.fetchall() == [(n, at, 99, -1) for n, at in enumerate(times) if n not in (0, 4)]


def test_a_file_that_can_not_be_copied_is_refilled(sqlite_url: str, admin: Admin) -> None:
    """Another table's index needs what only its application has."""
    checker, living = fill(admin, sqlite_url)
    cast(sqlite3.Connection, checker).create_collation("theirs", lambda a, b: (a > b) - (a < b))
    cursor = checker.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("CREATE TABLE O (A TEXT COLLATE theirs UNIQUE)")
    cursor.execute("INSERT INTO O VALUES ('x'), ('y')")
    report = run(sqlite_url, sessions_policy(strategy="swap"))
    assert (report.exit_code, report.rows_deleted) == (0, ROWS - len(living))
    assert report.policies[0]["retries"] == 1
    assert survivors(checker) == living
    cursor.execute("SELECT A FROM O")
    assert len(cursor.fetchall()) == 2


def test_wiping_asked_for_is_not_left_to_the_file_system(sqlite_url: str, admin: Admin) -> None:
    checker, living = fill(admin, sqlite_url)
    checker.cursor().execute("PRAGMA journal_mode = WAL")
    checker.cursor().execute(f"UPDATE {TABLE} SET NOTE = 'secret' || ID WHERE ID % 4 > 0")
    with pk.connect(sqlite_url + "?secure_delete=on") as db:
        plan = db.plan(sessions_policy(strategy="swap"))
        assert "purgekit_side" not in plan.policies[0]["statements"][0]
        assert db.run(plan).rows_deleted == ROWS - len(living)
    assert b"secret" not in Path(sqlite_url.removeprefix("sqlite:///")).read_bytes()
    assert survivors(checker) == living


def test_conditions_on_other_rows(sqlite_url: str, admin: Admin) -> None:
    checker = admin(sqlite_url)
    cursor = checker.cursor()
    cursor.execute("CREATE TABLE T (ID INTEGER PRIMARY KEY, G INT)")
    cursor.execute("CREATE TABLE USED (T_ID INT)")
    cursor.executemany("INSERT INTO T VALUES (?, ?)", [(n, n % 10) for n in range(100)])
    cursor.execute("INSERT INTO USED VALUES (5), (7)")
    where = pk.keep_latest(2, per=["G"], order_by="ID") & pk.not_referenced_by("USED", on={"T_ID": "ID"})
    assert run(sqlite_url, pk.Policy("t", table="T", where=where, strategy="swap")).rows_deleted == 78
    assert survivors(checker, "T") == {5, 7, *range(80, 100)}


def test_truncate_only_what_is_wholly_expired(sqlite_url: str, admin: Admin) -> None:
    checker, living = fill(admin, sqlite_url)
    policy = sessions_policy(strategy="truncate")
    refused = str(refusal(sqlite_url, policy))
    assert f"about {len(living)} of its {ROWS} rows are to stay: strategy swap keeps them" in refused
    with pk.connect(sqlite_url) as db:
        checker.cursor().execute(f"UPDATE {TABLE} SET EXPIRES = {now_s() - 9 * HOUR_S}")
        plan = db.plan(policy, max_fraction=1)
        checker.cursor().execute(f"UPDATE {TABLE} SET EXPIRES = {now_s()} WHERE ID = 8")
        with pytest.raises(pk.PurgeFailed, match="holds a row that is to stay"):
            db.run(plan)
        assert len(survivors(checker)) == ROWS
        checker.cursor().execute(f"UPDATE {TABLE} SET EXPIRES = {now_s() - 9 * HOUR_S}")
        report = db.run(plan)
    assert (report.exit_code, report.rows_deleted, report.policies[0]["chunks"]) == (0, ROWS, 1)
    assert survivors(checker) == set()


@pytest.mark.parametrize(
    ("statement", "part"),
    [
        (f"CREATE TRIGGER D DELETE ON {TABLE} BEGIN SELECT 1; END", "trigger D"),
        (f"CREATE TRIGGER I AFTER INSERT ON {TABLE} BEGIN SELECT 1; END", "trigger I"),
        (f"CREATE TABLE CHILD (S INT REFERENCES {TABLE} (ID))", "table CHILD refers to it"),
    ],
)
def test_refuses_what_would_not_be_the_same(statement: str, part: str, sqlite_url: str, admin: Admin) -> None:
    checker, _ = fill(admin, sqlite_url)
    with pk.connect(sqlite_url) as db:
        plan = db.plan(sessions_policy(strategy="swap"))
        checker.cursor().execute(statement)
        error = refusal(sqlite_url, sessions_policy(strategy="swap"))
        assert part in str(error)
        assert "leave the strategy out" in str(error)
        assert all(p["problem"] for p in db.plan(sessions_policy()).policies[0]["proposals"])
        with pytest.raises(pk.PurgeFailed, match=part):
            db.run(plan)  # what came after the plan is seen under the lock
    assert len(survivors(checker)) == ROWS


# Each row takes its time, so that there is a middle.
SLOW = (
    "(WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < :n)"
    " SELECT count(*) FROM c WHERE x < EXPIRES) > 0"
)


def slow_policy(**changes: Any) -> pk.Policy:
    where = pk.expired("EXPIRES", unit="s") & pk.sql(SLOW, n=2_000)
    return pk.Policy("sessions", table=TABLE, where=where, strategy="swap", **changes)


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_stroke_that_outlasts_its_window_is_undone(journal: str, sqlite_url: str, admin: Admin) -> None:
    checker, living = fill(admin, sqlite_url)
    checker.cursor().execute(f"PRAGMA journal_mode = {journal}")
    with pk.connect(sqlite_url) as db:
        with pytest.raises(pk.PurgeFailed, match="raise the policy's move_window") as caught:
            db.run(slow_policy(move_window="200ms"))
        assert caught.value.code == "statement_timeout"
        assert len(survivors(checker)) == ROWS
        assert "deleted" in str(caught.value)
        # The same connection purges on.
        assert db.run(sessions_policy(strategy="swap")).rows_deleted == ROWS - len(living)
    assert "longer than move_window 10ms" in str(refusal_of_window(sqlite_url, admin))


def refusal_of_window(url: str, admin: Admin) -> pk.PurgekitError:
    cursor = admin(url).cursor()
    cursor.execute(f"UPDATE {TABLE} SET NOTE = zeroblob(100000), EXPIRES = {now_s() - 9 * HOUR_S}")
    return refusal(url, sessions_policy(strategy="swap", move_window="10ms"))


def test_a_reader_in_the_way_is_waited_for(sqlite_url: str, admin: Admin) -> None:
    """Without a write-ahead log, readers keep a commit waiting: the stroke is undone, and made again."""
    checker, living = fill(admin, sqlite_url)
    reader = admin(sqlite_url).cursor()
    waited = threading.Event()

    def on_progress(event: dict[str, Any]) -> None:
        if event["waiting"]:
            waited.set()

    def purge() -> pk.Report:
        with pk.connect(sqlite_url, lock_wait_ms=50) as db:
            return db.run(slow_policy(), limits=pk.Limits(lock_wait_ms=50), on_progress=on_progress)

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(purge)
        while not is_locked(sqlite_url) and not future.done():
            time.sleep(0.005)
        reader.execute("BEGIN")
        reader.execute(f"SELECT count(*) FROM {TABLE}")
        assert reader.fetchone() == (ROWS,)
        assert waited.wait(60), "the purge did not wait for the reader"
        reader.execute("ROLLBACK")
        report = future.result()
    assert report.exit_code == 0
    assert report.policies[0]["retries"] >= 1
    assert report.rows_deleted == ROWS - len(living)
    assert survivors(checker) == living


def test_readers_go_on(sqlite_url: str, admin: Admin) -> None:
    checker, living = fill(admin, sqlite_url)
    checker.cursor().execute("PRAGMA journal_mode = WAL")
    reader = admin(sqlite_url)
    reader.cursor().execute("BEGIN")
    assert len(survivors(reader)) == ROWS
    with pk.connect(sqlite_url) as db:
        assert db.run(sessions_policy(strategy="swap"), ledger="none").exit_code == 0
    assert len(survivors(reader)) == ROWS, "what it began to read stays to its end"
    reader.cursor().execute("COMMIT")
    assert survivors(reader) == living


def test_after_a_stroke_foreign_keys_hold_again(sqlite_url: str, admin: Admin) -> None:
    """The second policy's rows are referred to by a key that was made after the plan."""
    checker, _ = fill(admin, sqlite_url)
    cursor = checker.cursor()
    cursor.execute("CREATE TABLE PARENT (ID INTEGER PRIMARY KEY, EXPIRES INT)")
    cursor.execute(f"INSERT INTO PARENT SELECT ID, EXPIRES FROM {TABLE}")
    parents = pk.Policy("parents", table="PARENT", where=pk.expired("EXPIRES", unit="s"))
    with pk.connect(sqlite_url) as db:
        plan = db.plan([sessions_policy(strategy="swap"), parents])
        cursor.execute("CREATE TABLE CHILD (P INT REFERENCES PARENT (ID))")
        cursor.execute("INSERT INTO CHILD VALUES (1)")
        report = db.run(plan)
    assert [policy["strategy"] for policy in report.policies] == ["swap", "rowid-range"]
    assert report.exit_code == 4
    assert 1 in survivors(checker, "PARENT")


@pytest.mark.long
@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_killed_in_the_middle(journal: str, sqlite_url: str, admin: Admin, tmp_path: Path) -> None:
    checker, living = fill(admin, sqlite_url)
    checker.cursor().execute(f"PRAGMA journal_mode = {journal}")
    policy = policy_file(tmp_path, "swap", f'sql = {{ text = "{SLOW}", n = 2000 }}')
    command = [sys.executable, "-m", "purgekit", "run", sqlite_url, str(policy), "--yes", "--json"]
    middle = 0
    for attempt in range(4):
        purge = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while purge.poll() is None and not is_locked(sqlite_url) and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.1 * attempt)
        middle += is_locked(sqlite_url)
        purge.kill()
        purge.communicate()
        assert survivors(checker) in (set(range(1, ROWS + 1)), living)
    assert middle >= 3, "the kills came too early or too late"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert survivors(checker) == living
    cursor = checker.cursor()
    cursor.execute("PRAGMA integrity_check")
    assert cursor.fetchall() == [("ok",)]
    with pk.connect(sqlite_url) as db:
        assert sum(run["rows_deleted"] for run in db.history()) == ROWS - len(living)
    assert {path.name for path in tmp_path.glob("test*")} <= {"test.db", "test.db-wal", "test.db-shm"}


def is_locked(url: str) -> bool:
    """Somebody holds the write lock, and not for a moment only."""
    with contextlib.closing(connect(url)) as other:
        cursor = other.cursor()
        cursor.execute("PRAGMA busy_timeout = 50")
        try:
            cursor.execute("BEGIN IMMEDIATE")
        except Exception:
            return True
        cursor.execute("ROLLBACK")
        return False
