"""Big moves on MariaDB and MySQL: what stays, what is counted, what others feel, what is refused."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import purgekit as pk
from engine.mysql_moves import (
    NEW_S,
    NOW_NS,
    OLD_S,
    SESSIONS,
    asked,
    command,
    ids,
    make,
    policy_file,
    shape,
    stroke,
    tables,
)
from purgekit import _core
from purgekit.testing.session import open_session
from servers import Connection

pytestmark = [pytest.mark.needs_server]


@pytest.fixture(params=["mariadb", "mysql56"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


def test_swap(url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(url)
    make(checker)
    asked(checker, "DELETE FROM SESSIONS WHERE ID > 390")
    before = shape(checker)
    assert "AUTO_INCREMENT=401" in before
    with open_session(url) as session:
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
    with open_session(url) as session:
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
    with open_session(url) as session:
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
        "CREATE TABLE SESSIONS (ID BIGINT NOT NULL, EXPIRES BIGINT NOT NULL, PRIMARY KEY (ID, EXPIRES), KEY (EXPIRES)) "
        "ENGINE=InnoDB PARTITION BY RANGE (EXPIRES) "
        "(PARTITION p1 VALUES LESS THAN (1000), PARTITION p2 VALUES LESS THAN (1790000000), "
        "PARTITION p3 VALUES LESS THAN (1800000100), PARTITION p4 VALUES LESS THAN MAXVALUE)",
    )
    rows = [(n, 500) for n in range(10)] + [(n, 1_700_000_000) for n in range(30)] + [(1, 1_800_000_050), (2, NEW_S)]
    asked(checker, "INSERT INTO SESSIONS VALUES " + ", ".join(map(str, rows)))
    with open_session(url) as session:
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

    def write(number: int) -> None:
        own = admin(url)
        cursor = own.cursor()
        turn = number
        while not stop.is_set():
            turn += 4
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

    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for writer in writers:
        writer.start()
    gone = 0
    try:
        with open_session(url) as session:
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


@pytest.mark.parametrize(
    "statement",
    ["ALTER TABLE SESSIONS ADD MORE INT DEFAULT 3", "TRUNCATE TABLE SESSIONS", "LOCK TABLES SESSIONS WRITE"],
)
def test_others_statements_come_after_the_swap(url: str, statement: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(url)
    make(checker)
    other = admin(url)
    with open_session(url) as session:
        session.prepare(SESSIONS, NOW_NS, "move:swap")
        assert stroke(session)["rows_deleted"] == 320
        waiting = threading.Thread(target=asked, args=(other, statement))
        waiting.start()
        queued = f"INFO = '{statement}' AND STATE LIKE 'Waiting for table%lock'"
        while not asked(checker, f"SELECT 1 FROM information_schema.PROCESSLIST WHERE {queued}"):
            time.sleep(0.01)
        session.commit()
        waiting.join()
    if statement.startswith("LOCK"):
        asked(other, "INSERT INTO SESSIONS (EXPIRES) VALUES (1)")
        asked(other, "UNLOCK TABLES")
    assert len(ids(checker)) == {"A": 80, "T": 0, "L": 81}[statement[0]]
    assert ("MORE" in shape(checker)) == (statement[0] == "A")
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
    with open_session(url) as session:
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
    with open_session(url) as session:
        assert "InnoDB" in session.moves(SESSIONS, NOW_NS, 400, 320)[1]["problem"]
    assert len(ids(checker)) == 400


def test_a_lock_that_does_not_come_is_waited_for_briefly(url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(url)
    make(checker)
    holder = admin(url)
    asked(holder, "BEGIN")
    asked(holder, "UPDATE SESSIONS SET NOTE = 'mine' WHERE ID = 1")
    with open_session(url) as session:
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
    slow = pk.Policy(
        "sessions", table="SESSIONS", where=pk.all_of(pk.expired("EXPIRES", unit="s"), pk.sql("SLEEP(0.002) = 0"))
    )
    with open_session(url) as session:
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
    slow = pk.Policy(
        "sessions", table="SESSIONS", where=pk.all_of(pk.expired("EXPIRES", unit="s"), pk.sql("SLEEP(0.005) = 0"))
    )
    with open_session(url) as session:
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


def test_engine_reports_and_records_exact_counts(url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    checker = admin(url)
    make(checker)
    before = shape(checker)
    done = subprocess.run(command(url, policy_file(tmp_path, "swap")), capture_output=True, text=True, check=False)
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
        with open_session(url) as session:
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
    hosts = ("127.0.0.1", "localhost")
    try:
        for host in hosts:
            asked(checker, f"CREATE USER purger@'{host}' IDENTIFIED BY 'purger'")
            asked(checker, f"GRANT SELECT, DELETE, INSERT, CREATE ON `{database}`.* TO purger@'{host}'")
        with open_session(re.sub(r"//[^@]*@", "//purger:purger@", url)) as session:
            assert "GRANT ALTER, DROP, LOCK TABLES, TRIGGER ON" in refusal(session)
            for host in hosts:
                asked(checker, f"GRANT ALTER, DROP, LOCK TABLES, TRIGGER ON `{database}`.* TO purger@'{host}'")
            assert "GRANT REFERENCES ON *.*" in refusal(session)
            for host in hosts:
                asked(checker, f"GRANT REFERENCES ON *.* TO purger@'{host}'")
        with open_session(re.sub(r"//[^@]*@", "//purger:purger@", url)) as session:
            session.prepare(SESSIONS, NOW_NS, "move:swap")
            assert stroke(session)["rows_deleted"] == 320
            session.commit()
        assert tables(checker) == {"SESSIONS"}
    finally:
        for host in hosts:
            asked(checker, f"DROP USER purger@'{host}'")


SEEN = "SEEN TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, KIND ENUM('a','b') DEFAULT 'a'"
KEYS = "PRIMARY KEY (EXPIRES, ID), UNIQUE KEY counter (ID, EXPIRES), KEY part (`no``te`(5)) COMMENT 'KEY `x`, '"
MARIADB_TABLE = (
    "CREATE TABLE SESSIONS (ID INT NOT NULL AUTO_INCREMENT, EXPIRES BIGINT NOT NULL,"
    " `no``te` VARCHAR(100) CHARACTER SET latin1 DEFAULT NULL CHECK (`no``te` <> 'x,'),"
    " TWICE BIGINT GENERATED ALWAYS AS (EXPIRES * 2) VIRTUAL, KEPT BIGINT GENERATED ALWAYS AS (EXPIRES * 3) STORED,"
    f" HIDDEN INT INVISIBLE DEFAULT 7, {SEEN}, {KEYS}, KEY (TWICE), KEY late (SEEN) IGNORED)"
    " ENGINE=InnoDB ROW_FORMAT=COMPRESSED PARTITION BY HASH (EXPIRES) PARTITIONS 3"
)
MYSQL_TABLE = (
    "CREATE TABLE SESSIONS (ID INT NOT NULL AUTO_INCREMENT, EXPIRES BIGINT NOT NULL,"
    " `no``te` VARCHAR(100) CHARACTER SET latin1 DEFAULT NULL,"
    f" {SEEN}, EMPTY DATE NOT NULL DEFAULT '2000-01-01', {KEYS}, KEY late (SEEN))"
    " ENGINE=InnoDB STATS_PERSISTENT=1 PARTITION BY HASH (EXPIRES) PARTITIONS 3"
)


def test_rows_of_every_kind_are_what_they_were(url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(url)
    asked(checker, "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES', time_zone = '+05:00'")
    asked(checker, MARIADB_TABLE if url.startswith("mariadb") else MYSQL_TABLE)
    staying = f"(0, {NEW_S}, 'zero', '2020-02-02 02:02:02', 'b'), (-3, {NEW_S}, NULL, NULL, '')"
    others = f"(5, {OLD_S}, 'é', NOW(), NULL), (9, {NEW_S + 1}, 'é', '1999-12-31', 'a')"
    asked(checker, f"INSERT INTO SESSIONS (ID, EXPIRES, `no``te`, SEEN, KIND) VALUES {staying}, {others}")
    if not url.startswith("mariadb"):
        asked(checker, "UPDATE SESSIONS SET EMPTY = '0000-00-00', SEEN = SEEN WHERE ID = 9")
        asked(checker, "UPDATE SESSIONS SET EMPTY = '2020-02-31', SEEN = SEEN WHERE ID = 0")
    hidden = ", HIDDEN" if url.startswith("mariadb") else ""
    rows = f"SELECT *, KIND + 0, SEEN + 0{hidden} FROM SESSIONS WHERE EXPIRES > {OLD_S} ORDER BY ID"
    old_rows, old_shape = asked(checker, rows), shape(checker)
    with open_session(url) as session:
        session.prepare(SESSIONS, NOW_NS, "move:swap")
        assert stroke(session)["rows_deleted"] == 1
        session.commit()
    assert asked(checker, rows) == old_rows
    assert len(old_rows) == 3
    assert shape(checker) == old_shape
    asked(checker, f"INSERT INTO SESSIONS (EXPIRES) VALUES ({NEW_S})")
    assert asked(checker, "SELECT MAX(ID) FROM SESSIONS") == [(10,)]


def test_names_of_any_length(url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(url)
    for name in ("x" * 64, "`ÄäÖ'\"é" + "y" * 30, "Z" * 41 + "$"):
        quoted = "`" + name.replace("`", "``") + "`"
        asked(checker, f"CREATE TABLE {quoted} (ID BIGINT PRIMARY KEY, EXPIRES BIGINT) ENGINE=InnoDB")
        asked(checker, f"INSERT INTO {quoted} VALUES (1, {OLD_S}), (2, {NEW_S})")
        written = '"' + name.replace('"', '""') + '"'
        policy = pk.Policy("sessions", table=written, where=pk.expired("EXPIRES", unit="s"))
        with open_session(url) as session:
            session.prepare(policy, NOW_NS, "move:swap")
            assert stroke(session)["rows_deleted"] == 1
            session.commit()
        assert asked(checker, f"SELECT ID FROM {quoted}") == [(2,)]
        assert tables(checker) == {name}
        asked(checker, f"DROP TABLE {quoted}")
