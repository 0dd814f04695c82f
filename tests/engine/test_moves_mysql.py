"""Big moves on MariaDB and MySQL: what stays, what is counted, what others feel, and what a dead client leaves behind."""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk
from purgekit import _core
from purgekit.plugins import find_backends
from purgekit.url import parse_url
from servers import Connection

pytestmark = [pytest.mark.needs_server]

NOW_NS = 1_800_000_000 * 10**9
OLD_S = 1_700_000_000
NEW_S = 1_900_000_000
SESSIONS = pk.Policy("sessions", table="SESSIONS", where=pk.expired("EXPIRES", unit="s"))


@pytest.fixture(params=["mariadb", "mysql56"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@contextlib.contextmanager
def opened(url: str) -> Iterator[_core.Session]:
    find_backends()
    parsed = parse_url(url)
    session = _core.Session(
        _core.backend_for(parsed.scheme), scheme=parsed.scheme, user=parsed.user, password=parsed.password,
        host=parsed.host, port=parsed.port, database=parsed.database, options=parsed.options,
    )  # fmt: skip
    try:
        yield session
    finally:
        session.close()


def make(checker: Connection, rows: int = 400, *, every: int = 5, extra: str = "", rest: str = "") -> None:
    """SESSIONS with numbers from 1 on, of which every fifth one stays."""
    cursor = checker.cursor()
    cursor.execute(
        "CREATE TABLE SESSIONS (ID BIGINT NOT NULL AUTO_INCREMENT, EXPIRES BIGINT, NOTE VARCHAR(100) DEFAULT 'it''s `so`'"
        f"{extra}, PRIMARY KEY (ID), UNIQUE KEY `by ``note` (NOTE, ID), KEY by_time (EXPIRES)) ENGINE=InnoDB COMMENT='AUTO_INCREMENT=7 KEY'{rest}"
    )
    values = ", ".join(f"({NEW_S if n % every == 0 else OLD_S}, 'n{n}')" for n in range(1, rows + 1))
    cursor.execute(f"INSERT INTO SESSIONS (EXPIRES, NOTE) VALUES {values}")


def asked(checker: Connection, sql: str) -> list[tuple[Any, ...]]:
    cursor = checker.cursor()
    cursor.execute(sql)
    return [tuple(row) for row in cursor.fetchall()]


def ids(checker: Connection) -> list[int]:
    return [row[0] for row in asked(checker, "SELECT ID FROM SESSIONS ORDER BY ID")]


def shape(checker: Connection) -> str:
    return str(asked(checker, "SHOW CREATE TABLE SESSIONS")[0][1])


def tables(checker: Connection) -> set[str]:
    return {row[0] for row in asked(checker, "SHOW TABLES")} - {"purgekit_ledger"}


def stroke(session: _core.Session, cursor: str = "", window_ms: int = 60_000) -> dict[str, Any]:
    session.begin()
    return session.delete_range(cursor, 1, lock_wait_ms=2_000, window_ms=window_ms)


def test_swap(url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(url)
    make(checker)
    asked(checker, "DELETE FROM SESSIONS WHERE ID > 390")
    before = shape(checker)
    assert "AUTO_INCREMENT=401" in before
    with opened(url) as session:
        found = {m["strategy"]: m for m in session.moves(SESSIONS, NOW_NS, 390, 312)}
        assert found["swap"]["problem"] == ""
        assert found["swap"]["window_ms"] > 0
        assert "no partitions" in found["partition"]["problem"]
        assert "78 rows stay" in found["truncate"]["problem"]
        session.prepare(SESSIONS, NOW_NS, "move:swap")
        done = stroke(session)
        assert done["rows_deleted"] == 312
        assert done["done"]
        session.commit()
    assert ids(checker) == list(range(5, 391, 5))
    assert shape(checker) == before
    assert tables(checker) == {"SESSIONS"}


def test_swap_is_undone_by_rollback(url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(url)
    make(checker)
    with opened(url) as session:
        session.prepare(SESSIONS, NOW_NS, "move:swap")
        assert stroke(session)["rows_deleted"] == 320
        session.rollback()
        assert len(ids(checker)) == 400
        assert tables(checker) == {"SESSIONS"}
        assert stroke(session)["rows_deleted"] == 320
        session.commit()
    assert len(ids(checker)) == 80


def test_truncate(url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(url)
    make(checker, every=1_000)
    before = shape(checker)
    with opened(url) as session:
        session.prepare(SESSIONS, NOW_NS, "move:truncate")
        assert stroke(session)["rows_deleted"] == 400
        session.commit()
        assert ids(checker) == []
        assert shape(checker) == before
        asked(checker, f"INSERT INTO SESSIONS (EXPIRES, NOTE) VALUES ({NEW_S}, 'stays')")
        with pytest.raises(pk.PurgekitError, match="swap"):
            asked(checker, f"INSERT INTO SESSIONS (EXPIRES, NOTE) VALUES ({OLD_S}, 'goes')")
            stroke(session)
        session.rollback()
    assert ids(checker) == [401, 402]
    assert tables(checker) == {"SESSIONS"}


def test_partitions_are_dropped(url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(url)
    asked(
        checker,
        "CREATE TABLE SESSIONS (ID BIGINT NOT NULL, EXPIRES BIGINT NOT NULL, PRIMARY KEY (ID, EXPIRES), KEY (EXPIRES)) ENGINE=InnoDB "
        "PARTITION BY RANGE (EXPIRES) (PARTITION p1 VALUES LESS THAN (1000), PARTITION p2 VALUES LESS THAN (1790000000), "
        "PARTITION p3 VALUES LESS THAN (1800000100), PARTITION p4 VALUES LESS THAN MAXVALUE)",
    )
    rows = [(n, 500) for n in range(10)] + [(n, 1_700_000_000) for n in range(30)] + [(1, 1_800_000_050), (2, NEW_S)]
    asked(checker, "INSERT INTO SESSIONS VALUES " + ", ".join(map(str, rows)))
    with opened(url) as session:
        found = {m["strategy"]: m for m in session.moves(SESSIONS, NOW_NS, 42, 40)}
        assert found["partition"]["problem"] == ""
        assert "2 of 4" in found["partition"]["reason"]
        session.prepare(SESSIONS, NOW_NS, "move:partition")
        counts = []
        cursor = ""
        for _ in range(10):
            done = stroke(session, cursor)
            session.commit()
            counts.append(done["rows_deleted"])
            cursor = done["cursor"]
            if done["done"]:
                break
    assert counts == [10, 30, 0]
    assert asked(checker, "SELECT COUNT(*) FROM SESSIONS") == [(2,)]
    assert re.findall(r"PARTITION `?(p\d)", shape(checker)) == ["p3", "p4"]
    assert tables(checker) == {"SESSIONS"}


def test_writers_wait_and_lose_nothing(url: str, admin: Callable[[str], Connection]) -> None:
    """Inserts, renewals and reads at full speed: none fails, and each that was answered is there afterwards."""
    checker = admin(url)
    make(checker, 4_000)
    stop = threading.Event()
    failures: list[str] = []
    inserted: list[int] = []
    renewed: list[int] = []
    longest = [0.0]

    def write(number: int) -> None:
        own = admin(url)
        cursor = own.cursor()
        turn = number
        while not stop.is_set():
            turn += 4
            start = time.monotonic()
            try:
                cursor.execute(f"INSERT INTO SESSIONS (EXPIRES, NOTE) VALUES ({NEW_S}, 'live')")
                cursor.execute("SELECT LAST_INSERT_ID()")
                new = cursor.fetchall()[0][0]
                inserted.append(new)
                cursor.execute(f"UPDATE SESSIONS SET EXPIRES = {NEW_S} WHERE ID = {turn}")
                if cursor.rowcount == 1:
                    renewed.append(turn)
                cursor.execute(f"SELECT NOTE FROM SESSIONS WHERE ID = {new}")
                if cursor.fetchall() != (("live",),):
                    failures.append(f"{new} can't be read")
            except Exception as error:
                failures.append(str(error))
                return
            longest[0] = max(longest[0], time.monotonic() - start)

    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for writer in writers:
        writer.start()
    gone = 0
    try:
        with opened(url) as session:
            session.prepare(SESSIONS, NOW_NS, "move:swap")
            for _ in range(3):
                time.sleep(0.3)
                done = stroke(session)
                gone += done["rows_deleted"]
                session.commit()
            time.sleep(0.2)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert failures == []
    left = set(ids(checker))
    assert len(inserted) == len(set(inserted)) > 10
    assert set(inserted) <= left
    assert set(range(5, 4_001, 5)) <= left
    assert set(renewed) <= left
    assert gone == 4_000 + len(inserted) - len(left)
    assert asked(checker, f"SELECT COUNT(*) FROM SESSIONS WHERE EXPIRES = {OLD_S}") == [(0,)]
    assert tables(checker) == {"SESSIONS"}


def refusal(session: _core.Session, strategy: str = "swap", policy: pk.Policy = SESSIONS) -> str:
    found = {m["strategy"]: m for m in session.moves(policy, NOW_NS, 400, 320)}
    problem = str(found[strategy]["problem"])
    assert problem
    with pytest.raises(pk.PurgekitError, match=re.escape(problem.split(":")[0])):
        session.prepare(policy, NOW_NS, f"move:{strategy}")
    return problem


def test_what_is_refused(url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(url)
    make(checker)
    with opened(url) as session:
        asked(checker, "CREATE TRIGGER watch AFTER INSERT ON SESSIONS FOR EACH ROW SET @seen = 1")
        assert "trigger watch" in refusal(session)
        asked(checker, "DROP TRIGGER watch")
        asked(checker, "CREATE TABLE CHILD (ID BIGINT, FOREIGN KEY holds (ID) REFERENCES SESSIONS (ID)) ENGINE=InnoDB")
        assert "CHILD" in refusal(session, "truncate")
        asked(checker, "DROP TABLE CHILD")
        asked(checker, "CREATE TABLE PARENT (ID BIGINT PRIMARY KEY) ENGINE=InnoDB")
        asked(checker, "ALTER TABLE SESSIONS ADD UP BIGINT, ADD CONSTRAINT up FOREIGN KEY (UP) REFERENCES PARENT (ID)")
        assert "foreign key up" in refusal(session)
        asked(checker, "ALTER TABLE SESSIONS DROP FOREIGN KEY up")
        asked(checker, "ALTER TABLE SESSIONS DROP KEY up, ADD FULLTEXT KEY words (NOTE)")
        assert "FULLTEXT" in refusal(session)
        asked(checker, "ALTER TABLE SESSIONS DROP KEY words")
        latest = pk.Policy("sessions", table="SESSIONS", where=pk.keep_latest(3, per=["NOTE"], order_by="EXPIRES"))
        assert "other rows" in refusal(session, policy=latest)
        asked(checker, "ALTER TABLE SESSIONS ENGINE=MyISAM")
    with opened(url) as session:
        assert "InnoDB" in session.moves(SESSIONS, NOW_NS, 400, 320)[1]["problem"]
    assert len(ids(checker)) == 400


def test_a_lock_that_does_not_come_is_waited_for_briefly(url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(url)
    make(checker)
    holder = admin(url)
    asked(holder, "BEGIN")
    asked(holder, "UPDATE SESSIONS SET NOTE = 'mine' WHERE ID = 1")
    with opened(url) as session:
        session.prepare(SESSIONS, NOW_NS, "move:swap")
        with pytest.raises(pk.PurgekitError) as caught:
            session.begin()
            session.delete_range("", 1, lock_wait_ms=1_000, window_ms=60_000)
        assert caught.value.code == "lock_timeout"
        session.rollback()
        assert tables(checker) == {"SESSIONS"}
        asked(holder, "COMMIT")
        assert stroke(session)["rows_deleted"] == 320
        session.commit()
    assert len(ids(checker)) == 80


def test_a_window_that_is_too_short_is_undone(url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(url)
    make(checker, 2_000, every=2)
    # Each row takes its time, so that the window is over before the last one.
    slow = pk.Policy("sessions", table="SESSIONS", where=pk.all_of(pk.expired("EXPIRES", unit="s"), pk.sql("SLEEP(0.002) = 0")))
    with opened(url) as session:
        session.prepare(slow, NOW_NS, "move:swap")
        with pytest.raises(pk.PurgekitError, match="move_window") as caught:
            stroke(session, window_ms=700)
        assert caught.value.code == "statement_timeout"
        session.rollback()
    assert len(ids(checker)) == 2_000
    assert tables(checker) == {"SESSIONS"}


def test_cancel_leaves_the_table_as_it_was(url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(url)
    make(checker, 2_000, every=2)
    slow = pk.Policy("sessions", table="SESSIONS", where=pk.all_of(pk.expired("EXPIRES", unit="s"), pk.sql("SLEEP(0.005) = 0")))
    with opened(url) as session:
        session.prepare(slow, NOW_NS, "move:swap")
        timer = threading.Timer(0.7, session.cancel)
        timer.start()
        with pytest.raises(pk.PurgekitError) as caught:
            stroke(session)
        timer.join()
        assert caught.value.code == "cancelled"
        session.rollback()
    assert len(ids(checker)) == 2_000
    assert tables(checker) == {"SESSIONS"}


# ------------------------------------------------------------------------------------------- a dead client


def kill_session_of_ledger(checker: Connection) -> None:
    """The main session is the one that is idle while a stroke is in hand and has worked the longest ago."""
    found = asked(
        checker,
        "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID() AND COMMAND = 'Sleep' ORDER BY ID LIMIT 1",
    )
    asked(checker, f"KILL {found[0][0]}")


def test_a_stroke_that_was_not_counted_is_counted_once(url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(url)
    make(checker)
    with opened(url) as session:
        session.prepare(SESSIONS, NOW_NS, "move:swap")
        assert stroke(session)["rows_deleted"] == 320
        kill_session_of_ledger(checker)
        with pytest.raises(pk.PurgekitError) as caught:
            session.commit()
        assert caught.value.code == "connection_lost"
    assert len(ids(checker)) == 80  # it had been carried out
    assert len(tables(checker)) == 3
    asked(checker, f"INSERT INTO SESSIONS (EXPIRES, NOTE) VALUES ({OLD_S}, 'later')")
    with opened(url) as session:
        # Any way through the table counts it first; what is rolled back is counted again.
        session.prepare(SESSIONS, NOW_NS, session.propose(SESSIONS, NOW_NS)[0]["id"])
        session.begin()
        told = session.delete_range("", 100)
        assert (told["rows_deleted"], told["cursor"], told["done"]) == (320, "", False)
        session.rollback()
    with opened(url) as session:
        session.prepare(SESSIONS, NOW_NS, "move:swap")
        assert stroke(session)["rows_deleted"] == 320
        session.commit()
        assert stroke(session)["rows_deleted"] == 1
        session.commit()
        assert stroke(session) == {"rows_deleted": 0, "rows_visited": 0, "cursor": "", "done": True, "share_done": 1}
        session.commit()
    assert len(ids(checker)) == 80
    assert tables(checker) == {"SESSIONS"}


def test_a_stroke_that_was_counted_is_not_counted_again(url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(url)
    make(checker)
    with opened(url) as session:
        session.prepare(SESSIONS, NOW_NS, "move:swap")
        assert stroke(session)["rows_deleted"] == 320
        kill_session_of_ledger(checker)
        with pytest.raises(pk.PurgekitError):
            session.commit()
    # As if it had died right behind its commit.
    (note,) = (name for name in tables(checker) if name.endswith("_note"))
    asked(checker, f"DELETE FROM `{note}`")
    with opened(url) as session:
        session.prepare(SESSIONS, NOW_NS, "move:swap")
        assert stroke(session)["rows_deleted"] == 0
        session.commit()
    assert len(ids(checker)) == 80
    assert tables(checker) == {"SESSIONS"}


def command(url: str, policy: Path) -> list[str]:
    return [sys.executable, "-m", "purgekit", "run", url, str(policy), "--yes", "--json", "--max-fraction", "1"]


@pytest.mark.long
@pytest.mark.parametrize("strategy", ["swap", "partition"])
def test_killed_moves_leave_all_or_nothing(url: str, strategy: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    """kill -9 at random instants of the stroke, with live rows that nobody may miss meanwhile."""
    checker = admin(url)
    now = int(time.time())
    divided = " PARTITION BY RANGE (EXPIRES) (PARTITION px VALUES LESS THAN MAXVALUE)" if strategy == "partition" else ""
    asked(checker, "CREATE TABLE SESSIONS (ID BIGINT NOT NULL, EXPIRES BIGINT NOT NULL, NOTE VARCHAR(100), PRIMARY KEY (ID, EXPIRES), KEY (NOTE))"
          f" ENGINE=InnoDB{divided}")  # fmt: skip
    live = range(1, 1_001)
    asked(checker, "INSERT INTO SESSIONS VALUES " + ", ".join(f"({n}, {now + 90_000}, 'live')" for n in live))
    policy = tmp_path / "policy.toml"
    policy.write_text(f'[[policy]]\nname = "sessions"\ntable = "SESSIONS"\nexpired = {{ column = "EXPIRES", unit = "s" }}\nstrategy = "{strategy}"\n')
    random_ = random.Random(7)
    added = 0
    kills = 0
    for round_ in range(10):
        if strategy == "partition" and "PARTITION `p0`" not in shape(checker).replace("PARTITION p0", "PARTITION `p0`"):
            asked(checker, "ALTER TABLE SESSIONS REORGANIZE PARTITION px INTO "
                  f"(PARTITION p0 VALUES LESS THAN ({now - 20_000}), PARTITION px VALUES LESS THAN MAXVALUE)")  # fmt: skip
        first = 10_000 * (round_ + 1)
        asked(checker, "INSERT INTO SESSIONS VALUES " + ", ".join(f"({n}, {now - 30_000}, 'old')" for n in range(first, first + 3_000)))
        added += 3_000
        before = tables(checker)
        purge = subprocess.Popen(command(url, policy), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 30
        while tables(checker) <= before and purge.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(random_.uniform(0, 0.12))
        kills += purge.poll() is None
        purge.send_signal(signal.SIGKILL)
        purge.communicate()
        # Never without the rows that live, and no lock behind for long.
        asked(checker, "SET SESSION lock_wait_timeout = 20")
        assert asked(checker, "SELECT COUNT(*) FROM SESSIONS WHERE NOTE = 'live'") == [(len(live),)]
    assert kills >= 5
    done = subprocess.run(command(url, policy), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert asked(checker, "SELECT COUNT(*), MIN(NOTE), MAX(NOTE) FROM SESSIONS") == [(len(live), "live", "live")]
    assert tables(checker) == {"SESSIONS"}
    with pk.connect(url) as db:
        runs = db.history()
    assert sum(run["rows_deleted"] for run in runs) == added
    assert "running" not in {run["status"] for run in runs}


def test_engine_reports_and_records_exact_counts(url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    checker = admin(url)
    make(checker)
    before = shape(checker)
    policy = tmp_path / "policy.toml"
    policy.write_text('[[policy]]\nname = "sessions"\ntable = "SESSIONS"\nexpired = { column = "EXPIRES", unit = "s" }\nstrategy = "swap"\nmove_window = "20s"\n')
    done = subprocess.run(command(url, policy), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["rows_deleted"] == 320
    assert report["policies"][0]["strategy"] == "swap"
    assert ids(checker) == list(range(5, 401, 5))
    assert shape(checker) == before
    with pk.connect(url) as db:
        assert [run["rows_deleted"] for run in db.history()] == [320]


def test_rights_by_name_stay(url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(url)
    make(checker)
    database = asked(checker, "SELECT DATABASE()")[0][0]
    for host in ("127.0.0.1", "localhost"):
        asked(checker, f"GRANT SELECT ON `{database}`.SESSIONS TO reader@'{host}' IDENTIFIED BY 'reader'")
    asked(checker, "CREATE VIEW LIVE AS SELECT ID FROM SESSIONS WHERE EXPIRES > 1800000000")
    try:
        with opened(url) as session:
            session.prepare(SESSIONS, NOW_NS, "move:swap")
            stroke(session)
            session.commit()
        reader = admin(re.sub(r"//[^@]*@", "//reader:reader@", url))
        assert asked(reader, "SELECT COUNT(*) FROM SESSIONS") == [(80,)]
        assert asked(checker, "SELECT COUNT(*) FROM LIVE") == [(80,)]
    finally:
        for host in ("127.0.0.1", "localhost"):
            asked(checker, f"DROP USER reader@'{host}'")


def test_missing_privileges_are_named(url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(url)
    make(checker)
    database = asked(checker, "SELECT DATABASE()")[0][0]
    try:
        for host in ("127.0.0.1", "localhost"):
            asked(checker, f"GRANT SELECT, DELETE, INSERT, CREATE ON `{database}`.* TO purger@'{host}' IDENTIFIED BY 'purger'")
        with opened(re.sub(r"//[^@]*@", "//purger:purger@", url)) as session:
            assert "GRANT ALTER, DROP, LOCK TABLES, TRIGGER ON" in refusal(session)
    finally:
        for host in ("127.0.0.1", "localhost"):
            asked(checker, f"DROP USER purger@'{host}'")
