"""Run history on this machine."""

import json
import os
import stat
from datetime import datetime, timezone
from pathlib import Path

import pytest

from purgekit.state import RunStore, new_run_id, state_folder

REPORT = {"status": "completed", "exit_code": 0, "rows_deleted": 7, "rows_archived": 0}


def test_run_ids_sort_by_time() -> None:
    first = new_run_id(datetime(2026, 11, 21, 10, 11, 12, 345_678, tzinfo=timezone.utc))
    second = new_run_id(datetime(2026, 11, 21, 10, 11, 12, 346_000, tzinfo=timezone.utc))
    assert first.startswith("20261121T101112345Z-")
    assert first < second


def test_a_run_from_beginning_to_end(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "state")
    store.begin("20261121T101112345Z-aa", "sqlite:///x.db", ["p"])
    (running,) = store.runs()
    assert (running["status"], running["exit_code"], running["policies"]) == ("running", None, ["p"])
    store.end("20261121T101112345Z-aa", REPORT)
    store.begin("20261121T101112346Z-bb", "sqlite:///x.db", ["p"])
    newest, ended = store.runs()
    assert newest["run_id"].endswith("bb")
    assert (ended["status"], ended["rows_deleted"], ended["database"]) == ("completed", 7, "sqlite:///x.db")
    record = store.read(ended["run_id"])
    assert record is not None
    assert record["report"] == REPORT


def test_only_the_owner_may_look(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "state")
    store.begin("r", "d", [])
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in store.folder.iterdir()] == [0o600]


def test_run_of_a_process_that_is_gone_was_interrupted(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.begin("r", "d", [])
    path = store.folder / "r.json"
    record = json.loads(path.read_text())
    record["pid"] = 2**22 + 1  # above what Linux gives out
    path.write_text(json.dumps(record))
    assert store.runs()[0]["status"] == "interrupted"


def test_corrupt_files_are_named_and_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = RunStore(tmp_path)
    store.begin("good", "d", [])
    for name, text in (("bad1", "{"), ("bad2", "[]"), ("bad3", '{"run_id": "other"}'), ("bad4", "[" * 100_000)):
        (store.folder / f"{name}.json").write_text(text)
    (store.folder / "bad5.json").write_bytes(b"\xff")
    assert [run["run_id"] for run in store.runs()] == ["good"]
    assert all(f"bad{i}.json" in caplog.text for i in range(1, 6))


def test_folder_that_cannot_be_written_is_only_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    store = RunStore(tmp_path / "file")
    store.begin("r", "d", [])
    assert "PURGEKIT_STATE" in caplog.text
    assert store.runs() == []


def test_run_id_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "state")
    (tmp_path / "x.json").write_text('{"run_id": "x"}')
    assert store.read("../../x") is None


def test_where_the_folder_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert state_folder() == Path(os.environ["PURGEKIT_STATE"])
    monkeypatch.delenv("PURGEKIT_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder() == tmp_path / "purgekit"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_folder() == tmp_path / ".local" / "state" / "purgekit"
