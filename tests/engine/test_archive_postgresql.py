"""PostgreSQL's own ways of keeping rows: in pieces to files, by a copy and a second look into tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import purgekit as pk
from engine.archived import kept
from engine.restores import all_rows, archive_of, execute, marks, rows
from engine.tables import TABLE, make_sessions, now_s, sessions_policy
from servers import Connection

Admin = Callable[[str], Connection]
OLD = 1_000_000_000  # a time in 2001


def test_pages_that_hold_one_row_and_pages_that_hold_hundreds(
    postgresql_url: str, admin: Admin, tmp_path: Path
) -> None:
    """A piece that proves too long is undone; those before it, which the files have already, are not."""
    db_ = admin(postgresql_url)
    execute(db_, f"CREATE TABLE {TABLE} (ID bigint PRIMARY KEY, EXPIRES bigint, NOTE text)")
    execute(db_, f"ALTER TABLE {TABLE} ALTER NOTE SET STORAGE PLAIN")
    wide, narrow = 700, 80_000
    execute(db_, f"INSERT INTO {TABLE} SELECT n, {OLD}, repeat('x', 7000) FROM generate_series(1, {wide}) n")
    execute(db_, f"INSERT INTO {TABLE} SELECT {wide} + n, {OLD}, '' FROM generate_series(1, {narrow}) n")
    with pk.connect(postgresql_url) as db:
        report = db.run(sessions_policy(max_fraction=1.0), archive=tmp_path / "kept")
    (entry,) = report.policies
    assert (report.rows_deleted, report.rows_archived, entry["retries"]) == (wide + narrow, wide + narrow, 0)
    assert sorted(kept(tmp_path / "kept", TABLE, "id")) == list(range(1, wide + narrow + 1))
    assert rows(db_, f"SELECT COUNT(*) FROM {TABLE}") == [(0,)]


@pytest.mark.parametrize("on", [TABLE, "PART"])
def test_a_row_that_a_trigger_keeps_is_not_archived(postgresql_url: str, admin: Admin, on: str) -> None:
    """Then as many rows as were copied need not be the same ones, so one statement moves them."""
    db_ = admin(postgresql_url)
    execute(db_, f"CREATE TABLE {TABLE} (ID bigint, EXPIRES bigint, NOTE text) PARTITION BY RANGE (ID)")
    execute(db_, f"CREATE TABLE PART PARTITION OF {TABLE} FOR VALUES FROM (0) TO (1000)")
    execute(db_, f"INSERT INTO {TABLE} SELECT n, {OLD}, n::text FROM generate_series(1, 20) n")
    execute(db_, "CREATE FUNCTION keep() RETURNS trigger AS $$ BEGIN RETURN NULL; END $$ LANGUAGE plpgsql")
    execute(db_, f"CREATE TRIGGER KEEP BEFORE DELETE ON {on} FOR EACH ROW WHEN (OLD.ID = 7) EXECUTE FUNCTION keep()")
    with pk.connect(postgresql_url) as db:
        report = db.run(sessions_policy(max_fraction=1.0, archive="table"))
    assert (report.rows_deleted, report.rows_archived) == (19, 19)
    assert [row[0] for row in all_rows(db_)] == [7]
    assert len(marks(db_, postgresql_url)) == 19


def test_without_the_right_to_lock_rows(postgresql_url: str, admin: Admin) -> None:
    db_ = admin(postgresql_url)
    make_sessions(db_, postgresql_url, [now_s() - 100_000] * 20)
    execute(db_, "CREATE ROLE deleter LOGIN")
    try:
        with pk.connect(postgresql_url) as db:
            policy = sessions_policy(max_fraction=1.0, archive="table")
            (statement,) = db.plan(policy).to_dict()["policies"][0]["statements"]
            assert statement.startswith("INSERT INTO") and "FOR UPDATE; DELETE FROM" in statement
            assert db.run(policy).rows_archived == 20
        execute(db_, f"INSERT INTO {TABLE} SELECT ID, EXPIRES, NOTE FROM {archive_of(postgresql_url)}")
        execute(db_, f"GRANT SELECT, DELETE ON {TABLE} TO deleter")
        execute(db_, f"GRANT SELECT, INSERT ON {archive_of(postgresql_url)} TO deleter")
        execute(db_, "GRANT SELECT, INSERT, UPDATE, DELETE ON purgekit_ledger TO deleter")
        parts = urlsplit(postgresql_url)
        with pk.connect(parts._replace(netloc=f"deleter@{parts.hostname}:{parts.port}").geturl()) as db:
            (statement,) = db.plan(policy).to_dict()["policies"][0]["statements"]
            assert statement.startswith("WITH pk_moved AS (DELETE")
            assert db.run(policy).rows_archived == 20
        assert len(marks(db_, postgresql_url)) == 40
    finally:
        execute(db_, "DROP OWNED BY deleter")
        execute(db_, "DROP ROLE deleter")
