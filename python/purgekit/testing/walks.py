"""Walking a table: everything once, in chunks of any size, also on a new connection."""

# ruff: noqa: D102 - the names of tests say what they test

from __future__ import annotations

from typing import Any

import pytest

from purgekit import Policy, Predicate, _core, col
from purgekit.testing.bench import Bench

TABLE = "conf_walk"
NOW_NS = 1_714_979_289_123_456_000
ROWS = 40
EVERY = col("NUM") >= 0
SOME = col("NUM") == 1
LAYOUTS = ("number", "text", "composite", "keyless")


def _make(bench: Bench, layout: str) -> None:
    q = bench.quirks
    key = {
        "number": f"PRIMARY KEY ({q.quoted('ID')})",
        "text": f"PRIMARY KEY ({q.quoted('NAME')})",
        "composite": f"PRIMARY KEY ({q.quoted('GRP')}, {q.quoted('NAME')}, {q.quoted('ID')})",
        "keyless": "",
    }[layout]
    columns = {
        "ID": f"{q.bigint} NOT NULL",
        "NAME": f"{q.text} NOT NULL",
        "GRP": f"{q.bigint} NOT NULL",
        "NUM": f"{q.bigint} NOT NULL",
    }
    # Neither order of insertion nor of numbers is that of the texts.
    numbers = [(n * 17) % ROWS - 5 for n in range(ROWS)]
    rows = [{"ID": n, "NAME": f"n{abs(n) * 7 % 100}-{n}", "GRP": n % 3, "NUM": n % 4} for n in numbers]
    bench.make(TABLE, columns, rows, rest=key)
    bench.sql(f"CREATE INDEX conf_walk_num ON {q.quoted(TABLE)} ({q.quoted('NUM')})")


def _policy(rule: Predicate) -> Policy:
    return Policy("walk", table=TABLE, where=rule)


def _walks(session: _core.Session, rule: Predicate) -> list[str]:
    found = session.propose(_policy(rule), NOW_NS, ROWS, ROWS // 4)
    assert found, "no way to walk was offered"
    return [walk["id"] for walk in found]


def _chunk(session: _core.Session, cursor: str, rows: int) -> dict[str, Any]:
    session.begin()
    done = session.delete_range(cursor, rows)
    session.commit()
    return done


def _walk(session: _core.Session, rule: Predicate, walk: str, rows: int) -> int:
    assert session.prepare(_policy(rule), NOW_NS, walk)
    deleted: int = 0
    cursor = ""
    for _ in range(3 * ROWS + 10):
        part = _chunk(session, cursor, rows)
        deleted += part["rows_deleted"]
        assert part["rows_deleted"] <= max(rows, part["rows_visited"])
        if part["done"]:
            return deleted
        assert part["cursor"] != cursor or part["rows_deleted"], "the walk stands still"
        cursor = part["cursor"]
    raise AssertionError("the walk does not end")


class Walks:
    """``propose``, ``prepare``, ``delete_range``."""

    @pytest.mark.parametrize("rows", [1, 2, 7, 1000])
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_every_walk_visits_everything_once(self, bench: Bench, layout: str, rows: int) -> None:
        _needs(bench, layout)
        _make(bench, layout)
        with bench.session() as session:
            walks = _walks(session, EVERY)
        for walk in walks:
            for rule, left in ((SOME, lambda n: n % 4 != 1), (EVERY, lambda n: False)):
                _make(bench, layout)
                with bench.session() as session:
                    if walk not in _walks(session, rule):
                        continue
                    before = session.count(_policy(rule), NOW_NS)
                    deleted = _walk(session, rule, walk, rows)
                    assert session.count(_policy(rule), NOW_NS) == 0
                assert deleted == before, walk
                assert bench.column(TABLE) == [n for n in range(-5, ROWS - 5) if left(n)], walk

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_a_new_connection_goes_on_where_the_old_one_was(self, bench: Bench, layout: str) -> None:
        _needs(bench, layout)
        _make(bench, layout)
        with bench.session() as session:
            walks = _walks(session, EVERY)
        for walk in walks:
            _make(bench, layout)
            deleted, cursor, done, chunks = 0, "", False, 0
            while not done:
                with bench.session() as session:
                    session.prepare(_policy(EVERY), NOW_NS, walk)
                    part = _chunk(session, cursor, 7)
                deleted, cursor, done, chunks = (
                    deleted + part["rows_deleted"],
                    part["cursor"],
                    part["done"],
                    chunks + 1,
                )
                assert chunks < 3 * ROWS, walk
            assert deleted == ROWS, walk
            assert bench.column(TABLE) == [], walk

    def test_rollback_leaves_everything(self, bench: Bench) -> None:
        _make(bench, "number")
        with bench.session() as session:
            session.prepare(_policy(EVERY), NOW_NS, _walks(session, EVERY)[0])
            session.begin()
            assert session.delete_range("", 1000)["rows_deleted"] > 0
            session.rollback()
            session.rollback()  # nothing is open any more, and that is no error
        assert len(bench.column(TABLE)) == ROWS

    def test_closing_rolls_back(self, bench: Bench) -> None:
        _make(bench, "number")
        with bench.session() as session:
            session.prepare(_policy(EVERY), NOW_NS, _walks(session, EVERY)[0])
            session.begin()
            session.delete_range("", 1000)
        assert len(bench.column(TABLE)) == ROWS

    def test_empty_table(self, bench: Bench) -> None:
        _make(bench, "number")
        bench.sql(f"DELETE FROM {bench.quirks.quoted(TABLE)}")
        with bench.session() as session:
            for walk in _walks(session, EVERY):
                assert _walk(session, EVERY, walk, 7) == 0

    def test_rows_that_change_after_planning_are_judged_as_they_are(self, bench: Bench) -> None:
        _make(bench, "number")
        q = bench.quirks.quoted
        with bench.session() as session:
            session.prepare(_policy(SOME), NOW_NS, _walks(session, SOME)[0])
            bench.sql(f"UPDATE {q(TABLE)} SET {q('NUM')} = 9 WHERE {q('ID')} = 1")
            session.begin()
            session.delete_range("", 1000)
            session.commit()
        assert 1 in bench.column(TABLE)


def _needs(bench: Bench, layout: str) -> None:
    if layout == "keyless":
        bench.needs("keyless")
    if layout == "composite":
        bench.needs("composite_keys")
