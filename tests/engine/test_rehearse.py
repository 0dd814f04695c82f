"""plan --rehearse: a real chunk, rolled back, on every database."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import purgekit as pk
from engine.tables import HOUR_S, TABLE, make_sessions, now_s, sessions_policy, survivors
from engine.test_killed import policy_file
from servers import Connection

ROWS = 4_000


def tells_log(connection: Connection, url: str) -> bool:
    """Whether the server tells how long its log is before it is written; a rolled-back chunk leaves none on SQLite."""
    if url.startswith(("sqlite", "postgresql")):
        return url.startswith("postgresql")
    cursor = connection.cursor()
    cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_lsn_current'")
    return bool(cursor.fetchall())


def test_nothing_stays_changed(any_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    checker = admin(any_url)
    make_sessions(checker, any_url, [now_s() + (HOUR_S if n % 4 == 0 else -5 * HOUR_S) for n in range(ROWS)])
    before = survivors(checker)
    command = [sys.executable, "-m", "purgekit", "plan", any_url, str(policy_file(tmp_path)), "--rehearse", "--json"]
    made = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    forecast = made["policies"][0]["forecast"]
    assert forecast["rehearsal"]["rows_deleted"] > 0
    assert forecast["seconds"] > 0
    assert forecast["transactions"] >= 1
    assert (forecast["log_bytes"] is not None) == tells_log(checker, any_url)
    walks = made["policies"][0]["walks"]
    assert min(walks, key=lambda walk: walk["cost"])["strategy"] == made["policies"][0]["strategy"]
    assert all(walk["reason"] for walk in walks)
    assert survivors(checker) == before
    cursor = checker.cursor()
    try:
        cursor.execute("SELECT COUNT(*) FROM purgekit_ledger")
    except Exception:
        pass
    else:
        raise AssertionError("a plan made the ledger")
    shown = subprocess.run(command[:-1], capture_output=True, check=True, text=True).stdout
    assert "rolled back" in " ".join(shown.split())


def test_the_report_has_what_was_forecast(any_url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(any_url)
    make_sessions(checker, any_url, [now_s() - 5 * HOUR_S] * ROWS)
    with pk.connect(any_url) as db:
        plan = db.plan(sessions_policy(), rehearse=True, max_fraction=1)
        report = db.run(plan)
        without = db.plan(sessions_policy()).policies[0]["forecast"]
    assert report.rows_deleted == ROWS
    assert report.policies[0]["forecast_s"] == round(plan.policies[0]["forecast"]["seconds"], 3)
    entry = report.policies[0]
    assert entry["forecast_chunks"] == plan.policies[0]["forecast"]["transactions"]
    assert entry["forecast_log_bytes"] == plan.policies[0]["forecast"]["log_bytes"]
    if tells_log(checker, any_url):
        # Rows of a few columns: some tens of bytes of log each, and the pages' images at most.
        assert 20 * ROWS < entry["forecast_log_bytes"] < 4_000 * ROWS
        assert 20 * ROWS < entry["log_bytes"] < 4_000 * ROWS
    assert without == {
        "seconds": 0.0,
        "transactions": 0,
        "log_bytes": 0,
        "freed_bytes": without["freed_bytes"],
        "rehearsal": None,
    }


def test_a_locked_row_is_told_and_waited_for_only_briefly(server_url: str, admin: Callable[[str], Connection]) -> None:
    checker, holder = admin(server_url), admin(server_url)
    make_sessions(checker, server_url, [now_s() - 5 * HOUR_S] * 100)
    cursor = holder.cursor()
    cursor.execute("BEGIN")
    cursor.execute(f"SELECT ID FROM {TABLE} FOR UPDATE")
    cursor.fetchall()
    try:
        with pk.connect(server_url) as db:
            planned = db.plan(sessions_policy(), rehearse=True).policies[0]
    finally:
        cursor.execute("ROLLBACK")
    assert planned["forecast"]["rehearsal"] is None
    assert "rehearsal" in [warning["code"] for warning in planned["warnings"]]
