"""kill -9 of the purge at any moment: the same command goes on, and the ledger's counts are what was truly deleted."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import purgekit as pk
from engine.tables import HOUR_S, make_sessions, now_s, survivors
from servers import Connection

pytestmark = pytest.mark.long

ROWS = 6_000


def command(url: str, policy: Path, *options: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "purgekit",
        "run",
        url,
        str(policy),
        "--yes",
        "--json",
        "--max-fraction",
        "1",
        *options,
    ]


def policy_file(folder: Path) -> Path:
    path = folder / "policy.toml"
    path.write_text('[[policy]]\nname = "sessions"\ntable = "SESSIONS"\nexpired = { column = "EXPIRES", unit = "s" }\n')
    return path


def test_killed_runs_are_continued(any_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    checker = admin(any_url)
    make_sessions(checker, any_url, [now_s() + (HOUR_S if n % 4 == 0 else -5 * HOUR_S) for n in range(ROWS)])
    live = {n + 1 for n in range(0, ROWS, 4)}
    random_ = random.Random(20)
    policy = policy_file(tmp_path)
    kills = 0
    for _ in range(5):
        # Slowed down, so that there is a middle to be killed in.
        purge = subprocess.Popen(
            command(any_url, policy, "--chunk-ms", "2", "--max-rows-per-s", "400"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        before = len(survivors(checker))
        deadline = time.monotonic() + 30
        while len(survivors(checker)) == before and purge.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(random_.uniform(0, 0.3))
        if purge.poll() is None:
            kills += 1
        purge.send_signal(signal.SIGKILL)
        purge.communicate()
    assert kills >= 3
    assert live <= survivors(checker)
    done = subprocess.run(command(any_url, policy), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["continues"], "the last killed walk was not continued"
    assert survivors(checker) == live
    with pk.connect(any_url) as db:
        runs = db.history()
    assert sum(run["rows_deleted"] for run in runs) == ROWS - len(live)
    assert len(runs) == 6
    assert "running" not in {run["status"] for run in runs}


def test_ctrl_c_ends_after_the_chunk_in_hand(any_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    checker = admin(any_url)
    make_sessions(checker, any_url, [now_s() - 5 * HOUR_S] * ROWS)
    purge = subprocess.Popen(
        command(any_url, policy_file(tmp_path), "--chunk-ms", "2", "--max-rows-per-s", "1000"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ},
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while len(survivors(checker)) == ROWS and time.monotonic() < deadline:
        time.sleep(0.01)
    purge.send_signal(signal.SIGINT)
    out, err = purge.communicate(timeout=60)
    report = json.loads(out)
    assert purge.returncode == 3, err
    assert report["stop_reason"] == "signal"
    assert "Traceback" not in err
    assert 0 < report["rows_deleted"] == ROWS - len(survivors(checker))


def test_two_purges_of_one_table_do_not_meet(any_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    checker = admin(any_url)
    make_sessions(checker, any_url, [now_s() - 5 * HOUR_S] * ROWS)
    policy = policy_file(tmp_path)
    first = subprocess.Popen(
        command(any_url, policy, "--chunk-ms", "2", "--max-rows-per-s", "1500"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while len(survivors(checker)) == ROWS and time.monotonic() < deadline:
        time.sleep(0.01)
    second = subprocess.run(command(any_url, policy), capture_output=True, text=True, check=False)
    assert second.returncode == 3, second.stderr
    assert json.loads(second.stdout)["stop_reason"] == "another_run"
    assert json.loads(second.stdout)["rows_deleted"] == 0
    out, err = first.communicate(timeout=120)
    assert first.returncode == 0, err
    assert json.loads(out)["rows_deleted"] == ROWS
