"""Restoring into tables that changed since, out of archives that are not what they were, with triggers in between."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import purgekit as pk
from engine.restores import all_rows, archive_of, execute, marks, notes, purged, rows, suffix
from engine.tables import HOUR_S, TABLE, make_sessions, now_s, sessions_policy
from servers import Connection

Admin = Callable[[str], Connection]


def refused(url: str, run_id: str) -> pk.PurgekitError:
    with pk.connect(url) as db, pytest.raises(pk.PurgekitError) as caught:
        db.restore(run_id)
    assert not isinstance(caught.value, pk.PurgeFailed)
    return caught.value


def test_a_column_was_added(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    run_id, before = purged(db_, any_url)
    execute(db_, f"ALTER TABLE {TABLE} ADD COLUMN PLAIN BIGINT")
    execute(db_, f"ALTER TABLE {TABLE} ADD COLUMN FILLED BIGINT DEFAULT 7 NOT NULL")
    with pk.connect(any_url) as db:
        assert db.restore(run_id).rows_restored == 45
    assert all_rows(db_) == before
    assert {(row[1], row[2]) for row in all_rows(db_, TABLE, "ID, PLAIN, FILLED")} == {(None, 7)}


def test_a_column_that_must_be_given_was_added(server_url: str, admin: Admin) -> None:
    db_ = admin(server_url)
    run_id, _ = purged(db_, server_url)
    execute(db_, f"DELETE FROM {TABLE}")
    execute(db_, f"ALTER TABLE {TABLE} ADD COLUMN NEEDED BIGINT NOT NULL")
    error = refused(server_url, run_id)
    assert error.code == "schema_changed"
    assert "NEEDED" in str(error).upper()
    assert all_rows(db_) == []
    assert notes(db_) == {}


def test_a_column_was_dropped(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    run_id, before = purged(db_, any_url)
    execute(db_, f"ALTER TABLE {TABLE} DROP COLUMN NOTE")
    error = refused(any_url, run_id)
    assert error.code == "schema_changed"
    assert "no column NOTE" in str(error) or "no column note" in str(error)
    assert len(all_rows(db_, columns="ID")) == 15
    execute(db_, f"ALTER TABLE {archive_of(any_url)} DROP COLUMN NOTE")
    with pk.connect(any_url) as db:
        assert db.restore(run_id).rows_restored == 45
    assert all_rows(db_, columns="ID, EXPIRES") == [row[:2] for row in before]


def test_a_column_has_another_type(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    run_id, before = purged(db_, any_url)
    if any_url.startswith("sqlite"):
        execute(db_, f"ALTER TABLE {TABLE} DROP COLUMN NOTE")
        execute(db_, f"ALTER TABLE {TABLE} ADD COLUMN NOTE BLOB")
    elif any_url.startswith("postgresql"):
        execute(db_, f"ALTER TABLE {TABLE} ALTER COLUMN NOTE TYPE text")
    else:
        execute(db_, f"ALTER TABLE {TABLE} MODIFY NOTE VARCHAR(300)")
    error = refused(any_url, run_id)
    assert error.code == "schema_changed"
    assert "column NOTE of table" in str(error) or "column note of table" in str(error)
    if any_url.startswith("postgresql"):
        execute(db_, f"ALTER TABLE {archive_of(any_url)} ALTER COLUMN NOTE TYPE text")
        with pk.connect(any_url) as db:
            db.restore(run_id)
        assert all_rows(db_) == before


def test_what_is_not_there(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    make_sessions(db_, any_url, [now_s() + (HOUR_S if n % 4 == 0 else -5 * HOUR_S) for n in range(60)])
    error = refused(any_url, "20260101T000000000Z-abcdef")
    assert error.code == "not_found"
    assert "no ledger" in str(error)
    with pk.connect(any_url) as db:
        plain = db.run(sessions_policy(), limits=pk.Limits(max_rows=5)).run_id
        run_id = db.run(sessions_policy(archive="table")).run_id
        nothing = refused(any_url, plain)
        assert nothing.code == "not_archived"
        assert refused(any_url, plain + "x").code == "not_found"
        restored = db.restore(run_id).run_id
    assert refused(any_url, restored).code == "not_archived"
    execute(db_, f"ALTER TABLE {archive_of(any_url)} RENAME TO moved_away")
    gone = refused(any_url, run_id)
    assert gone.code == "schema_changed"
    assert "is not there any more" in str(gone)
    execute(db_, f"CREATE TABLE {archive_of(any_url)} (ID BIGINT, EXPIRES BIGINT, NOTE VARCHAR(200)){suffix(any_url)}")
    assert "no archive of purgekit" in str(refused(any_url, run_id))
    execute(db_, f"DROP TABLE {archive_of(any_url)}")
    execute(db_, f"ALTER TABLE moved_away RENAME TO {archive_of(any_url)}")
    execute(db_, f"DROP TABLE {TABLE}")
    assert "make it again" in str(refused(any_url, run_id))


def trigger(url: str, body: str) -> str:
    """A trigger that changes NOTE of what is inserted, or does nothing to it."""
    if url.startswith("postgresql"):
        return (
            "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {body.format(note='NEW.NOTE :=')}; RETURN NEW; END $$"
        )
    if url.startswith("sqlite"):
        done = f"UPDATE {TABLE} SET {body.format(note='NOTE =')} WHERE ID = NEW.ID"
        return f"CREATE TRIGGER touched AFTER INSERT ON {TABLE} BEGIN {done}; END"
    return f"CREATE TRIGGER touched BEFORE INSERT ON {TABLE} FOR EACH ROW SET {body.format(note='NEW.NOTE =')}"


@pytest.mark.parametrize(("body", "harmless"), [("{note} 'other'", False), ("{note} {own}", True)])
def test_a_trigger_that_changes_rows_is_found_out(any_url: str, admin: Admin, body: str, harmless: bool) -> None:
    db_ = admin(any_url)
    run_id, before = purged(db_, any_url)
    own = "NOTE" if any_url.startswith("sqlite") else "NEW.NOTE"
    execute(db_, trigger(any_url, body.replace("{own}", own)))
    if any_url.startswith("postgresql"):
        execute(db_, f"CREATE TRIGGER touched BEFORE INSERT ON {TABLE} FOR EACH ROW EXECUTE PROCEDURE touch()")
    if harmless:
        with pk.connect(any_url) as db:
            assert db.restore(run_id).rows_restored == 45
        assert all_rows(db_) == before
        return
    error = refused(any_url, run_id)
    assert error.code == "trigger"
    assert "trigger touched" in str(error)
    assert len(all_rows(db_)) == 15
    assert all(chunk > 0 for chunk in marks(db_, any_url))


def test_a_check_that_came_later(server_url: str, admin: Admin) -> None:
    if server_url.startswith("mysql"):  # MySQL 5.6 reads checks and forgets them
        return
    db_ = admin(server_url)
    run_id, _ = purged(db_, server_url)
    execute(db_, f"ALTER TABLE {TABLE} ADD CONSTRAINT young CHECK (EXPIRES > {now_s()})")
    error = refused(server_url, run_id)
    assert error.code == "trigger"
    assert "nothing of their chunk was restored" in str(error)
    assert len(all_rows(db_)) == 15


def test_a_ledger_that_tells_of_one_table_only(sqlite_url: str, admin: Admin) -> None:
    """As an earlier version wrote it."""
    db_ = admin(sqlite_url)
    run_id, before = purged(db_, sqlite_url)
    execute(db_, "UPDATE purgekit_ledger SET document = json_remove(document, '$.archives') WHERE kind = 'run'")
    with pk.connect(sqlite_url) as db:
        report = db.restore(run_id)
    assert [warning["code"] for warning in report.warnings] == ["old_record"]
    assert all_rows(db_) == before


@pytest.mark.parametrize(
    "archives",
    [
        "[7]",
        '[{"table": 7}]',
        '[{"table": "nowhere", "archive": "nothing"}]',
        '[{"table": "a\\"", "archive": "b"}]',
    ],
)
def test_a_ledger_that_somebody_has_written(sqlite_url: str, admin: Admin, archives: str) -> None:
    db_ = admin(sqlite_url)
    run_id, _ = purged(db_, sqlite_url)
    rows(
        db_,
        "UPDATE purgekit_ledger SET document = json_set(document, '$.archives', json(?)) WHERE kind = 'run'",
        (archives,),
    )
    refused(sqlite_url, run_id)
    assert len(all_rows(db_)) == 15
