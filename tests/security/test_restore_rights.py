"""README's rights for who restores and holds are enough: a user that has these and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

import purgekit as pk
from engine.restores import all_rows, execute, purged
from engine.tables import TABLE
from servers import Connection

USER = "purgekit_restorer"
PASSWORD = "only-for-this-test"


@pytest.mark.needs_server
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_restore_and_hold(
    kind: str, request: pytest.FixtureRequest, admin: Callable[[str], Connection]
) -> None:
    url = str(request.getfixturevalue(f"{kind}_url"))
    connection = admin(url)
    run_id, before = purged(connection, url)
    if kind == "postgresql":
        grantee, schema = USER, "public"
        execute(connection, f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
        execute(connection, f"GRANT USAGE ON SCHEMA public TO {USER}")
    else:
        grantee, schema = f"{USER}@'%'", url.rsplit("/", 1)[1].partition("?")[0]
        execute(connection, f"CREATE USER {grantee} IDENTIFIED BY '{PASSWORD}'")
    try:
        execute(connection, f"GRANT SELECT, UPDATE ON {schema}.purgekit_archive_{TABLE} TO {grantee}")
        execute(connection, f"GRANT SELECT, INSERT ON {schema}.{TABLE} TO {grantee}")
        execute(connection, f"GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.purgekit_ledger TO {grantee}")
        with pk.connect(re.sub("//[^@]*@", f"//{USER}:{PASSWORD}@", url)) as db:
            report = db.restore(run_id)
            hold = db.hold(TABLE, keys=[1])
        assert (report.exit_code, report.rows_restored) == (0, 45)
        assert [warning["code"] for warning in report.warnings] == ["not_indexed"], "it may make no index, and says so"
        assert all_rows(connection) == before
        with pk.connect(url) as db:
            assert hold.id in {kept.id for kept in db.holds()}
    finally:
        if kind == "postgresql":
            execute(connection, f"DROP OWNED BY {USER}")
        execute(connection, f"DROP {'ROLE' if kind == 'postgresql' else 'USER'} {grantee}")
