"""Every type of MariaDB and MySQL goes through an archive file and comes back the same."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import purgekit as pk
from engine.file_types import OLD, execute, has_own_type, in_rows, purge_to_files, restored, rows_of, utc
from purgekit.archives import ArchiveFile, Column, find_archives
from servers import Connection

# Type and values as SQL writes them. NULL is tried for each.
TYPES: list[tuple[str, list[str]]] = [
    ("TINYINT", ["-128", "127"]),
    ("TINYINT(1)", ["-128", "0", "1", "2", "127"]),
    ("TINYINT(1) UNSIGNED", ["255"]),
    ("SMALLINT", ["-32768"]),
    ("MEDIUMINT", ["-8388608", "8388607"]),
    ("MEDIUMINT UNSIGNED", ["16777215"]),
    ("INT", ["-2147483648", "2147483647"]),
    ("INT(7) UNSIGNED ZEROFILL", ["5", "4294967295"]),
    ("BIGINT", ["-9223372036854775808", "9223372036854775807"]),
    ("BIGINT UNSIGNED", ["18446744073709551615", "0"]),
    ("DECIMAL(65,30)", ["-" + "9" * 35 + "." + "9" * 30, "0"]),
    ("DECIMAL(10,0) UNSIGNED", ["9999999999"]),
    ("FLOAT", ["0.1", "-3.40282e38", "1.17549e-38", "16777217", "0"]),
    ("FLOAT(7,4)", ["999.0001"]),
    ("DOUBLE", ["0.1", "1.7976931348623157e308", "2.2250738585072014e-308", "-0e0"]),
    ("BIT(1)", ["b'0'", "b'1'"]),
    ("BIT(5)", ["b'101'"]),
    ("BIT(64)", ["b'" + "1" * 64 + "'", "b'0'"]),
    ("YEAR", ["1901", "2155", "0"]),
    ("DATE", ["'2024-02-29'", "'0000-00-00'", "'9999-12-31'", "'2021-02-31'", "'2024-00-00'", "'0099-01-02'"]),
    ("DATETIME", ["'2024-02-29 23:59:59'", "'0000-00-00 00:00:00'"]),
    ("DATETIME(6)", ["'9999-12-31 23:59:59.999999'", "'1000-01-01 00:00:00.000001'", "'2021-02-31 00:00:00'"]),
    ("TIMESTAMP NULL", ["'2024-03-31 01:30:00'", "'1970-01-01 00:00:01'", "'0000-00-00 00:00:00'"]),
    ("TIMESTAMP(6) NULL", ["'2038-01-19 03:14:07.999999'", "'2024-03-31 01:30:00.1'"]),
    ("TIME", ["'-838:59:59'", "'838:59:59'", "'00:00:00'"]),
    ("TIME(6)", ["'-00:00:00.000001'", "'23:59:59.999999'", "'100:00:00.5'"]),
    ("CHAR(5)", ["'ab'", "''", "'abcde'"]),
    ("VARCHAR(20) CHARACTER SET latin1", ["0xe9fc20", "_latin1 0x809f"]),
    ("VARCHAR(20) CHARACTER SET utf8mb4", ["_utf8mb4 0xf09f9880", "'tab\\t nul\\0 quote\\'\"\\\\'"]),
    ("VARCHAR(20) CHARACTER SET ucs2", ["_ucs2 0x00e926a0"]),
    ("VARCHAR(20) CHARACTER SET sjis", ["_sjis 0x83658358"]),
    ("TEXT", ["'line\\nline'", "''", "' '"]),
    ("LONGTEXT", ["REPEAT('é', 100000)"]),
    ("ENUM('a', 'it''s', '')", ["'a'", "'it''s'", "''"]),
    ("SET('x', 'y', 'z')", ["'x,z'", "''"]),
    ("BINARY(5)", ["0x00ff", "'ab'"]),
    ("VARBINARY(20)", ["0x00ff5c27220a", "''"]),
    ("TINYBLOB", ["''"]),
    ("LONGBLOB", ["REPEAT(0x00ff, 100000)"]),
    ("GEOMETRY", ["ST_GeomFromText('POINT(0.1 -1e-300)')", "ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))', 4326)"]),
    ("POINT", ["ST_GeomFromText('POINT(1 2)')"]),
]
OF_MARIADB: list[tuple[str, list[str]]] = [
    ("JSON", ['\'{"b": 1, "a": [null, 1e400]}\'']),
    ("UUID", ["'0193a2b4-0000-7000-8000-00000000000a'"]),
    ("INET6", ["'::1'", "'2001:db8::ff'"]),
    ("VARCHAR(20) AS (CONCAT('v', ID)) VIRTUAL", []),
    ("VARCHAR(20) COMPRESSED", ["'abc'"]),
]


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.needs_server) for name in ("mariadb", "mysql56")])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


def permit(db: Connection) -> None:
    execute(db, "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'")
    execute(db, "SET NAMES utf8mb4")


def exact(name: str, type_name: str) -> str:
    """An expression that differs whenever the value does."""
    if type_name.startswith("BIT"):
        return f"HEX({name} + 0)"
    is_binary = "BLOB" in type_name or "BINARY" in type_name or type_name in ("GEOMETRY", "POINT")
    return f"HEX({name})" if is_binary else f"HEX(CAST({name} AS CHAR))"


def everything(table: str, types: list[tuple[str, list[str]]]) -> str:
    columns = [exact(f"C{n}", type_name) for n, (type_name, _) in enumerate(types)]
    # A FLOAT prints six digits; as a double it shows what is stored.
    columns += [
        f"CAST(C{n} * 1e0 AS CHAR)"
        for n, (type_name, _) in enumerate(types)
        if type_name.startswith(("FLOAT", "DOUBLE"))
    ]
    return f"SELECT ID, {', '.join(columns)} FROM {table} ORDER BY ID"


def mark_of(column: Column) -> str:
    if column.type.startswith("bit"):
        return "CAST(CONV(%s, 2, 10) AS UNSIGNED)"
    return "%s"


def put_back(
    db: Connection, table: str, columns: list[tuple[Column, list[Any], list[Any]]], left_out: set[str]
) -> None:
    used = [entry for entry in columns if entry[0].name not in left_out]
    names = ", ".join(column.name for column, _, _ in used)
    marks = ", ".join(mark_of(column) for column, _, _ in used)
    for row in in_rows(used):
        execute(db, f"INSERT INTO {table} ({names}) VALUES ({marks})", [adapted(value) for value in row])


def adapted(value: Any) -> Any:
    if isinstance(value, uuid.UUID):
        return str(value)
    return utc(value.removesuffix("+00") if isinstance(value, str) else value)


@pytest.mark.parametrize("how", ["range", "limit", "other rows"])
def test_every_type(url: str, admin: Callable[[str], Connection], tmp_path: Path, how: str) -> None:
    """By ranges of the key, by a limit (no unique way through the table), and by keys found first."""
    db = admin(url)
    permit(db)
    types = TYPES + (OF_MARIADB if url.startswith("mariadb") else [])
    columns = ", ".join(f"C{n} {type_name}" for n, (type_name, _) in enumerate(types))
    key = "KEY (ID)" if how == "limit" and url.startswith("mariadb") else "PRIMARY KEY (ID)"
    for table in ("KEPT", "AFTER"):
        execute(
            db,
            f"CREATE TABLE {table} (ID BIGINT NOT NULL, E BIGINT, {columns}, {key}) ENGINE=InnoDB ROW_FORMAT=DYNAMIC",
        )
    deepest = max(len(values) for _, values in types)
    own = {f"C{n}" for n, (type_name, _) in enumerate(types) if type_name.endswith("VIRTUAL")}
    names = [f"C{n}" for n in range(len(types)) if f"C{n}" not in own]
    for number in range(deepest + 1):  # the last row has NULL everywhere
        row = [
            values[number] if number < len(values) else "NULL"
            for n, (_, values) in enumerate(types)
            if f"C{n}" not in own
        ]
        execute(db, f"INSERT INTO KEPT (ID, E, {', '.join(names)}) VALUES ({number}, {OLD}, {', '.join(row)})")
    before = rows_of(db, everything("KEPT", types))
    changes: dict[str, Any] = {}
    if how == "other rows":
        execute(db, "CREATE TABLE USERS (ID BIGINT PRIMARY KEY) ENGINE=InnoDB")
        changes = {"also": pk.not_referenced_by("USERS", on={"ID": "ID"})}
    found = purge_to_files(url, "KEPT", tmp_path / "kept", deepest + 1, **changes)
    for column, plain, typed in found:
        assert all(has_own_type(column, value) for value in typed), (column, typed)
        is_shape = column.type in ("geometry", "point")
        assert is_shape or not any(isinstance(value, list) for value in plain), (column, plain)
        assert not is_shape or all(value is None or isinstance(value, bytes) for value in typed), typed
        if column.type.startswith(("date", "timestamp")):
            assert all(re.match(r"\d{4}-\d\d-\d\d", value) for value in plain if value is not None), plain
        if column.type.startswith("timestamp"):
            assert all(
                value is None or value == "0000-00-00 00:00:00+00" or value.tzinfo == dt.timezone.utc for value in typed
            )
    put_back(db, "AFTER", found, own)
    assert rows_of(db, everything("AFTER", types)) == before
    restored(url, deepest + 1)
    assert rows_of(db, everything("KEPT", types)) == before


DRAWN: list[tuple[str, st.SearchStrategy[Any]]] = [
    ("BIGINT", st.integers(-(2**63), 2**63 - 1)),
    ("BIGINT UNSIGNED", st.integers(0, 2**64 - 1)),
    ("DECIMAL(30,10)", st.decimals(-(10**19), 10**19, places=10)),
    ("FLOAT", st.floats(width=32, allow_nan=False, allow_infinity=False)),
    ("DOUBLE", st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)),
    (
        "VARCHAR(50) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    ),
    ("VARBINARY(50)", st.binary(max_size=40)),
    ("DATE", st.dates()),
    ("DATETIME(6)", st.datetimes()),
    ("TIMESTAMP(6) NULL", st.datetimes(dt.datetime(1971, 1, 1), dt.datetime(2037, 1, 1))),
    ("TIME(6)", st.timedeltas(-dt.timedelta(hours=838), dt.timedelta(hours=838))),
    ("BIT(40)", st.integers(0, 2**40 - 1)),
]


def test_any_value(url: str, admin: Callable[[str], Connection], tmp_path_factory: pytest.TempPathFactory) -> None:
    db = admin(url)
    permit(db)

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(rows=st.lists(st.tuples(*(st.none() | strategy for _, strategy in DRAWN)), min_size=1, max_size=30))
    def check(rows: list[Any]) -> None:
        types = [(type_name, [""]) for type_name, _ in DRAWN]
        columns = ", ".join(f"C{n} {type_name}" for n, (type_name, _) in enumerate(types))
        for table in ("KEPT", "AFTER"):
            execute(db, f"DROP TABLE IF EXISTS {table}")
            execute(db, f"CREATE TABLE {table} (ID BIGINT PRIMARY KEY, E BIGINT, {columns}) ENGINE=InnoDB")
        marks = ", ".join(["%s"] * (len(types) + 2))
        for number, row in enumerate(rows):
            execute(db, f"INSERT INTO KEPT VALUES ({marks})", [number, OLD, *row])
        before = rows_of(db, everything("KEPT", types))
        put_back(db, "AFTER", purge_to_files(url, "KEPT", tmp_path_factory.mktemp("kept"), len(rows)), set())
        assert rows_of(db, everything("AFTER", types)) == before

    check()


@pytest.mark.parametrize("unless_referenced", [False, True])
def test_dependents_by_keys_of_another_form(
    url: str, admin: Callable[[str], Connection], tmp_path: Path, unless_referenced: bool
) -> None:
    """Children by values whose form in the archive is another than in SQL."""
    db = admin(url)
    permit(db)
    for table, more in (("P", "E BIGINT,"), ("C", "")):
        execute(
            db,
            f"CREATE TABLE {table} (ID BIGINT PRIMARY KEY, {more} T TIMESTAMP NOT NULL, B BIT(3)) ENGINE=InnoDB",
        )
    for n in range(1, 8):
        if n < 7:
            execute(db, f"INSERT INTO P VALUES ({n}, {OLD}, '2024-01-01 00:00:0{n}', {n})")
        execute(db, f"INSERT INTO C VALUES ({n}, '2024-01-01 00:00:0{n}', {n})")
    child = pk.dependent("C", on={"T": "T", "B": "B"}, unless_referenced=unless_referenced)
    policy = pk.Policy("p", table="P", where=pk.expired("E", unit="s"), max_fraction=1.0, dependents=[child])
    with pk.connect(url) as db_:
        report = db_.run(policy, archive=f"{tmp_path}/kept/")
    assert report.rows_deleted == report.rows_archived == 12
    assert rows_of(db, "SELECT ID FROM C") == [(7,)]
    for path in find_archives(tmp_path / "kept"):
        with ArchiveFile(path) as archive:
            rows = sorted(archive.rows(), key=lambda row: str(row["ID"]))
        assert [(row["ID"], row["B"]) for row in rows] == [(n, f"{n:03b}") for n in range(1, 7)]
        assert [row["T"] for row in rows] == [
            dt.datetime(2024, 1, 1, 0, 0, n, tzinfo=dt.timezone.utc) for n in range(1, 7)
        ]
