"""Rows that go with their parents."""

# ruff: noqa: D102 - the names of tests say what they test

from __future__ import annotations

from typing import Any

from purgekit import Policy, col, dependent
from purgekit.testing.bench import Bench

NOW_NS = 1_714_979_289_123_456_000
PARENT, CHILD = "conf_parent", "conf_child"


def _make(bench: Bench) -> None:
    q = bench.quirks
    parents: list[dict[str, Any]] = [
        {"ID": 1, "SESSION": "a", "STATE": "gone"},
        {"ID": 2, "SESSION": "a", "STATE": "kept"},
        {"ID": 3, "SESSION": "b", "STATE": "gone"},
        {"ID": 4, "SESSION": "b", "STATE": "gone"},
        {"ID": 5, "SESSION": "c", "STATE": "kept"},
        {"ID": 6, "SESSION": None, "STATE": "gone"},
    ]
    children: list[dict[str, Any]] = [
        {"ID": i, "SESSION_ID": s} for i, s in enumerate(["a", "a", "b", "b", "c", "x", None], 1)
    ]
    bench.make(PARENT, {"ID": f"{q.bigint} PRIMARY KEY", "SESSION": q.text, "STATE": q.text}, parents)
    bench.make(CHILD, {"ID": f"{q.bigint} PRIMARY KEY", "SESSION_ID": q.text}, children)


def _policy(unless_referenced: bool) -> Policy:
    child = dependent(CHILD, on={"SESSION_ID": "SESSION"}, unless_referenced=unless_referenced)
    return Policy("family", table=PARENT, where=col("STATE") == "gone", dependents=[child])


class Children:
    """``delete_children``."""

    def test_children_of_a_live_parent_stay(self, bench: Bench) -> None:
        bench.needs("references")
        _make(bench)
        report = bench.purge(_policy(unless_referenced=True))
        assert bench.column(PARENT) == [2, 5]
        assert bench.sql(f"SELECT {bench.quirks.quoted('ID')} FROM {bench.quirks.quoted(CHILD)} ORDER BY 1") == [
            (1,),
            (2,),
            (5,),
            (6,),
            (7,),
        ]
        tables = {entry["table"].split(".")[-1]: entry["rows_deleted"] for entry in report["policies"][0]["tables"]}
        assert tables == {PARENT: 4, CHILD: 2}
        assert report["rows_deleted"] == 6
        assert report["policies"][0]["rows_deleted"] == 4

    def test_children_go_with_any_parent(self, bench: Bench) -> None:
        _make(bench)
        bench.purge(_policy(unless_referenced=False))
        assert bench.column(CHILD) == [5, 6, 7]

    def test_children_and_parents_are_one_transaction(self, bench: Bench) -> None:
        bench.needs("references")
        _make(bench)
        policy = _policy(unless_referenced=True)
        with bench.session() as session:
            session.prepare(policy, NOW_NS, session.propose(policy, NOW_NS)[0]["id"])
            session.begin()
            assert session.delete_range("", 1000)["rows_deleted"] == 4
            assert session.delete_children(0) == 2
            session.rollback()
        assert len(bench.column(PARENT)) == 6
        assert len(bench.column(CHILD)) == 7

    def test_optional_child_may_be_missing(self, bench: Bench) -> None:
        _make(bench)
        child = dependent("conf_missing", on={"SESSION_ID": "SESSION"}, optional=True)
        bench.purge(Policy("family", table=PARENT, where=col("STATE") == "gone", dependents=[child]))
        assert bench.column(PARENT) == [2, 5]
