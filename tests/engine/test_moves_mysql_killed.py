"""What a move on MariaDB or MySQL leaves behind when its client or its server dies, and how it is counted."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import purgekit as pk
from engine.mysql_moves import (
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
from purgekit.testing.session import open_session
from servers import Connection, Server

pytestmark = [pytest.mark.needs_server]


@pytest.fixture(params=["mariadb", "mysql56"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


def kill_session_of_ledger(checker: Connection) -> None:
    """The main session is the one that is idle while a stroke is in hand and has worked the longest ago."""
    idle = "DB = DATABASE() AND ID <> CONNECTION_ID() AND COMMAND = 'Sleep'"
    found = asked(checker, f"SELECT ID FROM information_schema.PROCESSLIST WHERE {idle} ORDER BY ID LIMIT 1")
    asked(checker, f"KILL {found[0][0]}")


def carry_out_uncounted(url: str, checker: Connection) -> None:
    """A swap whose ledger's session dies between the rename and its commit."""
    with open_session(url) as session:
        session.prepare(SESSIONS, NOW_NS, "move:swap")
        assert stroke(session)["rows_deleted"] == 320
        kill_session_of_ledger(checker)
        with pytest.raises(pk.PurgekitError) as caught:
            session.commit()
        assert caught.value.code == "connection_lost"


def test_a_stroke_that_was_not_counted_is_counted_once(url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(url)
    make(checker)
    carry_out_uncounted(url, checker)
    assert len(ids(checker)) == 80  # it had been carried out
    assert len(tables(checker)) == 3
    asked(checker, f"INSERT INTO SESSIONS (EXPIRES, NOTE) VALUES ({OLD_S}, 'later')")
    with open_session(url) as session:
        # Any way through the table counts it first; what is rolled back is counted again.
        session.prepare(SESSIONS, NOW_NS, session.propose(SESSIONS, NOW_NS)[0]["id"])
        session.begin()
        told = session.delete_range("", 100)
        assert (told["rows_deleted"], told["cursor"], told["done"]) == (320, "", False)
        session.rollback()
    with open_session(url) as session:
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
    carry_out_uncounted(url, checker)
    # As if it had died right behind its commit.
    (note,) = (name for name in tables(checker) if name.endswith("_note"))
    asked(checker, f"DELETE FROM `{note}`")
    with open_session(url) as session:
        session.prepare(SESSIONS, NOW_NS, "move:swap")
        assert stroke(session)["rows_deleted"] == 0
        session.commit()
    assert len(ids(checker)) == 80
    assert tables(checker) == {"SESSIONS"}


@pytest.mark.long
@pytest.mark.parametrize("strategy", ["swap", "partition"])
def test_killed_moves_leave_all_or_nothing(
    url: str, strategy: str, admin: Callable[[str], Connection], tmp_path: Path
) -> None:
    """kill -9 at random instants of the stroke, with live rows that nobody may miss meanwhile."""
    checker = admin(url)
    now = int(time.time())
    divided = (
        " PARTITION BY RANGE (EXPIRES) (PARTITION px VALUES LESS THAN MAXVALUE)" if strategy == "partition" else ""
    )
    columns = "ID BIGINT NOT NULL, EXPIRES BIGINT NOT NULL, NOTE VARCHAR(100), PRIMARY KEY (ID, EXPIRES), KEY (NOTE)"
    asked(checker, f"CREATE TABLE SESSIONS ({columns}) ENGINE=InnoDB{divided}")
    live = range(1, 1_001)
    asked(checker, "INSERT INTO SESSIONS VALUES " + ", ".join(f"({n}, {now + 90_000}, 'live')" for n in live))
    policy = policy_file(tmp_path, strategy)
    random_ = random.Random(7)
    added = 0
    kills = 0
    for round_ in range(10):
        if strategy == "partition" and " p0 " not in shape(checker).replace("`", " "):
            parts = f"PARTITION p0 VALUES LESS THAN ({now - 20_000}), PARTITION px VALUES LESS THAN MAXVALUE"
            asked(checker, f"ALTER TABLE SESSIONS REORGANIZE PARTITION px INTO ({parts})")
        first = 10_000 * (round_ + 1)
        asked(
            checker,
            "INSERT INTO SESSIONS VALUES "
            + ", ".join(f"({n}, {now - 30_000}, 'old')" for n in range(first, first + 3_000)),
        )
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


def test_server_that_dies_in_the_window(
    url: str, request: pytest.FixtureRequest, admin: Callable[[str], Connection]
) -> None:
    server: Server = request.getfixturevalue("mariadb_server" if url.startswith("mariadb") else "mysql56_server")
    checker = admin(url)
    make(checker)
    before = shape(checker)
    with open_session(url) as session:
        session.prepare(SESSIONS, NOW_NS, "move:swap")
        assert stroke(session)["rows_deleted"] == 320
        server.kill9()
        with pytest.raises(pk.PurgekitError):
            session.commit()
    server.start()
    checker = admin(url)
    assert len(ids(checker)) == 400
    with open_session(url) as session:
        session.prepare(SESSIONS, NOW_NS, "move:swap")
        assert stroke(session)["rows_deleted"] == 320
        session.commit()
    assert len(ids(checker)) == 80
    assert tables(checker) == {"SESSIONS"}
    assert shape(checker) == before


def test_what_half_a_rename_leaves_is_told(url: str, admin: Callable[[str], Connection]) -> None:
    """As a server without atomic renames leaves it that dies between the two."""
    checker = admin(url)
    make(checker)
    with open_session(url) as session:
        session.prepare(SESSIONS, NOW_NS, "move:swap")
        stroke(session)
        kill_session_of_ledger(checker)
        with pytest.raises(pk.PurgekitError):
            session.commit()
    (old,) = (name for name in tables(checker) if name.endswith("_old"))
    asked(checker, f"RENAME TABLE SESSIONS TO {old.replace('_old', '_new')}")
    with open_session(url) as session:
        with pytest.raises(pk.PurgekitError, match="RENAME TABLE") as caught:
            session.describe("SESSIONS")
        way_out = str(caught.value).partition("died: ")[2].partition(" brings")[0]
        asked(checker, way_out)
        assert len(ids(checker)) == 400
        session.prepare(SESSIONS, NOW_NS, "move:swap")
        assert stroke(session)["rows_deleted"] == 320
        session.commit()
    assert tables(checker) == {"SESSIONS"}
