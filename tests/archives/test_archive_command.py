"""``purgekit archive list|verify|export``, as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from archives import writer
from command import purgekit


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    folder = tmp_path / "kept" / "iam" / "SESSIONS"
    folder.mkdir(parents=True)
    (folder / "0193-run.1.jsonl.zst").write_bytes(writer.archive(writer.SESSIONS, writer.sessions()))
    writer.seal(tmp_path / "kept" / "iam", folder / "0193-run.1.jsonl.zst")
    return tmp_path / "kept"


def file_of(kept: Path) -> Path:
    return kept / "iam/SESSIONS/0193-run.1.jsonl.zst"


def test_list(kept: Path) -> None:
    done = purgekit("archive", "list", str(kept), "--json")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert document["schema"] == "purgekit.archives/1"
    (file,) = document["files"]
    assert (file["table"], file["rows"], file["chunks"], file["finished"], file["problem"]) == (
        "SESSIONS",
        12,
        3,
        True,
        None,
    )
    assert file["columns"][0] == {"name": "ID", "type": "bigint"}
    shown = purgekit("archive", "list", str(kept))
    assert "SESSIONS" in shown.stdout
    assert "12" in shown.stdout
    part = file_of(kept).with_name("0193-run.2.jsonl.zst.part")
    part.write_bytes(writer.archive(writer.SESSIONS, writer.sessions()))
    assert "is unfinished" in purgekit("archive", "list", str(part)).stderr


def test_verify(kept: Path) -> None:
    done = purgekit("archive", "verify", str(kept), "--json")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert document["ok"] is True
    assert [(file["state"], file["rows"]) for file in document["files"]] == [("intact", 12)]
    data = bytearray(file_of(kept).read_bytes())
    data[len(data) // 2] ^= 1
    file_of(kept).write_bytes(data)
    done = purgekit("archive", "verify", str(kept))
    assert done.returncode == 1
    assert "damaged" in done.stdout
    assert done.stderr.count("\n") == 1
    assert str(file_of(kept)) in done.stderr


def test_verify_without_a_manifest(kept: Path) -> None:
    next(kept.glob("iam/*.json")).unlink()
    done = purgekit("archive", "verify", str(kept), "--json")
    assert done.returncode == 4
    assert json.loads(done.stdout)["files"][0]["state"] == "unsealed"


def test_export(kept: Path, tmp_path: Path) -> None:
    done = purgekit("archive", "export", str(file_of(kept)))
    assert done.returncode == 0
    assert done.stdout.splitlines()[:2] == ["ID,NOTE,DATA", "100,note 1/0,AP8="]
    done = purgekit("archive", "export", str(kept), "--to", str(tmp_path / "out"), "--format", "json")
    assert done.returncode == 0
    assert "12 rows" in done.stderr
    assert len(json.loads((tmp_path / "out/iam/SESSIONS/0193-run.1.json").read_text())) == 12
    again = purgekit("archive", "export", str(kept), "--to", str(tmp_path / "out"), "--format", "json")
    assert again.returncode == 2
    assert "is there already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["list", "absent"], "neither a folder nor a file"),
        (["export", "."], "--to PATH"),
        (["export", "x", "--format", "parquet"], "--to PATH"),
        (["export", "absent", "--format", "xml"], "no format xml"),
        (["export", "absent"], "neither a folder nor a file"),
    ],
)
def test_refusals_are_one_line(
    arguments: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = purgekit("archive", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert text in done.stderr
    assert done.stderr.count("\n") == 1
