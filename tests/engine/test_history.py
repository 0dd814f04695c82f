"""History adds up to what was truly deleted: in this machine's state folder, and in the database's own ledger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk
from engine.tables import HOUR_S, TABLE, make_sessions, now_s, sessions_policy, survivors
from purgekit.state import RunStore
from servers import Connection

ROWS = 3_000
LIMITS = pk.Limits(chunk_ms=1, max_fraction=1)
KILLED = """
import os, sys, purgekit as pk
from engine.tables import sessions_policy

def die(event):
    if event["rows_deleted"] > 20:
        os.kill(os.getpid(), 9)

run = pk.connect(sys.argv[1]).run
run(sessions_policy(), limits=pk.Limits(chunk_ms=1, max_fraction=1, max_rows_per_s=200), on_progress=die)
"""


def environment() -> dict[str, str]:
    """Of a program that uses engine.tables."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}


def kill_a_run(url: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, url], capture_output=True, env=environment(), check=False)
    assert done.returncode == -9, done.stderr


def fail_a_run(url: str, checker: Connection) -> None:
    cursor = checker.cursor()
    done = False

    def take_the_table_away(event: dict[str, Any]) -> None:
        nonlocal done
        if not done and event["rows_deleted"] > 0:
            done = True
            cursor.execute(f"ALTER TABLE {TABLE} RENAME TO ELSEWHERE")

    limits = pk.Limits(chunk_ms=1, max_fraction=1, max_rows_per_s=200)
    with pk.connect(url) as db, pytest.raises(pk.PurgeFailed) as caught:
        db.run(sessions_policy(), limits=limits, on_progress=take_the_table_away)
    cursor.execute(f"ALTER TABLE ELSEWHERE RENAME TO {TABLE}")
    assert caught.value.report is not None
    assert caught.value.report.rows_deleted > 0


def cli(*arguments: str) -> dict[str, dict[str, Any]]:
    out = subprocess.run(
        [sys.executable, "-m", "purgekit", "history", *arguments, "--json"], capture_output=True, check=True
    ).stdout
    return {run["run_id"]: run for run in json.loads(out)["runs"]}


def test_killed_stopped_failed_and_completed_runs_add_up(any_url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(any_url)
    make_sessions(checker, any_url, [now_s() + (HOUR_S if n % 10 == 0 else -5 * HOUR_S) for n in range(ROWS)])
    doomed = ROWS * 9 // 10
    for turn in range(2):
        with pk.connect(any_url) as db:
            assert db.run(sessions_policy(), limits=pk.Limits(max_rows=70 + turn, max_fraction=1)).exit_code == 3
        kill_a_run(any_url)
        kill_a_run(any_url)
        fail_a_run(any_url, checker)
        gone = ROWS - len(survivors(checker))
        assert sum(run["rows_deleted"] for run in cli(any_url).values()) == gone
        assert sum(run["rows_deleted"] for run in cli().values()) == gone, (
            "the failed run has asked about the killed ones"
        )
    kill_a_run(any_url)
    gone = ROWS - len(survivors(checker))
    assert sum(run["rows_deleted"] for run in cli(any_url).values()) == gone
    assert sum(run["rows_deleted"] for run in cli().values()) <= gone, (
        "what a killed run did is known later, and never too much"
    )
    with pk.connect(any_url) as db:
        assert db.run(sessions_policy(), limits=LIMITS).exit_code == 0
    assert len(survivors(checker)) == ROWS - doomed
    here, there = cli(), cli(any_url)
    assert here.keys() == there.keys()
    assert {run: entry["rows_deleted"] for run, entry in here.items()} == {
        run: entry["rows_deleted"] for run, entry in there.items()
    }
    assert sum(entry["rows_deleted"] for entry in here.values()) == doomed
    told = sorted(entry["status"] for entry in here.values())
    assert told == ["completed", "failed", "failed", *["interrupted"] * 5, "stopped", "stopped"]
    one = next(iter(here))
    assert cli(one)[one]["rows_deleted"] == cli(any_url, one)[one]["rows_deleted"] == here[one]["rows_deleted"]


def test_a_run_of_several_policies_that_is_killed_in_the_second(
    sqlite_url: str, admin: Callable[[str], Connection]
) -> None:
    checker = admin(sqlite_url)
    make_sessions(checker, sqlite_url, [now_s() - 5 * HOUR_S] * 400)
    cursor = checker.cursor()
    cursor.execute(f"CREATE TABLE OTHERS AS SELECT * FROM {TABLE}")
    script = """
import os, sys, purgekit as pk
from engine.tables import sessions_policy

def die(event):
    if event["policy"] == "others":
        os.kill(os.getpid(), 9)

others = pk.Policy("others", table="OTHERS", where=pk.expired("EXPIRES", unit="s"))
pk.connect(sys.argv[1]).run([sessions_policy(), others], limits=pk.Limits(chunk_ms=1, max_fraction=1), on_progress=die)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, sqlite_url], capture_output=True, env=environment(), check=False
    )
    assert done.returncode == -9, done.stderr
    gone = 800 - len(survivors(checker)) - len(survivors(checker, "OTHERS"))
    assert gone > 400
    (here,) = RunStore().runs()
    assert here["rows_deleted"] == gone, "written before the callback was told"
    (there,) = cli(sqlite_url).values()
    assert there["rows_deleted"] == gone
