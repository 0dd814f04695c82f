"""kill -9 of a restore out of files at any moment: the same command goes on, each row is loaded and comes back once."""

from __future__ import annotations

import multiprocessing
import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import purgekit as pk
from engine.restores import all_rows, archive_of, cut_up, purged_to_files, restore_until_killed, rows
from engine.tables import TABLE, through
from servers import Action, Connection, TcpProxy

pytestmark = pytest.mark.long

ROWS = 2_400
KILLS = 20


def loaded(checker: Connection, url: str, run_id: str) -> dict[int, int]:
    """Rows of each chunk number, restored or not."""
    try:
        found = rows(checker, f"SELECT purgekit_chunk FROM {archive_of(url)} WHERE purgekit_run_id = '{run_id}'")
    except Exception:  # there is no such table yet; each driver has its own words for it
        return {}
    return dict(Counter(abs(row[0]) for row in found))


def restore_there(url: str, run_id: str) -> None:
    """In a process of its own."""
    with pk.connect(url) as db:
        db.restore(run_id)


def test_killed_restores_are_gone_on_with(any_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    checker = admin(any_url)
    run_id, before = purged_to_files(checker, any_url, tmp_path / "kept", ROWS)
    chunks = cut_up(checker, tmp_path / "kept", 15)
    random_ = random.Random(7)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["purgekit.database", "purgekit.restoring"])
    kills = 0
    for _ in range(KILLS):
        until = (random_.randint(1, 12), random_.choice([0, random_.uniform(0, 0.003)]))
        restoring = processes.Process(target=restore_until_killed, args=(any_url, run_id, *until))
        restoring.start()
        restoring.join()
        kills += restoring.exitcode == -signal.SIGKILL
        for number, count in loaded(checker, any_url, run_id).items():
            assert count == chunks[number], "a chunk is there as a whole or not at all"
    assert kills >= KILLS // 2
    with pk.connect(any_url) as db:
        assert db.restore(run_id).status == "completed"
        told = [run for run in db.history() if run["kind"] == "restore"]
    assert all_rows(checker) == before
    assert loaded(checker, any_url, run_id) == chunks
    assert sum(run["rows_restored"] for run in told) == sum(chunks.values())
    assert "running" not in {run["status"] for run in told}
    ((there_now, marked),) = rows(
        checker,
        f"SELECT (SELECT COUNT(*) FROM {TABLE}), (SELECT COUNT(*) FROM {archive_of(any_url)} WHERE purgekit_chunk < 0)",
    )
    assert there_now - ROWS // 4 == marked == sum(chunks.values())


class AtLoadCommit:
    """Acts on COMMIT number ``skip`` after the first row was loaded."""

    def __init__(self, action: Action, skip: int) -> None:
        self.action = action
        self.skip = skip
        self.loading = False
        self.seen = 0

    def __call__(self, content: bytes) -> Action:
        text = content.upper()
        self.loading = self.loading or (b"PURGEKIT_ARCHIVED_UTC" in text and (b"INSERT" in text or b"COPY" in text))
        if not self.loading or b"COMMIT" not in text:
            return Action.PASS
        self.seen += 1
        return self.action if self.seen == self.skip + 1 else Action.PASS


@pytest.mark.parametrize("skip", [0, 2])
@pytest.mark.parametrize("action", [Action.CUT_BEFORE, Action.CUT_AFTER_REPLY])
def test_a_cut_around_commit_is_resolved(
    server_url: str, admin: Callable[[str], Connection], tmp_path: Path, action: Action, skip: int
) -> None:
    checker = admin(server_url)
    run_id, before = purged_to_files(checker, server_url, tmp_path / "kept", ROWS)
    chunks = cut_up(checker, tmp_path / "kept", 300)
    port = urlsplit(server_url).port
    assert port is not None
    with TcpProxy("127.0.0.1", port) as proxy, pk.connect(through(server_url, proxy.port)) as db:
        proxy.on_client_bytes = AtLoadCommit(action, skip)
        report = db.restore(run_id)
        assert proxy.fired.is_set(), "the cut never happened"
    assert (report.status, report.rows_loaded, report.rows_restored) == ("completed", 1_800, 1_800)
    assert all_rows(checker) == before
    assert loaded(checker, server_url, run_id) == chunks


def test_two_at_a_time(any_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    """The second says that it is one too many, or goes on where the first has ended; each row comes back once."""
    checker = admin(any_url)
    run_id, before = purged_to_files(checker, any_url, tmp_path / "kept", ROWS)
    chunks = cut_up(checker, tmp_path / "kept", 100)
    processes = multiprocessing.get_context("forkserver")
    both = [processes.Process(target=restore_there, args=(any_url, run_id)) for _ in "12"]
    for one in both:
        one.start()
    for one in both:
        one.join()
    with pk.connect(any_url) as db:
        assert db.restore(run_id).status == "completed"
    assert all_rows(checker) == before
    assert loaded(checker, any_url, run_id) == chunks
