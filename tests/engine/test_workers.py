"""Several workers on one table of a real server: the same rows go, counted once, and a killed run is gone on with."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import purgekit as pk
from engine.tables import HOUR_S, TABLE, make_sessions, now_s, sessions_policy, survivors
from engine.test_killed import command, policy_file
from servers import Connection

ROWS = 20_000
WORKERS = 3


def limits(**more: object) -> pk.Limits:
    return pk.Limits(workers=WORKERS, chunk_ms=2, max_fraction=1, pace="fast", **more)  # type: ignore[arg-type]


@pytest.fixture
def checker(server_url: str, admin: Callable[[str], Connection]) -> Connection:
    connection = admin(server_url)
    make_sessions(connection, server_url, [now_s() + (HOUR_S if n % 5 == 0 else -5 * HOUR_S) for n in range(ROWS)])
    if server_url.startswith("postgresql"):
        connection.cursor().execute(f"ANALYZE {TABLE}")
    return connection


LIVE = {n + 1 for n in range(0, ROWS, 5)}


def test_each_row_goes_once(server_url: str, checker: Connection) -> None:
    with pk.connect(server_url) as db:
        report = db.run(sessions_policy(), limits=limits())
        (run,) = db.history()
    assert report.exit_code == 0
    assert report.policies[0]["workers"] == WORKERS
    assert report.rows_deleted == run["rows_deleted"] == ROWS - len(LIVE)
    assert survivors(checker) == LIVE


def test_the_archive_has_each_row_once(server_url: str, checker: Connection) -> None:
    with pk.connect(server_url) as db:
        report = db.run(sessions_policy(), limits=limits(), archive="table")
    cursor = checker.cursor()
    cursor.execute(
        "SELECT ID, purgekit_chunk FROM purgekit_archive_SESSIONS"
        if "mysql" in server_url or "mariadb" in server_url
        else 'SELECT "id", purgekit_chunk FROM "purgekit_archive_sessions"'
    )
    archived = [int(row[0]) for row in cursor.fetchall()]
    assert report.rows_archived == len(archived) == ROWS - len(LIVE)
    assert set(archived) | LIVE == set(range(1, ROWS + 1))


def test_renewed_meanwhile(server_url: str, checker: Connection, admin: Callable[[str], Connection]) -> None:
    """Foreground sessions renew rows all over the table; what they renewed in time stays."""
    renewed: set[int] = set()
    over = threading.Event()
    foreground = admin(server_url)

    def renew() -> None:
        rng = random.Random(7)
        cursor = foreground.cursor()
        while not over.is_set():
            number = rng.randrange(1, ROWS + 1)
            cursor.execute(f"UPDATE {TABLE} SET EXPIRES = {now_s() + HOUR_S} WHERE ID = {number}")
            if cursor.rowcount == 1:
                renewed.add(number)

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        with pk.connect(server_url) as db:
            report = db.run(sessions_policy(), limits=limits())
    finally:
        over.set()
        thread.join()
    assert report.exit_code == 0
    left = survivors(checker)
    assert left == LIVE | renewed
    assert report.rows_deleted == ROWS - len(left)


def test_max_rows_holds_for_all_of_them(server_url: str, checker: Connection) -> None:
    with pk.connect(server_url) as db:
        report = db.run(sessions_policy(), limits=limits(max_rows=3_333))
    assert (report.status, report.stop_reason) == ("stopped", "max_rows")
    assert ROWS - len(survivors(checker)) == report.rows_deleted <= 3_333


@pytest.mark.long
def test_killed_and_gone_on_with(server_url: str, checker: Connection, tmp_path: Path) -> None:
    policy = policy_file(tmp_path)
    random_ = random.Random(11)
    for workers in ("3", "2", "4"):
        purge = subprocess.Popen(
            command(server_url, policy, "--chunk-ms", "2", "--workers", workers, "--max-rows-per-s", "2500"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        before = len(survivors(checker))
        deadline = time.monotonic() + 30
        while len(survivors(checker)) == before and purge.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(random_.uniform(0, 0.2))
        os.kill(purge.pid, signal.SIGKILL)
        purge.communicate()
    assert survivors(checker) >= LIVE
    done = subprocess.run(command(server_url, policy, "--workers", "2"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["continues"]
    assert survivors(checker) == LIVE
    with pk.connect(server_url) as db:
        assert sum(run["rows_deleted"] for run in db.history()) == ROWS - len(LIVE)


def test_a_line_lost_by_one_of_them(server_url: str, checker: Connection) -> None:
    """The server ends sessions of the purge one after the other; each comes back and nothing is counted twice."""
    is_postgresql = server_url.startswith("postgresql")
    sessions = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        if is_postgresql
        else "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID()"
    )
    over = threading.Event()

    def cut() -> None:
        cursor = checker.cursor()
        rng = random.Random(3)
        for _ in range(6):
            if over.wait(0.15):
                return
            cursor.execute(sessions)
            found = [int(row[0]) for row in cursor.fetchall()]
            if found:
                session = rng.choice(found)
                cursor.execute(f"SELECT pg_terminate_backend({session})" if is_postgresql else f"KILL {session}")
                if is_postgresql:
                    cursor.fetchall()

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        with pk.connect(server_url) as db:
            report = db.run(sessions_policy(), limits=limits(max_rows_per_s=12_000))
    finally:
        over.set()
        thread.join()
    assert report.exit_code == 0
    assert survivors(checker) == LIVE
    assert report.rows_deleted == ROWS - len(LIVE)
