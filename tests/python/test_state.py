"""Run history on this machine."""

import contextlib
import json
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

import pytest

from purgekit.state import MOST_FLIGHTS, RunStore, _this_process, new_run_id, state_folder

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


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("mask", [0, 0o022, 0o077])
def test_only_the_owner_may_look(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        store = RunStore(tmp_path / "home" / "state")
        store.begin("r", "d", [])
        store.end("r", REPORT)
        store.write_flight("r", {})
    folders = [tmp_path / "home", tmp_path / "home" / "state", store.folder, store.folder.parent / "flights"]
    assert [mode(folder) for folder in folders] == [0o700] * 4
    assert [mode(path) for path in (tmp_path / "home").rglob("*.json")] == [0o600] * 2


def test_a_looser_folder_of_ours_is_tightened(tmp_path: Path) -> None:
    root = tmp_path / "state"
    RunStore(root).begin("old", "d", [])
    old = root / "runs" / "old.json"
    for path in (root, root / "runs", old):
        path.chmod(0o777)
    RunStore(root).begin("new", "d", [])
    assert [mode(root), mode(root / "runs"), mode(old)] == [0o700, 0o700, 0o600]


def test_a_folder_with_files_of_others_is_not_changed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "letter").write_text("")
    tmp_path.chmod(0o755)
    RunStore(tmp_path).begin("r", "d", [])
    assert (mode(tmp_path), mode(tmp_path / "runs")) == (0o755, 0o700)
    tmp_path.chmod(0o777)
    RunStore(tmp_path).begin("s", "d", [])
    assert "anyone may write to it" in caplog.text
    assert mode(tmp_path) == 0o777
    assert [run["run_id"] for run in RunStore(tmp_path).runs()] == ["r"]


def test_a_folder_of_another_user_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    if os.geteuid() == 0:
        (tmp_path / "state").mkdir()
        os.chown(tmp_path / "state", 12_345, -1)
        root = tmp_path / "state"
    else:
        root = Path("/")
    RunStore(root).begin("r", "d", [])
    assert "another user" in caplog.text
    assert not (root / "runs").exists()


def test_planted_links_and_pipes_are_not_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = RunStore(tmp_path / "state")
    store.begin("other", "d", [])
    victim = tmp_path / "victim"
    victim.write_text('{"run_id": "r"}')
    (store.folder / "r.json").symlink_to(victim)
    os.mkfifo(store.folder / "pipe.json")
    assert store.read("r") is None
    assert store.read("pipe") is None
    assert [run["run_id"] for run in store.runs()] == ["other"]
    store.begin("r", "d", [])
    store.end("r", REPORT)
    assert victim.read_text() == '{"run_id": "r"}'
    assert not (store.folder / "r.json").is_symlink()
    (store.folder.parent / "flights").symlink_to(tmp_path)
    assert store.write_flight("r", {}) is None
    assert not (tmp_path / "r.json").exists()
    assert "r.json" in caplog.text


def test_run_of_a_process_that_is_gone_was_interrupted(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.begin("r", "d", [])
    path = store.folder / "r.json"
    record = json.loads(path.read_text())
    record["process"]["pid"] = 2**22 + 1  # above what Linux gives out
    path.write_text(json.dumps(record))
    assert store.runs()[0]["status"] == "interrupted"
    record["process"] = {**_this_process(), "started": "1"}  # the number was given out again
    path.write_text(json.dumps(record))
    assert store.runs()[0]["status"] == "interrupted"


def test_a_run_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.begin("r", "d", ["p"])
    record = json.loads((store.folder / "r.json").read_text())
    old = {key: record[key] for key in ("run_id", "started_utc", "database", "status", "policies", "host")}
    old |= {"pid": 2**22 + 1, "exit_code": None, "rows_deleted": 0, "rows_archived": 0}
    (store.folder / "r.json").write_text(json.dumps(old))
    assert store.runs()[0]["status"] == "interrupted"


def test_a_record_of_a_newer_version_is_shown_and_never_rewritten(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = RunStore(tmp_path)
    store.begin("r", "d", ["p"])
    path = store.folder / "r.json"
    newer = {"schema": "purgekit.state/2", "run_id": "r", "status": {"of": "a kind"}, "rows_deleted": 5}
    path.write_text(json.dumps(newer))
    store.progress("r", 9)
    store.end("r", REPORT)
    store.settle("r", {"rows_deleted": 1})
    assert json.loads(path.read_text()) == newer
    (shown,) = store.runs()
    assert (shown["status"], shown["rows_deleted"], shown["policies"]) == ("newer", 5, None)
    assert "newer version" in caplog.text


def test_progress_is_what_a_killed_run_shows_until_the_ledger_is_asked(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.begin("r", "db", ["p"], "ledger")
    store.progress("r", 40)
    path = store.folder / "r.json"
    record = json.loads(path.read_text())
    record["process"]["pid"] = 2**22 + 1
    path.write_text(json.dumps(record))
    (shown,) = store.runs()
    assert (shown["status"], shown["rows_deleted"]) == ("interrupted", 40)
    assert store.unsettled("db", "other ledger") == []
    assert store.unsettled("db", "ledger") == ["r"]
    store.settle("r", {"rows_deleted": 45, "rows_archived": "nonsense"})
    assert store.unsettled("db", "ledger") == []
    (shown,) = store.runs()
    assert (shown["status"], shown["exit_code"], shown["rows_deleted"]) == ("interrupted", 1, 45)


def test_many_writers_at_once(tmp_path: Path) -> None:
    def one(number: int) -> None:
        store = RunStore(tmp_path / "state")
        store.begin(f"r{number:03}", "d", ["p"])
        for rows in range(20):
            store.progress(f"r{number:03}", rows)
        store.end(f"r{number:03}", {**REPORT, "rows_deleted": number})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(40)))
    runs = RunStore(tmp_path / "state").runs()
    assert [run["rows_deleted"] for run in runs] == list(range(39, -1, -1))
    assert not list((tmp_path / "state" / "runs").glob("*.part"))


def test_the_newest_flights_are_kept(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    for number in range(MOST_FLIGHTS + 5):
        path = store.write_flight(f"r{number:03}", {"number": number})
    assert path is not None
    names = sorted(entry.name for entry in path.parent.iterdir())
    assert names == [f"r{number:03}.json" for number in range(5, MOST_FLIGHTS + 5)]
    assert store.read_flight("r054") == {"number": 54}
    assert store.read_flight("r000") is None


def test_corrupt_files_are_named_and_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = RunStore(tmp_path)
    store.begin("good", "d", [])
    for name, text in (
        ("bad1", "{"),
        ("bad2", "[]"),
        ("bad3", '{"run_id": "other"}'),
        ("bad4", "[" * 100_000),
        ("bad6", '{"run_id": "bad6", "rows_deleted": "many"}'),
        ("bad7", '{"run_id": "bad7", "rows_deleted": -1, "policies": "p"}'),
    ):
        (store.folder / f"{name}.json").write_text(text)
    (store.folder / "bad5.json").write_bytes(b"\xff")
    assert [run["run_id"] for run in store.runs()] == ["good"]
    assert all(f"bad{i}.json" in caplog.text for i in range(1, 8))
    assert len(list(store.folder.iterdir())) == 8, "all are kept"


def test_folder_that_cannot_be_written_is_only_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    store = RunStore(tmp_path / "file")
    store.begin("r", "d", [])
    store.progress("r", 5)
    store.end("r", REPORT)
    assert store.write_flight("r", {}) is None
    assert caplog.text.count("PURGEKIT_STATE") == 1, "said once"
    assert store.runs() == []


def test_run_id_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "state")
    (tmp_path / "x.json").write_text('{"run_id": "x"}')
    assert store.read("../../x") is None
    assert store.read("..") is None
    assert store.read("x" * 5_000) is None


def test_where_the_folder_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert state_folder() == Path(os.environ["PURGEKIT_STATE"])
    monkeypatch.delenv("PURGEKIT_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder() == tmp_path / "purgekit"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_folder() == tmp_path / ".local" / "state" / "purgekit"
