"""archive → purge → restore gives the very same rows, whatever types and values a database has."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import purgekit as pk
from engine.restores import archive_of, execute, rows, suffix
from engine.tables import mark
from servers import Connection

Admin = Callable[[str], Connection]
Column = tuple[str, st.SearchStrategy[Any], str]  # type, values, cast of the parameter (PostgreSQL)

_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
_plain = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], max_codepoint=0xFFFF), max_size=20)
_bytes = st.binary(max_size=20)
_floats = st.floats(allow_nan=False, allow_infinity=False)
_whole = st.integers(-(2**63), 2**63 - 1)


def _int(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _bits(size: int) -> st.SearchStrategy[str]:
    return st.text("01", min_size=size, max_size=size)


_times = st.datetimes(datetime(1971, 1, 2), datetime(2037, 1, 1))
_dates = st.dates(date(1001, 1, 1), date(9999, 12, 31))
_decimals = st.decimals(Decimal(-(10**12)), Decimal(10**12), places=6)

SQLITE: dict[str, Column] = {
    name: (kind, st.one_of(_whole, st.floats(allow_nan=False), _text, _bytes), "")
    for name, kind in {
        "V": "",
        "I": "INTEGER",
        "R": "REAL",
        "T": "TEXT",
        "B": "BLOB",
        "N": "NUMERIC",
        "D": '"DECIMAL(10,2)"',
        "X": '"odd; type --"',
        "W": "DATETIME",
    }.items()
}

POSTGRESQL: dict[str, Column] = {
    "c_int2": ("smallint", _int(16), ""),
    "c_int4": ("integer", _int(32), ""),
    "c_numeric": ("numeric", st.one_of(_decimals.map(str), st.sampled_from(["NaN", "1e-300", "0.000"])), ""),
    "c_money": ("money", st.integers(-(10**9), 10**9).map(str), "::money"),
    "c_float4": ("real", st.one_of(st.floats(width=32).map(str)), "::real"),
    "c_float8": ("double precision", st.floats().map(str), "::float8"),
    "c_bool": ("boolean", st.booleans(), ""),
    "c_text": ("text", _text, ""),
    "c_varchar": ('varchar(20) COLLATE "C"', _text, ""),
    "c_char": ("char(20)", _plain, ""),
    "c_bytea": ("bytea", _bytes, ""),
    "c_date": ("date", st.one_of(_dates.map(str), st.sampled_from(["infinity", "0044-03-15 BC"])), "::date"),
    "c_time": ("time", st.times().map(str), "::time"),
    "c_timetz": ("timetz", st.times().map(lambda t: f"{t}+05:30"), "::timetz"),
    "c_stamp": ("timestamp", st.one_of(_times.map(str), st.just("-infinity")), "::timestamp"),
    "c_stamptz": ("timestamptz(3)", _times.map(lambda t: f"{t}-03"), "::timestamptz"),
    "c_interval": ("interval", st.integers(0, 10**6).map(lambda n: f"{n} days {n} us"), "::interval"),
    "c_uuid": ("uuid", st.uuids().map(str), "::uuid"),
    "c_json": ("json", _plain.map(json.dumps), "::json"),
    "c_jsonb": ("jsonb", st.dictionaries(_plain, _whole, max_size=3).map(json.dumps), "::jsonb"),
    "c_inet": ("inet", st.ip_addresses().map(str), "::inet"),
    "c_bit": ("bit(5)", _bits(5), "::bit(5)"),
    "c_varbit": ("bit varying", _bits(9), "::varbit"),
    "c_enum": ("mood", st.sampled_from(["sad", "it's"]), "::mood"),
    "c_array": ("text[]", st.lists(st.one_of(st.none(), _text), max_size=3), "::text[]"),
    "c_point": ("point", st.integers(-9, 9).map(lambda n: f"({n},{n}.5)"), "::point"),
    "c_range": ("int4range", st.integers(0, 9).map(lambda n: f"[{n},{n + 3})"), "::int4range"),
    "c_xml": ("xml", st.just("<a>&amp;</a>"), "::xml"),
    "c_search": ("tsvector", st.just("fat rat"), "::tsvector"),
}

MYSQL: dict[str, Column] = {
    "C_TINY": ("TINYINT", _int(8), ""),
    "C_INT": ("INT", _int(32), ""),
    "C_BIG": ("BIGINT UNSIGNED", st.integers(0, 2**64 - 1), ""),
    "C_DEC": ("DECIMAL(30,10)", _decimals, ""),
    "C_FLOAT": ("FLOAT", st.floats(-(2.0**100), 2.0**100, width=32), ""),
    "C_DOUBLE": ("DOUBLE", _floats, ""),
    "C_BIT": ("BIT(17)", st.integers(0, 2**17 - 1), ""),
    "C_CHAR": ("CHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", _text, ""),
    "C_VARCHAR": ("VARCHAR(40) CHARACTER SET utf8mb4", _text, ""),
    "C_LATIN": ("VARCHAR(20) CHARACTER SET latin1", st.text("aä é", max_size=9), ""),
    "C_TEXT": ("MEDIUMTEXT CHARACTER SET utf8mb4", _text, ""),
    "C_VARBIN": ("VARBINARY(20)", _bytes, ""),
    "C_BINARY": ("BINARY(20)", _bytes, ""),
    "C_BLOB": ("BLOB", _bytes, ""),
    "C_DATE": ("DATE", st.one_of(_dates.map(str), st.sampled_from(["0000-00-00", "2021-02-31"])), ""),
    "C_STAMP": ("DATETIME(6)", st.one_of(_times.map(str), st.just("0000-00-00 00:00:00")), ""),
    "C_ZONED": ("TIMESTAMP(6) NULL", _times.map(str), ""),
    "C_TIME": ("TIME(6)", st.timedeltas(timedelta(hours=-800), timedelta(hours=800)).map(lambda t: _clock(t)), ""),
    "C_YEAR": ("YEAR", st.integers(1901, 2155), ""),
    "C_ENUM": ("ENUM('a', 'it''s', '')", st.sampled_from(["a", "it's", ""]), ""),
    "C_SET": ("SET('x', 'y', 'z')", st.sampled_from(["", "x", "x,z", "x,y,z"]), ""),
}


def _clock(span: timedelta) -> str:
    sign = "-" if span < timedelta() else ""
    seconds, us = divmod(round(abs(span) / timedelta(microseconds=1)), 1_000_000)
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{us:06d}"


@dataclass
class Everything:
    """A table with a column of each type, and one that the database computes."""

    url: str
    connection: Connection
    columns: dict[str, Column] = field(init=False)
    exact: str = field(init=False)  # what tells the rows apart, down to the last bit

    def __post_init__(self) -> None:
        if self.url.startswith("sqlite"):
            self.columns = SQLITE
            identity = "ID INTEGER PRIMARY KEY AUTOINCREMENT"
            computed = "G INTEGER GENERATED ALWAYS AS (ID * 2) STORED, H TEXT GENERATED ALWAYS AS (ID || 'x') VIRTUAL"
            shown = [f"typeof({name}), {name}" for name in self.columns]
            self.exact = f"{', '.join(shown)}, G, H"
        elif self.url.startswith("postgresql"):
            self.columns = POSTGRESQL
            execute(self.connection, "CREATE TYPE mood AS ENUM ('sad', 'it''s')")
            identity = "ID bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
            computed = "G bigint GENERATED ALWAYS AS (E * 2) STORED"
            self.exact = f"ROW({', '.join(self.columns)}, G)::text"
        else:
            self.columns = MYSQL
            identity = "ID BIGINT AUTO_INCREMENT PRIMARY KEY"
            old = "mysql" in self.url.split(":")[0]
            computed = "G BIGINT" if old else "G BIGINT AS (E * 2) PERSISTENT, H BIGINT AS (E * 3) VIRTUAL"
            self.exact = ", ".join(f"HEX({name}), {name} + 0" for name in self.columns) + ", G"
            execute(
                self.connection,
                "SET SESSION sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+03:00'",
            )
        made = ", ".join(f"{name} {column[0]}" for name, column in self.columns.items())
        execute(
            self.connection, f"CREATE TABLE EVERY_TYPE ({identity}, E BIGINT, {made}, {computed}){suffix(self.url)}"
        )

    def fill(self, values: Sequence[dict[str, Any]]) -> None:
        execute(self.connection, "DELETE FROM EVERY_TYPE")
        m = mark(self.url)
        overriding = " OVERRIDING SYSTEM VALUE" if self.url.startswith("postgresql") else ""
        marks = ", ".join([m, m, *(m + column[2] for column in self.columns.values())])
        for number, row in enumerate(values):  # from 0: a number that would be made anew in its place
            self.connection.cursor().execute(
                f"INSERT INTO EVERY_TYPE (ID, E, {', '.join(self.columns)}){overriding} VALUES ({marks})",
                [number, 1_000_000_000, *(row[name] for name in self.columns)],
            )

    def contents(self, table: str = "EVERY_TYPE") -> list[tuple[Any, ...]]:
        return rows(self.connection, f"SELECT ID, {self.exact} FROM {table} ORDER BY ID")


@pytest.fixture
def every(any_url: str, admin: Admin) -> Everything:
    return Everything(any_url, admin(any_url))


# Each example is two purges and three restores: not shrunk, which would take minutes.
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_every_type_comes_back_as_it_was(every: Everything, data: st.DataObject) -> None:
    row = st.fixed_dictionaries({name: st.one_of(st.none(), column[1]) for name, column in every.columns.items()})
    every.fill(data.draw(st.lists(row, min_size=1, max_size=6)))
    before = every.contents()
    policy = pk.Policy("all", table="EVERY_TYPE", where=pk.expired("E", unit="s"), archive="table", max_fraction=1.0)
    with pk.connect(every.url) as db:
        run = db.run(policy)
        assert run.rows_archived == len(before)
        assert every.contents() == []
        kept = rows(
            every.connection,
            f"SELECT ID, {every.exact} FROM {archive_of(every.url, 'EVERY_TYPE')} "
            f"WHERE purgekit_run_id = '{run.run_id}' ORDER BY ID",
        )
        assert kept == before
        assert db.restore(run.run_id, hold=False).rows_restored == len(before)
        assert every.contents() == before
        assert db.restore(run.run_id, hold=False).rows_restored == 0
        replaced = db.run(policy).run_id
        every.fill(data.draw(st.lists(row, min_size=1, max_size=3)))
        db.restore(replaced, on_conflict="replace", hold=False)
    after = {row[0]: row for row in every.contents()}
    assert [after[row[0]] for row in before] == before


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_every_type_comes_back_out_of_files(
    every: Everything, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    row = st.fixed_dictionaries({name: st.one_of(st.none(), column[1]) for name, column in every.columns.items()})
    every.fill(data.draw(st.lists(row, min_size=1, max_size=12)))
    before = every.contents()
    policy = pk.Policy("all", table="EVERY_TYPE", where=pk.expired("E", unit="s"), max_fraction=1.0)
    with pk.connect(every.url) as db:
        run = db.run(policy, archive=tmp_path_factory.mktemp("kept"))
        assert every.contents() == []
        report = db.restore(run.run_id, hold=False)
    assert report.rows_loaded == report.rows_restored == len(before)
    assert every.contents() == before
    kept = rows(
        every.connection,
        f"SELECT ID, {every.exact} FROM {archive_of(every.url, 'EVERY_TYPE')} "
        f"WHERE purgekit_run_id = '{run.run_id}' ORDER BY ID",
    )
    assert kept == before
