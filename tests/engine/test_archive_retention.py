"""``archive_retention``: archives are purged by the age of what they keep, behind the policy that fills them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import purgekit as pk
from engine.restores import all_rows, archive_of, execute, marks, purged, rows
from engine.tables import TABLE, sessions_policy
from servers import Connection

POLICY = """
[[policy]]
name = "sessions"
table = "SESSIONS"
expired = { column = "EXPIRES", unit = "s" }
archive = "table"
archive_retention = "365d"
"""

LONG_AGO = {
    "sqlite": "'2020-01-02T03:04:05.000Z'",
    "postgresql": "TIMESTAMPTZ '2020-01-02 03:04:05+00'",
}


def test_old_rows_of_the_archive_go(any_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    db_ = admin(any_url)
    run_id, _ = purged(db_, any_url)
    kept = archive_of(any_url)
    old = LONG_AGO.get(any_url.split(":")[0], "'2020-01-02 03:04:05'")
    execute(db_, f"UPDATE {kept} SET purgekit_archived_utc = {old} WHERE ID < 31")
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    policies = pk.load_policies(f"{path}#sessions")
    assert [policy.name for policy in policies] == ["sessions", "sessions/archive"]
    ids = {row[0] for row in rows(db_, f"SELECT ID FROM {kept}")}
    with pk.connect(any_url) as db:
        assert db.restore(run_id, where={"ID": 2}, hold=False).rows_restored == 1
        report = db.run(policies)
    assert report.exit_code == 0
    # The restored row has gone again meanwhile, and its marked copy stays: a hold would go by it.
    assert sorted(row[0] for row in rows(db_, f"SELECT ID FROM {kept}")) == sorted([*(n for n in ids if n >= 31), 2, 2])
    assert [chunk < 0 for chunk in marks(db_, any_url)].count(True) == 1
    assert len(all_rows(db_)) == 15


def test_an_archive_that_is_not_there_yet(sqlite_url: str, admin: Callable[[str], Connection]) -> None:
    db_ = admin(sqlite_url)
    execute(db_, f"CREATE TABLE {TABLE} (ID INTEGER PRIMARY KEY, EXPIRES BIGINT, NOTE TEXT)")
    policy = sessions_policy(archive="table")
    with pk.connect(sqlite_url) as db:
        report = db.run([policy, *pk.archive_retention(policy, timedelta(days=1))])
    assert report.exit_code == 0
    assert [entry["policy"] for entry in report.policies] == ["sessions", "sessions/archive"]


@pytest.mark.parametrize(
    ("table", "archive", "expected"),
    [
        ("T", "table", "purgekit_archive_T"),
        ("s.T", "table", "s.purgekit_archive_T"),
        ('"a.b"."c""d"', "table", '"a.b"."purgekit_archive_c""d"'),
        ("s.T", "table:old.{table}_x", "old.T_x"),
        ("s.T", "table:gone", "s.gone"),
    ],
)
def test_which_table_is_meant(table: str, archive: str, expected: str) -> None:
    child = pk.dependent("s.CHILD", on={"A": "B"})
    policy = pk.Policy("p", table=table, where=pk.col("X") == 1, archive=archive, dependents=[child])
    own, children = pk.archive_retention(policy, "30d")
    assert (own.name, own.table, own.grace_ns) == ("p/archive", expected, 0)
    assert (children.name, children.table) == ("p/archive/s.CHILD", "s.purgekit_archive_CHILD")


@pytest.mark.parametrize(("archive", "text"), [(None, 'needs archive = "table"'), ("kept/", "files are removed")])
def test_what_has_no_archive_table(archive: str | None, text: str) -> None:
    policy = pk.Policy("p", table="T", where=pk.col("X") == 1, archive=archive)
    with pytest.raises(pk.PolicyError, match=text):
        pk.archive_retention(policy, "30d")
