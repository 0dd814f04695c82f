"""Run history that was cut off, edited or made up: what can be read is shown, the rest is named in a warning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from fuzz.profile import FUZZ
from purgekit.cli.app import app
from purgekit.state import HISTORY_KEYS, RunStore

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from([*HISTORY_KEYS, "host", "pid", "report"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def record(folder: Path) -> dict[str, Any]:
    """A right record, to spoil."""
    store = RunStore(folder)
    store.begin("r", "sqlite:///x.db", ["p"])
    text = (folder / "runs" / "r.json").read_text()
    made: dict[str, Any] = json.loads(text)
    return made


def show(folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "runs" / "r.json").write_bytes(content)
    monkeypatch.setenv("PURGEKIT_STATE", str(folder))
    for arguments in (["history"], ["history", "--json"], ["history", "r"], ["history", "r", "--json"]):
        result = CliRunner().invoke(app, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            from purgekit.errors import PurgekitError

            assert isinstance(result.exception, PurgekitError), (arguments, result.exception)
    assert all(run["run_id"] == "r" for run in RunStore(folder).runs())
    RunStore(folder).end("r", {"status": "completed", "exit_code": 0, "rows_deleted": 1, "rows_archived": 0})
    assert [run["status"] for run in RunStore(folder).runs()] == ["completed"]


@FUZZ
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_records_with_members_of_other_kinds(folder: Path, record: dict[str, Any], changes: dict[str, Any]) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        show(folder, json.dumps({**record, **changes}).encode(), monkeypatch)


@FUZZ
@given(st.data())
def test_records_that_were_cut_off_or_garbled(folder: Path, record: dict[str, Any], data: st.DataObject) -> None:
    content = bytearray(json.dumps(record).encode())
    at = data.draw(st.integers(0, len(content)))
    garbled = (
        bytes(content[:at]) + data.draw(st.binary(max_size=4)) + bytes(content[at + data.draw(st.integers(0, 8)) :])
    )
    with pytest.MonkeyPatch.context() as monkeypatch:
        show(folder, garbled if data.draw(st.booleans()) else bytes(content[:at]), monkeypatch)


@FUZZ
@given(st.text(max_size=10) | st.sampled_from(["x" * 300, "a\0b", "\ud800", "..", ".", "/", ""]))
def test_run_ids_of_any_text(folder: Path, run_id: str) -> None:
    found = RunStore(folder).read(run_id)
    assert found is None or found["run_id"] == Path(run_id).name
