"""Locked rows and cancelling."""

# ruff: noqa: D102 - the names of tests say what they test

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from purgekit import Limits, Policy, PurgekitError, col
from purgekit.testing.bench import Bench

NOW_NS = 1_714_979_289_123_456_000
TABLE = "conf_lock"
WAIT_MS = 300
BOUND_S = 20  # against hanging; a wait of WAIT_MS must end long before


def _make(bench: Bench) -> Policy:
    rows = [{"ID": i, "STATE": "gone"} for i in range(1, 21)]
    bench.make(TABLE, {"ID": f"{bench.quirks.bigint} PRIMARY KEY", "STATE": bench.quirks.text}, rows)
    return Policy("lock", table=TABLE, where=col("STATE") == "gone")


class Locks:
    """What others hold, and how a call is ended."""

    def test_locked_row_is_waited_for_no_longer_than_told(self, bench: Bench) -> None:
        policy = _make(bench)
        q = bench.quirks.quoted
        with contextlib.closing(bench.quirks.admin()) as holder:
            cursor = holder.cursor()
            cursor.execute("BEGIN")
            cursor.execute(f"UPDATE {q(TABLE)} SET {q('STATE')} = 'held' WHERE {q('ID')} = 5")
            started = time.monotonic()
            with bench.session() as session:
                session.prepare(policy, NOW_NS, session.propose(policy, NOW_NS)[0]["id"])
                with pytest.raises(PurgekitError) as caught:
                    session.begin()
                    session.delete_range("", 1000, WAIT_MS)
                session.rollback()
            cursor.execute("ROLLBACK")
        assert caught.value.code == "lock_timeout"
        assert caught.value.retryable
        assert time.monotonic() - started < BOUND_S
        assert len(bench.column(TABLE)) == 20

    def test_only_the_locked_row_is_left_and_reported(self, bench: Bench) -> None:
        bench.needs("locked_rows")
        policy = _make(bench)
        q = bench.quirks.quoted
        with contextlib.closing(bench.quirks.admin()) as holder:
            cursor = holder.cursor()
            cursor.execute("BEGIN")
            cursor.execute(f"UPDATE {q(TABLE)} SET {q('STATE')} = 'gone' WHERE {q('ID')} = 5")
            with bench.database() as db:
                report = db.run(policy, limits=Limits(lock_wait_ms=WAIT_MS, max_fraction=1.0))
            cursor.execute("ROLLBACK")
        entry = report.policies[0]
        assert (report.exit_code, entry["rows_deleted"], entry["rows_left"]) == (4, 19, 1)
        assert entry["blocked"][0]["rows"] == 1
        assert bench.column(TABLE) == [5]

    def test_cancel_ends_a_call(self, bench: Bench) -> None:
        bench.needs("cancel")
        policy = _make(bench)
        q = bench.quirks.quoted
        with contextlib.closing(bench.quirks.admin()) as holder:
            cursor = holder.cursor()
            cursor.execute("BEGIN")
            cursor.execute(f"UPDATE {q(TABLE)} SET {q('STATE')} = 'held' WHERE {q('ID')} = 5")
            started = time.monotonic()
            with bench.session() as session:
                session.prepare(policy, NOW_NS, session.propose(policy, NOW_NS)[0]["id"])
                over = threading.Event()
                canceller = threading.Thread(target=_keep_cancelling, args=(session, over))
                canceller.start()
                try:
                    with pytest.raises(PurgekitError) as caught:
                        session.begin()
                        session.delete_range("", 1000, 60_000)
                finally:
                    over.set()
                    canceller.join()
                session.rollback()
            cursor.execute("ROLLBACK")
        assert caught.value.code == "cancelled"
        assert time.monotonic() - started < BOUND_S


def _keep_cancelling(session: object, over: threading.Event) -> None:
    # More than once: a cancel that comes before the statement has begun has nothing to end.
    while not over.wait(0.3):
        session.cancel()  # type: ignore[attr-defined]
