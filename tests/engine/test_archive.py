"""``archive = "table"``: what is kept is exactly what was deleted, in the deleting transaction, on every database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import purgekit as pk
from engine.tables import HOUR_S, TABLE, make_sessions, mark, now_s, sessions_policy, survivors
from servers import Connection

OLD = 1_000_000_000  # a time in 2001
KEPT = f"purgekit_archive_{TABLE}"


def rows(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    cursor.execute(statement)
    return [tuple(row) for row in cursor.fetchall()]


def execute(connection: Connection, statement: str) -> None:
    connection.cursor().execute(statement)


def quoted(url: str, name: str) -> str:
    """The archive's name as its DDL wrote it: exact."""
    return f"`{name}`" if url.startswith(("mysql", "mariadb")) else f'"{name}"'


def kept_name(url: str, connection: Connection) -> str:
    """PostgreSQL folds the test's unquoted table name, and the archive is named after what is stored."""
    return quoted(url, KEPT.replace(TABLE, TABLE.lower()) if url.startswith("postgresql") else KEPT)


def test_deleted_rows_are_kept_as_they_were(any_url: str, admin: Callable[[str], Connection]) -> None:
    db_ = admin(any_url)
    make_sessions(db_, any_url, [now_s() + (HOUR_S if n % 4 == 0 else -5 * HOUR_S) for n in range(2_000)])
    before = {row[0]: row for row in rows(db_, f"SELECT ID, EXPIRES, NOTE FROM {TABLE}")}
    with pk.connect(any_url) as db:
        plan = db.plan(sessions_policy(), archive="table")
        assert plan.to_dict()["policies"][0]["archive"].lower().endswith(KEPT.lower())
        assert any("INSERT INTO" in text for text in plan.to_dict()["policies"][0]["statements"])
        report = db.run(plan, limits=pk.Limits(chunk_ms=5))
        history = db.history()
    kept = kept_name(any_url, db_)
    after = rows(db_, f"SELECT ID, EXPIRES, NOTE FROM {kept}")
    assert report.rows_deleted == report.rows_archived == 1_500
    assert sorted(after) == sorted(row for row in before.values() if row[0] not in survivors(db_))
    assert report.to_dict()["policies"][0]["tables"][0]["rows_archived"] == 1_500
    assert [(run["rows_deleted"], run["rows_archived"]) for run in history] == [(1_500, 1_500)]
    assert {row[0] for row in rows(db_, f"SELECT purgekit_run_id FROM {kept}")} == {report.run_id}
    chunks = [row[0] for row in rows(db_, f"SELECT DISTINCT purgekit_chunk FROM {kept}")]
    assert len(chunks) > 1
    assert all(row[0] is not None for row in rows(db_, f"SELECT purgekit_archived_utc FROM {kept}"))


def test_a_second_run_adds_to_the_archive(any_url: str, admin: Callable[[str], Connection]) -> None:
    db_ = admin(any_url)
    make_sessions(db_, any_url, [now_s() - 5 * HOUR_S] * 10)
    with pk.connect(any_url) as db:
        db.run(sessions_policy(max_fraction=1.0), archive="table")
        cursor = db_.cursor()
        one = mark(any_url)
        cursor.execute(f"INSERT INTO {TABLE} (ID, EXPIRES, NOTE) VALUES ({one}, {one}, {one})", (1, OLD, "again"))
        db.run(sessions_policy(max_fraction=1.0), archive="table")
    kept = kept_name(any_url, db_)
    assert len(rows(db_, f"SELECT ID FROM {kept}")) == 11
    assert len(rows(db_, f"SELECT DISTINCT purgekit_run_id FROM {kept}")) == 2


@pytest.mark.parametrize("unless_referenced", [True, False])
def test_children_are_kept_too(any_url: str, admin: Callable[[str], Connection], unless_referenced: bool) -> None:
    db_ = admin(any_url)
    make_sessions(db_, any_url, [now_s() + (HOUR_S if n % 2 == 0 else -5 * HOUR_S) for n in range(40)])
    suffix = " ENGINE=InnoDB" if any_url.startswith(("mysql", "mariadb")) else ""
    execute(db_, f"CREATE TABLE APPS (N INTEGER PRIMARY KEY, SESSION_ID BIGINT, c1 VARCHAR(9)){suffix}")
    execute(db_, "INSERT INTO APPS (N, SESSION_ID, c1) VALUES " + ", ".join(f"({n}, {n // 3}, 'x')" for n in range(90)))
    policy = sessions_policy(
        dependents=[pk.dependent("APPS", on={"SESSION_ID": "ID"}, unless_referenced=unless_referenced)]
    )
    with pk.connect(any_url) as db:
        report = db.run(policy, archive="table")
    lower = any_url.startswith("postgresql")
    kept_apps = quoted(any_url, "purgekit_archive_apps" if lower else "purgekit_archive_APPS")
    gone = {n for n in range(90) if (n // 3) % 2 == 0 and 1 <= n // 3 <= 40}
    assert {row[0] for row in rows(db_, f"SELECT N FROM {kept_apps}")} == gone
    assert survivors_of(db_, "APPS") == set(range(90)) - gone
    assert report.rows_archived == report.rows_deleted == 20 + len(gone)
    assert [entry["rows_archived"] for entry in report.to_dict()["policies"][0]["tables"]] == [20, len(gone)]


def survivors_of(connection: Connection, table: str) -> set[int]:
    return {int(row[0]) for row in rows(connection, f"SELECT N FROM {table}")}


def test_conditions_on_other_rows(any_url: str, admin: Callable[[str], Connection]) -> None:
    """Those are deleted by keys found first on MySQL: another way through the archive."""
    db_ = admin(any_url)
    make_sessions(db_, any_url, [now_s() - 5 * HOUR_S - n for n in range(60)])
    policy = pk.Policy(
        "latest",
        table=TABLE,
        where=pk.expired("EXPIRES", unit="s") & pk.keep_latest(5, per=["NOTE"], order_by="EXPIRES"),
    )
    with pk.connect(any_url) as db:
        report = db.run(policy, archive="table")
    assert report.rows_archived == report.rows_deleted == 55
    assert {row[0] for row in rows(db_, f"SELECT ID FROM {kept_name(any_url, db_)}")} == set(range(6, 61))


def test_a_named_archive_and_one_that_does_not_fit(any_url: str, admin: Callable[[str], Connection]) -> None:
    db_ = admin(any_url)
    make_sessions(db_, any_url, [now_s() + (HOUR_S if n % 2 == 0 else -5 * HOUR_S) for n in range(10)])
    with pk.connect(any_url) as db:
        report = db.run(sessions_policy(archive="table:old_{table}"))
        assert report.rows_archived == 5
        execute(db_, f"ALTER TABLE {TABLE} ADD COLUMN EXTRA BIGINT")
        execute(db_, f"UPDATE {TABLE} SET EXPIRES = {OLD} WHERE ID = 1")
        with pytest.raises(pk.PurgeRefused, match=r"lacks column (EXTRA|extra)") as refused:
            db.run(sessions_policy(archive="table:old_{table}"))
        assert refused.value.code == "archive_unfit"
    assert len(survivors(db_)) == 5


def test_what_is_not_offered_is_refused(sqlite_url: str, admin: Callable[[str], Connection]) -> None:
    db_ = admin(sqlite_url)
    make_sessions(db_, sqlite_url, [OLD, OLD])
    execute(db_, "CREATE TABLE NOT_OURS (ID BIGINT, EXPIRES BIGINT, NOTE VARCHAR(200))")
    execute(db_, "CREATE TABLE T2 (ID BIGINT PRIMARY KEY, EXPIRES BIGINT)")
    other = pk.Policy("other", table="T2", where=pk.expired("EXPIRES", unit="s"))
    with pk.connect(sqlite_url) as db:
        for archive, code, text in (
            ("kept", "archive_not_offered", "kept/"),
            ("table:NOT_OURS", "archive_unfit", "no archive of purgekit"),
            (f"table:{TABLE}", "archive_unfit", "its own archive"),
        ):
            with pytest.raises(pk.PurgeRefused, match=text) as refused:
                db.plan(sessions_policy(max_fraction=1.0), archive=archive)
            assert refused.value.code == code
        with pytest.raises(pk.PurgeRefused, match=r"can't be kept in one archive"):
            db.plan([sessions_policy(), other], archive="table:both")
        with pytest.raises(pk.PolicyError, match="part of a plan"):
            db.run(db.plan(sessions_policy()), archive="table")
    assert len(survivors(db_)) == 2


def test_a_row_that_a_trigger_keeps_is_not_archived(sqlite_url: str, admin: Callable[[str], Connection]) -> None:
    db_ = admin(sqlite_url)
    make_sessions(db_, sqlite_url, [now_s() - 5 * HOUR_S] * 50)
    execute(db_, f"CREATE TRIGGER KEEP BEFORE DELETE ON {TABLE} WHEN OLD.ID = 7 BEGIN SELECT RAISE(IGNORE); END")
    with pk.connect(sqlite_url) as db:
        report = db.run(sessions_policy(max_fraction=1.0), archive="table")
    assert survivors(db_) == {7}
    assert report.exit_code == 4
    assert report.rows_archived == report.rows_deleted == 49
    assert {row[0] for row in rows(db_, f'SELECT ID FROM "{KEPT}"')} == set(range(1, 51)) - {7}


def test_values_that_only_this_database_holds(any_url: str, admin: Callable[[str], Connection]) -> None:
    """Types with a memory: SQLite's values of any type, PostgreSQL's arrays and enums, MySQL's impossible dates."""
    db_ = admin(any_url)
    if any_url.startswith("sqlite"):
        execute(db_, 'CREATE TABLE ODD (ID INTEGER PRIMARY KEY, E INT, V, W "DECIMAL(10,2)", X "odd; type --")')
        execute(
            db_,
            "INSERT INTO ODD VALUES (1, 1000000000, '12', 1.5, 'a'), (2, 1000000000, x'00ff', 'txt', 7), (3, "
            "1000000000, NULL, 1e300, '7')",
        )
        exact = "typeof(V) || quote(V) || typeof(W) || quote(W) || typeof(X) || quote(X)"
    elif any_url.startswith("postgresql"):
        execute(db_, "CREATE TYPE mood AS ENUM ('sad', 'it''s')")
        execute(
            db_,
            "CREATE TABLE ODD (ID BIGINT PRIMARY KEY, E BIGINT, A text[], M mood, N numeric, T timestamptz, "
            "J jsonb, G bigint GENERATED ALWAYS AS (E * 2) STORED, B bytea, D int)",
        )
        execute(db_, "ALTER TABLE ODD DROP COLUMN D")
        execute(
            db_,
            "INSERT INTO ODD (ID, E, A, M, N, T, J, B) VALUES (1, 1000000000, '{a,NULL,\"b c\"}', 'it''s', "
            "'NaN', 'infinity', "
            "'{\"k\": [1, null]}', '\\x00ff'), (2, 1000000000, NULL, NULL, 1e-300, '0044-03-15 BC', NULL, NULL)",
        )
        exact = "ROW(A, M, N, T, J, G, B)::text"
    else:
        execute(
            db_,
            "CREATE TABLE ODD (ID BIGINT PRIMARY KEY, E BIGINT, T TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP "
            "ON UPDATE "
            "CURRENT_TIMESTAMP, D DATETIME, S VARCHAR(20) CHARACTER SET latin1, U VARCHAR(20) CHARACTER SET "
            "utf8mb4 COLLATE "
            "utf8mb4_bin, M ENUM('a', 'it''s'), B VARBINARY(9), Y BIT(5)) ENGINE=InnoDB",
        )
        execute(db_, "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'")
        execute(
            db_,
            "INSERT INTO ODD VALUES (1, 1000000000, '2020-01-02 03:04:05', '2021-02-31 00:00:00', 0xe9, "
            "0xf09f9880, 'it''s', 0x00ff, "
            "b'10101'), (2, 1000000000, '2020-01-02 03:04:05', '0000-00-00 00:00:00', '', NULL, NULL, NULL, NULL)",
        )
        exact = "CONCAT_WS('|', T, D, HEX(S), HEX(U), M, HEX(B), HEX(Y))"
    before = rows(db_, f"SELECT ID, {exact} FROM ODD ORDER BY ID")
    policy = pk.Policy("odd", table="ODD", where=pk.expired("E", unit="s"), max_fraction=1.0)
    with pk.connect(any_url) as db:
        report = db.run(policy, archive="table")
    assert report.rows_archived == len(before)
    name = "purgekit_archive_odd" if any_url.startswith("postgresql") else "purgekit_archive_ODD"
    assert rows(db_, f"SELECT ID, {exact} FROM {quoted(any_url, name)} ORDER BY ID") == before


def test_strict_tables_have_strict_archives(sqlite_url: str, admin: Callable[[str], Connection]) -> None:
    db_ = admin(sqlite_url)
    execute(db_, "CREATE TABLE S (ID INTEGER PRIMARY KEY, E INTEGER, V ANY) STRICT")
    execute(db_, "INSERT INTO S VALUES (1, 1000000000, '012'), (2, 1000000000, 12)")
    policy = pk.Policy("strict", table="S", where=pk.expired("E", unit="s"), max_fraction=1.0)
    with pk.connect(sqlite_url) as db:
        db.run(policy, archive="table")
    assert rows(db_, "SELECT quote(V) FROM purgekit_archive_S ORDER BY ID") == [("'012'",), ("12",)]


def test_archive_in_a_policy_file(sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Any) -> None:
    db_ = admin(sqlite_url)
    make_sessions(db_, sqlite_url, [OLD, now_s() + HOUR_S])
    path = tmp_path / "p.toml"
    path.write_text(
        '[[policy]]\nname = "s"\ntable = "SESSIONS"\narchive = "table"\nexpired = { column = "EXPIRES", unit = "s" }\n'
    )
    (policy,) = pk.load_policies(path)
    assert policy.archive == "table"
    assert pk.Policy.from_json(policy.to_json()) == policy
    with pk.connect(sqlite_url) as db:
        assert db.run(policy).rows_archived == 1
    assert len(rows(db_, f'SELECT 1 FROM "{KEPT}"')) == 1
