"""Archived rows that are put back, chunk by chunk, and marked in the same transaction."""

# ruff: noqa: D102 - the names of tests say what they test

from __future__ import annotations

from typing import Any

import pytest

from purgekit import Policy, PurgekitError, _core, col
from purgekit.testing.bench import Bench

NOW_NS = 1_714_979_289_123_456_000
TABLE, ARCHIVE = "conf_back", "purgekit_archive_conf_back"
REFUSE, SKIP, REPLACE = 0, 1, 2


def _purged(bench: Bench) -> list[tuple[Any, ...]]:
    """Forty rows, of which twenty are archived by three chunks with the numbers 7 to 9; all as they were before."""
    q = bench.quirks
    rows: list[dict[str, Any]] = [
        {"ID": i, "STATE": "gone" if i % 2 else "kept", "NOTE": None if i % 3 else f"größe '{i}' \\ %s"}
        for i in range(1, 41)
    ]
    bench.make(TABLE, {"ID": f"{q.bigint} PRIMARY KEY", "STATE": q.text, "NOTE": q.text}, rows)
    bench.drop(ARCHIVE)
    bench.adopt(ARCHIVE)
    before = _rows(bench)
    for chunk, below in ((7, 14), (8, 28), (9, 99)):
        policy = Policy("back", table=TABLE, where=(col("STATE") == "gone") & (col("ID") < below))
        with bench.session() as session:
            target = _target(session)
            session.archive_create(policy, [target])
            session.prepare(policy, NOW_NS, session.propose(policy, NOW_NS)[0]["id"], [target], "run-1")
            session.begin()
            session.delete_range("", 1_000, chunk=chunk)
            session.commit()
    return before


def _target(session: _core.Session) -> tuple[str, str]:
    return session.describe(TABLE)["schema"], ARCHIVE


def _rows(bench: Bench) -> list[tuple[Any, ...]]:
    q = bench.quirks.quoted
    return bench.sql(f"SELECT {q('ID')}, {q('STATE')}, {q('NOTE')} FROM {q(TABLE)} ORDER BY 1")


def _chunks(bench: Bench) -> list[int]:
    return sorted(set(bench.column(ARCHIVE, "purgekit_chunk")))


def _restore(session: _core.Session, conflict: int = REFUSE, run_id: str = "run-1") -> list[tuple[int, int, int]]:
    """Chunk, rows restored and rows skipped of each."""
    out: list[tuple[int, int, int]] = []
    after = 0
    while True:
        session.begin()
        done = session.restore_next(TABLE, _target(session), run_id, after, conflict)
        if done["done"]:
            session.rollback()
            return out
        session.commit()
        after = done["chunk"]
        out.append((after, done["rows_restored"], done["rows_skipped"]))


class Restores:
    """``restore_next``."""

    def test_each_chunk_comes_back_once(self, bench: Bench) -> None:
        bench.needs("archives")
        before = _purged(bench)
        with bench.session() as session:
            assert _restore(session, run_id="another") == []
            assert _restore(session) == [(7, 7, 0), (8, 7, 0), (9, 6, 0)]
            assert _rows(bench) == before
            assert _restore(session) == []
        assert _chunks(bench) == [-9, -8, -7]
        assert len(bench.column(ARCHIVE)) == 20

    def test_what_is_rolled_back_is_not_marked(self, bench: Bench) -> None:
        bench.needs("archives")
        before = _purged(bench)
        with bench.session() as session:
            session.begin()
            assert session.restore_next(TABLE, _target(session), "run-1")["rows_restored"] == 7
            session.rollback()
            assert len(_rows(bench)) == 20
            assert _chunks(bench) == [7, 8, 9]
            _restore(session)
        assert _rows(bench) == before

    def test_a_row_with_the_same_key_is_refused(self, bench: Bench) -> None:
        bench.needs("archives")
        _purged(bench)
        bench.insert(TABLE, [{"ID": 15, "STATE": "new", "NOTE": None}])
        there = _rows(bench)
        with bench.session() as session:
            session.begin()
            assert session.restore_next(TABLE, _target(session), "run-1", 0)["chunk"] == 7
            session.rollback()
            session.begin()
            with pytest.raises(PurgekitError) as caught:
                session.restore_next(TABLE, _target(session), "run-1", 7)
            assert caught.value.code == "data"
            session.rollback()
        assert _rows(bench) == there
        assert _chunks(bench) == [7, 8, 9]

    def test_a_row_with_the_same_key_is_left_in_the_archive(self, bench: Bench) -> None:
        bench.needs("archives")
        before = _purged(bench)
        bench.insert(TABLE, [{"ID": 15, "STATE": "new", "NOTE": None}])
        with bench.session() as session:
            assert _restore(session, SKIP) == [(7, 7, 0), (8, 6, 1), (9, 6, 0)]
            assert _restore(session, SKIP) == [(8, 0, 1)]
        assert _rows(bench) == [(15, "new", None) if row[0] == 15 else row for row in before]
        assert _chunks(bench) == [-9, -8, -7, 8]

    def test_a_row_with_the_same_key_is_overwritten(self, bench: Bench) -> None:
        bench.needs("archives", "replacing")
        before = _purged(bench)
        bench.insert(TABLE, [{"ID": 15, "STATE": "new", "NOTE": "other"}])
        with bench.session() as session:
            assert _restore(session, REPLACE) == [(7, 7, 0), (8, 7, 0), (9, 6, 0)]
        assert _rows(bench) == before

    def test_a_table_that_lost_a_column_is_refused(self, bench: Bench) -> None:
        bench.needs("archives")
        _purged(bench)
        q = bench.quirks
        bench.make(TABLE, {"ID": f"{q.bigint} PRIMARY KEY", "STATE": q.text})
        with bench.session() as session:
            session.begin()
            with pytest.raises(PurgekitError, match="NOTE") as caught:
                session.restore_next(TABLE, _target(session), "run-1")
            assert caught.value.code == "schema_changed"
            session.rollback()
        assert bench.column(TABLE) == []
        assert _chunks(bench) == [7, 8, 9]
