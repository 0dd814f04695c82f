"""The bench's own harness, on little data: what it measures is what it says, and what is wrong is noticed."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bench import data, impact, measure, plot, report
from bench.contestants import Contestant, Outcome, PlainDelete, Task
from bench.data import Rule, Shape, Survivors
from bench.foreground import Client, Order, Seen
from bench.place import BenchFailed, Settings, require_room
from bench.place_sqlite import Sqlite

RUN = Path(__file__).resolve().parents[1] / "bench/run"
SMALL = Shape(rows=1_000, share=80, row_bytes=400, indexes=2)


def bench(*arguments: str, code: int = 0) -> str:
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run([RUN, *arguments], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def records_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# The rows


@pytest.mark.parametrize("order", ["time", "shuffled"])
@pytest.mark.parametrize("share", [5, 50, 99])
def test_rows_are_what_the_shape_says(order: str, share: int) -> None:
    shape = Shape(rows=2_000, share=share, row_bytes=350, order=order)
    rows = list(data.rows(shape))
    assert len({row[0] for row in rows}) == 2_000
    assert {len(row[3]) for row in rows} == {50}
    old = [row for row in rows if row[4] < data.CUTOFF_NS]
    assert len(old) == shape.purgeable == 20 * share
    assert old == [row for row in rows if row[6] < data.CUTOFF_NS], "both rules pick the same rows"
    assert all(row[6] > data.NOW_NS for row in rows if row not in old)
    in_order = [row[4] for row in rows] == sorted(row[4] for row in rows)
    assert in_order == (order == "time")
    assert data.expected(shape) == Survivors(0, 0, 0).plus([row[0] for row in rows if row[4] >= data.CUTOFF_NS])


def test_bulk_lines_are_the_same_rows() -> None:
    rows = [
        "\t".join((key, kind, operation, "\\x" + body.hex(), str(created), str(tenant), str(expires))) + "\n"
        for key, kind, operation, body, created, tenant, expires in data.rows(SMALL)
    ]
    assert list(data.lines(SMALL, "\\x")) == rows


# A run


class Lazy(Contestant):
    """Leaves one row that should go."""

    name = "lazy"

    def run(self, task: Task) -> Outcome:
        path = task.url.removeprefix("sqlite:///")
        with sqlite3.connect(path) as connection:
            first = f"(SELECT min(rowid) FROM {data.TABLE})"
            connection.execute(f"DELETE FROM {data.TABLE} WHERE {task.rule.condition} AND rowid > {first}")
        connection.close()
        return Outcome(0.0, 0.0)


@pytest.mark.parametrize("by", ["created", "expiry"])
def test_a_run_is_checked(tmp_path: Path, by: str) -> None:
    with Sqlite(tmp_path / "keep", tmp_path, Settings()) as place:
        assert place.build(SMALL)
        assert not place.build(SMALL), "kept"
        record = measure.one(place, SMALL, Rule(by), PlainDelete())
        assert 0 < record["elapsed_s"] <= record["wall_s"]
        with pytest.raises(BenchFailed, match="lazy left Survivors"):
            measure.one(place, SMALL, Rule(by), Lazy())


def test_the_largest_size_of_a_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "log"
    peak = measure.Peak(path)
    with peak.watching():
        path.write_bytes(bytes(1_000))
        while peak.bytes == 0:
            time.sleep(measure.POLL_S)
        path.unlink()
    assert peak.bytes == 1_000


def test_sqlite_table(tmp_path: Path, servers_dir: Path) -> None:
    figures = tmp_path / "figures"
    arguments = ["sqlite", "--rows", "2000", "--repeats", "2", "--chunk-ms", "50", "--keep", str(servers_dir / "bench")]
    out = bench(*arguments, "--json", str(figures))
    records = records_of(figures)
    names = ["one DELETE", "purgekit fast, 50 ms, 1 worker", "purgekit, strategy swap", "loop of 5,000"]
    assert [record["contestant"] for record in records] == [*names, *names[1:], names[0]], "another one begins"
    purges = [record for record in records if "chunks" in record and "chunk_ms" in record]
    assert [record["strategy"] for record in purges] == ["rowid-range", "swap", "rowid-range", "swap"]
    for record in purges:
        assert record["chunks"] >= 1
        assert 0 < record["chunk_ms"]["p50"] <= record["chunk_ms"]["p99"] <= record["chunk_ms"]["max"]
        assert record["own_cpu_s"] > 0
        assert 10 < record["max_rss_mb"] < 1_000
        assert record["elapsed_s"] < record["wall_s"]
    assert "| one DELETE |" in out
    assert "fdatasync" in out
    assert f"SQLite: {sqlite3.sqlite_version}" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sqlite", "--share", "100"], "--share is in per cent, from 1 to 99"),
        (["sqlite", "--row-bytes", "200"], "--row-bytes must be 300 or more"),
        (["sqlite", "--indexes", "5"], "--indexes goes from 0 to 4"),
        (["sqlite", "--repeats", "0"], "--repeats must be 1 or more"),
        (["impact-mariadb", "--renew-expired", "0.1"], "--renew-expired needs --by expiry"),
        (["nothing"], "no table is called nothing"),
        ([], "name a table"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], message: str) -> None:
    assert message in bench(*arguments, code=2)


def test_data_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchFailed, match="GB of disk"):
        require_room(tmp_path, Shape(rows=10**12), tables=1, fixed_mb=0)


# On servers


@pytest.mark.needs_server
def test_postgresql_table(tmp_path: Path, servers_dir: Path) -> None:
    figures = tmp_path / "figures"
    bench("postgresql", "--rows", "2000", "--repeats", "1", "--pool-mb", "64", "--log-mb", "64", "--workers", "1",
          "--order", "shuffled", "--keep", str(servers_dir / "bench"), "--json", str(figures))  # fmt: skip
    records = records_of(figures)
    assert [record["contestant"] for record in records] == [
        "one DELETE",
        "purgekit fast, 100 ms, 1 worker",
        "chunk-and-batch procedure",
    ]
    assert all(record["log_mb"] > 0 and "server_cpu_s" in record for record in records)


@pytest.mark.needs_server
def test_mariadb_table(tmp_path: Path, servers_dir: Path) -> None:
    figures = tmp_path / "figures"
    bench("mariadb", "--rows", "2000", "--repeats", "1", "--pool-mb", "64", "--log-mb", "64", "--workers", "1",
          "--keep", str(servers_dir / "bench"), "--json", str(figures))  # fmt: skip
    records = records_of(figures)
    assert [record["contestant"] for record in records] == [
        "one DELETE",
        "purgekit fast, 100 ms, 1 worker",
        "purgekit, strategy swap",
        "chunk-and-batch procedure",
        "pt-archiver, bulk 5,000",
    ]
    assert all(record["drained_wall_s"] >= record["wall_s"] and record["log_mb"] > 0 for record in records)


@pytest.mark.needs_server
def test_archive_table(tmp_path: Path, servers_dir: Path) -> None:
    figures = tmp_path / "figures"
    bench("archive", "--backend", "mariadb", "sqlite", "--rows", "2000", "--repeats", "1", "--pool-mb", "64",
          "--log-mb", "64", "--keep", str(servers_dir / "bench"), "--json", str(figures))  # fmt: skip
    everywhere = {
        "one DELETE": 0,
        "purgekit fast, 100 ms, 1 worker": 0,
        "one INSERT … SELECT, one DELETE": 1_600,
        "one SELECT to the client, one DELETE": 0,
        "purgekit fast, 100 ms, 1 worker, archive in a table": 1_600,
        "purgekit fast, 100 ms, 1 worker, archive in files": 1_600,
    }
    rivals = {"pt-archiver, bulk 5,000, --dest": 1_600, "pt-archiver, bulk 5,000, --file": 1_600}
    kept: dict[str, dict[str, int]] = {}
    for record in records_of(figures):
        kept.setdefault(record["backend"], {})[record["contestant"]] = record.get("rows_archived", 0)
    assert kept == {"mariadb": everywhere | rivals, "sqlite": everywhere}


@pytest.mark.needs_server
def test_tokens_table(tmp_path: Path, servers_dir: Path) -> None:
    """Who leaves other rows of any of the three tables ends the bench."""
    figures = tmp_path / "figures"
    bench("tokens", "--rows", "1000", "--repeats", "1", "--pool-mb", "64", "--log-mb", "64", "--workers", "1",
          "--keep", str(servers_dir / "bench"), "--json", str(figures))  # fmt: skip
    each = ["one DELETE that cascades", "a DELETE for each table", "purgekit fast, 100 ms, 1 worker"]
    told = [(record["backend"], record["contestant"]) for record in records_of(figures)]
    assert told == [(backend, contestant) for backend in ("postgresql", "mariadb", "sqlite") for contestant in each]


@pytest.mark.needs_server
@pytest.mark.parametrize("backend", ["postgresql", "mariadb"])
def test_impact_table(tmp_path: Path, servers_dir: Path, backend: str) -> None:
    figures = tmp_path / "figures"
    out = bench(f"impact-{backend}", "--rows", "20000", "--pool-mb", "64", "--log-mb", "64",
                "--contestants", "purgekit", "--pace", "gentle", "--by", "expiry", "--renew-expired", "0.5",
                "--rate", "100", "--clients", "3", "--idle-s", "2", "--after-s", "1",
                "--keep", str(servers_dir / "bench"), "--json", str(figures))  # fmt: skip
    (record,) = records_of(figures)
    assert record["renewed_but_deleted"] == 0
    assert 100 < record["windows"]["idle"]["logins"] < 300
    assert record["windows"]["after"]["logins"] > 0
    assert sum(one["errors"] for one in record["windows"].values()) == 0
    assert record["series"][0][0] < 0 < record["series"][-1][0]
    assert "| purgekit gentle, 100 ms, 1 worker |" in out


def test_a_login_that_never_had_its_turn_counts_as_slow(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    order = Order(url, 0, 0.5, time.monotonic() - 10, purgeable=8, rows=10, renew_expired=0.0, result="")
    seen = Client(order, stop).run()
    assert 19 <= len(seen.due_s) < 1_000
    assert seen.latency_ms[0] > 9_000
    assert seen.latency_ms == sorted(seen.latency_ms, reverse=True)
    assert not seen.stored and not seen.errors


# From figures to tables


def test_windows_and_seconds_of_what_clients_saw() -> None:
    seen = [
        Seen(due_s=[10.0, 11.0, 12.0], latency_ms=[1.0, 150.0, 3.0], errors=[(11.0, "deadlock")]),
        Seen(due_s=[10.5, 12.5], latency_ms=[2.0, 4.0]),
    ]
    assert impact.window(seen, 10.0, 12.0) == {
        "logins": 3, "errors": 1, "over_100_ms": 1, "p50": 2.0, "p95": 150.0, "p99": 150.0, "max": 150.0,
    }  # fmt: skip
    assert impact.window(seen, 0.0, 1.0)["max"] is None
    assert impact.series(seen, begun_s=11.0, steady_s=10.2) == [(-1, 2.0), (0, 150.0), (1, 4.0)]


def test_medians_spread_and_ratios() -> None:
    def runs(name: str, times: list[float]) -> list[dict[str, Any]]:
        return [{"contestant": name, "elapsed_s": s, "wall_s": s + 1, "other_processors": s / 100} for s in times]

    text = report.throughput([*runs("one DELETE", [4.0, 2.0, 3.0]), *runs("other", [6.0, 9.0, 1.5])])
    assert text.splitlines() == [
        "| contestant | deleting s | x DELETE | command s | x DELETE | others' CPUs |",
        "| --- | --- | --- | --- | --- | --- |",
        "| one DELETE | 3.00 (2.00-4.00) | 1.00 | 4.00 (3.00-5.00) | 1.00 | 0.04 |",
        "| other | 6.00 (1.50-9.00) | 2.00 | 7.00 (2.50-10.00) | 1.75 | 0.09 |",
    ]


def test_a_saved_section_takes_the_place_of_its_predecessor(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text("# Results\n\nBy hand.\n")
    for title, text in (("A", "first"), ("B", "other"), ("A", "second")):
        report.save(path, title, text)
    assert path.read_text() == "# Results\n\nBy hand.\n\n## A\n\nsecond\n\n## B\n\nother\n"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what matplotlib stands on
def test_plot(tmp_path: Path) -> None:
    path = tmp_path / "impact.svg"
    records = [
        {"contestant": "one DELETE", "window_s": 2.0, "series": [(-30, 1.0), (-1, 1.0), (0, 500.0), (1, 20.0)]},
        {"contestant": "purgekit", "window_s": 3.0, "series": [(-1, 1.0), (0, 2.0), (1, 2.0), (2, 1.0)]},
    ]
    plot.draw(path, "What the foreground notices", records)
    drawn = path.read_bytes()
    text = drawn.decode()
    assert text.startswith("<?xml")
    assert ">one DELETE: 2 s<" in text
    assert len(text) < 100_000
    plot.draw(path, "What the foreground notices", records)
    assert path.read_bytes() == drawn, "the same figures, the same file"
