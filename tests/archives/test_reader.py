"""Rows come back as they were put in, as Python's own types."""

from __future__ import annotations

import base64
import datetime as dt
import itertools
import json
import math
import struct
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archives import writer
from purgekit.archives import ArchiveError, ArchiveFile, Kind, RawText

UTC = dt.timezone.utc


def read(path: Path, data: bytes) -> list[dict[str, Any]]:
    path.write_bytes(data)
    with ArchiveFile(path) as archive:
        return list(archive.rows())


def test_header_chunks_and_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(writer.archive(writer.SESSIONS, writer.sessions()))
    with ArchiveFile(path) as archive:
        assert archive.header.table == "SESSIONS"
        assert archive.header.database == "iam"
        assert [(c.name, c.type, c.kind) for c in archive.columns] == [
            ("ID", "bigint", Kind.INT),
            ("NOTE", "text", Kind.TEXT),
            ("DATA", "bytea", Kind.BYTES),
        ]
        assert archive.is_finished
        assert [(chunk.record.number, chunk.record.rows) for chunk in archive.chunks()] == [(1, 4), (2, 4), (3, 4)]
        rows = list(archive.rows())
        assert rows[0] == {"ID": 100, "NOTE": "note 1/0", "DATA": b"\0\xff"}
        assert [row["ID"] for row in rows] == [c * 100 + n for c in (1, 2, 3) for n in range(4)]
        assert list(archive.rows()) == rows, "once more"


def test_two_readings_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(writer.archive(writer.SESSIONS, writer.sessions(chunks=20)))
    with ArchiveFile(path) as archive:
        expected = [row["ID"] for row in archive.rows()]
        twins = zip(archive.rows(), itertools.islice(archive.rows(), 7, None), strict=False)
        assert [(a["ID"], b["ID"]) for a, b in twins] == list(zip(expected, expected[7:], strict=False))


def test_no_rows_at_all(tmp_path: Path) -> None:
    assert read(tmp_path / "a", writer.header()) == []
    assert read(tmp_path / "b", writer.header() + writer.chunk(1, b"")) == []


KINDS: list[tuple[int, Any, Any]] = [
    (writer.INT, -(2**63), -(2**63)),
    (writer.UINT, 2**64 - 1, 2**64 - 1),
    (writer.REAL, 0.1, 0.1),
    (writer.REAL, 5, 5.0),
    (writer.REAL, {"$real": "-inf"}, -math.inf),
    (writer.BOOL, True, True),
    (writer.TEXT, "line\nline \0 é 😀 \u2028", "line\nline \0 é 😀 \u2028"),
    (writer.TEXT, {"$text64": "/w=="}, RawText(b"\xff")),
    (writer.TEXT, {"$int": 7}, 7),
    (writer.TEXT, {"$bytes": "AAE="}, b"\0\1"),
    (writer.INT, {"$text": "7"}, "7"),
    (writer.INT, {"$int": 2**64 - 1}, 2**64 - 1),
    (writer.BYTES, "", b""),
    (writer.DECIMAL, "12.3400", Decimal("12.3400")),
    (writer.DECIMAL, "-Infinity", Decimal("-Infinity")),
    (writer.DECIMAL, "1" * 200, Decimal("1" * 200)),
    (writer.DATE, "2024-02-29", dt.date(2024, 2, 29)),
    (writer.DATE, "2023-02-29", "2023-02-29"),
    (writer.DATE, "infinity", "infinity"),
    (writer.DATE, "0044-03-15 BC", "0044-03-15 BC"),
    (writer.TIMESTAMP, "2024-01-02 03:04:05.1", dt.datetime(2024, 1, 2, 3, 4, 5, 100_000)),
    (writer.TIMESTAMP, "2024-01-02T03:04:05", dt.datetime(2024, 1, 2, 3, 4, 5)),
    (writer.TIMESTAMP, "0000-00-00 00:00:00", "0000-00-00 00:00:00"),
    (writer.TIMESTAMP, "2024-01-02 03:04:05.123456789", "2024-01-02 03:04:05.123456789"),
    (writer.ZONED, "2024-01-02 03:04:05+00", dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
    (writer.ZONED, "2024-01-02 03:04:05", "2024-01-02 03:04:05"),
    (writer.ZONED, "2024-01-02 03:04:05+02", "2024-01-02 03:04:05+02"),
    (writer.TIME, "23:59:59.999999", dt.time(23, 59, 59, 999_999)),
    (writer.TIME, "12:00:00-03:30", dt.time(12, tzinfo=dt.timezone(-dt.timedelta(hours=3, minutes=30)))),
    (writer.TIME, "24:00:00", "24:00:00"),
    (writer.TIME, "-838:59:59", "-838:59:59"),
    (writer.UUID, "0193a2b4-0000-7000-8000-00000000000A", uuid.UUID("0193a2b4-0000-7000-8000-00000000000a")),
    (writer.UUID, "not one", "not one"),
    (writer.BIT, "0101", "0101"),
    (writer.ANY, 1, 1),
    (writer.ANY, 1.0, 1.0),
    (writer.ANY, "1", "1"),
    (writer.ANY, {"$bytes": "MQ=="}, b"1"),
    (writer.OTHER, '{"k": [1, null]}', '{"k": [1, null]}'),
]


@pytest.mark.parametrize(("kind", "stored", "value"), KINDS)
def test_values_of_each_kind(tmp_path: Path, kind: int, stored: Any, value: Any) -> None:
    columns = (("V", "t", kind), ("N", "t", kind))
    (row,) = read(tmp_path / "a", writer.archive(columns, [[[stored, None]]]))
    assert row == {"V": value, "N": None}
    assert type(row["V"]) is type(value)


def test_nan(tmp_path: Path) -> None:
    (row,) = read(tmp_path / "a", writer.archive((("V", "float8", writer.REAL),), [[[{"$real": "nan"}]]]))
    assert math.isnan(row["V"])


WRONG: list[tuple[int, Any]] = [
    (writer.INT, 1.5),
    (writer.INT, True),
    (writer.INT, "1"),
    (writer.INT, 2**63),
    (writer.UINT, -1),
    (writer.UINT, 2**64),
    (writer.REAL, "1.5"),
    (writer.BOOL, 1),
    (writer.TEXT, 1),
    (writer.TEXT, ["x"]),
    (writer.TEXT, "\ud800"),
    (writer.BYTES, "AP8"),
    (writer.BYTES, "A P8="),
    (writer.BYTES, "AP9="),
    (writer.DATE, 20240229),
    (writer.TEXT, {"$text": "a", "$int": 1}),
    (writer.TEXT, {"$unknown": 1}),
    (writer.TEXT, {}),
    (writer.TEXT, {"$text": {"$text": "a"}}),
    (writer.REAL, {"$real": "NaN"}),
    (writer.INT, {"$int": 2**64}),
]


@pytest.mark.parametrize(("kind", "stored"), WRONG)
def test_a_value_of_the_wrong_kind_is_an_error(tmp_path: Path, kind: int, stored: Any) -> None:
    columns = (("V", "some type", kind),)
    text = json.dumps({"V": stored}).encode() + b"\n"  # ASCII, so that half a surrogate pair can be written
    with pytest.raises(ArchiveError, match=r"a\.zst: a value of column V \(some type\) is none") as failed:
        read(tmp_path / "a.zst", writer.header(columns) + writer.chunk(1, text))
    assert failed.value.table == "SESSIONS"


LOSSLESS = st.one_of(
    st.tuples(st.just(writer.INT), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(writer.REAL), st.floats(allow_nan=False, allow_infinity=False)),
    st.tuples(st.just(writer.TEXT), st.text(st.characters(exclude_categories=["Cs"]))),
    st.tuples(st.just(writer.BYTES), st.binary()),
    st.tuples(st.just(writer.DECIMAL), st.decimals(allow_nan=False, allow_infinity=False)),
    st.tuples(st.just(writer.DATE), st.dates()),
    st.tuples(st.just(writer.TIMESTAMP), st.datetimes()),
    st.tuples(st.just(writer.ZONED), st.datetimes(timezones=st.just(UTC))),
    st.tuples(st.just(writer.TIME), st.times()),
    st.tuples(st.just(writer.UUID), st.uuids()),
)


def stored_form(kind: int, value: Any) -> Any:
    if kind == writer.BYTES:
        return base64.b64encode(value).decode()
    if kind == writer.ZONED:
        return value.replace(tzinfo=None).isoformat(" ") + "+00"
    if kind in (writer.INT, writer.REAL, writer.TEXT):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


@given(cells=st.lists(LOSSLESS, min_size=1, max_size=8))
def test_every_value_comes_back(tmp_path_factory: pytest.TempPathFactory, cells: list[Any]) -> None:
    columns = [(f"C{n}", "t", kind) for n, (kind, _) in enumerate(cells)]
    row = [stored_form(kind, value) for kind, value in cells]
    found = read(tmp_path_factory.getbasetemp() / "every.zst", writer.archive(columns, [[row, row]]))
    assert [list(one.values()) for one in found] == [[value for _, value in cells]] * 2
    for one in found:
        for (kind, value), back in zip(cells, one.values(), strict=True):
            if kind == writer.REAL:
                assert struct.pack("<d", back) == struct.pack("<d", value)
            else:
                assert type(back) is type(value)
