"""What a purge waits for: the signals of real databases, a user's own pacer, limits changed while it runs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk
from engine.tables import HOUR_S, TABLE, make_sessions, now_s, sessions_policy, survivors
from engine.test_killed import command, policy_file
from purgekit.state import RunStore
from purgekit.testing.session import open_session
from purgekit.tune import Tuning, tune
from servers import Connection, connect

ROWS = 400
WAITERS = 9  # one more than the limit of eight
BOUND_S = 60  # against hanging
EXPECTED = {
    "sqlite": {"busy_waits"},
    "postgresql": {
        "lock_waits",
        "active_sessions",
        "others_at_work",
        "wal_since_checkpoint_pct",
        "wal_bytes_per_s",
        "autovacuum_on_table",
    },
    "mariadb": {
        "threads_running",
        "lock_waits",
        "redo_log_used_pct",
        "history_list_length",
        "dirty_pages_pct",
        "redo_bytes_per_s",
        "others_statements_per_s",
    },
    "mysql": {
        "threads_running",
        "lock_waits",
        "history_list_length",
        "dirty_pages_pct",
        "redo_bytes_per_s",
        "others_statements_per_s",
    },
}


@pytest.fixture
def checker(any_url: str, admin: Callable[[str], Connection]) -> Connection:
    connection = admin(any_url)
    make_sessions(connection, any_url, [now_s() + (HOUR_S if n % 4 == 0 else -5 * HOUR_S) for n in range(ROWS)])
    return connection


LIVE = {n + 1 for n in range(0, ROWS, 4)}
EXPIRED = ROWS - len(LIVE)


def test_signals_of_each_database(any_url: str, checker: Connection) -> None:
    policy = sessions_policy()
    now_ns = time.time_ns()
    with open_session(any_url) as opened:
        opened.prepare(policy, now_ns, opened.propose(policy, now_ns)[0]["id"])
        opened.pressure()
        signals = {signal["name"]: signal for signal in opened.pressure()}
    assert EXPECTED[any_url.partition(":")[0]] <= set(signals)
    if "mariadb" in any_url:
        assert 0 < signals["redo_log_used_pct"]["value"] < 100
    if "lock_waits" in signals:
        assert signals["lock_waits"]["value"] == 0


@contextlib.contextmanager
def queue_for_a_lock(url: str) -> Iterator[Callable[[], None]]:
    """Sessions of an application, all waiting for one row of a table that is no business of ours."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(contextlib.closing(connect(url))) for _ in range(WAITERS + 1)]
        holder = connections.pop().cursor()
        suffix = "" if "postgresql" in url else " ENGINE=InnoDB"
        holder.execute(f"CREATE TABLE BUSY (ID BIGINT PRIMARY KEY, N BIGINT){suffix}")
        holder.execute("INSERT INTO BUSY VALUES (1, 0)")
        holder.execute("BEGIN")
        holder.execute("UPDATE BUSY SET N = 1 WHERE ID = 1")
        change = "UPDATE BUSY SET N = N + 1 WHERE ID = 1"
        threads = [threading.Thread(target=c.cursor().execute, args=(change,), daemon=True) for c in connections]
        for thread in threads:
            thread.start()
        released = threading.Event()

        def release() -> None:
            if not released.is_set():
                released.set()
                holder.execute("COMMIT")
                for thread in threads:
                    thread.join(BOUND_S)

        try:
            yield release
        finally:
            release()


def until_waiting(url: str) -> None:
    """The server itself counts them as waiting."""
    with open_session(url) as opened:
        end = time.monotonic() + BOUND_S
        while time.monotonic() < end:
            if any(s["name"] == "lock_waits" and s["value"] >= WAITERS for s in opened.pressure()):
                return
            time.sleep(0.05)
    raise AssertionError("the sessions do not wait")


@pytest.mark.needs_server
@pytest.mark.parametrize("kind", ["postgresql", "mariadb", "mysql56"])
def test_gentle_waits_while_others_wait_and_fast_does_not(
    kind: str, request: pytest.FixtureRequest, admin: Callable[[str], Connection]
) -> None:
    url = str(request.getfixturevalue(f"{kind}_url"))
    connection = admin(url)
    make_sessions(connection, url, [now_s() + (HOUR_S if n % 4 == 0 else -5 * HOUR_S) for n in range(ROWS)])
    seen: list[str] = []
    reports: list[pk.Report] = []
    limits = pk.Limits(max_fraction=1, pace="gentle")

    def purge() -> None:
        with pk.connect(url) as db:
            reports.append(
                db.run(sessions_policy(), limits=limits, on_progress=lambda event: seen.append(event["waiting"]))
            )

    with queue_for_a_lock(url) as release:
        until_waiting(url)
        thread = threading.Thread(target=purge, daemon=True)
        thread.start()
        end = time.monotonic() + BOUND_S
        while not any(">" in waiting for waiting in seen) and time.monotonic() < end:
            time.sleep(0.05)
        assert len(survivors(connection)) == ROWS, "no chunk is begun above a limit"
        release()
        thread.join(BOUND_S)
    (report,) = reports
    (entry,) = report.policies
    assert report.exit_code == 0
    assert survivors(connection) == LIVE
    waited_for = {name for name in entry["waits"] if name in ("lock_waits", "threads_running")}
    assert waited_for
    assert any(waiting.startswith(tuple(waited_for)) for waiting in seen)
    assert entry["throttled_s"] >= max(entry["waits"].values()) > 0


def test_fast_goes_on_while_others_wait(mariadb_url: str, admin: Callable[[str], Connection]) -> None:
    connection = admin(mariadb_url)
    make_sessions(connection, mariadb_url, [now_s() - 5 * HOUR_S] * 100)
    with queue_for_a_lock(mariadb_url), pk.connect(mariadb_url) as db:
        report = db.run(sessions_policy(), limits=pk.Limits(max_fraction=1, pace="fast"))
    assert report.rows_deleted == 100
    assert report.policies[0]["waits"] == {}


def test_a_pacer_is_asked_after_each_chunk(any_url: str, checker: Connection) -> None:
    asked: list[dict[str, Any]] = []

    def pacer(chunk: dict[str, Any]) -> float | None:
        asked.append(chunk)
        return 0.02 if len(asked) == 1 else None

    with pk.connect(any_url) as db:
        report = db.run(sessions_policy(), limits=pk.Limits(max_fraction=1, max_rows_per_s=200), pacer=pacer)
    (entry,) = report.policies
    assert len(asked) == entry["chunks"] - 1, "nobody asks after the last one"
    assert asked[0]["table"] == entry["table"]
    assert asked[0]["elapsed_ms"] > 0
    assert asked[0]["signals"]
    assert sum(chunk["rows"] for chunk in asked) <= EXPIRED
    assert entry["waits"]["pacer"] > 0
    assert survivors(checker) == LIVE


def test_a_pacer_that_raises_stops_the_run_with_its_message(any_url: str, checker: Connection) -> None:
    def pacer(_: dict[str, Any]) -> float:
        raise RuntimeError("month's end closing\nis running")

    limits = pk.Limits(max_fraction=1, max_rows_per_s=50)  # so that there is more than one chunk
    with pk.connect(any_url) as db:
        report = db.run(sessions_policy(), limits=limits, pacer=pacer)
    assert report.exit_code == 3
    assert report.stop_reason == "pacer: RuntimeError: month's end closing"
    assert report.policies[0]["chunks"] == 1
    assert len(survivors(checker)) == ROWS - report.rows_deleted


@pytest.mark.parametrize("answer", [-1, float("nan"), "soon"])
def test_a_pacer_that_answers_nonsense_stops_the_run(
    answer: Any, sqlite_url: str, admin: Callable[[str], Connection]
) -> None:
    make_sessions(admin(sqlite_url), sqlite_url, [now_s() - 5 * HOUR_S] * 200)
    limits = pk.Limits(max_fraction=1, max_rows_per_s=50)
    with pk.connect(sqlite_url) as db:
        report = db.run(sessions_policy(), limits=limits, pacer=lambda _: answer)
    assert report.exit_code == 3
    assert str(report.stop_reason).startswith("pacer: ")


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + BOUND_S
    while not what():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def test_a_run_in_progress_is_paused_and_resumed(
    sqlite_url: str, tmp_path: Path, admin: Callable[[str], Connection]
) -> None:
    connection = admin(sqlite_url)
    make_sessions(connection, sqlite_url, [now_s() - 5 * HOUR_S] * 20 * BOUND_S)
    runs = Path(os.environ["PURGEKIT_STATE"]) / "runs"
    slow = command(sqlite_url, policy_file(tmp_path), "--max-rows-per-s", "20")
    purge = subprocess.Popen(slow, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: bool(list(runs.glob("[!.]*.json"))))
        run_id = next(runs.glob("[!.]*.json")).stem
        tell = [sys.executable, "-m", "purgekit", "tune", run_id]
        said = subprocess.run([*tell, "--pause", "--chunk-ms", "40"], capture_output=True, text=True, check=True)
        assert "chunks of 40 ms, paused" in said.stderr
        left = [-1]

        def stands_still() -> bool:
            before = left[0]
            time.sleep(2)  # twice as long as between two chunks
            left[0] = len(survivors(connection))
            return left[0] == before

        until(stands_still)
        assert left[0] > 0
        subprocess.run([*tell, "--resume"], capture_output=True, check=True)
        until(lambda: len(survivors(connection)) < left[0])
        purge.send_signal(signal.SIGINT)
        report = json.loads(purge.communicate(timeout=BOUND_S)[0])
    finally:
        purge.kill()
        purge.communicate()
    assert report["exit_code"] == 3
    assert report["policies"][0]["waits"]["paused"] > 1
    assert not list((runs.parent / "tune").glob("*")), "the run clears its file away"
    shown = subprocess.run(
        [sys.executable, "-m", "purgekit", "history", run_id], capture_output=True, text=True, check=True
    ).stdout
    assert re.search(r"sessions waited .*paused \d", shown)


RUN = "20261122T070000000Z-abcdef"


@pytest.fixture
def control(monkeypatch: pytest.MonkeyPatch) -> Iterator[pk._core.RunControl]:
    """Of a run that is on, as far as the state folder knows."""
    monkeypatch.setattr("purgekit.tune.LOOK_EVERY_S", 0.02)
    RunStore().begin(RUN, "a database", ["sessions"])
    made = pk._core.RunControl()
    with Tuning(RUN, made):
        yield made


def planted() -> Path:
    return Path(os.environ["PURGEKIT_STATE"]) / "tune" / f"{RUN}.json"


def test_what_a_run_is_told_it_heeds(control: pk._core.RunControl) -> None:
    tune(RUN, chunk_ms=50, paused=True)
    until(lambda: control.paused)
    assert control.chunk_ms == 50
    assert planted().stat().st_mode & 0o777 == 0o600
    tune(RUN, paused=False)
    until(lambda: not control.paused)
    assert control.chunk_ms == 50


@pytest.mark.parametrize("mode", [0o622, 0o660])
def test_a_file_that_others_could_write_is_not_heeded(
    mode: int, control: pk._core.RunControl, caplog: pytest.LogCaptureFixture
) -> None:
    tune(RUN, chunk_ms=50)
    until(lambda: control.chunk_ms == 50)
    planted().chmod(mode)
    planted().write_text(json.dumps({"schema": "purgekit.tune/1", "run_id": RUN, "paused": True}))
    until(lambda: "others could have written it" in caplog.text)
    assert not control.paused


NONSENSE = {"paused": 1}, {"chunk_ms": -5}, {"chunk_ms": "50"}, {"run_id": "another", "paused": True}, {"schema": "x"}


@pytest.mark.parametrize("document", [*NONSENSE, [], None])
def test_a_file_that_is_nonsense_is_not_heeded(
    document: Any, control: pk._core.RunControl, caplog: pytest.LogCaptureFixture
) -> None:
    if isinstance(document, dict):
        document = {"schema": "purgekit.tune/1", "run_id": RUN, **document}
    tune(RUN, chunk_ms=50)
    until(lambda: control.chunk_ms == 50)
    planted().write_text(json.dumps(document) if document is not None else "{")
    until(lambda: "is not heeded" in caplog.text)
    assert not control.paused
    assert control.chunk_ms == 50


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["nobody", "--pause"], "no run nobody is known"),
        (["nobody"], "nothing to change"),
        (["nobody", "--pause", "--resume"], "exclude each other"),
        (["nobody", "--chunk-ms", "0"], "chunk_ms"),
    ],
)
def test_what_can_not_be_tuned_is_refused(options: list[str], why: str) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "purgekit", "tune", *options], capture_output=True, text=True, check=False
    )
    assert said.returncode == 2
    assert why in said.stderr
    assert len(said.stderr.strip().splitlines()) == 1


def test_a_run_that_has_ended_is_not_tuned(sqlite_url: str, admin: Callable[[str], Connection]) -> None:
    make_sessions(admin(sqlite_url), sqlite_url, [now_s() - 5 * HOUR_S])
    with pk.connect(sqlite_url) as db:
        report = db.run(sessions_policy(), limits=pk.Limits(max_fraction=1))
    with pytest.raises(pk.PurgeRefused, match="is not running: it is completed"):
        tune(report.run_id, paused=True)
    assert TABLE in report.policies[0]["table"]


@pytest.mark.parametrize("problem", ["dies at once", "can't start"])
def test_a_run_does_without_the_thread_that_looks(
    problem: str, sqlite_url: str, admin: Callable[[str], Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when memory is short: the run neither waits for the thread nor fails for want of it."""

    def start(*_arguments: object) -> int:
        if problem == "can't start":
            raise RuntimeError("can't start new thread")
        return 0

    monkeypatch.setattr("purgekit.tune._thread.start_new_thread", start)
    make_sessions(admin(sqlite_url), sqlite_url, [now_s() - 5 * HOUR_S] * 50)
    with pk.connect(sqlite_url) as db:
        assert db.run(sessions_policy(), limits=pk.Limits(max_fraction=1)).rows_deleted == 50
