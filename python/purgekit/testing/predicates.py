"""Every kind of rule, against the model in Python on the same rows."""

# ruff: noqa: D102 - the names of tests say what they test

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from purgekit import (
    Policy,
    Predicate,
    all_of,
    any_of,
    col,
    created,
    expired,
    keep_latest,
    not_referenced_by,
    referenced_by,
    sql,
)
from purgekit.testing import model
from purgekit.testing.bench import Bench

NOW = "2024-05-06T07:08:09.123456Z"
NOW_MS = 1_714_979_289_123
NOW_NS = 1_714_979_289_123_456_000
HOUR_MS = 3_600_000
TABLE, OTHER = "conf_rows", "conf_refs"

PAST = expired("AT", unit="ms")
RULES: dict[str, Predicate] = {
    "equal": col("STATE") == "done",
    "not equal": col("STATE") != "done",
    "less": col("NUM") < 3,
    "at most": col("NUM") <= 3,
    "greater": col("NUM") > 3,
    "at least": col("NUM") >= 3,
    "in": col("STATE").isin(["done", "failed"]),
    "not in": ~col("STATE").isin(["done", "failed"]),
    "null": col("STATE").is_null(),
    "not null": col("STATE").not_null(),
    "and": (col("STATE") == "done") & (col("NUM") > 2),
    "or": (col("STATE") == "done") | (col("NUM") > 4),
    "not and": ~((col("STATE") == "done") & (col("NUM") > 2)),
    "not or": ~((col("STATE") == "done") | (col("NUM") > 4)),
    "nested": any_of(all_of(PAST, col("NUM") < 4), all_of(~PAST, col("STATE") == "failed")),
    "expired": PAST,
    "expired, no grace": expired("AT", unit="ms", grace="0s"),
    "expired, null too": expired("AT", unit="ms", null="purge"),
    "not expired": ~PAST,
    "created": created("AT", unit="ms", lifetime="1h"),
    "created, lifetime column": created("AT", unit="ms", lifetime=col("LIFE"), lifetime_unit="ms"),
    "created, lifetime null purged": created(
        "AT", unit="ms", lifetime=col("LIFE"), lifetime_unit="ms", lifetime_null="purge"
    ),
    "not created": ~created("AT", unit="ms", lifetime=col("LIFE"), lifetime_unit="ms"),
}
LOOKING_ELSEWHERE: dict[str, Predicate] = {
    "referenced": referenced_by(OTHER, on={"ROW_ID": "ID"}),
    "not referenced": not_referenced_by(OTHER, on={"ROW_ID": "ID"}),
    "not referenced where": not_referenced_by(OTHER, on={"ROW_ID": "ID"}, where=col("STATE") == "done"),
    "superseded": referenced_by(TABLE, on={"STATE": "STATE"}, newer="NUM"),
    "oldest of its state": not_referenced_by(TABLE, on={"STATE": "STATE"}, older="NUM"),
    "below an expired one": referenced_by(TABLE, on={"STATE": "STATE"}, newer="NUM", where=PAST),
}
LATEST: dict[str, Predicate] = {
    "all but the newest": keep_latest(1, per=["STATE"], order_by="NUM"),
    "all but two": keep_latest(2, per=["STATE"], order_by="AT"),
    "no group": keep_latest(3, per=[], order_by="NUM"),
    "expired but the newest": keep_latest(1, per=["STATE"], order_by="NUM") & PAST,
}


def _rows() -> list[dict[str, Any]]:
    times = [None, 0, -5, NOW_MS - 3 * HOUR_MS, NOW_MS - 2 * HOUR_MS, NOW_MS - 2 * HOUR_MS + 1, NOW_MS + HOUR_MS]
    states = ["done", "failed", None, "open"]
    lifetimes = [None, 0, -1, 1, HOUR_MS, 2 * HOUR_MS, 9_000_000_000_000_000_000 // 1_000_000]
    return [
        {
            "ID": number + 1,
            "STATE": states[number % 4],
            "NUM": None if number % 11 == 10 else number % 6,
            "AT": times[number % 7],
            "LIFE": lifetimes[(number // 7) % 7],
        }
        for number in range(98)
    ]


def _make(bench: Bench) -> dict[str, list[dict[str, Any]]]:
    q = bench.quirks
    columns = {
        "ID": f"{q.bigint} NOT NULL",
        "STATE": q.text,
        "NUM": q.bigint,
        "AT": q.bigint,
        "LIFE": q.bigint,
    }
    rows = _rows()
    references: list[dict[str, Any]] = [
        {"ID": i, "ROW_ID": i * 3, "STATE": ("done", "open")[i % 2]} for i in range(1, 20)
    ]
    references.append({"ID": 99, "ROW_ID": None, "STATE": "done"})
    bench.make(TABLE, columns, rows, rest=f"PRIMARY KEY ({q.quoted('ID')})")
    bench.make(OTHER, {"ID": f"{q.bigint} PRIMARY KEY", "ROW_ID": q.bigint, "STATE": q.text}, references)
    return {TABLE: rows, OTHER: references}


def _check(bench: Bench, rule: Predicate) -> None:
    tables = _make(bench)
    policy = Policy("rule", table=TABLE, where=rule)
    with bench.session() as session:
        counted = session.count(policy, NOW_NS)
    assert counted == sum(model.matches(policy, row, tables, NOW_NS) for row in tables[TABLE])
    report = bench.purge(policy, NOW)
    expected = [row["ID"] for row in model.survivors(policy, tables, NOW_NS)]
    assert bench.column(TABLE) == expected
    assert report["policies"][0]["rows_deleted"] == len(tables[TABLE]) - len(expected)
    assert report["exit_code"] == 0


class Predicates:
    """What goes and what stays."""

    @pytest.mark.parametrize("name", RULES)
    def test_rule(self, bench: Bench, name: str) -> None:
        _check(bench, RULES[name])

    @pytest.mark.parametrize("name", LOOKING_ELSEWHERE)
    def test_rule_about_other_rows(self, bench: Bench, name: str) -> None:
        bench.needs("references")
        _check(bench, LOOKING_ELSEWHERE[name])

    @pytest.mark.parametrize("name", LATEST)
    def test_rule_about_the_latest(self, bench: Bench, name: str) -> None:
        bench.needs("keep_latest")
        _check(bench, LATEST[name])

    def test_raw_sql(self, bench: Bench) -> None:
        _make(bench)
        q = bench.quirks.quoted
        bench.purge(Policy("raw", table=TABLE, where=sql(f"{q('NUM')} = :n AND {q('STATE')} = :s", n=2, s="open")), NOW)
        assert [r["ID"] for r in _rows() if not (r["NUM"] == 2 and r["STATE"] == "open")] == bench.column(TABLE)

    @pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
    def test_boundary_is_strict_in_every_unit(self, bench: Bench, unit: str) -> None:
        unit_ns = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[unit]
        at = NOW_NS // unit_ns
        rows = [{"ID": 1, "AT": at - 1}, {"ID": 2, "AT": at}, {"ID": 3, "AT": at + 1}]
        bench.make(TABLE, {"ID": f"{bench.quirks.bigint} PRIMARY KEY", "AT": bench.quirks.bigint}, rows)
        bench.purge(Policy("edge", table=TABLE, where=expired("AT", unit=unit, grace="0s")), NOW)
        # Units coarser than NOW's microseconds: the whole unit before NOW's fraction is past.
        assert bench.column(TABLE) == [row["ID"] for row in rows if row["AT"] * unit_ns >= NOW_NS]

    def test_timestamps(self, bench: Bench) -> None:
        bench.needs("timestamps")
        now = datetime(2024, 5, 6, 7, 8, 9, 123456)
        offsets_us = [-HOUR_MS * 1000, -1, 0, 1, HOUR_MS * 1000]
        rows: list[dict[str, Any]] = [
            {"ID": i, "AT": str(now + timedelta(microseconds=offset))} for i, offset in enumerate(offsets_us, 1)
        ]
        rows.append({"ID": 9, "AT": None})
        columns = {"ID": f"{bench.quirks.bigint} PRIMARY KEY", "AT": f"{bench.quirks.timestamp} NULL"}
        bench.make(TABLE, columns, rows)
        bench.purge(Policy("times", table=TABLE, where=expired("AT", grace="0s")), NOW)
        assert bench.column(TABLE) == [3, 4, 5, 9]
