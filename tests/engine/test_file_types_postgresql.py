"""Every type of PostgreSQL goes through an archive file and comes back the same."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import purgekit as pk
from engine.file_types import OLD, execute, has_own_type, in_rows, purge_to_files, restored, rows_of
from purgekit.archives import ArchiveFile, Kind, find_archives
from servers import Connection

# Type and values as its input function reads them. NULL is tried for each.
TYPES: list[tuple[str, list[str]]] = [
    ("smallint", ["-32768", "32767", "0"]),
    ("integer", ["-2147483648", "2147483647"]),
    ("bigint", ["-9223372036854775808", "9223372036854775807"]),
    ("oid", ["0", "4294967295"]),
    (
        "numeric",
        ["0", "-0.00", "1e-300", "123456789012345678901234567890.12345678901234567890", "NaN", "Infinity", "-Infinity"],
    ),
    ("numeric(12,3)", ["-999999999.999", "1.000"]),
    ("real", ["0.1", "-0", "3.4028235e38", "1e-45", "NaN", "-Infinity"]),
    ("double precision", ["0.1", "-0", "1.7976931348623157e308", "5e-324", "NaN", "Infinity"]),
    ("money", ["-92233720368547758.08", "92233720368547758.07", "0.01"]),
    ("boolean", ["t", "f"]),
    ("text", ["", " ", "a\nb\r\tc", "'\"\\,;{}", "\u2028 é 😀 \x01\x7f", "NULL", "\\N", "$text"]),
    ("varchar(20)", ["", "trailing  ", "äöü"]),
    ("character(5)", ["a", "abcde", ""]),
    ('"char"', ["a", ""]),
    ("name", ["purgekit"]),
    ("bytea", ["", "\\x00ff5c27220a", "\\x" + "00" * 300]),
    ("date", ["2024-02-29", "infinity", "-infinity", "4713-01-01 BC", "5874897-12-31", "0001-01-01"]),
    ("timestamp", ["2024-02-29 23:59:59.999999", "infinity", "0044-03-15 12:00:00 BC", "294276-12-31 23:59:59.999999"]),
    ("timestamp(0)", ["2024-02-29 23:59:59"]),
    (
        "timestamptz",
        ["2024-03-31 01:30:00+01", "-infinity", "0044-03-15 12:00:00+00 BC", "294276-12-31 23:59:59.999999+00"],
    ),
    ("time", ["00:00:00", "24:00:00", "23:59:59.999999"]),
    ("timetz", ["12:00:00+15:59", "24:00:00-15:59", "01:02:03.4+05:30"]),
    ("interval", ["1 year -2 mons 3 days -04:05:06.789", "-178000000 years", "0", "-00:00:00.000001"]),
    ("uuid", ["00000000-0000-0000-0000-000000000000", "0193a2b4-0000-7000-8000-00000000000a"]),
    ("bit(5)", ["10101", "00000"]),
    ("bit varying", ["", "1", "0" * 70]),
    ("json", ['{"b":1, "a" : [1e400, null], "b":2}', "[]", '"\\u0000"']),
    ("jsonb", ['{"b":1,"a":[1e400,null]}', "null"]),
    ("xml", ['<a b="c">d &amp; é</a>', ""]),
    ("inet", ["::1/128", "192.168.0.1/24"]),
    ("cidr", ["10.0.0.0/8"]),
    ("macaddr", ["08:00:2b:01:02:03"]),
    ("macaddr8", ["08:00:2b:01:02:03:04:05"]),
    ("point", ["(0.1,-1e-300)"]),
    ("line", ["{1,2,3}"]),
    ("lseg", ["[(0,0),(1,0.1)]"]),
    ("box", ["(3,3),(1,0.1)"]),
    ("path", ["[(0,0),(1,1)]", "((0,0),(1,1))"]),
    ("polygon", ["((0,0),(1,1),(2,0))"]),
    ("circle", ["<(0.1,0.2),3>"]),
    ("tsvector", ["'a':1A,2 'it''s' 'b\\\\c':3"]),
    ("tsquery", ["'a' & !'b':*"]),
    ("int4range", ["[1,5)", "empty", "(,3)"]),
    ("tstzrange", ['["2024-01-01 00:00:00+00",)']),
    ("nummultirange", ["{[1.5,2.5),[3,4)}", "{}"]),
    ("text[]", ['{a,NULL,"NULL","b,c\\"d\\\\e",""}', "{}", "[2:3]={x,y}", "{{a,b},{c,d}}"]),
    ("bytea[]", ['{"\\\\x00ff",NULL}']),
    ("timestamptz[]", ['{"2024-01-01 00:00:00+02",infinity}']),
    ("interval[]", ['{"1 day -00:00:01"}']),
    ("float8[]", ["{0.1,NaN,-0}"]),
    ("pg_lsn", ["16/B374D848"]),
    ("xid8", ["18446744073709551615"]),
    ("tid", ["(42,7)"]),
    ("mood", ["sad", "it's", ""]),
    ("pair", ['(1,"a ""b"", c")', "(,)"]),
    ("small", ["7"]),
    ("amount_of", ["12.30"]),
    ("jsonpath", ['$."a"[*]']),
]


def make_types(db: Connection) -> None:
    execute(db, "CREATE TYPE mood AS ENUM ('sad', 'it''s', '')")
    execute(db, "CREATE TYPE pair AS (a int, b text)")
    execute(db, "CREATE DOMAIN small AS int CHECK (VALUE < 10)")
    execute(db, "CREATE DOMAIN amount AS numeric(8,2)")
    execute(db, "CREATE DOMAIN amount_of AS amount")


def make_table(db: Connection, name: str) -> None:
    columns = ", ".join(f'"C{n}" {type_name}' for n, (type_name, _) in enumerate(TYPES))
    execute(db, f"CREATE TABLE {name} (ID bigint PRIMARY KEY, E bigint, {columns})")


def adapted(value: Any) -> Any:
    # As numbers the driver would write 0 for -0.0 and NaN for an infinite Decimal.
    return str(value) if isinstance(value, (uuid.UUID, float, Decimal)) else value


def put_back(db: Connection, table: str, rows: list[tuple[Any, ...]], types: list[str]) -> None:
    marks = ", ".join(f"CAST(%s AS {type_name})" for type_name in ["bigint", "bigint", *types])
    for row in rows:
        execute(db, f"INSERT INTO {table} VALUES ({marks})", [adapted(value) for value in row])


@pytest.mark.parametrize(
    "setting", ["", "IntervalStyle = 'sql_standard'", "TimeZone = 'Asia/Kathmandu'", "DateStyle = 'German'"]
)
def test_every_type(postgresql_url: str, admin: Callable[[str], Connection], tmp_path: Path, setting: str) -> None:
    db = admin(postgresql_url)
    if setting:
        name = rows_of(db, "SELECT current_database()")[0][0]
        execute(db, f'ALTER DATABASE "{name}" SET {setting}')
    make_types(db)
    make_table(db, "KEPT")
    execute(db, "SET extra_float_digits = 3")
    deepest = max(len(values) for _, values in TYPES)
    for number in range(deepest + 1):  # the last row has NULL everywhere
        row = [values[number] if number < len(values) else None for _, values in TYPES]
        marks = ", ".join(f"CAST(%s AS {type_name})" for type_name, _ in TYPES)
        execute(db, f"INSERT INTO KEPT VALUES ({number}, {OLD}, {marks})", row)
    execute(db, "CREATE TABLE BEFORE AS SELECT * FROM KEPT")
    make_table(db, "AFTER")
    columns = purge_to_files(postgresql_url, "KEPT", tmp_path / "kept", deepest + 1)
    assert [column.type for column, _, _ in columns][2:] == [
        row[0]
        for row in rows_of(
            db,
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'before'::regclass"
            " AND attnum > 2 ORDER BY attnum",
        )
    ]
    for column, plain, typed in columns:
        assert all(has_own_type(column, value) for value in typed), column
        special = [value for value in plain if isinstance(value, list)]
        assert not special or column.kind == Kind.REAL, "only NaN and infinity are marked"
    put_back(db, "AFTER", in_rows(columns), [type_name for type_name, _ in TYPES])
    restored(postgresql_url, deepest + 1)
    assert rows_of(db, "SELECT KEPT::text FROM KEPT ORDER BY ID") == rows_of(
        db, "SELECT BEFORE::text FROM BEFORE ORDER BY ID"
    )
    assert rows_of(db, "SELECT AFTER::text FROM AFTER ORDER BY ID") == rows_of(
        db, "SELECT BEFORE::text FROM BEFORE ORDER BY ID"
    )


UTC = dt.timezone.utc
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
DRAWN: list[tuple[str, st.SearchStrategy[Any]]] = [
    ("bigint", st.integers(-(2**63), 2**63 - 1)),
    ("numeric", st.decimals(allow_nan=False, allow_infinity=False).filter(lambda n: -300 < n.adjusted() < 300)),
    ("real", st.floats(width=32)),
    ("double precision", st.floats()),
    ("text", TEXTS),
    ("bytea", st.binary(max_size=40)),
    ("date", st.dates()),
    ("timestamp", st.datetimes()),
    ("timestamptz", st.datetimes(timezones=st.just(UTC))),
    ("time", st.times()),
    ("interval", st.timedeltas()),
    ("uuid", st.uuids()),
    ("boolean", st.booleans()),
    ("varbit", st.text("01", max_size=40)),
    ("text[]", st.lists(TEXTS, max_size=4)),
]


def test_any_value(
    postgresql_url: str, admin: Callable[[str], Connection], tmp_path_factory: pytest.TempPathFactory
) -> None:
    db = admin(postgresql_url)
    execute(db, "SET extra_float_digits = 3")

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(rows=st.lists(st.tuples(*(st.none() | strategy for _, strategy in DRAWN)), min_size=1, max_size=30))
    def check(rows: list[Any]) -> None:
        columns = ", ".join(f"C{n} {type_name}" for n, (type_name, _) in enumerate(DRAWN))
        for table in ("KEPT", "AFTER"):
            execute(db, f"DROP TABLE IF EXISTS {table}")
            execute(db, f"CREATE TABLE {table} (ID bigint PRIMARY KEY, E bigint, {columns})")
        types = [type_name for type_name, _ in DRAWN]
        put_back(db, "KEPT", [(number, OLD, *row) for number, row in enumerate(rows)], types)
        before = rows_of(db, "SELECT ROW(KEPT.*)::text FROM KEPT ORDER BY ID")
        found = purge_to_files(postgresql_url, "KEPT", tmp_path_factory.mktemp("kept"), len(rows))
        put_back(db, "AFTER", in_rows(found), types)
        assert rows_of(db, "SELECT ROW(AFTER.*)::text FROM AFTER ORDER BY ID") == before

    check()


def test_dependents_and_their_keys(postgresql_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    """Children by values whose form in the archive is another than in SQL."""
    db = admin(postgresql_url)
    execute(
        db, "CREATE TABLE P (ID bigint PRIMARY KEY, E bigint, M money UNIQUE, Z timestamptz UNIQUE, B bit(3) UNIQUE)"
    )
    execute(db, "CREATE TABLE C (ID bigint PRIMARY KEY, M money, Z timestamptz, B bit(3))")
    execute(
        db, f"INSERT INTO P SELECT n, {OLD}, n::text::money, to_timestamp(n), n::bit(3) FROM generate_series(1, 6) n"
    )
    execute(db, "INSERT INTO C SELECT n, n::text::money, to_timestamp(n), n::bit(3) FROM generate_series(1, 7) n")
    on = {"M": "M", "Z": "Z", "B": "B"}
    for unless_referenced in (False, True):
        policy = pk.Policy(
            "p",
            table="P",
            where=pk.expired("E", unit="s"),
            max_fraction=1.0,
            dependents=[pk.dependent("C", on=on, unless_referenced=unless_referenced)],
        )
        folder = tmp_path / str(unless_referenced)
        with pk.connect(postgresql_url) as db_:
            report = db_.run(policy, archive=f"{folder}/")
        assert report.rows_deleted == report.rows_archived == 12
        assert rows_of(db, "SELECT ID FROM C") == [(7,)]
        kept = {}
        for path in find_archives(folder):
            with ArchiveFile(path) as archive:
                kept[path.parent.name] = sorted(int(str(row["id"])) for row in archive.rows())
                for row in archive.rows():
                    names = ", ".join(row)
                    cast = {"id": "bigint", "e": "bigint", "m": "money", "z": "timestamptz", "b": "bit(3)"}
                    marks = ", ".join(f"CAST(%s AS {cast[name]})" for name in row)
                    execute(db, f"INSERT INTO {path.parent.name} ({names}) VALUES ({marks})", list(row.values()))
                assert all(isinstance(row["m"], str) and Decimal(row["m"]) > 0 for row in archive.rows())
        assert set(map(tuple, kept.values())) == {tuple(range(1, 7))}
