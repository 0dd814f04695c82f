"""Whoever may write the ledger can lie in it: no lie deletes a row that may not go, crashes, or steers a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk
from engine.tables import HOUR_S, TABLE, make_sessions, mark, now_s, sessions_policy, survivors
from security.planted import run_all
from servers import Connection

Admin = Callable[[str], Connection]
LEDGER = "purgekit_ledger"
EVIL = "\x1b[31mred\x1b]0;t\x07\u202e\n'; DROP TABLE " + TABLE + "; --"
DEEP = "[" * 100_000 + "]" * 100_000
DOCUMENTS = {
    "text": "not JSON at all",
    "empty": "",
    "deep": DEEP,
    "deep_inside": '{"record": {"run_id": ' + DEEP + '}, "status": ' + DEEP + "}",
    "huge": '{"run_id": "' + "x" * 2_000_000 + '"}',
    "types": json.dumps({key: [1] for key in ("run_id", "status", "policy", "slot", "database", "exit_code", "walk")}),
    "more_types": json.dumps({"record": "x", "record_id": {"a": 1}, "identity": 7, "walk": None, "rows_deleted": "9"}),
    "numbers": '{"run_id": "r", "status": "failed", "exit_code": 1e300, "rows_deleted": 9223372036854775807}',
    "negative": '{"run_id": "r", "status": "running", "exit_code": -9223372036854775808, "rows_deleted": -5}',
    "floats": '{"run_id": "r", "rows_deleted": 1.5e308, "exit_code": 3.7}',
    "steering": json.dumps(dict.fromkeys(("run_id", "status", "policy", "slot", "database", "started_utc"), EVIL)),
    "running": json.dumps({"run_id": "r", "status": "running", "slot": "x" * 300, "policy": "p"}),
    "keys": json.dumps({EVIL: EVIL, "run_id": EVIL}),
}
CURSORS = {
    "sql": "' OR 1=1; DELETE FROM " + TABLE + "; --",
    "steering": EVIL,
    "long": "i1;" * 100_000,
    "types": 's"x";s"y";s"z"',
    "numbers": "i99999999999999999999999999",
    "json": '{"a": [1]}',
    "bytes": "xff00",
    "negative": "-1",
    "a_place_that_is_none": "(4294967295,65535)",
}


@pytest.fixture
def purged_before(any_url: str, admin: Admin) -> Connection:
    """30 rows, of which 20 may go; a run has begun and was stopped after 5, so that the next one would continue it."""
    connection = admin(any_url)
    expired, alive = now_s() - 5 * HOUR_S, now_s() + 5 * HOUR_S
    make_sessions(connection, any_url, [expired] * 10 + [alive] * 10 + [expired] * 10)
    with pk.connect(any_url) as db:
        report = db.run(sessions_policy(), limits=pk.Limits(max_fraction=1, max_rows=5))
    assert (report.status, report.rows_deleted) == ("stopped", 5)
    return connection


def tamper(connection: Connection, url: str, kind: str, **columns: object) -> None:
    """Overwrite columns of all ledger rows of a kind."""
    settings = ", ".join(f"{name} = {mark(url)}" for name in columns)
    connection.cursor().execute(f"UPDATE {LEDGER} SET {settings} WHERE kind = '{kind}'", list(columns.values()))


def add_run(connection: Connection, url: str, run_id: str, document: str) -> None:
    statement = (
        f"INSERT INTO {LEDGER} (kind, id, epoch, seq, pass, rows_deleted, cutoff_ns, document) "
        f"VALUES ('run', {mark(url)}, 0, 0, 0, 0, 0, {mark(url)})"
    )
    connection.cursor().execute(statement, [run_id, document])


def purge_and_check(connection: Connection, url: str) -> pk.Report | pk.PurgekitError:
    """Run; whatever it says, no row that is alive is gone, and an error is one clean line."""
    alive = set(range(11, 21))
    outcome: pk.Report | pk.PurgekitError
    try:
        with pk.connect(url) as db:
            outcome = db.run(sessions_policy(), limits=pk.Limits(max_fraction=1))
    except pk.PurgekitError as error:
        assert str(error).isprintable()
        outcome = error
    assert survivors(connection) >= alive
    if isinstance(outcome, pk.Report):
        assert survivors(connection) == alive, "it said it was done"
        assert outcome.exit_code == 0
    return outcome


@pytest.mark.parametrize("label", DOCUMENTS)
def test_documents(label: str, any_url: str, purged_before: Connection, tmp_path: Path) -> None:
    """In the slot, as the run before and as history."""
    for state in ("walking", "stopped", EVIL[:20]):
        tamper(purged_before, any_url, "slot", document=DOCUMENTS[label], state=state, run_id=EVIL[:60])
    tamper(purged_before, any_url, "slot", state="walking")
    tamper(purged_before, any_url, "run", document=DOCUMENTS[label])
    with pk.connect(any_url) as db:
        for run in db.history():
            assert isinstance(run["rows_deleted"], int) and run["rows_deleted"] >= 0
            assert all(isinstance(run[key], str) for key in ("run_id", "status", "database"))
    if label == "steering":
        codes, written = run_all(tmp_path, [["history", any_url], ["history"]], {"PURGEKIT_LOG": "info"})
        assert codes == [0, 0], written
        for stream in ("stdout", "stderr"):
            assert all(line.isprintable() for line in written[stream].decode().splitlines())
    assert isinstance(purge_and_check(purged_before, any_url), pk.Report)


@pytest.mark.parametrize("label", CURSORS)
def test_cursors(label: str, any_url: str, purged_before: Connection) -> None:
    """A place to go on from is a value to compare with, or it is refused."""
    tamper(purged_before, any_url, "slot", walk_cursor=CURSORS[label])
    outcome = purge_and_check(purged_before, any_url)
    if isinstance(outcome, pk.PurgekitError):
        # The way out is one that works.
        assert "ledger" in str(outcome) or "cursor" in str(outcome), str(outcome)


NUMBERS: dict[str, dict[str, Any]] = {
    "edge": {"epoch": 2**63 - 1, "seq": 2**63 - 1},
    "negative": {"epoch": -5, "seq": -(2**63)},
    "rows": {"rows_deleted": 2**63 - 1},
    "passes": {"pass": 2**63 - 1},
    "minus_passes": {"pass": -(2**63)},
    "future": {"cutoff_ns": 2**63 - 1},
    "past": {"cutoff_ns": -(2**63)},
}


@pytest.mark.parametrize("label", NUMBERS)
def test_numbers(label: str, any_url: str, purged_before: Connection) -> None:
    """Above all a cutoff in the future: it would make every row look expired."""
    tamper(purged_before, any_url, "slot", **NUMBERS[label])
    outcome = purge_and_check(purged_before, any_url)
    if label in ("future", "past", "passes", "minus_passes"):
        assert isinstance(outcome, pk.Report)
    else:
        assert isinstance(outcome, pk.PurgekitError)
        assert "ledger" in str(outcome)


@pytest.mark.parametrize("text", ["99", "-1", "9" * 5_000, EVIL, '{"a": 1}', "1.5", " 1"])
def test_versions(text: str, any_url: str, purged_before: Connection) -> None:
    tamper(purged_before, any_url, "meta", document=text)
    outcome = purge_and_check(purged_before, any_url)
    assert isinstance(outcome, pk.PurgeRefused)
    assert outcome.code in ("ledger_newer", "ledger_foreign")
    assert len(survivors(purged_before)) == 25


def test_many_runs_that_claim_to_be_running(any_url: str, purged_before: Connection) -> None:
    """History asks their slots; hundreds of them must not hold it up, nor may it change the ledger."""
    purged_before.cursor().execute("BEGIN")
    for number in range(300):
        document = {"run_id": f"r{number}", "status": "running", "slot": f"s{number}", "policy": "p", "rows_deleted": 1}
        add_run(purged_before, any_url, f"r{number}", json.dumps(document))
    purged_before.cursor().execute("COMMIT")
    before = ledger_rows(purged_before)
    with pk.connect(any_url) as db:
        assert len(db.history()) == 301
    assert ledger_rows(purged_before) == before


def ledger_rows(connection: Connection) -> int:
    cursor = connection.cursor()
    cursor.execute(f"SELECT COUNT(*) FROM {LEDGER}")
    return int(cursor.fetchone()[0])
