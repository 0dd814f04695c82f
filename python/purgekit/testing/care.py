"""Care after a purge."""

# ruff: noqa: D102 - the names of tests say what they test

from __future__ import annotations

import pytest

from purgekit import Policy, col
from purgekit.testing.bench import Bench

TABLE = "conf_care"
MOST_STEPS = 1_000


class Care:
    """Statistics and space, step by step. Bytes that a backend does not know are -1."""

    def _make(self, bench: Bench) -> Policy:
        bench.needs("care")
        rows = [{"ID": i, "STATE": "gone" if i % 4 else "here"} for i in range(1, 401)]
        bench.make(TABLE, {"ID": f"{bench.quirks.bigint} PRIMARY KEY", "STATE": bench.quirks.text}, rows)
        return Policy("care", table=TABLE, where=col("STATE") == "gone")

    def test_space_is_told_in_bytes(self, bench: Bench) -> None:
        policy = self._make(bench)
        with bench.session() as session:
            space = session.space(policy)
        assert space["bytes"] > 0
        for part in ("reusable_bytes", "dead_bytes"):
            assert -1 <= space[part] <= space["bytes"]
        assert space["needed_bytes"] >= 0
        assert space["free_bytes"] >= -1

    @pytest.mark.parametrize("care", ["statistics", "space"])
    def test_care_comes_to_its_end_and_changes_no_row(self, bench: Bench, care: str) -> None:
        policy = self._make(bench)
        bench.purge(policy)
        left = bench.column(TABLE)
        with bench.session() as session:
            steps = next(n for n in range(1, MOST_STEPS) if session.reclaim(policy, care))
            again = next(n for n in range(1, MOST_STEPS) if session.reclaim(policy, care))
        assert 1 <= again <= steps
        assert bench.column(TABLE) == left
        assert len(left) == 100

    def test_run_looks_after_its_table(self, bench: Bench) -> None:
        policy = self._make(bench)
        with bench.database() as db:
            entry = db.run(policy, reclaim="space").policies[0]
        assert entry["rows_deleted"] == 300
        assert (entry["care"]["status"], entry["care"]["warning"]) == ("done", None)
        assert entry["space"]["before"]["bytes"] > 0
        assert entry["space"]["returned_bytes"] is not None
