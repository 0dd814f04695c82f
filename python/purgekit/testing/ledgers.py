"""The ledger: fence, checkpoint, resume."""

# ruff: noqa: D102 - the names of tests say what they test

from __future__ import annotations

from typing import Any

import pytest

from purgekit import Limits, Policy, PurgekitError, _core, col
from purgekit.testing.bench import Bench

NOW_NS = 1_714_979_289_123_456_000
LEDGER, KEY, TABLE = "purgekit_ledger", "conf-key/0", "conf_led"
ABSENT, PRESENT, FOREIGN = 0, 1, 3


def _made(session: _core.Session) -> dict[str, Any]:
    if session.ledger_find(LEDGER)["state"] == ABSENT:
        session.ledger_create()
    assert session.ledger_find(LEDGER)["state"] == PRESENT
    slot = session.slot_lock(KEY, 1_000)
    slot |= {"epoch": slot["epoch"] + 1, "seq": 0, "run_id": "conf", "policy_hash": "h", "cursor": "", "state": "open"}
    session.slot_write(slot)
    session.commit()
    return slot


def _table(bench: Bench) -> Policy:
    rows = [{"ID": i, "STATE": "gone" if i % 2 else "kept"} for i in range(1, 41)]
    bench.make(TABLE, {"ID": f"{bench.quirks.bigint} PRIMARY KEY", "STATE": bench.quirks.text}, rows)
    return Policy("ledger", table=TABLE, where=col("STATE") == "gone")


class Ledgers:
    """``ledger_find`` to ``checkpoint``, and what a run makes of them."""

    def test_slot_is_kept(self, bench: Bench) -> None:
        with bench.session() as session:
            assert session.ledger_find(LEDGER)["state"] == ABSENT
            slot = _made(session)
        slot |= {"cursor": "größe 'x' \\ %s", "cutoff_ns": NOW_NS, "rows_deleted": 2**40, "document": '{"a": "ü"}'}
        with bench.session() as session:
            assert session.ledger_find(LEDGER)["state"] == PRESENT
            session.slot_lock(KEY, 1_000)
            session.slot_write(slot)
            session.commit()
            read = session.slot_lock(KEY, 1_000)
            session.rollback()
        assert read == slot

    def test_fence(self, bench: Bench) -> None:
        with bench.session() as session:
            slot = _made(session)
            for epoch, seq in ((slot["epoch"] - 1, 0), (slot["epoch"], 1), (slot["epoch"] + 1, 0)):
                with pytest.raises(PurgekitError) as caught:
                    session.begin(KEY, epoch, seq)
                session.rollback()
                assert caught.value.code == "fenced"
            session.begin(KEY, slot["epoch"], 0)
            session.rollback()
            session.begin(KEY, slot["epoch"], 0)
            session.checkpoint({**slot, "seq": 1, "cursor": "c1", "rows_deleted": 5})
            session.commit()
            with pytest.raises(PurgekitError):
                session.begin(KEY, slot["epoch"], 0)
            session.rollback()
            read = session.slot_lock(KEY, 1_000)
            session.rollback()
        assert (read["seq"], read["cursor"], read["rows_deleted"]) == (1, "c1", 5)

    def test_checkpoint_and_rows_are_one_transaction(self, bench: Bench) -> None:
        policy = _table(bench)
        with bench.session() as session:
            slot = _made(session)
            session.prepare(policy, NOW_NS, session.propose(policy, NOW_NS)[0]["id"])
            session.begin(KEY, slot["epoch"], 0)
            session.delete_range("", 1000)
            session.checkpoint({**slot, "seq": 1, "rows_deleted": 20})
            session.rollback()
            read = session.slot_lock(KEY, 1_000)
            session.rollback()
        assert (read["seq"], read["rows_deleted"]) == (0, 0)
        assert len(bench.column(TABLE)) == 40

    def test_notes_are_added_once_and_paged(self, bench: Bench) -> None:
        ids = [f"run{run}/000/{number:09}" for run in (1, 2) for number in range(1, 6)]
        with bench.session() as session:
            slot = _made(session)
            session.begin(KEY, slot["epoch"], 0)
            for note_id in ids:
                session.note_add("link", note_id, f"größe of {note_id}")
            session.commit()
            session.begin()
            with pytest.raises(PurgekitError):
                session.note_add("link", ids[0], "another")
            session.rollback()
            assert session.note_page("link", "run1/", "run1/", 3) == [(n, f"größe of {n}") for n in ids[:3]]
            assert [n for n, _ in session.note_page("link", "run1/", ids[2], 3)] == ids[3:5]
            assert session.note_page("link", "run2/", ids[9], 3) == []
            assert session.note_page("other", "run1/", "run1/", 3) == []
            assert [n for n, _ in session.note_page("link", ids[7], ids[7][:-1], 1)] == [ids[7]]

    def test_foreign_table_is_not_taken_for_a_ledger(self, bench: Bench) -> None:
        bench.make("conf_foreign", {"ID": f"{bench.quirks.bigint} PRIMARY KEY"})
        with bench.session() as session:
            assert session.ledger_find("conf_foreign")["state"] == FOREIGN

    def test_second_run_of_a_table_leaves(self, bench: Bench) -> None:
        bench.needs("run_lock")
        with bench.session() as first, bench.session() as second:
            first.lock_run(KEY)
            with pytest.raises(PurgekitError) as caught:
                second.lock_run(KEY)
            assert caught.value.code == "lock_timeout"
            second.lock_run("conf-other/0")
            second.unlock_run("conf-other/0")
            first.unlock_run(KEY)
            second.lock_run(KEY)

    def test_stopped_run_is_continued_and_recorded(self, bench: Bench) -> None:
        policy = _table(bench)
        with bench.database() as db:
            plan = db.plan(policy)
            stopped = db.run(plan, limits=Limits(max_rows=5))
            assert (stopped.status, stopped.stop_reason, stopped.exit_code) == ("stopped", "max_rows", 3)
            assert stopped.rows_deleted <= 5
            done = db.run(policy)
            assert (done.status, done.exit_code, done.continues) == ("completed", 0, stopped.run_id)
            history = db.history()
            chain = [link for run in (stopped, done) for link in db.evidence(run.run_id).links]
        assert sum(link["rows_deleted"][0] for link in chain if link["kind"] == "chunk") == 20
        assert [link["number"] for link in chain] == list(range(1, len(chain) + 1))
        assert stopped.rows_deleted + done.rows_deleted == 20
        assert bench.column(TABLE) == list(range(2, 41, 2))
        assert [run["run_id"] for run in history] == [done.run_id, stopped.run_id]
        assert [run["rows_deleted"] for run in history] == [done.rows_deleted, stopped.rows_deleted]
