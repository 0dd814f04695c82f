"""Dependents that a foreign key names go before their parents, theirs before them, on every database."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk
from servers import Connection

LEVELS = ("PARENT", "CHILD", "GRANDCHILD")


def make(url: str, connection: Connection, action: str) -> Connection:
    """Ten parents with two children each, and two children of each of those."""
    cursor = connection.cursor()
    engine = " ENGINE=InnoDB" if url.startswith(("mysql", "mariadb")) else ""
    cursor.execute(f"CREATE TABLE PARENT (ID INTEGER PRIMARY KEY, STATE VARCHAR(10)){engine}")
    for child, parent in zip(LEVELS[1:], LEVELS, strict=False):
        cursor.execute(
            f"CREATE TABLE {child} (ID INTEGER PRIMARY KEY, OWNER INTEGER,"
            f" FOREIGN KEY (OWNER) REFERENCES {parent} (ID) {action}){engine}"
        )
    for number in range(10):
        cursor.execute(f"INSERT INTO PARENT VALUES ({number}, '{'old' if number < 6 else 'new'}')")
    for level, rows in ((1, 20), (2, 40)):
        for number in range(rows):
            cursor.execute(f"INSERT INTO {LEVELS[level]} VALUES ({number}, {number // 2})")
    return connection


def counts(connection: Connection) -> list[int]:
    cursor = connection.cursor()
    found = []
    for table in LEVELS:
        cursor.execute(f"SELECT COUNT(*) FROM {table}")
        found.append(int(cursor.fetchone()[0]))
    return found


def policy(*children: pk.Dependent, rule: pk.Predicate | None = None) -> pk.Policy:
    where = pk.col("STATE") == "old" if rule is None else rule
    return pk.Policy("family", table="PARENT", where=where, dependents=list(children))


CHILD = pk.dependent("CHILD", on={"OWNER": "ID"})
GRANDCHILD = pk.dependent("GRANDCHILD", on={"OWNER": "ID"}, of="CHILD")


@pytest.mark.parametrize("action", ["ON DELETE CASCADE", "", "ON DELETE SET NULL"])
def test_whatever_the_foreign_key_does(any_url: str, admin: Callable[[str], Connection], action: str) -> None:
    connection = make(any_url, admin(any_url), action)
    with pk.connect(any_url) as db:
        report = db.run(db.plan(policy(CHILD, GRANDCHILD)), limits=pk.Limits(chunk_ms=1))
    assert report.exit_code == 0
    assert counts(connection) == [4, 8, 16]
    assert [entry["rows_deleted"] for entry in report.policies[0]["tables"]] == [6, 12, 24]
    assert report.rows_deleted == 42


def test_the_rule_may_look_at_what_goes_before(any_url: str, admin: Callable[[str], Connection]) -> None:
    connection = make(any_url, admin(any_url), "ON DELETE CASCADE")
    connection.cursor().execute("DELETE FROM GRANDCHILD WHERE OWNER IN (0, 1)")
    connection.cursor().execute("DELETE FROM CHILD WHERE OWNER = 0")
    with_children = (pk.col("STATE") == "old") & pk.referenced_by("CHILD", on={"OWNER": "ID"})
    with pk.connect(any_url) as db:
        report = db.run(db.plan(policy(CHILD, GRANDCHILD, rule=with_children)))
    assert report.exit_code == 0
    assert counts(connection) == [5, 8, 16]


def test_limits_count_every_row(any_url: str, admin: Callable[[str], Connection]) -> None:
    """A parent with its six is more than five: nothing goes; two of them are at most fifteen."""
    connection = make(any_url, admin(any_url), "ON DELETE CASCADE")
    with pk.connect(any_url) as db:
        assert db.run(policy(CHILD, GRANDCHILD), limits=pk.Limits(max_rows=5)).exit_code == 3
        assert counts(connection) == [10, 20, 40]
        assert db.run(policy(CHILD, GRANDCHILD), limits=pk.Limits(max_rows=15)).rows_deleted == 14
    assert counts(connection) == [8, 16, 32]


def test_files_keep_each_level(any_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    connection = make(any_url, admin(any_url), "ON DELETE CASCADE")
    with pk.connect(any_url) as db:
        report = db.run(db.plan(policy(CHILD, GRANDCHILD), archive=tmp_path / "kept"))
    assert counts(connection) == [4, 8, 16]
    assert [entry["rows_archived"] for entry in report.policies[0]["tables"]] == [6, 12, 24]
    assert len(list((tmp_path / "kept").rglob("*.jsonl.zst"))) == 3


def test_what_is_not_named_is_refused(any_url: str, admin: Callable[[str], Connection]) -> None:
    connection = make(any_url, admin(any_url), "ON DELETE CASCADE")
    with pk.connect(any_url) as db:
        with pytest.raises(pk.PurgeRefused, match="among the policy's dependents"):
            db.plan(policy())
        with pytest.raises(pk.PurgeRefused, match="as a dependent of it"):
            db.plan(policy(CHILD))
        other = pk.dependent("CHILD", on={"ID": "ID"})
        with pytest.raises(pk.PurgeRefused, match="among the policy's dependents"):
            db.plan(policy(other, GRANDCHILD))
    assert counts(connection) == [10, 20, 40]


def test_a_level_must_stand_behind_its_own() -> None:
    for children in ((GRANDCHILD,), (GRANDCHILD, CHILD), (pk.dependent("CHILD", on={"OWNER": "ID"}, of="CHILD"),)):
        with pytest.raises(pk.PolicyError, match="must stand before it"):
            policy(*children)


def test_a_missing_index_is_told(any_url: str, admin: Callable[[str], Connection]) -> None:
    make(any_url, admin(any_url), "ON DELETE CASCADE")
    with pk.connect(any_url) as db:
        told = [w["message"] for w in db.plan(policy(CHILD, GRANDCHILD)).warnings if w["code"] == "unindexed_reference"]
    # MySQL and MariaDB make one for each foreign key.
    assert len(told) == (0 if any_url.startswith(("mysql", "mariadb")) else 2), told


def test_in_a_policy_file(sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    connection = make(sqlite_url, admin(sqlite_url), "ON DELETE CASCADE")
    path = tmp_path / "family.toml"
    path.write_text(
        """
        [[policy]]
        name = "family"
        table = "PARENT"
        all = [ { column = "STATE", in = ["old"] } ]
        dependents = [
            { table = "CHILD", on = { OWNER = "ID" } },
            { table = "GRANDCHILD", on = { OWNER = "ID" }, of = "CHILD" },
            { table = "NOT_HERE", on = { OWNER = "ID" }, of = "CHILD", optional = true },
        ]
        """
    )
    with pk.connect(sqlite_url) as db:
        plan = db.plan(pk.load_policies(path))
        assert any(w["code"] == "dependent_absent" and "NOT_HERE" in w["message"] for w in plan.warnings)
        db.run(plan)
    assert counts(connection) == [4, 8, 16]


@pytest.mark.needs_server
def test_no_chunk_reads_all_children(postgresql_url: str, admin: Callable[[str], Connection]) -> None:
    """By its costs alone PostgreSQL would, however many chunks there are."""
    connection = make(postgresql_url, admin(postgresql_url), "ON DELETE CASCADE")
    cursor = connection.cursor()
    cursor.execute("CREATE INDEX BY_OWNER ON CHILD (OWNER)")
    cursor.execute("INSERT INTO PARENT SELECT n, 'old' FROM generate_series(100, 20099) AS n")
    cursor.execute("INSERT INTO CHILD SELECT n, n FROM generate_series(100, 20099) AS n")
    cursor.execute("ANALYZE PARENT, CHILD")
    scans = "SELECT seq_scan, n_tup_del FROM pg_stat_user_tables WHERE relname = 'child'"
    with pk.connect(postgresql_url) as db:
        report = db.run(policy(CHILD, GRANDCHILD), limits=pk.Limits(chunk_ms=2, max_fraction=1.0))
    chunks = report.policies[0]["chunks"]
    assert chunks > 8
    end = time.monotonic() + 30
    while (told := _one(cursor, scans))[1] < 20_012 and time.monotonic() < end:
        time.sleep(0.05)  # a session tells its figures when it ends
    assert told[1] == 20_012
    assert told[0] < chunks / 2, "planning may look at the whole table, a chunk may not"


def _one(cursor: Any, sql: str) -> Any:
    cursor.execute(sql)
    return cursor.fetchone()
