"""A share of the fault schedules in every test run; ``tests/faults/run --full`` does thousands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from faults import suite
from faults.kinds import KINDS
from faults.places import BACKENDS
from faults.schedule import make
from faults.tally import table

SEED = 2026
QUICK = 12
SHARE = {"sqlite": 40, "postgresql": 30, "mariadb": 20, "mysql56": 8}


def run(backend: str, numbers: Sequence[int], folder: Path) -> None:
    order = suite.Order(SEED, (), folder)
    results = suite.run(order, {backend: numbers}, lambda _result: None)
    print(table(results), file=sys.stderr)
    failed = [f"{result.number} {result.kind}: {result.verdict.complaints}" for result in results if result.failed]
    assert not failed, "\n".join(failed)
    assert len(results) == len(numbers)
    assert sum(result.verdict.rows_purged for result in results) > 0
    assert sum(result.fired for result in results) >= len(results) // 2, "most faults never met a running purge"


def test_a_few_on_sqlite(tmp_path: Path) -> None:
    run("sqlite", range(QUICK), tmp_path)


@pytest.mark.long
def test_sqlite(tmp_path: Path) -> None:
    run("sqlite", range(QUICK, SHARE["sqlite"]), tmp_path)


@pytest.mark.needs_server
@pytest.mark.parametrize("backend", ["postgresql", "mariadb", "mysql56"])
def test_servers(backend: str, tmp_path: Path) -> None:
    run(backend, range(SHARE[backend]), tmp_path)


def test_a_schedule_follows_from_its_seed_and_number() -> None:
    for backend in BACKENDS:
        assert make(3, backend, 5) == make(3, backend, 5)
        kinds = {make(3, backend, number).kind.name for number in range(len(KINDS))}
        assert kinds == {kind.name for kind in KINDS.values() if kind.serves(backend)}
