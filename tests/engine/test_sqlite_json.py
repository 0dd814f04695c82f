"""SQLite before 3.41 forbids its own JSON functions in a schema that is not trusted: such files are purged as well."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import purgekit as pk
from servers import Connection

Admin = Callable[[str], Connection]
# As Django declares a JSONField, and the other places in a schema where such a function may stand.
SCHEMA = """
CREATE TABLE session (id INTEGER PRIMARY KEY, expires TEXT, data TEXT CHECK ((JSON_VALID(data) OR data IS NULL)),
    who TEXT GENERATED ALWAYS AS (json_extract(data, '$.user')) STORED,
    kind TEXT AS (json_type(data)), size INTEGER AS (json_array_length(data, '$.list')),
    raw TEXT AS (data -> '$.list'));
CREATE INDEX by_user ON session (data ->> '$.user');
CREATE TABLE other (a TEXT CHECK (json_type(a, '$') = 'object'), n INTEGER CHECK (json_array_length('[1]') = 1));
CREATE TABLE gone (who TEXT);
CREATE TRIGGER noted AFTER DELETE ON session BEGIN INSERT INTO gone VALUES (json_extract(old.data, '$.user')); END
"""


@pytest.fixture
def url(sqlite_url: str, admin: Admin) -> str:
    cursor = admin(sqlite_url).cursor()
    *statements, trigger = SCHEMA.split(";\n", 4)
    for statement in [*statements, trigger]:
        cursor.execute(statement)
    for n in range(40):
        data = None if n % 10 == 0 else f'{{"user": "u{n % 3}", "list": [{n}]}}'
        cursor.execute(
            "INSERT INTO session (id, expires, data) VALUES (?, ?, ?)", (n, f"20{20 + n % 2 * 20}-01-01 00:00:00", data)
        )
    return sqlite_url


def test_tables_that_call_json_functions_are_purged(url: str, admin: Admin) -> None:
    policy = pk.Policy("s", table="session", where=pk.expired("expires") & (pk.col("who") == "u1"), grace="0s")
    with pk.connect(url) as db:
        report = db.run(db.plan(policy))
    gone = [n for n in range(40) if n % 2 == 0 and n % 10 and n % 3 == 1]
    assert report.rows_deleted == len(gone)
    cursor = admin(url).cursor()
    cursor.execute("SELECT id FROM session ORDER BY id")
    assert [row[0] for row in cursor.fetchall()] == [n for n in range(40) if n not in gone]
    cursor.execute("SELECT count(*), min(who), max(who) FROM gone")
    assert cursor.fetchone() == (len(gone), "u1", "u1")
    # Indexes on what the functions answer are as the library itself has them.
    cursor.execute("PRAGMA integrity_check")
    assert cursor.fetchall() == [("ok",)]


def test_archived_rows_come_back_through_such_checks(url: str, admin: Admin) -> None:
    cursor = admin(url).cursor()
    cursor.execute("DROP INDEX by_user")
    cursor.execute("CREATE TABLE plain (id INTEGER PRIMARY KEY, expires TEXT, data TEXT CHECK (json_valid(data)))")
    cursor.execute("INSERT INTO plain SELECT id, expires, data FROM session WHERE data IS NOT NULL")
    policy = pk.Policy("p", table="plain", where=pk.expired("expires"), grace="0s", archive="table")
    with pk.connect(url) as db:
        report = db.run(db.plan(policy))
        assert report.rows_deleted == 16
        db.restore(report.run_id)
    cursor.execute("SELECT count(*) FROM plain")
    assert cursor.fetchone() == (36,)
