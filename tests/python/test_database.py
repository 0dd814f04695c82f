"""The Python interface around the engine."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk

ROWS = 2_000
POLICY = pk.Policy("old", table="things", where=pk.expired("expires", unit="ms"), max_fraction=1.0)


@pytest.fixture
def url(tmp_path: Path) -> str:
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, expires INTEGER)")
        db.executemany("INSERT INTO things (expires) VALUES (?)", [(1_700_000_000_000,)] * ROWS)
        db.commit()
    return f"sqlite:///{path}"


@pytest.fixture
def db(url: str) -> Iterator[pk.Database]:
    with pk.connect(url) as database:
        yield database


def test_contract_example(db: pk.Database) -> None:
    plan = db.plan(POLICY)
    assert (plan.rows_purgeable, plan.exact, plan.policies[0]["table"]) == (ROWS, True, "things")
    events: list[dict[str, Any]] = []
    report = db.run(plan, limits=pk.Limits(chunk_ms=100, max_run_s=60), on_progress=events.append)
    assert (report.rows_deleted, report.status, report.exit_code) == (ROWS, "completed", 0)
    assert report.to_dict()["schema"] == "purgekit.run/1"
    assert events[-1]["rows_deleted"] == ROWS
    assert {
        "policy",
        "table",
        "pass",
        "rows_purgeable",
        "share_done",
        "chunk_ms",
        "rows_per_s",
        "eta_s",
        "waiting",
    } <= set(events[0])
    assert db.history()[0]["run_id"] == report.run_id
    assert "<table>" in plan._repr_html_() + report._repr_html_()
    assert "2,000 rows" in repr(plan) + repr(report)


def test_other_threads_run_meanwhile(db: pk.Database) -> None:
    counts: list[int] = []
    over = threading.Event()

    def count() -> None:
        number = 0
        while not over.is_set():
            number += 1
            time.sleep(0)
        counts.append(number)

    thread = threading.Thread(target=count)
    thread.start()
    db.run(POLICY, limits=pk.Limits(max_rows_per_s=2_000))
    over.set()
    thread.join()
    # The run takes about a second; a thread that had to wait for it would have counted next to nothing.
    assert counts[0] > 1_000


def test_ctrl_c_ends_after_the_chunk_in_hand(db: pk.Database) -> None:
    before = signal.getsignal(signal.SIGINT)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    report = db.run(POLICY, limits=pk.Limits(max_rows_per_s=200))
    timer.join()
    assert (report.status, report.stop_reason, report.exit_code) == ("stopped", "signal", 3)
    assert 0 < report.rows_deleted < ROWS
    assert signal.getsignal(signal.SIGINT) is before


def test_control_from_another_thread(db: pk.Database) -> None:
    control = pk.RunControl()
    threading.Timer(0.3, control.stop, ("enough",)).start()
    report = db.run(POLICY, limits=pk.Limits(max_rows_per_s=200), control=control)
    assert report.stop_reason == "enough"
    assert control.stopping


def test_error_in_on_progress_stops_and_comes_out(db: pk.Database) -> None:
    def fail(_event: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        db.run(POLICY, limits=pk.Limits(max_rows_per_s=500), on_progress=fail)


def test_refusals_change_nothing(db: pk.Database, url: str) -> None:
    with pytest.raises(pk.PolicyError, match="no policy"):
        db.plan([])
    with pytest.raises(pk.PolicyError, match="load_policies"):
        db.plan("wso2-is")  # type: ignore[arg-type]
    with pytest.raises(pk.PolicyError, match="things"):
        db.plan(pk.Policy("p", table="thinks", where=pk.col("id") == 1))
    with pytest.raises(pk.PurgeRefused, match="max-fraction"):
        db.run(POLICY, limits=pk.Limits(max_fraction=0.5))
    with pytest.raises(pk.PurgeRefused, match="ahead"):
        db.run(db.plan(POLICY, now="2199-01-01T00:00:00Z"))
    assert db.plan(POLICY).rows_purgeable == ROWS
    db.close()
    with pytest.raises(pk.ConnectionFailed, match="closed"):
        db.plan(POLICY)
    with pytest.raises(pk.ConnectionFailed):
        pk.connect(url + ".absent")


def test_refused_runs_leave_no_history(db: pk.Database) -> None:
    with pytest.raises(pk.PurgeRefused):
        db.run(POLICY, limits=pk.Limits(max_fraction=0.5))
    assert list((Path(os.environ["PURGEKIT_STATE"]) / "runs").iterdir()) == []


def test_no_secret_in_repr_or_history(url: str) -> None:
    with pk.connect(url, password="s3cr3t") as db:
        db.run(POLICY)
        assert "s3cr3t" not in repr(db)
    (record,) = (Path(os.environ["PURGEKIT_STATE"]) / "runs").iterdir()
    assert "s3cr3t" not in record.read_text()


def test_native_log_reaches_logging(db: pk.Database, caplog: pytest.LogCaptureFixture, url: str) -> None:
    with caplog.at_level(logging.INFO, logger="purgekit"), pk.connect(url) as other:
        report = other.run(POLICY)
    assert report.run_id in caplog.text


def test_import_is_light() -> None:
    code = "import sys, purgekit; print(sorted(m for m in sys.modules if m.split('.')[0] in %r))"
    heavy = ("rich", "typer", "pydantic", "sqlite3", "zoneinfo", "_core")
    done = subprocess.run([sys.executable, "-c", code % (heavy,)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert set(pk.__all__) <= set(dir(pk))
    assert all(hasattr(pk, name) for name in pk.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = pk.nonsense
