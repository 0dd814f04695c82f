"""Ledgers of other versions, of other owners, and with garbage: refused or mended, and nothing deleted twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

import purgekit as pk
from engine.tables import HOUR_S, make_sessions, mark, now_s, sessions_policy, survivors
from servers import Connection

ROWS = 400
LIVE = {n for n in range(1, ROWS + 1) if n % 4 == 0}
DOOMED = ROWS - len(LIVE)
FEW = pk.Limits(max_rows=50)
LEDGER = "purgekit_ledger"


class Ledger:
    """The ledger seen with an independent driver."""

    def __init__(self, connection: Connection, url: str) -> None:
        self.connection = connection
        self.mark = mark(url)

    def execute(self, sql: str, *parameters: object) -> None:
        self.connection.cursor().execute(sql.replace("?", self.mark), parameters)

    def rows(self, columns: str = "kind, id, document") -> Sequence[Sequence[Any]]:
        cursor = self.connection.cursor()
        cursor.execute(f"SELECT {columns} FROM {LEDGER} ORDER BY kind, id")
        return [tuple(row) for row in cursor.fetchall()]

    def set(self, column: str, value: object) -> None:
        self.execute(f"UPDATE {LEDGER} SET {column} = ? WHERE kind = 'slot'", value)

    def set_version(self, version: str) -> None:
        self.execute(f"UPDATE {LEDGER} SET document = ? WHERE kind = 'meta'", version)

    def version(self) -> str:
        (found,) = [document for kind, _, document in self.rows() if kind == "meta"]
        return str(found)


@pytest.fixture
def checker(any_url: str, admin: Callable[[str], Connection]) -> Connection:
    connection = admin(any_url)
    make_sessions(connection, any_url, [now_s() + (HOUR_S if n in LIVE else -5 * HOUR_S) for n in range(1, ROWS + 1)])
    return connection


@pytest.fixture
def ledger(any_url: str, checker: Connection) -> Ledger:
    """A ledger with an unfinished walk in it."""
    with pk.connect(any_url) as db:
        assert db.run(sessions_policy(), limits=FEW).stop_reason == "max_rows"
    return Ledger(checker, any_url)


def history_sum(url: str) -> int:
    with pk.connect(url) as db:
        return sum(run["rows_deleted"] for run in db.history())


def test_a_newer_ledger_is_refused(any_url: str, checker: Connection, ledger: Ledger) -> None:
    before = survivors(checker)
    for version in ("5", "4711", "99999999999999999999"):
        ledger.set_version(version)
        rows = ledger.rows()
        with pk.connect(any_url) as db:
            with pytest.raises(pk.PurgeRefused, match="newer version") as caught:
                db.run(sessions_policy())
            assert caught.value.code == "ledger_newer"
            with pytest.raises(pk.PurgeRefused, match="newer version"):
                db.history()
            db.plan(sessions_policy())
        assert survivors(checker) == before
        assert ledger.rows() == rows, "never rewritten"


def test_an_older_ledger_is_read_as_it_is_and_upgraded_by_run(
    any_url: str, checker: Connection, ledger: Ledger
) -> None:
    # As version 1 left it: its slots know nothing of the runs before them, nor of outcomes and archives.
    (slot,) = [json.loads(document) for kind, _, document in ledger.rows() if kind == "slot"]
    first = {key: slot[key] for key in ("identity", "walk", "record_id", "record")}
    first["record"] = {key: value for key, value in first["record"].items() if key != "archive"} | {"status": "running"}
    ledger.set("document", json.dumps(first))
    ledger.set_version("1")
    assert history_sum(any_url) == 50
    with pk.connect(any_url) as db:
        db.plan(sessions_policy())
        assert ledger.version() == "1", "only a run upgrades"
        report = db.run(sessions_policy())
    assert report.continues is not None, "the walk goes on"
    assert ledger.version() == "4"
    assert survivors(checker) == LIVE
    assert history_sum(any_url) == DOOMED


def test_a_ledger_made_by_hand_gets_its_version(any_url: str, checker: Connection, ledger: Ledger) -> None:
    ledger.execute(f"DELETE FROM {LEDGER}")
    with pk.connect(any_url) as db:
        db.run(sessions_policy())
    assert ledger.version() == "4"
    assert survivors(checker) == LIVE


def test_a_table_with_other_columns_is_no_ledger(any_url: str, checker: Connection) -> None:
    checker.cursor().execute(f"CREATE TABLE {LEDGER} (kind VARCHAR(10), balance INTEGER)")
    with pk.connect(any_url) as db:
        with pytest.raises(pk.PurgeRefused, match="not a purgekit ledger") as caught:
            db.run(sessions_policy())
        assert caught.value.code == "ledger_foreign"
        with pytest.raises(pk.PurgeRefused, match="not a purgekit ledger"):
            db.history()
    assert len(survivors(checker)) == ROWS


def test_a_version_that_is_no_number_is_no_ledger(any_url: str, checker: Connection, ledger: Ledger) -> None:
    ledger.set_version("two; DROP TABLE x")
    before = survivors(checker)
    with pk.connect(any_url) as db, pytest.raises(pk.PurgeRefused, match="not a purgekit ledger"):
        db.run(sessions_policy())
    assert survivors(checker) == before


# Garbage in the slot row of an unfinished walk: what the next run makes of it
IMPOSSIBLE = [("epoch", -1), ("epoch", 2**62), ("seq", -7), ("seq", 2**63 - 1), ("rows_deleted", -1)]
HARMLESS = [
    ("walk_cursor", "garbage"),
    ("walk_cursor", "i5"),
    ("walk_cursor", "tDROP TABLE SESSIONS"),
    ("walk_cursor", "i9223372036854775807,i9223372036854775807,i9223372036854775807"),
    ("walk_cursor", "\u202e\x1b[2J"),
    ("cutoff_ns", -(2**63)),
    ("cutoff_ns", 2**63 - 1),
    ("pass", -3),
    ("pass", 10**15),
    ("state", "nonsense"),
    ("policy_hash", "of somebody else"),
    ("document", "{"),
    ("document", "[1, 2]"),
    ("document", '{"identity": 5, "walk": {}, "record": "no", "record_id": [], "taken_over": {"x": 1}}'),
    ("document", '{"record": {"rows_deleted": "all", "status": 7}, "taken_over": [null, {"id": "x", "record": 3}]}'),
]


def test_impossible_numbers_stop_the_run_before_it_deletes(any_url: str, checker: Connection, ledger: Ledger) -> None:
    for column, value in IMPOSSIBLE:
        ledger.set(column, value)
        before, rows = survivors(checker), ledger.rows()
        with pk.connect(any_url) as db:
            with pytest.raises(pk.PurgeFailed, match="impossible numbers") as caught:
                db.run(sessions_policy())
            assert caught.value.code == "corrupt"
            assert "nothing was deleted by this policy" in caught.value.message
            assert survivors(checker) == before
            assert ledger.rows() == rows
            # The way out that the message names.
            ledger.execute(f"DELETE FROM {LEDGER} WHERE kind = 'slot'")
            assert db.run(sessions_policy(), limits=pk.Limits(max_rows=10)).rows_deleted == 10
    with pk.connect(any_url) as db:
        assert db.run(sessions_policy()).exit_code == 0
    assert survivors(checker) == LIVE


@pytest.mark.parametrize("state", ["stopped", "walking"])
def test_any_other_garbage_costs_a_walk_from_the_start_at_most(
    any_url: str, checker: Connection, ledger: Ledger, state: str
) -> None:
    with pk.connect(any_url) as db:
        for column, value in HARMLESS:
            ledger.set("state", state)
            ledger.set(column, value)
            report = db.run(sessions_policy(), limits=pk.Limits(max_rows=10, chunk_ms=1))
            assert report.stop_reason == "max_rows", (column, value)
            assert report.rows_deleted == 10, (column, value)
            assert survivors(checker) >= LIVE, (column, value)
        assert db.run(sessions_policy()).exit_code == 0
    assert survivors(checker) == LIVE
    assert sum(run["rows_deleted"] for run in _last_runs(any_url, len(HARMLESS))) == DOOMED - 50


def _last_runs(url: str, number: int) -> list[dict[str, Any]]:
    """Those since the garbage: what a slot says of the run before it can be garbage too."""
    with pk.connect(url) as db:
        return db.history()[: number + 1]


def test_garbage_among_the_run_records_is_left_out_and_left_alone(
    any_url: str, checker: Connection, ledger: Ledger
) -> None:
    for number, document in enumerate(("", "{", "[]", "null", '{"run_id": 5, "rows_deleted": "x", "slot": []}')):
        ledger.execute(
            f"INSERT INTO {LEDGER} (kind, id, epoch, seq, pass, rows_deleted, cutoff_ns, document)"
            " VALUES ('run', ?, 0, 0, 0, 0, 0, ?)",
            f"odd{number}",
            document,
        )
    assert history_sum(any_url) == 50
    with pk.connect(any_url) as db:
        assert db.run(sessions_policy()).exit_code == 0
    assert history_sum(any_url) == DOOMED
    assert len([row for row in ledger.rows() if str(row[1]).startswith("odd")]) == 5
