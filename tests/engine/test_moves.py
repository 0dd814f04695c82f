"""Big moves: whole tables purged at a stroke, on request only. What stays is what a walk would leave, come what may.

The tests with ``case`` hold for every backend that offers a move; each has a file of its own for what is special to it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
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
