"""README's rights for who restores and holds are enough: a user that has these and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import purgekit as pk
from engine.restores import all_rows, execute, purged, purged_to_files
from engine.tables import TABLE
from servers import Connection

USER = "purgekit_restorer"
PASSWORD = "only-for-this-test"


@pytest.fixture(params=["postgresql", "mariadb"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@contextmanager
def restorer(connection: Connection, url: str) -> Iterator[tuple[str, str, str]]:
    """A user without any right: its URL, how GRANT names it, and the schema of the tables."""
    is_postgresql = url.startswith("postgresql")
    grantee = USER if is_postgresql else f"{USER}@'%'"
    if is_postgresql:
        execute(connection, f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
        execute(connection, f"GRANT USAGE ON SCHEMA public TO {USER}")
        execute(connection, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    else:
        execute(connection, f"CREATE USER {grantee} IDENTIFIED BY '{PASSWORD}'")
    try:
        schema = "public" if is_postgresql else url.rsplit("/", 1)[1].partition("?")[0]
        yield re.sub("//[^@]*@", f"//{USER}:{PASSWORD}@", url), grantee, schema
    finally:
        if is_postgresql:
            execute(connection, f"DROP OWNED BY {USER}")
        execute(connection, f"DROP {'ROLE' if is_postgresql else 'USER'} {grantee}")


@pytest.mark.needs_server
def test_restore_and_hold(url: str, admin: Callable[[str], Connection]) -> None:
    connection = admin(url)
    run_id, before = purged(connection, url)
    with restorer(connection, url) as (own_url, grantee, schema):
        execute(connection, f"GRANT SELECT, UPDATE ON {schema}.purgekit_archive_{TABLE} TO {grantee}")
        execute(connection, f"GRANT SELECT, INSERT ON {schema}.{TABLE} TO {grantee}")
        execute(connection, f"GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.purgekit_ledger TO {grantee}")
        with pk.connect(own_url) as db:
            report = db.restore(run_id)
            hold = db.hold(TABLE, keys=[1])
        assert (report.exit_code, report.rows_restored) == (0, 45)
        assert [warning["code"] for warning in report.warnings] == ["not_indexed"], "it may make no index, and says so"
        assert all_rows(connection) == before
        with pk.connect(url) as db:
            assert hold.id in {kept.id for kept in db.holds()}


@pytest.mark.needs_server
def test_restore_out_of_files(url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    """Without the right to make the archive table an administrator is told what to run."""
    connection = admin(url)
    run_id, before = purged_to_files(connection, url, tmp_path / "kept")
    with restorer(connection, url) as (own_url, grantee, schema):
        execute(connection, f"GRANT SELECT, INSERT ON {schema}.{TABLE} TO {grantee}")
        execute(connection, f"GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.purgekit_ledger TO {grantee}")
        with pk.connect(own_url) as db, pytest.raises(pk.PurgeRefused, match="may not create") as refused:
            db.restore(run_id)
        assert refused.value.code == "archive_privilege"
        assert len(all_rows(connection)) == 15
        for statement in str(refused.value).partition("can run: ")[2].split("; "):
            execute(connection, statement)
        execute(connection, f"GRANT UPDATE ON {schema}.purgekit_archive_{TABLE} TO {grantee}")
        with pk.connect(own_url) as db:
            report = db.restore(run_id)
        assert (report.exit_code, report.rows_loaded, report.rows_restored) == (0, 45, 45)
        assert all_rows(connection) == before
