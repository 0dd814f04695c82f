"""A server that can't be had again costs one schedule, which says so; the next has a fresh one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from faults.checker import Verdict
from faults.schedule import make
from faults.station import Station, build
from faults.suite import MOST_LOST_SHARE, Result, run_one, too_many_lost
from faults.tally import table

KIND = "server killed"


@pytest.fixture
def station(servers_dir: Path) -> Station:
    """With a PostgreSQL that is away and has lost its data."""
    base = servers_dir / "station"
    build(base)
    station = Station(base, "worker")
    server = station.server("postgresql")
    assert server is not None
    server.kill9()
    (server.data_dir / "global/pg_control").unlink()
    return station


@pytest.mark.needs_server
def test_a_lost_server_is_told_kept_and_replaced(station: Station, tmp_path: Path) -> None:
    try:
        lost = run_one(make(1, "postgresql", 0, [KIND]), station, tmp_path)
        assert "could not find the database system" in lost.server_lost
        assert not lost.failed
        assert lost.verdict.rows_purged == 0
        kept = Path(lost.kept)
        assert "could not find the database system" in (kept / "schedule.txt").read_text()
        assert (kept / "server/log").exists()

        after = run_one(make(1, "postgresql", 1, [KIND]), station, tmp_path)
        assert not after.server_lost
        assert not after.failed, after.verdict.complaints
        assert after.verdict.rows_purged > 0

        line = next(line for line in table([lost, after]).splitlines() if line.startswith("server lost"))
        assert line.split()[-1] == "1"
    finally:
        station.close()
        shutil.rmtree(station.base)


def test_only_few_servers_may_be_lost() -> None:
    good = Result("mariadb", 0, KIND, "plain", Verdict(), True, False, 1, 0, 1.0)
    lost = replace(good, server_lost="mariadb ended while starting")
    assert too_many_lost([good, lost]) == []
    assert too_many_lost([good, lost, lost]) == ["mariadb"]
    many = int(2 / MOST_LOST_SHARE)
    assert too_many_lost([*[good] * many, lost, lost]) == []
    assert too_many_lost([*[good] * many, lost, lost, lost]) == ["mariadb"]
