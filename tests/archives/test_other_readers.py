"""Archive files are read by programs that know nothing of purgekit: zstdcat and jq, pandas, DuckDB."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from archives import writer
from purgekit.archives import ArchiveFile

NOTES = ["plain", "line\nline", 'quote " and \\', "Zürich 😀", "\0 and \x1f", "", None]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "0193-run.1.jsonl.zst"
    chunks = [[[chunk * 100 + n, note, "AP8="] for n, note in enumerate(NOTES)] for chunk in range(1, 4)]
    path.write_bytes(writer.archive(writer.SESSIONS, chunks))
    return path


@pytest.fixture
def rows(place: Path) -> list[dict[str, Any]]:
    with ArchiveFile(place) as archive:
        return list(archive.rows())


def test_zstdcat_and_jq(place: Path, rows: list[dict[str, Any]]) -> None:
    command = 'zstdcat "$1" | jq -c "{ID, NOTE}"'
    done = subprocess.run(["sh", "-c", command, "sh", str(place)], capture_output=True, text=True, check=True)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"ID": row["ID"], "NOTE": row["NOTE"]} for row in rows
    ]
    assert done.stderr == ""
    tested = subprocess.run(["zstd", "-t", str(place)], capture_output=True, text=True, check=False)
    assert tested.returncode == 0


def test_pandas(place: Path, rows: list[dict[str, Any]]) -> None:
    frame = pd.read_json(place, lines=True, compression="zstd", dtype={"NOTE": object})
    assert list(frame["ID"]) == [row["ID"] for row in rows]
    assert [None if pd.isna(note) else note for note in frame["NOTE"]] == [row["NOTE"] for row in rows]


def test_duckdb(place: Path, rows: list[dict[str, Any]]) -> None:
    with duckdb.connect() as connection:
        relation = connection.execute(
            "SELECT ID, NOTE FROM read_json(?, format = 'newline_delimited', compression = 'zstd') ORDER BY ID",
            [str(place)],
        )
        assert relation.fetchall() == [(row["ID"], row["NOTE"]) for row in rows]
