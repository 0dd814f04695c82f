"""Exports hold what the archive holds, in forms that others read."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archives import writer
from purgekit.archives import ArchiveError, ArchiveFile, export, export_to
from purgekit.errors import PurgekitError

EVERYTHING: writer.Columns = (
    ("I", "bigint", writer.INT),
    ("U", "bigint unsigned", writer.UINT),
    ("N", "numeric(6,2)", writer.DECIMAL),
    ("R", "double precision", writer.REAL),
    ("B", "boolean", writer.BOOL),
    ("T", "text", writer.TEXT),
    ("Y", "bytea", writer.BYTES),
    ("D", "date", writer.DATE),
    ("W", "timestamp without time zone", writer.TIMESTAMP),
    ("Z", "timestamp with time zone", writer.ZONED),
    ("C", "time without time zone", writer.TIME),
    ("J", "jsonb", writer.OTHER),
)
ROW: list[Any] = [
    -5,
    2**64 - 1,
    "1234.50",
    0.1,
    True,
    'a "quoted", text\r\nof two lines',
    "AP8=",
    "2024-02-29",
    "2024-02-29 01:02:03.5",
    "2024-02-29 01:02:03+00",
    "23:59:59",
    '{"k": [1, null]}',
]
NULLS: list[Any] = [None] * len(ROW)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(writer.archive(EVERYTHING, [[ROW, NULLS], [ROW]]))
    return path


def exported(path: Path, format: str) -> bytes:
    out = io.BytesIO()
    assert export_to(path, out, format=format) == 3
    return out.getvalue()


def test_csv(place: Path) -> None:
    data = exported(place, "csv")
    assert data.startswith(
        b'I,U,N,R,B,T,Y,D,W,Z,C,J\r\n-5,18446744073709551615,1234.50,0.1,true,"a ""quoted"", text\r\nof'
    )
    assert data.count(b"\r\n,,,,,,,,,,,\r\n") == 1
    rows = list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))
    assert rows[1] == rows[3] == [json.dumps(v) if isinstance(v, (int, float)) else v for v in ROW]


def test_csv_tells_null_from_empty_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(
        writer.archive((("A", "text", writer.TEXT), ("B", "text", writer.TEXT)), [[["", None], [None, ""]]])
    )
    out = io.BytesIO()
    export_to(path, out)
    assert out.getvalue() == b'A,B\r\n"",\r\n,""\r\n'


@given(
    names=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=2, max_size=4, unique=True),
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=4, max_size=4),
)
def test_any_text_survives_csv(tmp_path_factory: pytest.TempPathFactory, names: list[str], texts: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "csv.jsonl.zst"
    row = texts[: len(names)]
    path.write_bytes(writer.archive([(name, "text", writer.TEXT) for name in names], [[row, row]]))
    out = io.BytesIO()
    export_to(path, out)
    assert list(csv.reader(io.StringIO(out.getvalue().decode(), newline=""), strict=True)) == [names, row, row]


def test_json(place: Path, tmp_path: Path) -> None:
    data = json.loads(exported(place, "json"))
    names = [name for name, _, _ in EVERYTHING]
    assert data == [dict(zip(names, row, strict=True)) for row in (ROW, NULLS, ROW)]
    empty = tmp_path / "b.jsonl.zst"
    empty.write_bytes(writer.header())
    out = io.BytesIO()
    assert export_to(empty, out, format="json") == 0
    assert json.loads(out.getvalue()) == []


def test_parquet_has_the_columns_types(place: Path, tmp_path: Path) -> None:
    (written,) = export(place, tmp_path / "out.parquet", format="parquet")
    table = pa.parquet.read_table(written)
    assert [str(field.type) for field in table.schema] == [
        "int64",
        "uint64",
        "decimal128(6, 2)",
        "double",
        "bool",
        "large_string",
        "large_binary",
        "date32[day]",
        "timestamp[us]",
        "timestamp[us, tz=UTC]",
        "time64[us]",
        "large_string",
    ]
    assert table.schema.field("N").metadata[b"purgekit.type"] == b"numeric(6,2)"
    with ArchiveFile(place) as archive:
        assert table.to_pylist() == list(archive.rows())
    assert table.to_pylist()[0]["N"] == Decimal("1234.50")
    assert table.to_pylist()[0]["Z"] == dt.datetime(2024, 2, 29, 1, 2, 3, tzinfo=dt.timezone.utc)


@pytest.mark.parametrize(
    ("column", "values", "form", "expected"),
    [
        (("A", "date", writer.DATE), ["2024-01-01", "infinity"], b"text", ["2024-01-01", "infinity"]),
        (("A", "numeric", writer.DECIMAL), ["1.50", "NaN"], b"text", ["1.50", "NaN"]),
        (("A", "decimal(3,1)", writer.DECIMAL), ["12.34"], b"text", ["12.34"]),
        (("A", "decimal(2,2)", writer.DECIMAL), ["0.00", "-0.99"], b"typed", [Decimal("0.00"), Decimal("-0.99")]),
        (
            ("A", "decimal(65,30)", writer.DECIMAL),
            ["1" * 35 + "." + "1" * 30],
            b"typed",
            [Decimal("1" * 35 + "." + "1" * 30)],
        ),
        (("A", "", writer.ANY), [1, "1", 1.0, {"$bytes": "MQ=="}], b"json", ["1", '"1"', "1.0", '{"$bytes":"MQ=="}']),
        (("A", "INT", writer.INT), [1, {"$text": "x"}], b"json", ["1", '{"$text":"x"}']),
        (("A", "text", writer.TEXT), ["a", {"$text64": "/w=="}], b"json", ['"a"', '{"$text64":"/w=="}']),
        (("A", "time", writer.TIME), ["24:00:00"], b"text", ["24:00:00"]),
    ],
)
def test_parquet_never_bends_a_value(
    tmp_path: Path, column: Any, values: list[Any], form: bytes, expected: list[Any]
) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(writer.archive((column,), [[[value] for value in values]]))
    (written,) = export(path, tmp_path / "out.parquet", format="parquet")
    table = pa.parquet.read_table(written)
    assert table.schema.field("A").metadata[b"purgekit.form"] == form
    assert table.column("A").to_pylist() == expected


def test_parquet_keeps_special_reals(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(writer.archive((("A", "float8", writer.REAL),), [[[-0.0], [5e-324]]]))
    (written,) = export(path, tmp_path / "out.parquet", format="parquet")
    zero, least = pa.parquet.read_table(written).column("A").to_pylist()
    assert (math.copysign(1, zero), least) == (-1, 5e-324)


def test_parquet_in_several_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("purgekit.archives.parquet.MOST_ROWS_IN_GROUP", 5)
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(writer.archive(writer.SESSIONS, writer.sessions()))
    (written,) = export(path, tmp_path / "out.parquet", format="parquet")
    file = pa.parquet.ParquetFile(written)
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [5, 5, 2]


def test_folders(tmp_path: Path) -> None:
    source = tmp_path / "kept"
    for folder, name in (("iam/A", "r.1.jsonl.zst"), ("iam/B", "r.1.jsonl.zst"), ("iam/B", "r.2.jsonl.zst.part")):
        (source / folder).mkdir(parents=True, exist_ok=True)
        (source / folder / name).write_bytes(writer.archive(writer.SESSIONS, writer.sessions()))
    (source / "iam/A/notes.txt").write_text("not ours")
    (source / "link.jsonl.zst").symlink_to("/etc/passwd")
    written = export(source, tmp_path / "csv")
    assert written == {tmp_path / "csv/iam/A/r.1.csv": 12, tmp_path / "csv/iam/B/r.1.csv": 12}
    with pytest.raises(ArchiveError, match="is there already"):
        export(source, tmp_path / "csv")
    assert export(source, tmp_path / "csv", overwrite=True) == written


def test_nothing_is_written_of_a_damaged_archive(tmp_path: Path, place: Path) -> None:
    """Not even its good chunks: the last one is found out first."""
    data = bytearray(place.read_bytes())
    data[-6] ^= 1
    place.write_bytes(data)
    before = sorted(tmp_path.iterdir())
    for format in ("csv", "json", "parquet"):
        with pytest.raises(ArchiveError):
            export(place, tmp_path / "out", format=format)
        out = io.BytesIO()
        with pytest.raises(ArchiveError):
            export_to(place, out, format=format)
        assert out.getvalue() == b""
    assert sorted(tmp_path.iterdir()) == before


def test_what_can_not_be_done(tmp_path: Path, place: Path) -> None:
    with pytest.raises(PurgekitError, match="no format xml"):
        export(place, tmp_path / "out", format="xml")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveError, match="can't be written"):
        export(place, tmp_path / "file" / "out.csv")
    with pytest.raises(ArchiveError, match="neither a folder nor a file"):
        export(tmp_path / "absent", tmp_path / "out")
