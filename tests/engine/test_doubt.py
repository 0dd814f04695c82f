"""The line breaks around COMMIT: nothing is lost, nothing is counted twice, and the run goes on by itself."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

import purgekit as pk
from engine.tables import HOUR_S, make_sessions, now_s, sessions_policy, survivors, through
from servers import Action, Connection, TcpProxy, on_text

ROWS = 3_000


class AtChunkCommit:
    """Acts on COMMIT number ``skip`` after the first delete from the table: those before belong to the ledger."""

    def __init__(self, action: Action, skip: int) -> None:
        self.action = action
        self.skip = skip
        self.in_chunks = False
        self.seen = 0

    def __call__(self, content: bytes) -> Action:
        text = content.upper()
        self.in_chunks = self.in_chunks or (b"DELETE FROM" in text and b"SESSIONS" in text)
        if not self.in_chunks or b"COMMIT" not in text:
            return Action.PASS
        self.seen += 1
        return self.action if self.seen == self.skip + 1 else Action.PASS


@pytest.mark.parametrize("skip", [0, 1, 3])
@pytest.mark.parametrize("action", [Action.CUT_BEFORE, Action.CUT_AFTER_REPLY])
def test_a_cut_around_commit_is_resolved(
    server_url: str, admin: Callable[[str], Connection], action: Action, skip: int
) -> None:
    checker = admin(server_url)
    make_sessions(checker, server_url, [now_s() + (HOUR_S if n % 3 == 0 else -5 * HOUR_S) for n in range(ROWS)])
    live = {n + 1 for n in range(0, ROWS, 3)}
    port = urlsplit(server_url).port
    assert port is not None
    with TcpProxy("127.0.0.1", port) as proxy, pk.connect(through(server_url, proxy.port)) as db:
        plan = db.plan(sessions_policy())
        proxy.on_client_bytes = AtChunkCommit(action, skip)
        report = db.run(plan, limits=pk.Limits(chunk_ms=2))
        assert proxy.fired.is_set(), "the cut never happened"
    with pk.connect(server_url) as db:
        history = db.history()
    assert survivors(checker) == live
    assert report.status == "completed"
    assert report.rows_deleted == ROWS - len(live)
    assert [(run["rows_deleted"], run["status"]) for run in history] == [(report.rows_deleted, "completed")]


def test_a_cut_in_the_middle_of_a_chunk_is_redone(server_url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(server_url)
    make_sessions(checker, server_url, [now_s() - 5 * HOUR_S] * ROWS)
    port = urlsplit(server_url).port
    assert port is not None
    with TcpProxy("127.0.0.1", port) as proxy, pk.connect(through(server_url, proxy.port)) as db:
        plan = db.plan(sessions_policy())
        proxy.on_client_bytes = on_text(b"DELETE FROM", Action.CUT_AFTER_REPLY, skip=2)
        report = db.run(plan, limits=pk.Limits(chunk_ms=2, max_fraction=1))
        assert proxy.fired.is_set()
    assert survivors(checker) == set()
    assert report.rows_deleted == ROWS
