"""``restore``: what a run has archived comes back as it was, each row once, on every database."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

import purgekit as pk
from command import purgekit
from engine.restores import CHILD, all_rows, archive_of, execute, marks, notes, purged, rows, suffix
from engine.tables import HOUR_S, TABLE, make_sessions, mark, now_s, sessions_policy
from purgekit.testing.session import open_session
from servers import Connection

Admin = Callable[[str], Connection]


def test_what_was_deleted_comes_back(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    run_id, before = purged(db_, any_url, 400, chunk_ms=2)
    assert len(all_rows(db_)) == 100
    events: list[dict[str, Any]] = []
    with pk.connect(any_url) as db:
        report = db.restore(run_id, on_progress=events.append)
        again = db.restore(run_id)
        history = {run["run_id"]: run for run in db.history()}
    assert all_rows(db_) == before
    assert (report.status, report.exit_code, report.rows_restored, report.rows_skipped) == ("completed", 0, 300, 0)
    assert report.tables[0]["table"].upper().endswith(TABLE)
    assert report.tables[0]["chunks"] == len(events) == len({abs(chunk) for chunk in marks(db_, any_url)})
    assert events[-1]["rows_restored"] == 300
    assert len(marks(db_, any_url)) == 300, "the archive keeps what it has"
    assert all(chunk < 0 for chunk in marks(db_, any_url))
    assert (again.status, again.rows_restored, again.tables[0]["chunks"]) == ("completed", 0, 0)
    told = history[report.run_id]
    assert (told["kind"], told["status"], told["rows_restored"], told["rows_deleted"]) == (
        "restore",
        "completed",
        300,
        0,
    )
    assert (history[run_id]["kind"], history[run_id]["rows_deleted"]) == ("purge", 300)


def test_rows_are_put_on_hold(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    run_id, before = purged(db_, any_url)
    of_table = "FROM purgekit_ledger WHERE kind = 'slot' AND id <> 'purge_keys:holds'"
    (epoch,) = rows(db_, f"SELECT epoch {of_table}")[0]
    with pk.connect(any_url) as db:
        report = db.restore(run_id)
    ((hold_id, hold),) = notes(db_).items()
    assert report.tables[0]["hold"] == hold_id
    assert len(hold_id) <= 64
    assert hold["schema"] == "purgekit.hold/1"
    assert hold["form"] == "table"
    assert hold["table"].upper().endswith(TABLE)
    reference = hold["rule"]["referenced_by"]
    assert reference["table"].upper().endswith(f"PURGEKIT_ARCHIVE_{TABLE}")
    assert reference["on"][0][0].upper() == reference["on"][0][2].upper() == "ID"
    assert "purgekit_chunk" in json.dumps(reference["where"])
    assert run_id in hold["reason"]
    assert rows(db_, f"SELECT epoch {of_table}") == [(epoch + 1,)]
    assert all_rows(db_) == before


def test_without_a_hold_the_next_purge_takes_them_again(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    run_id, before = purged(db_, any_url)
    with pk.connect(any_url) as db:
        assert db.restore(run_id, hold=False).tables[0]["hold"] is None
        assert notes(db_) == {}
        second = db.run(sessions_policy(archive="table"))
        assert second.rows_deleted == 45
        db.restore(second.run_id)
    assert all_rows(db_) == before
    assert len(marks(db_, any_url)) == 90


@pytest.mark.parametrize("on_conflict", ["refuse", "skip", "replace"])
def test_conflicts(any_url: str, admin: Admin, on_conflict: str) -> None:
    db_ = admin(any_url)
    run_id, before = purged(db_, any_url)
    execute(db_, f"INSERT INTO {TABLE} (ID, EXPIRES, NOTE) VALUES (2, 7, 'newer')")
    there = all_rows(db_)
    with pk.connect(any_url) as db:
        if on_conflict == "refuse":
            with pytest.raises(
                pk.PurgeRefused, match=r"1 archived rows of table (SESSIONS|sessions) .*nothing of"
            ) as refused:
                db.restore(run_id)
            assert refused.value.code == "conflict"
            assert all_rows(db_) == there
            assert all(chunk > 0 for chunk in marks(db_, any_url))
            assert notes(db_) == {}
            assert len(db.history()) == 1
            return
        report = db.restore(run_id, on_conflict=on_conflict)
        if on_conflict == "replace":
            assert (report.rows_restored, report.rows_skipped, report.exit_code) == (45, 0, 0)
            assert all_rows(db_) == before
            return
        assert (report.rows_restored, report.rows_skipped, report.exit_code) == (44, 1, 4)
        assert all_rows(db_) == sorted([*(row for row in before if row[0] != 2), (2, 7, "newer")])
        assert [chunk > 0 for chunk in marks(db_, any_url)].count(True) == 1
        execute(db_, f"DELETE FROM {TABLE} WHERE ID = 2")
        assert db.restore(run_id).rows_restored == 1
    assert all_rows(db_) == before


def test_conflicts_in_another_unique_index(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    run_id, before = purged(db_, any_url)
    for table in (TABLE, archive_of(any_url)):
        execute(db_, f"UPDATE {table} SET EXPIRES = ID")
    execute(db_, f"CREATE UNIQUE INDEX U_EXPIRES ON {TABLE} (EXPIRES)")
    execute(db_, f"INSERT INTO {TABLE} (ID, EXPIRES, NOTE) VALUES (1000, 2, 'there')")
    with pk.connect(any_url) as db:
        for on_conflict in ("refuse", "replace"):
            with pytest.raises(pk.PurgeRefused, match="1 archived rows") as refused:
                db.restore(run_id, on_conflict=on_conflict)
            assert refused.value.code == "conflict"
        report = db.restore(run_id, on_conflict="skip")
    assert (report.rows_restored, report.rows_skipped) == (44, 1)
    assert {row[0] for row in all_rows(db_)} == ({row[0] for row in before} | {1000}) - {2}


def family(db_: Connection, url: str, *, referring: bool) -> None:
    """Sessions of users 0 to 2 with apps; with a foreign key, apps refer to them."""
    make_sessions(db_, url, [now_s() + (HOUR_S if n % 2 == 0 else -5 * HOUR_S) for n in range(40)])
    execute(db_, f"ALTER TABLE {TABLE} ADD COLUMN USER_ID VARCHAR(20)")
    for user in range(3):
        numbers = ", ".join(str(n) for n in range(1, 41) if n % 3 == user)
        execute(db_, f"UPDATE {TABLE} SET USER_ID = 'u{user}' WHERE ID IN ({numbers})")
    key = f", FOREIGN KEY (SESSION_ID) REFERENCES {TABLE} (ID)" if referring else ""
    execute(db_, f"CREATE TABLE {CHILD} (N INTEGER PRIMARY KEY, SESSION_ID BIGINT, ENDS BIGINT{key}){suffix(url)}")
    values = ", ".join(f"({n}, {n // 2 + 1}, {1_000_000_000 if n // 2 % 2 else now_s() + HOUR_S})" for n in range(80))
    execute(db_, f"INSERT INTO {CHILD} (N, SESSION_ID, ENDS) VALUES {values}")


def test_parents_come_back_before_their_children(any_url: str, admin: Admin) -> None:
    """Two policies with a foreign key between their tables: children went first."""
    db_ = admin(any_url)
    family(db_, any_url, referring=True)
    if any_url.startswith("sqlite"):
        execute(db_, "PRAGMA foreign_keys = ON")
    before = all_rows(db_), all_rows(db_, CHILD, "N, SESSION_ID, ENDS")
    apps = pk.Policy("apps", table=CHILD, where=pk.expired("ENDS", unit="s"))
    with pk.connect(any_url) as db:
        run = db.run([apps, sessions_policy()], archive="table", limits=pk.Limits(chunk_ms=2))
        assert (run.rows_deleted, run.exit_code) == (60, 0)
        with pytest.raises(pk.PurgeRefused, match="refer to rows that are not there") as refused:
            db.restore(run.run_id, policy="apps")
        assert refused.value.code == "foreign_key"
        report = db.restore(run.run_id)
    assert [entry["table"].upper().split(".")[-1] for entry in report.tables] == [TABLE, CHILD]
    assert [entry["rows_restored"] for entry in report.tables] == [20, 40]
    assert (all_rows(db_), all_rows(db_, CHILD, "N, SESSION_ID, ENDS")) == before


def test_a_subject_with_its_children(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    family(db_, any_url, referring=False)
    before = all_rows(db_, TABLE, "ID, USER_ID"), all_rows(db_, CHILD, "N, SESSION_ID, ENDS")
    child = pk.dependent(CHILD, on={"SESSION_ID": "ID"}, unless_referenced=False)
    with pk.connect(any_url) as db:
        run_id = db.run(sessions_policy(dependents=[child]), archive="table").run_id
        report = db.restore(run_id, where={"user_id": "u1"})
        gone = {row[0] for row in before[0] if row[0] % 2 == 0}
        back = {n for n in gone if n % 3 == 1}
        assert {row[0] for row in all_rows(db_)} == {row[0] for row in before[0]} - gone | back
        assert {row[1] for row in all_rows(db_, CHILD, "N, SESSION_ID")} == {row[1] for row in before[1]} - gone | back
        assert [entry["rows_restored"] for entry in report.tables] == [len(back), 2 * len(back)]
        assert db.restore(run_id, where={"ID": 2}, table=TABLE).rows_restored == 1
        assert db.restore(run_id, table=CHILD, where={"N": "2"}).rows_restored == 1
        assert db.restore(run_id, where={"USER_ID": None}).rows_restored == 0
        with pytest.raises(pk.PolicyError, match=r"did you mean (USER_ID|user_id)"):
            db.restore(run_id, where={"USR_ID": "u1"})
        with pytest.raises(pk.PolicyError, match="kept no rows of the tables named"):
            db.restore(run_id, table="purgekit_ledger")
        with pytest.raises(pk.PolicyError, match="did you mean sessions"):
            db.restore(run_id, policy="session")
        db.restore(run_id, policy="sessions")
    assert all_rows(db_, TABLE, "ID, USER_ID") == before[0]
    assert all_rows(db_, CHILD, "N, SESSION_ID, ENDS") == before[1]


def test_by_the_time_of_deletion(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    run_id, before = purged(db_, any_url)
    with pk.connect(any_url) as db:
        clock = datetime.fromtimestamp(db.server()["clock_utc_ns"] / 1e9, timezone.utc)
        assert db.restore(run_id, until="2020-01-01T00:00:00Z").rows_restored == 0
        assert db.restore(run_id, since=clock.replace(year=clock.year + 1)).rows_restored == 0
        assert (
            db.restore(run_id, since="2020-01-01T00:00:00Z", until=clock.replace(year=clock.year + 1)).rows_restored
            == 45
        )
    assert all_rows(db_) == before


def test_rows_that_refer_to_rows_of_their_table(any_url: str, admin: Admin) -> None:
    """A row goes before the one that it refers to, in an earlier chunk or pass; it comes back after it."""
    db_ = admin(any_url)
    execute(
        db_,
        "CREATE TABLE TREE (ID BIGINT PRIMARY KEY, PARENT BIGINT, ENDS BIGINT, "
        f"FOREIGN KEY (PARENT) REFERENCES TREE (ID)){suffix(any_url)}",
    )
    for n in range(1, 13):
        execute(db_, f"INSERT INTO TREE VALUES ({n}, {n - 1 if n % 4 != 1 else 'NULL'}, 1000000000)")
    before = rows(db_, "SELECT * FROM TREE ORDER BY ID")
    policy = pk.Policy("tree", table="TREE", where=pk.expired("ENDS", unit="s"), archive="table", max_fraction=1.0)
    with pk.connect(any_url) as db:
        run = db.run(policy)
        assert run.rows_deleted == 12
        if any_url.startswith("sqlite"):
            execute(db_, "PRAGMA foreign_keys = ON")
        report = db.restore(run.run_id)
    assert report.rows_restored == 12
    assert report.tables[0]["chunks"] > 1
    assert rows(db_, "SELECT * FROM TREE ORDER BY ID") == before


def test_stopped_and_gone_on_with(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    run_id, before = purged(db_, any_url, 2_000, chunk_ms=1)
    control = pk.RunControl()

    def stop(event: dict[str, Any]) -> None:
        if event["rows_restored"] > 0:
            control.stop("enough")

    with pk.connect(any_url) as db:
        report = db.restore(run_id, control=control, on_progress=stop)
        assert (report.status, report.stop_reason, report.exit_code) == ("stopped", "enough", 3)
        assert report.tables[0]["chunks"] == 1
        assert 0 < report.rows_restored < 1_500
        assert len(all_rows(db_)) == 500 + report.rows_restored
        rest = db.restore(run_id)
        told = {run["run_id"]: run["rows_restored"] for run in db.history() if run["kind"] == "restore"}
    assert report.rows_restored + rest.rows_restored == 1_500
    assert told == {report.run_id: report.rows_restored, rest.run_id: rest.rows_restored}
    assert all_rows(db_) == before


def test_locked_rows_are_waited_for(server_url: str, admin: Admin) -> None:
    db_ = admin(server_url)
    run_id, before = purged(db_, server_url)
    other = admin(server_url)
    execute(other, "BEGIN")
    rows(other, f"SELECT ID FROM {archive_of(server_url)} FOR UPDATE")
    with pk.connect(server_url) as db:
        with pytest.raises(pk.PurgeRefused) as refused:
            db.restore(run_id, lock_wait_ms=10, hold=False)
        assert refused.value.code == "lock_timeout"
        execute(other, "COMMIT")
        assert db.restore(run_id).rows_restored == 45
    assert all_rows(db_) == before


def test_a_purge_of_the_table_is_running(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    run_id, _ = purged(db_, any_url)
    (slot,) = rows(db_, "SELECT id FROM purgekit_ledger WHERE kind = 'slot'")
    with pk.connect(any_url) as db:
        with open_session(any_url) as holder:
            holder.lock_run(slot[0])
            report = db.restore(run_id)
        assert (report.status, report.stop_reason, report.exit_code) == ("stopped", "another_run", 3)
        assert db.restore(run_id).rows_restored == 45


def indexed(url: str, table: str) -> set[tuple[str, ...]]:
    """Columns of the table's indexes."""
    with open_session(url) as session:
        return {tuple(index["columns"]) for index in session.describe(table)["indexes"]}


def test_archives_can_be_searched_by_run_and_by_key(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    run_id, _ = purged(db_, any_url)
    name = archive_of(any_url).strip('`"')
    by_run = ("purgekit_run_id", "purgekit_chunk")
    assert indexed(any_url, f'"{name}"') == set(), "a purge would pay for it"
    with pk.connect(any_url) as db:
        report = db.restore(run_id)
    assert report.rows_restored == 45
    assert report.warnings == []
    assert {tuple(column.upper() for column in index) for index in indexed(any_url, f'"{name}"')} == {
        ("ID",),
        tuple(column.upper() for column in by_run),
    }


def test_an_archive_that_was_put_aside_can_be_made_again(any_url: str, admin: Admin) -> None:
    """In most databases its indexes keep their names."""
    db_ = admin(any_url)
    purged(db_, any_url)
    execute(db_, f"ALTER TABLE {archive_of(any_url)} RENAME TO kept_2025")
    execute(db_, f"UPDATE {TABLE} SET EXPIRES = 1000000000")
    with pk.connect(any_url) as db:
        assert db.run(sessions_policy(max_fraction=1.0, archive="table")).rows_archived == 15
    assert len(marks(db_, any_url)) == 15


def test_on_the_command_line(sqlite_url: str, admin: Admin) -> None:
    db_ = admin(sqlite_url)
    run_id, before = purged(db_, sqlite_url)
    wrong = purgekit("restore", sqlite_url, run_id[:-1] + "x", "--json")
    assert wrong.returncode == 2
    assert json.loads(wrong.stdout)["code"] == "not_found"
    assert f"did you mean {run_id}" in wrong.stderr
    for arguments, text in (
        (("--where", "ID"), "COLUMN=VALUE"),
        (("--where", "ID=1", "--where", "ID=2"), "given twice"),
        (("--on-conflict", "skp"), "did you mean skip"),
        (("--on-conflict", "replace"), "add --yes"),
        (("--where", "ID=peter"), "is no whole number"),
        (("--since", "yesterday"), "yesterday"),
    ):
        done = purgekit("restore", sqlite_url, run_id, *arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert text in done.stderr
        assert "peter" not in done.stderr
    one = purgekit("restore", sqlite_url, run_id, "--where", "ID=2", "--json")
    report = json.loads(one.stdout)
    assert (one.returncode, report["schema"], report["rows_restored"]) == (0, "purgekit.restore/1", 1)
    assert report["restored_run_id"] == run_id
    rest = purgekit("restore", sqlite_url, run_id)
    assert rest.returncode == 0
    assert "completed: 44 rows restored" in rest.stdout
    assert all_rows(db_) == before
    listed = purgekit("history", sqlite_url)
    assert f"restore of {run_id} (44 rows)" in listed.stdout.replace("\n", "")
    own = json.loads(purgekit("history", "--json").stdout)["runs"]
    assert [run["policies"] for run in own[:2]] == [[f"restore of {run_id}"]] * 2, "this machine's records, no refusals"
    shown = purgekit("history", own[0]["run_id"])
    assert "completed: 44 rows restored" in shown.stdout


def test_several_runs_in_one_archive(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    first, before = purged(db_, any_url)
    cursor = db_.cursor()
    one = mark(any_url)
    cursor.execute(f"INSERT INTO {TABLE} (ID, EXPIRES, NOTE) VALUES ({one}, {one}, {one})", (99, 1_000_000_000, "late"))
    time.sleep(0.01)  # run ids sort by time
    with pk.connect(any_url) as db:
        second = db.run(sessions_policy(archive="table")).run_id
        assert db.restore(second).rows_restored == 1
        assert {row[0] for row in all_rows(db_)} == {row[0] for row in before if row[0] % 4 == 1} | {99}
        assert db.restore(first).rows_restored == 45
    assert len(notes(db_)) == 1
