"""kill -9 of a restore at any moment: the same command goes on, and each row comes back once."""

from __future__ import annotations

import json
import multiprocessing
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

import purgekit as pk
from engine.restores import all_rows, archive_of, execute, marks, purged, restore_until_killed, rows
from engine.tables import TABLE, through
from servers import Action, Connection, TcpProxy

pytestmark = pytest.mark.long

ROWS = 9_600


def command(url: str, run_id: str) -> list[str]:
    return [sys.executable, "-m", "purgekit", "restore", url, run_id, "--json"]


def make_chunks_small(checker: Connection, url: str) -> None:
    """Of about fifteen rows each, so that how many there are does not depend on how fast this machine purged."""
    whole = "DIV" if url.startswith(("mysql", "mariadb")) else "/"
    execute(checker, f"UPDATE {archive_of(url)} SET purgekit_chunk = 1 + ID {whole} 20")


def back_and_marked(checker: Connection, url: str) -> tuple[int, int]:
    """By one statement: the server may still be carrying out a COMMIT of a client that is dead."""
    counts = f"SELECT (SELECT COUNT(*) FROM {TABLE}), (SELECT COUNT(*) FROM {archive_of(url)} WHERE purgekit_chunk < 0)"
    ((there, marked),) = rows(checker, counts)
    return there - ROWS // 4, marked


def test_killed_restores_are_gone_on_with(any_url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(any_url)
    run_id, before = purged(checker, any_url, ROWS)
    make_chunks_small(checker, any_url)
    random_ = random.Random(5)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["purgekit.database", "purgekit.restoring"])
    kills = 0
    for _ in range(6):
        until = (random_.randint(1, 60), random_.choice([0, random_.uniform(0, 0.03)]))
        restoring = processes.Process(target=restore_until_killed, args=(any_url, run_id, *until))
        restoring.start()
        restoring.join()
        kills += restoring.exitcode == -signal.SIGKILL
        there, marked = back_and_marked(checker, any_url)
        assert there == marked, "what is there is what is marked"
    assert kills >= 3
    done = subprocess.run(command(any_url, run_id), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all_rows(checker) == before
    assert len(marks(checker, any_url)) == ROWS - ROWS // 4
    with pk.connect(any_url) as db:
        told = [run for run in db.history() if run["kind"] == "restore"]
    assert sum(run["rows_restored"] for run in told) == ROWS - ROWS // 4
    assert "running" not in {run["status"] for run in told}
    assert (
        json.loads(done.stdout)["rows_restored"]
        == next(run for run in told if run["status"] == "completed")["rows_restored"]
    )


class AtRestoreCommit:
    """Acts on COMMIT number ``skip`` after the first row was marked."""

    def __init__(self, action: Action, skip: int) -> None:
        self.action = action
        self.skip = skip
        self.marking = False
        self.seen = 0

    def __call__(self, content: bytes) -> Action:
        text = content.upper()
        self.marking = self.marking or b"PURGEKIT_CHUNK" in text
        if not self.marking or b"COMMIT" not in text:
            return Action.PASS
        self.seen += 1
        return self.action if self.seen == self.skip + 1 else Action.PASS


@pytest.mark.parametrize("skip", [0, 1, 4])
@pytest.mark.parametrize("action", [Action.CUT_BEFORE, Action.CUT_AFTER_REPLY])
def test_a_cut_around_commit_is_resolved(
    server_url: str, admin: Callable[[str], Connection], action: Action, skip: int
) -> None:
    checker = admin(server_url)
    run_id, before = purged(checker, server_url, 1_200)
    make_chunks_small(checker, server_url)
    port = urlsplit(server_url).port
    assert port is not None
    with TcpProxy("127.0.0.1", port) as proxy, pk.connect(through(server_url, proxy.port)) as db:
        proxy.on_client_bytes = AtRestoreCommit(action, skip)
        report = db.restore(run_id)
        assert proxy.fired.is_set(), "the cut never happened"
    with pk.connect(server_url) as db:
        (told,) = [run for run in db.history() if run["kind"] == "restore"]
    assert report.status == "completed"
    assert report.rows_restored == told["rows_restored"] == 900
    assert report.tables[0]["chunks"] == len(set(marks(checker, server_url)))
    assert all_rows(checker) == before
    assert len(marks(checker, server_url)) == 900
