"""Big moves: whole tables purged at a stroke, on request only. What stays is what a walk would leave, come what may.

The tests with ``case`` hold for every backend that offers a move; its own file has what is special to it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk
from engine.tables import HOUR_S, TABLE, make_sessions, now_s, sessions_policy, survivors
from servers import Connection, connect

Admin = Callable[[str], Connection]

ROWS = 3_000


@dataclass(frozen=True)
class Case:
    url: str
    strategy: str

    def policy(self, **changes: Any) -> pk.Policy:
        return sessions_policy(strategy=self.strategy, **changes)


@pytest.fixture(params=["sqlite-swap"])
def case(request: pytest.FixtureRequest) -> Case:
    backend, strategy = request.param.split("-")
    return Case(str(request.getfixturevalue(f"{backend}_url")), strategy)


def fill(admin: Admin, url: str, rows: int = ROWS) -> tuple[Connection, set[int]]:
    """Every fourth row lives. Also returns the ids that are to be left."""
    checker = admin(url)
    make_sessions(checker, url, [now_s() + (HOUR_S if n % 4 == 0 else -5 * HOUR_S) for n in range(1, rows + 1)])
    return checker, {n for n in range(1, rows + 1) if n % 4 == 0}


def refusal(url: str, policy: pk.Policy, *, archive: str | None = None, **limits: Any) -> pk.PurgekitError:
    with pytest.raises(pk.PurgekitError) as caught, pk.connect(url) as db:
        db.run(policy, limits=pk.Limits(max_fraction=1, **limits), archive=archive)
    assert not isinstance(caught.value, pk.PurgeFailed)
    assert "\n" not in str(caught.value)
    return caught.value


def policy_file(folder: Path, strategy: str, more: str = "") -> Path:
    path = folder / "policy.toml"
    path.write_text(
        f'[[policy]]\nname = "sessions"\ntable = "{TABLE}"\nstrategy = "{strategy}"\n{more}\n'
        'expired = { column = "EXPIRES", unit = "s" }\n'
    )
    return path


def purgekit(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "purgekit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# What it does


def test_survivors_counts_and_history_are_those_of_a_walk(case: Case, admin: Admin) -> None:
    checker, living = fill(admin, case.url)
    within_grace_s = now_s() - HOUR_S
    odd = {ROWS + 1: "NULL", ROWS + 2: "0", ROWS + 3: "-5", ROWS + 4: f"{within_grace_s}"}
    for number, expires in odd.items():
        checker.cursor().execute(f"INSERT INTO {TABLE} (ID, EXPIRES) VALUES ({number}, {expires})")
    with pk.connect(case.url) as db:
        plan = db.plan(case.policy(), exact=True)
        entry = plan.policies[0]
        assert entry["strategy"] == case.strategy
        assert entry["rows_purgeable"] == ROWS - len(living)
        assert entry["move"]["move_window_s"] == 60
        assert entry["statements"]
        report = db.run(plan, limits=pk.Limits(workers=4, pace="fast"))
        history = db.history()
    assert survivors(checker) == living | set(odd)
    assert report.exit_code == 0
    assert report.rows_deleted == ROWS - len(living)
    done = report.policies[0]
    assert (done["strategy"], done["rows_left"], done["workers"]) == (case.strategy, 0, 1)
    assert [run["rows_deleted"] for run in history] == [ROWS - len(living)]
    assert history[0]["status"] == "completed"


def test_nothing_to_purge(case: Case, admin: Admin) -> None:
    checker, living = fill(admin, case.url, 40)
    for expected in (30, 0):
        with pk.connect(case.url) as db:
            assert db.run(case.policy()).rows_deleted == expected
    assert survivors(checker) == living


def test_unasked_it_is_proposed_and_not_taken(case: Case, admin: Admin, tmp_path: Path) -> None:
    fill(admin, case.url)
    shown = purgekit("plan", case.url, policy_file(tmp_path, "auto"))
    assert f'strategy = "{case.strategy}": about {ROWS * 3 // 4:,} rows' in " ".join(shown.stdout.split())
    with pk.connect(case.url) as db:
        entry = db.plan(sessions_policy()).policies[0]
        assert entry["move"] is None
        proposal = next(p for p in entry["proposals"] if p["strategy"] == case.strategy)
        assert proposal["problem"] is None
        assert proposal["reason"]
        assert set(proposal) == {"strategy", "reason", "problem", "rows", "window_s", "needed_bytes"}
        assert db.run(sessions_policy(), limits=pk.Limits(max_fraction=1)).policies[0]["strategy"] != case.strategy


def test_the_command_line_says_how_long_others_wait(case: Case, admin: Admin, tmp_path: Path) -> None:
    checker, living = fill(admin, case.url)
    policy = policy_file(tmp_path, case.strategy, 'move_window = "30s"')
    shown = " ".join(purgekit("plan", case.url, policy).stdout.split())
    assert f"strategy {case.strategy}: " in shown
    assert "at most 30.0 s (move_window)" in shown
    done = purgekit("run", case.url, policy, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["policies"][0]["strategy"] == case.strategy
    assert survivors(checker) == living


def test_writers_meanwhile_lose_nothing(case: Case, admin: Admin) -> None:
    checker, living = fill(admin, case.url, 20_000)
    if case.url.startswith("sqlite"):
        checker.cursor().execute("PRAGMA journal_mode = WAL")
    checker.cursor().execute(f"INSERT INTO {TABLE} (ID, EXPIRES) VALUES (999999, {now_s() - 9 * HOUR_S})")
    over = threading.Event()
    added: list[int] = []
    renewed: set[int] = set()

    def write() -> None:
        with contextlib.closing(connect(case.url)) as writer:
            cursor = writer.cursor()
            number = 1_000_000
            while not over.is_set():
                number += 1
                cursor.execute(f"INSERT INTO {TABLE} (ID, EXPIRES) VALUES ({number}, {now_s() + HOUR_S})")
                added.append(number)
                doomed = number - 1_000_000
                cursor.execute(f"UPDATE {TABLE} SET EXPIRES = {now_s() + HOUR_S} WHERE ID = {doomed}")
                if cursor.rowcount == 1:
                    renewed.add(doomed)
                time.sleep(0.002)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while len(added) < 20:
            time.sleep(0.01)
        with pk.connect(case.url) as db:
            report = db.run(case.policy(), limits=pk.Limits(lock_wait_ms=10_000))
        so_far = len(added)
        while len(added) < so_far + 5:
            time.sleep(0.01)
    finally:
        over.set()
        thread.join()
    assert report.exit_code == 0
    assert survivors(checker) == living | set(added) | renewed
    assert report.rows_deleted == 20_001 - len(living | renewed)


# What is refused, before anything changes


def test_what_a_move_can_not_do(case: Case, admin: Admin, tmp_path: Path) -> None:
    checker, _ = fill(admin, case.url)
    assert refusal(case.url, case.policy(), max_rows=10_000).code == "max_rows"
    assert refusal(case.url, case.policy(), max_rows_per_s=10_000).code == "max_rows_per_s"
    kept = refusal(case.url, case.policy(), archive="table")
    assert kept.code == "strategy"
    assert "drop the archive or the strategy" in str(kept)
    checker.cursor().execute("CREATE TABLE CHILD (S BIGINT)")
    children = refusal(case.url, case.policy(dependents=[pk.dependent("CHILD", on={"S": "ID"})]))
    assert "dependents" in str(children)
    rehearsed = purgekit("plan", case.url, policy_file(tmp_path, case.strategy), "--rehearse")
    assert rehearsed.returncode == 2
    assert "leave --rehearse or the strategy out" in rehearsed.stderr
    assert len(survivors(checker)) == ROWS


def test_unknown_strategy_names_the_nearest(case: Case, admin: Admin, tmp_path: Path) -> None:
    fill(admin, case.url, 10)
    refused = purgekit("run", case.url, policy_file(tmp_path, "swapp"), "--yes")
    assert refused.returncode == 2
    assert "did you mean swap?" in refused.stderr
    with pytest.raises(pk.PolicyError, match="did you mean truncate"):
        sessions_policy(strategy="truncat")


def test_one_that_is_not_offered(sqlite_url: str, admin: Admin) -> None:
    fill(admin, sqlite_url, 10)
    error = refusal(sqlite_url, sessions_policy(strategy="partition"))
    assert error.code == "strategy"
    assert "take swap" in str(error)


# SQLite


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
def test_sqlite_keeps_all_that_there_is(shape: str, way: str, sqlite_url: str, admin: Admin) -> None:
    checker = admin(sqlite_url)
    cursor = checker.cursor()
    cursor.execute("PRAGMA page_size = 1024")
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


def test_sqlite_rows_that_break_a_rule_of_today_stay(sqlite_url: str, admin: Admin) -> None:
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


def test_sqlite_conditions_on_other_rows(sqlite_url: str, admin: Admin) -> None:
    checker = admin(sqlite_url)
    cursor = checker.cursor()
    cursor.execute("CREATE TABLE T (ID INTEGER PRIMARY KEY, G INT)")
    cursor.execute("CREATE TABLE USED (T_ID INT)")
    cursor.executemany("INSERT INTO T VALUES (?, ?)", [(n, n % 10) for n in range(100)])
    cursor.execute("INSERT INTO USED VALUES (5), (7)")
    where = pk.keep_latest(2, per=["G"], order_by="ID") & pk.not_referenced_by("USED", on={"T_ID": "ID"})
    assert run(sqlite_url, pk.Policy("t", table="T", where=where, strategy="swap")).rows_deleted == 78
    assert survivors(checker, "T") == {5, 7, *range(80, 100)}


def test_sqlite_truncate_only_what_is_wholly_expired(sqlite_url: str, admin: Admin) -> None:
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
def test_sqlite_refuses_what_would_not_be_the_same(statement: str, part: str, sqlite_url: str, admin: Admin) -> None:
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


def test_sqlite_a_stroke_that_outlasts_its_window_is_undone(sqlite_url: str, admin: Admin) -> None:
    checker, living = fill(admin, sqlite_url)
    with pk.connect(sqlite_url) as db:
        with pytest.raises(pk.PurgeFailed, match="raise the policy's move_window") as caught:
            db.run(slow_policy(move_window="200ms"))
        assert caught.value.code == "statement_timeout"
        assert len(survivors(checker)) == ROWS
        assert "deleted" in str(caught.value)
        # The same connection keeps to foreign keys and purges on.
        assert db.run(sessions_policy(strategy="swap")).rows_deleted == ROWS - len(living)
    assert "longer than move_window 10ms" in str(refusal_of_window(sqlite_url, admin))


def refusal_of_window(url: str, admin: Admin) -> pk.PurgekitError:
    cursor = admin(url).cursor()
    cursor.execute(f"UPDATE {TABLE} SET NOTE = zeroblob(100000), EXPIRES = {now_s() - 9 * HOUR_S}")
    return refusal(url, sessions_policy(strategy="swap", move_window="10ms"))


def test_sqlite_a_reader_in_the_way_is_waited_for(sqlite_url: str, admin: Admin) -> None:
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


@pytest.mark.long
def test_sqlite_killed_in_the_middle(sqlite_url: str, admin: Admin, tmp_path: Path) -> None:
    checker, living = fill(admin, sqlite_url)
    checker.cursor().execute("PRAGMA journal_mode = WAL")
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
    assert {path.name for path in tmp_path.glob("test.db*")} <= {"test.db", "test.db-wal", "test.db-shm"}


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
