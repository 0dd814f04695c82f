"""Reads archives in files without purgekit: rows by zstdcat, what a file says of itself by its skippable frames."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

HEADER_MAGIC = 0x184D2A50


def archive_files(folder: Path, *, finished: bool = True) -> list[Path]:
    return sorted(folder.rglob("*.jsonl.zst" if finished else "*.jsonl.zst.part"))


def header(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        magic, size = struct.unpack("<II", file.read(8))
        assert magic == HEADER_MAGIC
        found: dict[str, Any] = json.loads(file.read(size))
    assert found["schema"] == "purgekit.archive/1"
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as file:
        out = subprocess.run(["zstd", "-dcq"], stdin=file, capture_output=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def kept(folder: Path, table: str, key: str = "ID", *, finished: bool = True) -> list[int]:
    """Keys of a table's rows in all its files. None may be there twice, whatever else the caller looks at."""
    keys = [
        int(row[key])
        for path in archive_files(folder, finished=finished)
        if header(path)["table"].split(".")[-1].strip('"').lower() == table.lower()
        for row in lines(path)
    ]
    twice = [number for number, times in Counter(keys).items() if times > 1]
    assert not twice, f"{len(twice)} rows are in the archive twice: {twice[:5]}"
    return keys


def check_manifests(folder: Path) -> int:
    """Every finished file is in one manifest, with its size, its hash and its rows; how many rows those are."""
    listed: dict[Path, dict[str, Any]] = {}
    for path in folder.rglob("*.manifest.json"):
        manifest = json.loads(path.read_text())
        assert manifest["schema"] == "purgekit.archive-manifest/1"
        assert manifest["rows"] == sum(entry["rows"] for entry in manifest["files"])
        for entry in manifest["files"]:
            assert path.parent / entry["file"] not in listed
            listed[path.parent / entry["file"]] = entry
    assert sorted(listed) == archive_files(folder)
    for path, entry in listed.items():
        data = path.read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"])
        assert len(lines(path)) == entry["rows"]
    return sum(entry["rows"] for entry in listed.values())
