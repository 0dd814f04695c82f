"""Rows shown to people."""

# ruff: noqa: D102 - the names of tests say what they test

from __future__ import annotations

from purgekit import Policy, col
from purgekit.testing.bench import Bench

TABLE = "conf_sample"
LONG = 60
NOW_NS = 1_714_979_289_000_000_000


class Samples:
    """``sample_rows``: each value as text with its whole length, or None."""

    def _rows_to_show(self, bench: Bench) -> Policy:
        bench.needs("samples")
        rows = [
            {"ID": 1, "STATE": "gone", "NOTE": "grün"},
            {"ID": 2, "STATE": "here", "NOTE": "secret"},
            {"ID": 30, "STATE": "gone", "NOTE": None},
            {"ID": -4, "STATE": "gone", "NOTE": "x" * LONG},
        ]
        q = bench.quirks
        bench.make(TABLE, {"ID": f"{q.bigint} PRIMARY KEY", "STATE": q.text, "NOTE": q.text}, rows)
        return Policy("sample", table=TABLE, where=col("STATE") == "gone")

    def test_values_come_as_text_with_their_length(self, bench: Bench) -> None:
        policy = self._rows_to_show(bench)
        with bench.session() as session:
            width = len(
                session.describe(TABLE)["columns"]
            )  # some backends have columns of their own behind the table's
            values = session.sample_rows(policy, NOW_NS, 10)
        rows = [values[at : at + 3] for at in range(0, len(values), width)]
        assert sorted(rows, key=str) == [
            [("-4", 2), ("gone", 4), ("x" * LONG, LONG)],
            [("1", 1), ("gone", 4), ("grün", 4)],
            [("30", 2), ("gone", 4), None],
        ]

    def test_no_more_rows_than_asked_for(self, bench: Bench) -> None:
        policy = self._rows_to_show(bench)
        with bench.session() as session:
            width = len(session.describe(TABLE)["columns"])
            assert len(session.sample_rows(policy, NOW_NS, 2)) == 2 * width
        assert bench.column(TABLE) == [-4, 1, 2, 30]

    def test_a_plan_shows_lengths_and_no_values(self, bench: Bench) -> None:
        policy = self._rows_to_show(bench)
        with bench.database() as db:
            sample = db.plan(policy, sample=3).policies[0]["sample"]
        assert [column["name"] for column in sample["columns"]][:3] == ["ID", "STATE", "NOTE"]
        assert len(sample["rows"]) == 3
        assert {tuple(value) for row in sample["rows"] for value in row if value is not None} == {("length",)}
