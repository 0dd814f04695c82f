"""What people read of space and care, and the option on the command line."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from command import purgekit
from purgekit.care import care_line, space_line

POLICY = '[[policy]]\nname = "old"\ntable = "things"\nexpired = { column = "expires", unit = "s" }\n'


def space(after: dict[str, int | None], returned: int | None, advice: str | None = None) -> dict[str, Any]:
    return {"space": {"before": {}, "after": after, "returned_bytes": returned, "advice": advice}}


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({}, ""),
        ({"space": None}, ""),
        (space({"bytes": 8192, "dead_bytes": 0, "reusable_bytes": 0}, 0), ""),
        (space({"bytes": None, "dead_bytes": None, "reusable_bytes": None}, None), ""),
        (
            space({"dead_bytes": 412_000_000, "reusable_bytes": 0}, 0, "VACUUM makes it reusable"),
            "412.0 MB dead, 0 bytes returned: VACUUM makes it reusable",
        ),
        (space({"dead_bytes": None, "reusable_bytes": 5_000}, None), "5.0 kB reusable"),
        (space({"dead_bytes": 0, "reusable_bytes": 0}, 1_200_000_000), "1.2 GB returned"),
    ],
)
def test_space_in_one_line(entry: dict[str, Any], line: str) -> None:
    assert space_line(entry) == line


def test_care_in_one_line() -> None:
    assert care_line({"care": None}) == ""
    done = {"asked": "space", "status": "done", "steps": 2, "elapsed_s": 1.23, "warning": None}
    assert care_line({"care": done}) == "space done in 1.2 s"
    failed = {**done, "status": "failed", "steps": 0, "warning": "GRANT this"}
    assert care_line({"care": failed}) == "space failed: GRANT this"


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    with closing(sqlite3.connect(tmp_path / "app.db", isolation_level=None)) as db:
        db.execute("PRAGMA auto_vacuum = incremental")
        db.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, expires INTEGER, note TEXT)")
        db.execute("BEGIN")
        rows = [(i, 1_600_000_000 if i % 4 else 4_000_000_000, "x" * 200) for i in range(9_000)]
        db.executemany("INSERT INTO things VALUES (?, ?, ?)", rows)
        db.execute("COMMIT")
    (tmp_path / "policy.toml").write_text(POLICY)
    return ["run", f"sqlite:///{tmp_path / 'app.db'}", str(tmp_path / "policy.toml"), "--yes"]


def test_terminal_tells_space_and_care(arguments: list[str]) -> None:
    done = purgekit(*arguments, "--reclaim", "space")
    assert done.returncode == 0, done.stderr
    assert "space: things: 1." in done.stdout
    assert "MB returned" in done.stdout
    assert "care: space done in" in done.stdout


def test_json_tells_them(arguments: list[str]) -> None:
    report = json.loads(purgekit(*arguments, "--json").stdout)
    (entry,) = report["policies"]
    assert entry["care"] is None
    assert entry["space"]["after"]["reusable_bytes"] > 1_000_000
    assert "--reclaim space" in entry["space"]["advice"]


def test_unknown_word_is_refused(arguments: list[str]) -> None:
    done = purgekit(*arguments, "--reclaim", "vacuum")
    assert done.returncode == 2
    assert "unknown reclaim" in done.stderr and "known: none, statistics, space" in done.stderr
    assert "Traceback" not in done.stderr
