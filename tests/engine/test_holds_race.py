"""Holds that are added at any moment while a purge runs at full speed; and either of the two killed.

What must hold: when ``hold add`` has returned, every row that matches it and is there stays there.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import purgekit as pk
from engine.tables import HOUR_S, TABLE, make_sessions, now_s, survivors
from servers import Connection

pytestmark = pytest.mark.long

ROWS = 6_000
GROUPS = 40
LIVE = set(range(1, ROWS + 1, 10))
WITHIN_S = 120  # a bound against hanging for ever, not an expectation


def fill(connection: Connection, url: str) -> None:
    make_sessions(connection, url, [now_s() - 5 * HOUR_S] * 200, extra=", GRP BIGINT")
    cursor = connection.cursor()
    have = 200
    while have < ROWS:
        add = min(have, ROWS - have)
        cursor.execute(
            f"INSERT INTO {TABLE} (ID, EXPIRES, NOTE) SELECT ID + {have}, EXPIRES, NOTE FROM {TABLE} WHERE ID <= {add}"
        )
        have += add
    cursor.execute(f"UPDATE {TABLE} SET GRP = ID % {GROUPS}")
    cursor.execute(f"UPDATE {TABLE} SET EXPIRES = {now_s() + HOUR_S} WHERE ID % 10 = 1")


def group(number: int) -> set[int]:
    return {n for n in range(1, ROWS + 1) if n % GROUPS == number}


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(f'[[policy]]\nname = "s"\ntable = "{TABLE}"\nexpired = {{ column = "EXPIRES", unit = "s" }}\n')
    return path


# Slow enough that there is a middle: a chunk is never larger than what may go in a second.
MOST_ROWS_PER_S = "1500"


def purging(url: str, policy: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "purgekit", "run", url, str(policy), "--yes", "--json", "--chunk-ms", "20"]
    return subprocess.Popen(
        [*command, "--pace", "fast", "--max-fraction", "1", "--max-rows-per-s", MOST_ROWS_PER_S, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def begun(purge: subprocess.Popen[str], connection: Connection, before: int) -> bool:
    """Wait for its first chunk; False: it ended."""
    until = time.monotonic() + WITHIN_S
    while purge.poll() is None and time.monotonic() < until:
        if len(survivors(connection)) < before:
            return True
    return False


def groups_at_random(seed: int) -> Iterator[int]:
    numbers = [n for n in range(GROUPS) if n % 10 != 1]  # those of live rows prove nothing
    random.Random(seed).shuffle(numbers)
    return iter(numbers)


@pytest.mark.parametrize("workers", [1, 3])
def test_what_is_there_when_the_hold_is_added_stays(
    any_url: str, admin: Callable[[str], Connection], policy: Path, workers: int
) -> None:
    checker = admin(any_url)
    fill(checker, any_url)
    random_ = random.Random(workers)
    held: dict[int, set[int]] = {}
    purge = purging(any_url, policy, "--workers", str(workers))
    try:
        assert begun(purge, checker, ROWS)
        with pk.connect(any_url) as db:
            for number in groups_at_random(workers):
                if purge.poll() is not None or len(held) == 8:
                    break
                db.hold(TABLE, where=pk.col("GRP") == number)
                held[number] = survivors(checker) & group(number)
                time.sleep(random_.uniform(0, 0.05))
        out, err = purge.communicate(timeout=WITHIN_S)
    finally:
        purge.kill()
    report = json.loads(out)
    assert purge.returncode == 0, err
    left = survivors(checker)
    for number, rows in held.items():
        assert rows <= left, f"{len(rows - left)} rows of group {number} went after the hold was added"
    assert any(rows for rows in held.values()), "the purge was over before anything was held"
    assert left == LIVE | set().union(*held.values())
    assert report["rows_deleted"] == ROWS - len(left)
    with pk.connect(any_url) as db:
        assert [run["rows_deleted"] for run in db.history()] == [ROWS - len(left)]
        for hold in db.holds():
            db.release(hold.id)
    done = purging(any_url, policy)
    out, err = done.communicate(timeout=WITHIN_S)
    assert done.returncode == 0, err
    assert survivors(checker) == LIVE


def test_either_killed_at_any_moment(any_url: str, admin: Callable[[str], Connection], policy: Path) -> None:
    checker = admin(any_url)
    fill(checker, any_url)
    random_ = random.Random(11)
    numbers = groups_at_random(11)
    certain: dict[int, set[int]] = {}
    killed_purges = killed_adds = 0
    for turn in range(6):
        before = len(survivors(checker))
        purge = purging(any_url, policy)
        if not begun(purge, checker, before):
            purge.communicate()
            break
        number = next(numbers)
        add = subprocess.Popen(
            [sys.executable, "-m", "purgekit", "hold", "add", any_url, TABLE, "--where", f"GRP={number}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if turn % 2 == 0:
            time.sleep(random_.uniform(0.2, 0.6))
            killed_adds += add.poll() is None
            add.kill()
        _, err = add.communicate(timeout=WITHIN_S)
        if add.returncode == 0:
            certain[number] = survivors(checker) & group(number)
        elif turn % 2:
            raise AssertionError(err)
        time.sleep(random_.uniform(0, 0.2))
        killed_purges += purge.poll() is None
        purge.send_signal(signal.SIGKILL)
        purge.communicate()
        left = survivors(checker)
        for number, rows in certain.items():
            assert rows <= left, f"rows of group {number} went after the hold was added"
    done = purging(any_url, policy)
    _, err = done.communicate(timeout=WITHIN_S)
    assert done.returncode == 0, err
    left = survivors(checker)
    with pk.connect(any_url) as db:
        listed = {str(hold.rule) for hold in db.holds()}
        runs = db.history()
    assert {f"GRP = {number}" for number in certain} <= listed
    assert certain
    assert killed_purges
    assert LIVE.union(*certain.values()) <= left
    assert sum(run["rows_deleted"] for run in runs) == ROWS - len(left)
    assert "running" not in {run["status"] for run in runs}


def test_a_hold_on_dependents_reaches_purges_of_their_parents(
    any_url: str, admin: Callable[[str], Connection], policy: Path
) -> None:
    checker = admin(any_url)
    fill(checker, any_url)
    cursor = checker.cursor()
    suffix = " ENGINE=InnoDB" if any_url.startswith(("mysql", "mariadb")) else ""
    cursor.execute(f"CREATE TABLE APPS (N INTEGER PRIMARY KEY, SESSION_ID BIGINT, GRP BIGINT){suffix}")
    cursor.execute(f"INSERT INTO APPS SELECT ID, ID, GRP FROM {TABLE}")
    cursor.execute("CREATE INDEX APPS_I ON APPS (SESSION_ID)")
    policy.write_text(policy.read_text() + 'dependents = [{ table = "APPS", on = { SESSION_ID = "ID" } }]\n')
    held: dict[int, set[int]] = {}
    purge = purging(any_url, policy)
    try:
        assert begun(purge, checker, ROWS)
        with pk.connect(any_url) as db:
            for number in groups_at_random(5):
                if purge.poll() is not None or len(held) == 4:
                    break
                db.hold("APPS", where=pk.col("GRP") == number)
                held[number] = survivors(checker) & group(number)
        _, err = purge.communicate(timeout=WITHIN_S)
    finally:
        purge.kill()
    assert purge.returncode == 0, err
    left = LIVE | set().union(*held.values())
    assert any(rows for rows in held.values()), "the purge was over before anything was held"
    assert survivors(checker) == left
    cursor.execute("SELECT N FROM APPS")
    assert {int(row[0]) for row in cursor.fetchall()} == left
