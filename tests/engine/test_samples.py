"""Rows that would go, shown: every database's own types, masked unless asked, and nowhere but in the plan."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk
from command import purgekit
from engine.tables import HOUR_S, TABLE, make_sessions, mark, now_s, sessions_policy
from servers import Connection

OLD = 1_000_000_000
SECRET = "zx81-private-value"


def execute(connection: Connection, statement: str) -> None:
    connection.cursor().execute(statement)


def texts(sample: dict[str, Any]) -> list[dict[str, Any]]:
    """Each row as column to what stands for the value."""
    names = [column["name"].upper() for column in sample["columns"]]
    return [dict(zip(names, row, strict=True)) for row in sample["rows"]]


def test_types_of_each_database(any_url: str, admin: Callable[[str], Connection]) -> None:
    db_ = admin(any_url)
    if any_url.startswith("sqlite"):
        execute(db_, 'CREATE TABLE ODD (ID INTEGER PRIMARY KEY, E INT, V, W "DECIMAL(10,2)", B BLOB)')
        execute(db_, "INSERT INTO ODD VALUES (1, 1000000000, 'Straße', 1.5, x'00ff')")
        expected = {"V": ("Straße", 6), "W": ("1.5", 3), "B": ("00FF", 2)}
    elif any_url.startswith("postgresql"):
        execute(
            db_,
            "CREATE TABLE ODD (ID BIGINT PRIMARY KEY, E BIGINT, V text, A text[], N numeric, D date, J jsonb, "
            "B bytea, O boolean)",
        )
        execute(
            db_,
            "INSERT INTO ODD VALUES (1, 1000000000, 'Straße', '{a,NULL}', 'NaN', '2020-02-29', '{\"k\": 1}', "
            "'\\x00ff', true)",
        )
        expected = {
            "V": ("Straße", 6),
            "A": ("{a,NULL}", 8),
            "N": ("NaN", 3),
            "D": ("2020-02-29", 10),
            "J": ('{"k": 1}', 8),
            "B": ("00ff", 2),
            "O": ("true", 4),
        }
    else:
        execute(
            db_,
            "CREATE TABLE ODD (ID BIGINT PRIMARY KEY, E BIGINT, V VARCHAR(20) CHARACTER SET latin1, D DATE, "
            "N DECIMAL(10,2), M ENUM('a', 'it''s'), B VARBINARY(9), Y BIT(5), P POINT) ENGINE=InnoDB",
        )
        execute(
            db_,
            "INSERT INTO ODD VALUES (1, 1000000000, _utf8'Straße', '2020-02-29', 1.5, 'it''s', 0x00ff, b'10101', NULL)",
        )
        expected = {
            "V": ("Straße", 6),
            "D": ("2020-02-29", 10),
            "N": ("1.50", 4),
            "M": ("it's", 4),
            "B": ("00FF", 2),
            "Y": ("21", 2),
        }
    policy = pk.Policy("odd", table="ODD", where=pk.expired("E", unit="s"), max_fraction=1.0)
    with pk.connect(any_url) as db:
        (shown,) = texts(db.plan(policy, sample=5, unmask=True).policies[0]["sample"])
        (masked,) = texts(db.plan(policy, sample=5).policies[0]["sample"])
    assert (shown["ID"], shown["E"]) == ({"length": 1, "text": "1"}, {"length": 10, "text": "1000000000"})
    for name, (text, length) in expected.items():
        assert shown[name] == {"length": length, "text": text}, name
        assert masked[name] == {"length": length}, name
    assert shown.get("P") is None


def test_long_values_are_cut_and_their_length_is_whole(any_url: str, admin: Callable[[str], Connection]) -> None:
    db_ = admin(any_url)
    kind = "LONGTEXT" if any_url.startswith(("mysql", "mariadb")) else "TEXT"
    make_sessions(db_, any_url, [OLD], extra=f", BODY {kind}")
    db_.cursor().execute(f"UPDATE {TABLE} SET BODY = {mark(any_url)}", ("ä" * 300_000,))
    with pk.connect(any_url) as db:
        (row,) = texts(db.plan(sessions_policy(max_fraction=1.0), sample=1, unmask=True).policies[0]["sample"])
    assert row["BODY"] == {"length": 300_000, "text": "ä" * 200}


def test_only_rows_that_would_go_are_shown(any_url: str, admin: Callable[[str], Connection]) -> None:
    db_ = admin(any_url)
    make_sessions(db_, any_url, [now_s() + (HOUR_S if n % 2 == 0 else -5 * HOUR_S) for n in range(40)])
    suffix = " ENGINE=InnoDB" if any_url.startswith(("mysql", "mariadb")) else ""
    execute(
        db_,
        f"CREATE TABLE CHILD (N INTEGER PRIMARY KEY, S BIGINT, CONSTRAINT FK_S FOREIGN KEY (S) "
        f"REFERENCES {TABLE} (ID)){suffix}",
    )
    execute(db_, "INSERT INTO CHILD VALUES " + ", ".join(f"({n}, {n})" for n in range(2, 30)))
    with pk.connect(any_url) as db:
        rows = texts(db.plan(sessions_policy(), sample=100, unmask=True).policies[0]["sample"])
    assert {int(row["ID"]["text"]) for row in rows} == set(range(30, 41, 2))


def test_values_get_nowhere_but_into_the_plan_that_asked(
    any_url: str, admin: Callable[[str], Connection], tmp_path: Path
) -> None:
    make_sessions(admin(any_url), any_url, [now_s() - 5 * HOUR_S] * 3 + [now_s() + HOUR_S])
    admin(any_url).cursor().execute(f"UPDATE {TABLE} SET NOTE = {mark(any_url)}", (SECRET,))
    toml, out = tmp_path / "p.toml", tmp_path / "plan.json"
    toml.write_text('[[policy]]\nname = "s"\ntable = "SESSIONS"\nexpired = { column = "EXPIRES", unit = "s" }\n')
    trace = {"PURGEKIT_LOG": "trace"}
    masked = purgekit("plan", any_url, str(toml), "--sample", "3", "--out", str(out), "--json", **trace)
    assert masked.returncode == 0, masked.stderr
    (entry,) = json.loads(masked.stdout)["policies"]
    assert entry["sample"]["masked"]
    assert {"length": len(SECRET)} in entry["sample"]["rows"][0]
    assert SECRET not in masked.stdout + masked.stderr
    assert SECRET not in purgekit("plan", any_url, str(toml), "--sample", "3").stdout

    asked = purgekit("plan", any_url, str(toml), "--sample", "3", "--unmask", "--out", str(out), "--json", **trace)
    assert SECRET in asked.stdout
    assert SECRET not in asked.stderr
    assert SECRET in purgekit("plan", any_url, str(toml), "--sample", "3", "--unmask").stdout
    ran = purgekit("run", any_url, "--plan", str(out), "--yes", "--json", **trace)
    assert ran.returncode == 0, ran.stderr
    assert SECRET not in ran.stdout + ran.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix == ".json"]
    assert len(files) >= 2
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path


def test_unasked_there_is_none(sqlite_url: str, admin: Callable[[str], Connection]) -> None:
    make_sessions(admin(sqlite_url), sqlite_url, [OLD, now_s() + HOUR_S])
    with pk.connect(sqlite_url) as db:
        assert db.plan(sessions_policy()).policies[0]["sample"] is None
        for wrong in (-1, 101):
            with pytest.raises(pk.PolicyError, match="sample must lie between 0 and 100"):
                db.plan(sessions_policy(), sample=wrong)
