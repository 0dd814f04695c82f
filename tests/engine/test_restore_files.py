"""``restore`` out of archive files: checked, loaded into archive tables, and back from there, each row once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk
from command import purgekit
from engine.archived import archive_files
from engine.restores import CHILD, all_rows, archive_of, execute, marks, notes, purged_to_files, rows, suffix
from engine.tables import HOUR_S, TABLE, make_sessions, now_s, sessions_policy
from servers import Connection

Admin = Callable[[str], Connection]


def test_what_was_deleted_comes_back(any_url: str, admin: Admin, tmp_path: Path) -> None:
    db_ = admin(any_url)
    run_id, before = purged_to_files(db_, any_url, tmp_path / "kept", 400, chunk_ms=2)
    events: list[dict[str, Any]] = []
    with pk.connect(any_url) as db:
        report = db.restore(run_id, on_progress=events.append)
        again = db.restore(run_id)
        history = {run["run_id"]: run for run in db.history()}
    assert all_rows(db_) == before
    assert (report.status, report.rows_loaded, report.rows_restored) == ("completed", 300, 300)
    (table,) = report.tables
    assert (table["rows_loaded"], table["archive"].split(".")[-1].upper()) == (300, f"PURGEKIT_ARCHIVE_{TABLE}")
    assert max(event["rows_loaded"] for event in events if event["rows_restored"] == 0) == 300, "loaded first"
    assert events[-1]["rows_restored"] == 300
    assert len(marks(db_, any_url)) == 300, "what was loaded stays, as the archive"
    assert all(chunk < 0 for chunk in marks(db_, any_url))
    assert (again.status, again.rows_loaded, again.rows_restored) == ("completed", 0, 0)
    assert len(marks(db_, any_url)) == 300
    assert history[report.run_id]["rows_restored"] == 300
    with pk.connect(any_url) as db:
        plan = db.plan(sessions_policy(archive="table")).to_dict()
    assert plan["policies"][0]["archive"], "the table is one that --archive table takes"


def test_the_archived_instant_is_that_of_the_files(any_url: str, admin: Admin, tmp_path: Path) -> None:
    db_ = admin(any_url)
    run_id, before = purged_to_files(db_, any_url, tmp_path / "kept")
    with pk.connect(any_url) as db:
        assert db.restore(run_id, until="2020-01-01T00:00:00Z").rows_restored == 0
        assert db.restore(run_id, since="2100-01-01T00:00:00Z").rows_restored == 0
        report = db.restore(run_id, since="2020-01-01T00:00:00Z", until="2100-01-01T00:00:00Z")
    assert (report.rows_loaded, report.rows_restored) == (0, 45), "loaded by the first"
    assert all_rows(db_) == before


def test_files_were_moved(any_url: str, admin: Admin, tmp_path: Path) -> None:
    db_ = admin(any_url)
    run_id, before = purged_to_files(db_, any_url, tmp_path / "kept")
    execute(db_, "UPDATE purgekit_ledger SET document = '{}' WHERE kind = 'slot'")  # from here on the manifest tells
    (path,) = archive_files(tmp_path / "kept")
    shutil.move(tmp_path / "kept", tmp_path / "elsewhere")
    with pk.connect(any_url) as db:
        with pytest.raises(pk.PurgekitError, match="--from") as missing:
            db.restore(run_id)
        assert missing.value.code == "archive_io"
        assert all_rows(db_) != before
        inside = tmp_path / "elsewhere" / path.parent.parent.name
        assert db.restore(run_id, archive=inside, where={"ID": 2}).rows_restored == 1
    done = purgekit("restore", any_url, run_id, "--from", str(tmp_path / "elsewhere"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows_restored"] == 44
    assert all_rows(db_) == before
    assert len(notes(db_)) == 1, "on hold"


@pytest.mark.parametrize("on_conflict", ["refuse", "skip", "replace"])
def test_conflicts(any_url: str, admin: Admin, tmp_path: Path, on_conflict: str) -> None:
    db_ = admin(any_url)
    run_id, before = purged_to_files(db_, any_url, tmp_path / "kept")
    execute(db_, f"INSERT INTO {TABLE} (ID, EXPIRES, NOTE) VALUES (2, 7, 'newer')")
    with pk.connect(any_url) as db:
        if on_conflict == "refuse":
            with pytest.raises(pk.PurgeFailed, match="1 archived rows") as failed:
                db.restore(run_id)
            assert failed.value.code == "conflict"
            assert failed.value.restored is not None
            assert (failed.value.restored.rows_loaded, failed.value.restored.rows_restored) == (45, 0)
            execute(db_, f"DELETE FROM {TABLE} WHERE ID = 2")
            report = db.restore(run_id)
            assert (report.rows_loaded, report.rows_restored) == (0, 45)
            assert all_rows(db_) == before
            return
        report = db.restore(run_id, on_conflict=on_conflict)
    assert report.rows_skipped == (1 if on_conflict == "skip" else 0)
    assert (all_rows(db_) == before) == (on_conflict == "replace")


def test_a_subject_with_its_children(any_url: str, admin: Admin, tmp_path: Path) -> None:
    db_ = admin(any_url)
    make_sessions(db_, any_url, [now_s() + (HOUR_S if n % 2 == 0 else -5 * HOUR_S) for n in range(40)])
    execute(db_, f"ALTER TABLE {TABLE} ADD COLUMN USER_ID VARCHAR(20)")
    for user in range(3):
        numbers = ", ".join(str(n) for n in range(1, 41) if n % 3 == user)
        execute(db_, f"UPDATE {TABLE} SET USER_ID = 'u{user}' WHERE ID IN ({numbers})")
    execute(db_, f"CREATE TABLE {CHILD} (N INTEGER PRIMARY KEY, SESSION_ID BIGINT){suffix(any_url)}")
    values = ", ".join(f"({n}, {n // 2 + 1})" for n in range(80))
    execute(db_, f"INSERT INTO {CHILD} (N, SESSION_ID) VALUES {values}")
    before = all_rows(db_, TABLE, "ID, USER_ID"), all_rows(db_, CHILD, "N, SESSION_ID")
    child = pk.dependent(CHILD, on={"SESSION_ID": "ID"}, unless_referenced=False)
    with pk.connect(any_url) as db:
        run_id = db.run(sessions_policy(dependents=[child]), archive=tmp_path / "kept").run_id
        report = db.restore(run_id, where={"ID": 2}, table=TABLE)
        assert (report.rows_loaded, report.rows_restored) == (20, 1), "of the other table nothing is loaded"
        with pytest.raises(Exception):  # noqa: B017 - each driver has its own
            rows(db_, f"SELECT 1 FROM {archive_of(any_url, CHILD)}")
        report = db.restore(run_id, where={"user_id": "u1"})
        back = {n for n in range(2, 41, 2) if n % 3 == 1}
        assert [entry["rows_restored"] for entry in report.tables] == [len(back), 2 * len(back)]
        assert [entry["rows_loaded"] for entry in report.tables] == [0, 40]
        with pytest.raises(pk.PolicyError, match=r"did you mean (USER_ID|user_id)"):
            db.restore(run_id, where={"USR_ID": "u1"})
        with pytest.raises(pk.PurgekitError, match=r"no row of the tables wanted|kept no rows"):
            db.restore(run_id, table="purgekit_ledger")
        with pytest.raises(pk.PolicyError, match="did you mean sessions"):
            db.restore(run_id, policy="session")
        db.restore(run_id, policy="sessions")
    assert (all_rows(db_, TABLE, "ID, USER_ID"), all_rows(db_, CHILD, "N, SESSION_ID")) == before


def test_parents_come_back_before_their_children(any_url: str, admin: Admin, tmp_path: Path) -> None:
    """One policy's rows lie in a table, the other's in files."""
    db_ = admin(any_url)
    make_sessions(db_, any_url, [now_s() + (HOUR_S if n % 2 == 0 else -5 * HOUR_S) for n in range(40)])
    execute(
        db_,
        f"CREATE TABLE {CHILD} (N INTEGER PRIMARY KEY, SESSION_ID BIGINT, ENDS BIGINT, "
        f"FOREIGN KEY (SESSION_ID) REFERENCES {TABLE} (ID)){suffix(any_url)}",
    )
    values = ", ".join(f"({n}, {n // 2 + 1}, {1_000_000_000 if n // 2 % 2 else now_s() + HOUR_S})" for n in range(80))
    execute(db_, f"INSERT INTO {CHILD} (N, SESSION_ID, ENDS) VALUES {values}")
    if any_url.startswith("sqlite"):
        execute(db_, "PRAGMA foreign_keys = ON")
    before = all_rows(db_), all_rows(db_, CHILD, "N, SESSION_ID, ENDS")
    apps = pk.Policy("apps", table=CHILD, where=pk.expired("ENDS", unit="s"), archive=f"{tmp_path}/kept/")
    with pk.connect(any_url) as db:
        run = db.run([apps, sessions_policy(archive="table")])
        assert (run.rows_deleted, run.exit_code) == (60, 0)
        report = db.restore(run.run_id)
    assert [entry["rows_restored"] for entry in report.tables] == [20, 40]
    assert [entry["rows_loaded"] for entry in report.tables] == [0, 40]
    assert (all_rows(db_), all_rows(db_, CHILD, "N, SESSION_ID, ENDS")) == before


def test_a_stopped_run_and_the_one_that_went_on_with_its_files(any_url: str, admin: Admin, tmp_path: Path) -> None:
    db_ = admin(any_url)
    make_sessions(db_, any_url, [now_s() + (HOUR_S if n % 4 == 0 else -5 * HOUR_S) for n in range(400)])
    execute(db_, f"CREATE TABLE {CHILD} (N INTEGER PRIMARY KEY, SESSION_ID BIGINT){suffix(any_url)}")
    execute(db_, f"INSERT INTO {CHILD} (N, SESSION_ID) SELECT ID, ID FROM {TABLE}")
    before = all_rows(db_), all_rows(db_, CHILD, "N, SESSION_ID")
    child = pk.dependent(CHILD, on={"SESSION_ID": "ID"}, unless_referenced=False)
    policy = sessions_policy(dependents=[child])
    with pk.connect(any_url) as db:
        first = db.run(policy, archive=tmp_path / "kept", limits=pk.Limits(chunk_ms=2, max_rows=150))
        assert first.status == "stopped"
        parts = archive_files(tmp_path / "kept", finished=False)
        assert len(parts) == 2
        for path in parts:
            with path.open("ab") as file:
                file.write(b"what was never committed")
        report = db.restore(first.run_id, where={"ID": 2}, hold=False)
        assert (report.rows_loaded, report.rows_restored) == (first.rows_deleted, 2)
        second = db.run(policy, archive=tmp_path / "kept", limits=pk.Limits(chunk_ms=2))
        assert second.rows_deleted + first.rows_deleted == 602
        assert len(archive_files(tmp_path / "kept")) == 2, "both runs wrote into the same files"
        loaded = db.restore(second.run_id, hold=False)
        assert (loaded.rows_loaded, loaded.rows_restored) == (second.rows_deleted, second.rows_deleted)
        rest = db.restore(first.run_id, on_conflict="skip", hold=False)
    assert rest.rows_loaded == 0
    assert rest.rows_restored == first.rows_deleted - 2
    assert (all_rows(db_), all_rows(db_, CHILD, "N, SESSION_ID")) == before


def test_several_workers_and_policies(server_url: str, admin: Admin, tmp_path: Path) -> None:
    db_ = admin(server_url)
    make_sessions(db_, server_url, [now_s() + (HOUR_S if n % 4 == 0 else -5 * HOUR_S) for n in range(20_000)])
    before = all_rows(db_)
    early = pk.Policy("early", table=TABLE, where=pk.expired("EXPIRES", unit="s") & (pk.col("ID") < 5_000))
    with pk.connect(server_url) as db:
        run = db.run(
            [early, sessions_policy()], archive=tmp_path / "kept", limits=pk.Limits(chunk_ms=50, workers=3)
        )
        assert run.rows_deleted == 15_000
        with pytest.raises(pk.PurgeRefused, match="name both"):
            db.restore(run.run_id, policy="early")
        report = db.restore(run.run_id)
    assert (report.rows_loaded, report.rows_restored) == (15_000, 15_000)
    assert all_rows(db_) == before


def test_stopped_while_loading(any_url: str, admin: Admin, tmp_path: Path) -> None:
    db_ = admin(any_url)
    run_id, before = purged_to_files(db_, any_url, tmp_path / "kept", 2_000, chunk_ms=1)
    control = pk.RunControl()
    with pk.connect(any_url) as db:
        report = db.restore(run_id, control=control, on_progress=lambda _: control.stop("enough"))
        assert (report.status, report.stop_reason, report.exit_code) == ("stopped", "enough", 3)
        assert report.rows_restored == 0
        assert 0 < report.rows_loaded == len(marks(db_, any_url)) < 1_500
        rest = db.restore(run_id)
    assert report.rows_loaded + rest.rows_loaded == 1_500
    assert all_rows(db_) == before


def test_a_column_was_added(any_url: str, admin: Admin, tmp_path: Path) -> None:
    db_ = admin(any_url)
    run_id, before = purged_to_files(db_, any_url, tmp_path / "kept")
    execute(db_, f"ALTER TABLE {TABLE} ADD COLUMN PLAIN BIGINT")
    execute(db_, f"ALTER TABLE {TABLE} ADD COLUMN FILLED BIGINT DEFAULT 7 NOT NULL")
    with pk.connect(any_url) as db:
        assert db.restore(run_id).rows_restored == 45
    assert all_rows(db_) == before
    assert {(row[1], row[2]) for row in all_rows(db_, TABLE, "ID, PLAIN, FILLED")} == {(None, 7)}
