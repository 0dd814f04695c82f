"""A run that fails says what was done, what is safe and how to go on, and leaves a record of how it came to it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk
from engine.tables import HOUR_S, TABLE, make_sessions, now_s, sessions_policy, survivors
from purgekit.state import RunStore, state_folder
from servers import Connection, connect

ROWS = 2_000
POLICY = '[[policy]]\nname = "sessions"\ntable = "SESSIONS"\nexpired = { column = "EXPIRES", unit = "s" }\n'
SECRET = "s3cr3t-of-a-row"
ALL = pk.Limits(chunk_ms=1, max_fraction=1)


@pytest.fixture
def checker(sqlite_url: str) -> Iterator[Connection]:
    with closing(connect(sqlite_url)) as connection:
        make_sessions(connection, sqlite_url, [now_s() - 5 * HOUR_S] * ROWS)
        connection.cursor().execute(f"UPDATE {TABLE} SET NOTE = ?", (SECRET,))
        yield connection


class Spoil:
    """Does something to the database once, after some chunks."""

    def __init__(self, act: Callable[[], object], after_rows: int = 500) -> None:
        self.act = act
        self.after_rows = after_rows
        self.done = False

    def __call__(self, event: dict[str, Any]) -> None:
        if not self.done and event["rows_deleted"] >= self.after_rows:
            self.done = True
            self.act()


def only_run() -> dict[str, Any]:
    (run,) = RunStore().runs()
    found = RunStore().read(run["run_id"])
    assert found is not None
    return found


def flight_of(report: pk.Report) -> dict[str, Any]:
    assert report.flight is not None
    path = Path(report.flight)
    assert path == state_folder() / "flights" / f"{report.run_id}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = json.loads(path.read_text())
    assert found["schema"] == "purgekit.flight/1"
    assert found["run_id"] == report.run_id
    assert SECRET not in path.read_text()
    assert isinstance(found, dict)
    return found


def test_a_failure_tells_all_there_is_to_know(sqlite_url: str, checker: Connection) -> None:
    rename = Spoil(lambda: checker.cursor().execute(f"ALTER TABLE {TABLE} RENAME TO ELSEWHERE"))
    with pk.connect(sqlite_url) as db, pytest.raises(pk.PurgeFailed) as caught:
        db.run(sessions_policy(), limits=ALL, on_progress=rename)
    report = caught.value.report
    assert report is not None
    gone = ROWS - len(survivors(checker, "ELSEWHERE"))
    assert 0 < gone == report.rows_deleted
    message = caught.value.message
    chunks = report.policies[0]["chunks"]
    assert f"{gone} rows in {chunks} chunk" in message
    assert "deleted, committed and recorded" in message
    assert "what was not committed is rolled back" in message
    assert "run the same command again to go on from there" in message
    assert message.endswith(f"flight record: {report.flight}")
    assert only_run()["report"]["flight"] == report.flight
    flight = flight_of(report)
    assert (flight["status"], flight["rows_deleted"], flight["backend"]) == ("failed", gone, "sqlite")
    assert flight["error_code"] == report.to_dict()["error"]["code"]
    (statements,) = flight["statements"].values()
    assert any("DELETE FROM" in text and "?" in text for text in statements)
    kinds = [event["kind"] for event in flight["events"]]
    assert kinds[:2] == ["start", "takeover"]
    assert kinds[-1] == "end"
    assert "error" in kinds
    recorded = [event for event in flight["events"] if event["kind"] == "chunk"]
    assert len(recorded) == min(50, chunks)
    assert flight["events_dropped"] == max(0, chunks - 50)
    assert [event["at_s"] for event in flight["events"]] == sorted(event["at_s"] for event in flight["events"])


def test_a_callback_that_raises_loses_neither_the_count_nor_the_record(sqlite_url: str, checker: Connection) -> None:
    def give_up() -> None:
        raise LookupError(SECRET)

    with pk.connect(sqlite_url) as db, pytest.raises(LookupError):
        db.run(sessions_policy(), limits=ALL, on_progress=Spoil(give_up))
    run = only_run()
    assert run["rows_deleted"] == ROWS - len(survivors(checker)) > 0
    assert (run["status"], run["report"]["stop_reason"]) == ("stopped", "on_progress raised")
    flight = flight_of(pk.Report(run["report"]))
    assert flight["exception"]["type"] == "builtins.LookupError"
    assert any(frame.endswith("in give_up") for frame in flight["exception"]["frames"])


def test_ctrl_c_of_the_callers_own_keeps_the_count(sqlite_url: str, checker: Connection) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pk.connect(sqlite_url) as db, pytest.raises(KeyboardInterrupt):
        db.run(sessions_policy(), limits=ALL, on_progress=Spoil(interrupt))
    assert only_run()["rows_deleted"] == ROWS - len(survivors(checker)) > 0


def test_a_refusal_leaves_no_trace(sqlite_url: str, checker: Connection) -> None:
    with pk.connect(sqlite_url) as db, pytest.raises(pk.PurgeRefused):
        db.run(sessions_policy(), limits=pk.Limits(max_fraction=0.5))
    assert RunStore().runs() == []
    assert not (state_folder() / "flights").exists()
    assert len(survivors(checker)) == ROWS


def test_a_run_that_ended_well_has_no_flight_record(sqlite_url: str, checker: Connection) -> None:
    with pk.connect(sqlite_url) as db:
        report = db.run(sessions_policy(), limits=ALL)
    assert report.flight is None
    assert not (state_folder() / "flights").exists()


def test_one_that_was_fenced_out_says_who_goes_on(sqlite_url: str, checker: Connection) -> None:
    def other_run() -> None:
        checker.cursor().execute("UPDATE purgekit_ledger SET epoch = epoch + 1, run_id = 'x' WHERE kind = 'slot'")

    with pk.connect(sqlite_url) as db:
        report = db.run(sessions_policy(), limits=ALL, on_progress=Spoil(other_run))
    assert (report.exit_code, report.stop_reason) == (3, "fenced")
    assert report.rows_deleted == ROWS - len(survivors(checker))
    assert flight_of(report)["events"][-2]["code"] == "fenced"


# From here on: the command line


def command(url: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    policy = folder / "policy.toml"
    policy.write_text(
        '[[policy]]\nname = "sessions"\ntable = "SESSIONS"\nexpired = { column = "EXPIRES", unit = "s" }\n'
    )
    arguments = ["run", url, str(policy), "--yes", "--chunk-ms", "1", "--max-fraction", "1", *options]
    return cli(*arguments)


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "purgekit", *arguments], capture_output=True, text=True, check=False, env={**os.environ}
    )


def spoil_by_trigger(checker: Connection) -> None:
    # A chunk that comes to this row meets an error that trying again doesn't mend.
    cursor = checker.cursor()
    cursor.execute("CREATE TABLE audit_log (id INTEGER)")
    cursor.execute(
        f"CREATE TRIGGER t AFTER DELETE ON {TABLE} WHEN old.ID = 1900"
        " BEGIN INSERT INTO audit_log SELECT abs(-9223372036854775807 - 1); END"
    )


def damage_slot(checker: Connection) -> None:
    checker.cursor().execute("UPDATE purgekit_ledger SET seq = -1 WHERE kind = 'slot'")


FAILURES = {
    "a trigger that breaks": (spoil_by_trigger, ("deleted, committed and recorded", "run the same command again")),
    "a damaged slot": (damage_slot, ("impossible numbers", "nothing was deleted by this policy")),
}


@pytest.mark.parametrize("name", FAILURES)
def test_every_failure_says_what_was_done_what_is_safe_and_how_to_go_on(
    sqlite_url: str, checker: Connection, tmp_path: Path, name: str
) -> None:
    spoil, told = FAILURES[name]
    before = command(sqlite_url, tmp_path, "--max-rows", "10")
    assert before.returncode == 3, before.stderr
    assert "stopped by max_rows after 10 rows; run again to go on" in before.stderr
    spoil(checker)
    done = command(sqlite_url, tmp_path)
    assert done.returncode == 1, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "warning" not in line]
    for part in (*told, "flight record: "):
        assert part in line, line
    path = Path(line.rpartition("flight record: ")[2])
    flight = json.loads(path.read_text())
    shown = cli("history", flight["run_id"])
    assert shown.returncode == 0, shown.stderr
    assert "Last" in shown.stdout
    assert "code " in shown.stdout
    as_json = json.loads(cli("history", flight["run_id"], "--json").stdout)
    assert as_json["flight_record"]["run_id"] == flight["run_id"]
    assert as_json["runs"][0]["report"]["flight"] == str(path)


def test_history_of_one_run_from_the_ledger_has_its_flight_too(
    sqlite_url: str, checker: Connection, tmp_path: Path
) -> None:
    spoil_by_trigger(checker)
    assert command(sqlite_url, tmp_path).returncode == 1
    (run,) = RunStore().runs()
    found = json.loads(cli("history", sqlite_url, run["run_id"], "--json").stdout)
    assert found["runs"][0]["rows_deleted"] == ROWS - len(survivors(checker))
    assert found["flight_record"]["run_id"] == run["run_id"]


@pytest.mark.parametrize("state", ["/proc/nowhere/state", "/sys/kernel", "/dev/full", "FILE"])
def test_a_state_folder_that_cannot_be_written_costs_one_warning(
    sqlite_url: str, checker: Connection, tmp_path: Path, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "FILE").write_text("")
    monkeypatch.setenv("PURGEKIT_STATE", str(tmp_path / state))
    done = command(sqlite_url, tmp_path)
    assert done.returncode == 0, done.stderr
    assert survivors(checker) == set()
    assert done.stderr.count("run history can't be written") == 1
    assert "Traceback" not in done.stderr
    with pk.connect(sqlite_url) as db:
        assert [run["rows_deleted"] for run in db.history()] == [ROWS]


def test_a_full_disk_for_state_costs_one_warning(sqlite_url: str, checker: Connection, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() != 0:
        pytest.fail("mounting a small file system needs root, as CI has")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k,mode=700", "none", str(small)], check=True)
    try:
        (small / "filler").write_bytes(b"x" * 4096)
        done = subprocess.run(
            [sys.executable, "-m", "purgekit", "history"],
            env={**os.environ, "PURGEKIT_STATE": str(small)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        os.environ["PURGEKIT_STATE"] = str(small)
        done = command(sqlite_url, tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("run history can't be written") == 1, done.stderr
        assert "No space left" in done.stderr
        assert survivors(checker) == set()
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_killed_run_is_not_forgotten(sqlite_url: str, checker: Connection, tmp_path: Path) -> None:
    script = f"""
import os, purgekit as pk
from engine.tables import sessions_policy
def die(event):
    if event["rows_deleted"] > 300:
        os.kill(os.getpid(), 9)
pk.connect({sqlite_url!r}).run(sessions_policy(), limits=pk.Limits(chunk_ms=1, max_fraction=1), on_progress=die)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}  # for engine.tables
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, env=environment)
    assert killed.returncode == -9, killed.stderr
    (run,) = RunStore().runs()
    assert run["status"] == "interrupted"
    first = ROWS - len(survivors(checker))
    assert run["rows_deleted"] <= first
    assert "interrupted" in cli("history").stdout
    with pk.connect(sqlite_url) as db:
        report = db.run(sessions_policy(), limits=ALL)
    assert report.continues == run["run_id"]
    newest, killed_run = RunStore().runs()
    assert (killed_run["status"], killed_run["rows_deleted"], newest["rows_deleted"]) == (
        "interrupted",
        first,
        ROWS - first,
    )


def test_unreadable_ledger_document_is_not_trusted(sqlite_url: str, checker: Connection) -> None:
    with pk.connect(sqlite_url) as db:
        db.run(sessions_policy(), limits=pk.Limits(max_rows=10, max_fraction=1))
        checker.cursor().execute(
            "UPDATE purgekit_ledger SET document = ? WHERE kind = 'run'", (json.dumps({"run_id": 7}),)
        )
        assert [run["rows_deleted"] for run in db.history()] == [0]
