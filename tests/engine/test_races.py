"""A row renewed between any two statements of a chunk survives.

Every message the purge sends to the server passes a proxy. Before each of them another session renews a few rows that
are still there. What it could renew must be there in the end, and everything else that was expired must be gone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from urllib.parse import urlsplit

import purgekit as pk
from engine.tables import HOUR_S, TABLE, make_sessions, mark, now_s, sessions_policy, survivors, through
from servers import Action, Connection, TcpProxy

ROWS = 600


class Renewer:
    """Renews the next few rows each time it is called; remembers which it got hold of."""

    def __init__(self, connection: Connection, url: str) -> None:
        self.cursor = connection.cursor()
        self.url = url
        self.renewed: set[int] = set()
        self.next = 1
        if url.startswith("postgresql"):
            self.cursor.execute("SET lock_timeout = '20ms'")
        else:
            self.cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")

    def __call__(self, content: bytes) -> Action:
        for number in (self.next, ROWS + 1 - self.next, (self.next * 37) % ROWS + 1):
            self._renew(number)
        self.next = self.next % ROWS + 1
        return Action.PASS

    def _renew(self, number: int) -> None:
        # A row that the chunk in hand has deleted, not yet committed, is locked: leave it.
        skip = " FOR UPDATE NOWAIT" if self.url.startswith("postgresql") else ""
        m = mark(self.url)
        with contextlib.suppress(Exception):
            if skip:
                self.cursor.execute(f"SELECT 1 FROM {TABLE} WHERE ID = {m}{skip}", (number,))
            self.cursor.execute(f"UPDATE {TABLE} SET EXPIRES = {m} WHERE ID = {m}", (now_s() + HOUR_S * 24, number))
            if self.cursor.rowcount == 1:
                self.renewed.add(number)


def test_rows_renewed_between_any_two_statements_survive(server_url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(server_url)
    make_sessions(checker, server_url, [now_s() - 5 * HOUR_S] * ROWS)
    parts = urlsplit(server_url)
    assert parts.port is not None
    renew = Renewer(admin(server_url), server_url)
    with TcpProxy("127.0.0.1", parts.port) as proxy, pk.connect(through(server_url, proxy.port)) as db:
        plan = db.plan(sessions_policy())
        proxy.on_client_bytes = renew
        # A target this short keeps chunks small, so that there are many of them.
        report = db.run(plan, limits=pk.Limits(chunk_ms=1, max_fraction=1))
        proxy.on_client_bytes = None
    assert len(renew.renewed) > 20, "the renewer got hold of too few rows to prove anything"
    assert report.rows_deleted > 100
    left = survivors(checker)
    assert renew.renewed <= left, f"renewed rows were deleted: {sorted(renew.renewed - left)[:5]}"
    assert left == renew.renewed
    assert report.rows_deleted == ROWS - len(left)


def test_rows_renewed_between_chunks_survive_on_sqlite(sqlite_url: str, admin: Callable[[str], Connection]) -> None:
    """SQLite has one writer: a renewal can only come between two chunks."""
    checker = admin(sqlite_url)
    make_sessions(checker, sqlite_url, [now_s() - 5 * HOUR_S] * ROWS)
    renewed: set[int] = set()
    cursor = checker.cursor()

    def renew(progress: dict[str, object]) -> None:
        for number in (ROWS - len(renewed), len(renewed) * 7 % ROWS + 1):
            cursor.execute(f"UPDATE {TABLE} SET EXPIRES = ? WHERE ID = ?", (now_s() + HOUR_S, number))
            if cursor.rowcount == 1:
                renewed.add(number)

    with pk.connect(sqlite_url) as db:
        report = db.run(
            sessions_policy(), limits=pk.Limits(chunk_ms=1, max_fraction=1, max_rows_per_s=300), on_progress=renew
        )
    assert renewed
    assert survivors(checker) == renewed
    assert report.rows_deleted == ROWS - len(renewed)
