"""Files that were cut, changed, or made to hurt: a typed error or the very rows, in bounded memory and time."""

from __future__ import annotations

import hashlib
import json
import os
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from archives import writer
from purgekit.archives import ArchiveError, ArchiveFile, verify

ROWS = writer.sessions()
WHOLE = writer.archive(writer.SESSIONS, ROWS)


def rows_of(path: Path, data: bytes) -> list[dict[str, Any]]:
    path.write_bytes(data)
    with ArchiveFile(path) as archive:
        return list(archive.rows())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "a.jsonl.zst"


@pytest.fixture
def rows(place: Path) -> list[dict[str, Any]]:
    return rows_of(place, WHOLE)


def test_cut_off_anywhere(place: Path, rows: list[dict[str, Any]]) -> None:
    """A file cut between two chunks gives the rows before, one cut elsewhere an error after whole chunks."""
    whole_chunks = 0
    for length in range(len(WHOLE)):
        try:
            found = rows_of(place, WHOLE[:length])
        except ArchiveError as error:
            assert error.code in ("archive_damaged", "archive_foreign")
            assert str(place) in str(error)
        else:
            assert found == rows[: len(found)]
            assert len(found) % 4 == 0
            whole_chunks += 1
    assert whole_chunks == 3, "behind the header, the first and the second chunk"


def test_a_cut_between_chunks_is_seen_by_the_manifest(tmp_path: Path, place: Path) -> None:
    place.write_bytes(WHOLE)
    writer.seal(tmp_path, place)
    assert [verdict.state for verdict in verify(tmp_path)] == ["intact"]
    with ArchiveFile(place) as archive:
        *_, before, _ = archive.chunks()
    place.write_bytes(WHOLE[: before.frame.end])
    (verdict,) = verify(tmp_path)
    assert (verdict.state, verdict.rows) == ("damaged", 8)
    assert "not the file that its manifest names" in verdict.problem


def test_any_byte_changed(tmp_path: Path, place: Path, rows: list[dict[str, Any]]) -> None:
    """The rows are the same or there is an error; and with the manifest every change is found."""
    place.write_bytes(WHOLE)
    writer.seal(tmp_path, place)
    chance = random.Random(5)
    for at in range(len(WHOLE)):
        changed = bytearray(WHOLE)
        changed[at] ^= 1 << chance.randrange(8)
        try:
            found = rows_of(place, bytes(changed))
        except ArchiveError as error:
            assert error.code.startswith("archive_")
        else:
            assert found == rows, f"byte {at}"
        (verdict,) = verify(tmp_path)
        assert verdict.state == "damaged", f"byte {at}"


@given(data=st.binary(max_size=300), at=st.integers(0, len(WHOLE)), left_out=st.integers(0, 200))
def test_anything_in_the_place_of_anything(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, at: int, left_out: int
) -> None:
    place = tmp_path_factory.getbasetemp() / "any.jsonl.zst"
    changed = WHOLE[:at] + data + WHOLE[at + left_out :]
    expected = rows_of(place, WHOLE)
    try:
        found = rows_of(place, changed)
    except ArchiveError:
        return
    assert [row for row in found if row not in expected] == []


@given(parts=st.permutations(range(4)))
def test_frames_in_another_order(tmp_path_factory: pytest.TempPathFactory, parts: list[int]) -> None:
    place = tmp_path_factory.getbasetemp() / "order.jsonl.zst"
    frames = [writer.header()]
    frames += [
        writer.chunk(c, b"".join(writer.line(writer.SESSIONS, row) for row in chunk)) for c, chunk in enumerate(ROWS, 1)
    ]
    expected = rows_of(place, b"".join(frames))
    data = b"".join(frames[part] for part in parts)
    if parts[0] == 0:  # whole chunks may stand in any order: it is that of their commits
        found = rows_of(place, data)
        assert sorted(row["ID"] for row in found) == sorted(row["ID"] for row in expected)
    else:
        with pytest.raises(ArchiveError):
            rows_of(place, data)


def test_rows_of_another_chunk(place: Path) -> None:
    first, second = (b"".join(writer.line(writer.SESSIONS, row) for row in chunk) for chunk in ROWS[:2])
    assert len(first) == len(second)
    swapped = writer.chunk(1, first, compressed=zstandard.ZstdCompressor().compress(second))
    with pytest.raises(ArchiveError, match="chunk 1 are not those that were archived"):
        rows_of(place, writer.header() + swapped)


def test_a_chunk_twice(place: Path) -> None:
    once = writer.chunk(7, writer.line(writer.SESSIONS, [1, "a", ""]))
    with pytest.raises(ArchiveError, match="chunk 7 is there twice"):
        rows_of(place, writer.header() + once + once)


LINE = writer.line(writer.SESSIONS, [1, "a", ""])

BROKEN: list[tuple[str, bytes, str, str]] = [
    ("empty", b"", "archive_foreign", "does not begin"),
    ("text", b"ID,NOTE\r\n", "archive_foreign", "does not begin"),
    ("plain zstd", zstandard.ZstdCompressor().compress(LINE), "archive_foreign", "does not begin"),
    ("other magic", writer.skippable(writer.CHUNK_MAGIC, b"{}"), "archive_foreign", "does not begin"),
    ("newer", writer.header(schema="purgekit.archive/2"), "archive_newer", "newer purgekit"),
    ("other schema", writer.header(schema="purgekit.run/1"), "archive_foreign", "purgekit.run/1"),
    ("no schema", writer.header(schema=None), "archive_foreign", "schema"),
    ("kind to come", writer.header(columns=[{"name": "A", "type": "t", "kind": 15}]), "archive_newer", "kind 15"),
    ("kind of text", writer.header(columns=[{"name": "A", "type": "t", "kind": "1"}]), "archive_damaged", "kind"),
    ("kind of bool", writer.header(columns=[{"name": "A", "type": "t", "kind": True}]), "archive_damaged", "kind"),
    ("no columns", writer.header(columns=[]), "archive_damaged", "no columns"),
    ("columns alike", writer.header(columns=[{"name": "A", "type": "t", "kind": 1}] * 2), "archive_damaged", "twice"),
    ("other columns", writer.header(columns_hash="0" * 16), "archive_damaged", "their hash differs"),
    ("no hash of columns", writer.header(columns_hash=None), "archive_damaged", "'columns_hash'"),
    ("no table", writer.header(table=None), "archive_damaged", "'table'"),
    ("header no JSON", writer.skippable(writer.HEADER_MAGIC, b"{"), "archive_damaged", "no JSON"),
    ("header a list", writer.skippable(writer.HEADER_MAGIC, b"[]"), "archive_damaged", "no JSON object"),
    ("header deep", writer.skippable(writer.HEADER_MAGIC, b"[" * 100_000), "archive_damaged", "no JSON"),
    (
        "header twice a name",
        writer.skippable(writer.HEADER_MAGIC, b'{"schema":1,"schema":2}'),
        "archive_damaged",
        "no JSON",
    ),
    ("header huge", struct.pack("<II", writer.HEADER_MAGIC, 2**32 - 1), "archive_damaged", "claims to hold"),
    ("header short", writer.skippable(writer.HEADER_MAGIC, b"{}", 100), "archive_damaged", "cut off"),
    (
        "chunk huge",
        writer.header() + struct.pack("<II", writer.CHUNK_MAGIC, 2**31),
        "archive_damaged",
        "claims to hold",
    ),
    ("no rows", writer.header() + writer.chunk(1, LINE)[:-40] + writer.header(), "archive_damaged", "a.jsonl.zst: "),
    ("two headers", writer.header() + writer.header(), "archive_damaged", "no chunk"),
    ("garbage behind", WHOLE + b"x" * 9, "archive_damaged", "no chunk"),
    ("more rows", writer.header() + writer.chunk(1, LINE, rows=2), "archive_damaged", "says 2 rows and holds 1"),
    ("more bytes", writer.header() + writer.chunk(1, LINE, bytes=10**6), "archive_damaged", "can't have"),
    ("giant bytes", writer.header() + writer.chunk(1, LINE, bytes=2**62), "archive_damaged", "can't have"),
    ("negative", writer.header() + writer.chunk(1, LINE, rows=-1), "archive_damaged", "'rows'"),
    ("float rows", writer.header() + writer.chunk(1, LINE, rows=1.0), "archive_damaged", "'rows'"),
    (
        "rows without bytes",
        writer.header() + writer.chunk(1, LINE, bytes=0),
        "archive_damaged",
        "claims 1 rows in 0 bytes",
    ),
    ("no hash", writer.header() + writer.chunk(1, LINE, sha256=""), "archive_damaged", "sha256"),
    ("other hash", writer.header() + writer.chunk(1, LINE, sha256="0" * 64), "archive_damaged", "hash differs"),
    ("no end of line", writer.header() + writer.chunk(1, LINE + LINE[:-1], rows=1), "archive_damaged", "holds 1"),
    (
        "dictionary",
        writer.header() + writer.chunk(1, LINE, compressed=b"\x28\xb5\x2f\xfd\x01\x00\x00"),
        "archive_damaged",
        "dictionary",
    ),
    (
        "window",
        writer.header() + writer.chunk(1, LINE, compressed=b"\x28\xb5\x2f\xfd\x00\xf8\x01\0\0"),
        "archive_limit",
        "window",
    ),
    (
        "reserved block",
        writer.header() + writer.chunk(1, LINE, compressed=b"\x28\xb5\x2f\xfd\x00\x00\x07\0\0"),
        "archive_damaged",
        "block",
    ),
    ("row no JSON", writer.header() + writer.chunk(1, b"{\n"), "archive_damaged", "no JSON"),
    ("row a list", writer.header() + writer.chunk(1, b"[1]\n"), "archive_damaged", "no JSON object"),
    ("row deep", writer.header() + writer.chunk(1, b'{"ID":' + b"[" * 100_000 + b"\n"), "archive_damaged", "no JSON"),
    (
        "row no UTF-8",
        writer.header() + writer.chunk(1, b'{"ID":1,"NOTE":"\xff","DATA":""}\n'),
        "archive_damaged",
        "no JSON",
    ),
    ("blank row", writer.header() + writer.chunk(1, b"\n"), "archive_damaged", "no JSON"),
    ("NaN", writer.header() + writer.chunk(1, b'{"ID":NaN,"NOTE":"a","DATA":""}\n'), "archive_damaged", "no JSON"),
    (
        "long number",
        writer.header() + writer.chunk(1, b'{"ID":' + b"9" * 5000 + b"}\n"),
        "archive_damaged",
        "a.jsonl.zst: ",
    ),
    (
        "column twice",
        writer.header() + writer.chunk(1, b'{"ID":1,"ID":2,"NOTE":"a","DATA":""}\n'),
        "archive_damaged",
        "other columns",
    ),
    ("column less", writer.header() + writer.chunk(1, b'{"ID":1,"NOTE":"a"}\n'), "archive_damaged", "other columns"),
    (
        "columns swapped",
        writer.header() + writer.chunk(1, b'{"NOTE":"a","ID":1,"DATA":""}\n'),
        "archive_damaged",
        "other columns",
    ),
]


@pytest.mark.parametrize(("data", "code", "text"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_broken_files(place: Path, data: bytes, code: str, text: str) -> None:
    with pytest.raises(ArchiveError, match=text) as failed:
        rows_of(place, data)
    assert failed.value.code == code
    assert "\n" not in str(failed.value)


def bomb(lines: bytes, size: int) -> bytes:
    """A chunk of ``size`` bytes that takes next to nothing compressed."""
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    digest = hashlib.sha256()
    parts = []
    for _ in range(size // len(lines)):
        digest.update(lines)
        parts.append(compressor.compress(lines))
    parts.append(compressor.flush())
    count = size // len(lines)
    data = b"".join(parts)
    changes = {"bytes": count * len(lines), "rows": max(1, count * lines.count(b"\n")), "sha256": digest.hexdigest()}
    return writer.header() + writer.chunk(1, lines, compressed=data, **changes)


def test_one_long_row_is_refused_in_flat_memory(place: Path) -> None:
    """Measured in a process of its own: 200 MB out of 20 kB."""
    place.write_bytes(bomb(b"x" * 1_000_000, 200_000_000))
    script = f"""
import resource
from purgekit.archives import ArchiveError, ArchiveFile
import zstandard
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with ArchiveFile({str(place)!r}, most_row_bytes=10_000_000) as archive:
    (chunk,) = archive.chunks()
    try:
        archive.check(chunk)
    except ArchiveError as error:
        assert "holds 0" in str(error), error
    else:
        raise SystemExit("not refused")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    grown_kb = int(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
    assert grown_kb < 60_000


def test_limits(place: Path) -> None:
    place.write_bytes(bomb(LINE, len(LINE) * 1000))
    with ArchiveFile(place, most_chunk_bytes=1000) as archive, pytest.raises(ArchiveError, match="allowed") as failed:
        list(archive.rows())
    assert failed.value.code == "archive_limit"
    long = writer.line(writer.SESSIONS, [1, "n" * 3_000_000, ""])
    place.write_bytes(writer.header() + writer.chunk(1, long))
    with (
        ArchiveFile(place, most_row_bytes=1_000_000) as archive,
        pytest.raises(ArchiveError, match="a row has more") as failed,
    ):
        list(archive.rows())
    assert failed.value.code == "archive_limit"
    with ArchiveFile(place) as archive:
        assert [len(str(row["NOTE"])) for row in archive.rows()] == [3_000_000]


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "absent", ".", "no\0name"):
        with pytest.raises(ArchiveError) as failed:
            ArchiveFile(tmp_path / name)
        assert failed.value.code == "archive_io"


@pytest.mark.parametrize("name", ["../a.jsonl.zst", "/etc/passwd", "x/../../a", "", ".", "x//y", "a\0b"])
def test_a_manifest_names_files_beside_itself_only(tmp_path: Path, name: str) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    entry = {"file": name, "table": "T", "rows": 1, "chunks": 1, "bytes": 1, "sha256": "0" * 64}
    manifest = writer.seal(inner, files=[entry])
    (verdict,) = verify(inner)
    assert (verdict.path, verdict.state) == (manifest, "damaged")
    assert "outside of its folder" in verdict.problem


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"schema": "purgekit.archive-manifest/2"}, "newer purgekit"),
        ({"files": None}, "no files"),
        ({"files": [7]}, "no JSON object"),
        ({"run_id": 7}, "run_id"),
    ],
)
def test_broken_manifests(tmp_path: Path, place: Path, change: dict[str, Any], text: str) -> None:
    place.write_bytes(WHOLE)
    writer.seal(tmp_path, place, **change)
    sealed, file = verify(tmp_path)
    assert sealed.state == "damaged"
    assert text in sealed.problem
    assert file.state == "unsealed", "nothing is wrong with the file itself"


@given(data=st.binary(max_size=100), at=st.integers(0, 400), left_out=st.integers(0, 50))
def test_any_manifest(tmp_path_factory: pytest.TempPathFactory, data: bytes, at: int, left_out: int) -> None:
    folder = tmp_path_factory.getbasetemp() / "manifests"
    folder.mkdir(exist_ok=True)
    place = folder / "a.jsonl.zst"
    place.write_bytes(WHOLE)
    path = writer.seal(folder, place)
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + data + whole[at + left_out :])
    states = {verdict.path: verdict.state for verdict in verify(folder)}
    assert states[place] in ("intact", "unsealed", "damaged")
    if states[place] == "intact":
        files = json.loads(path.read_bytes())["files"]
        assert [entry["sha256"] for entry in files] == [entry["sha256"] for entry in json.loads(whole)["files"]]


def test_a_file_that_is_missing(tmp_path: Path, place: Path) -> None:
    place.write_bytes(WHOLE)
    writer.seal(tmp_path, place)
    place.unlink()
    (verdict,) = verify(tmp_path)
    assert (verdict.path, verdict.state, verdict.is_bad) == (place, "missing", True)
