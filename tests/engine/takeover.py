"""One purge is broken off in a way that no server hears of, and another one on another host takes its table over."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import purgekit as pk
from engine.tables import HOUR_S, TABLE, make_sessions, now_s, survivors
from servers import Connection, Host, Server, connect

ROWS = 3_000
LIVE = {n for n in range(1, ROWS + 1) if n % 3 == 0}
LOCKED = 2_000  # a doomed row in the middle
WITHIN_S = 300  # a bound against hanging for ever, not an expectation
POLICY = '[[policy]]\nname = "sessions"\ntable = "SESSIONS"\nexpired = { column = "EXPIRES", unit = "s" }\n'

# Whether a session of ours waits for a row, and whether one sits between two transactions.
WAITS = {
    "postgresql": "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'",
    "mysql": "SELECT COUNT(*) FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p"
    " ON p.ID = t.trx_mysql_thread_id WHERE p.DB = %s AND t.trx_state = 'LOCK WAIT'",
}
RESTS = {
    "postgresql": "SELECT COUNT(*) FROM pg_stat_activity"
    " WHERE datname = %s AND application_name = 'purgekit' AND state = 'idle'",
    "mysql": "SELECT COUNT(*) FROM information_schema.PROCESSLIST p WHERE p.DB = %s AND p.COMMAND = 'Sleep'"
    " AND p.ID NOT IN (SELECT trx_mysql_thread_id FROM information_schema.INNODB_TRX)",
}


@dataclass
class Outcome:
    """What both purges said, and what the database and its ledger say."""

    first: dict[str, Any] = field(default_factory=dict)
    first_code: int = -1
    second: dict[str, Any] = field(default_factory=dict)
    second_code: int = -1
    refusals: list[str] = field(default_factory=list)  # stop reasons of the second host before it got through
    took_s: float = 0
    left_by_first: int = 0  # rows there when the first was broken off
    survivors: set[int] = field(default_factory=set)
    history: list[dict[str, Any]] = field(default_factory=list)
    errors: str = ""


class Purge:
    """``purgekit run`` on one host."""

    def __init__(self, host: Host, url: str, folder: Path, *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        policy = folder / "policy.toml"
        policy.write_text(POLICY)
        command = [sys.executable, "-m", "purgekit", "run", url, str(policy), "--yes", "--json", *options]
        self.process = subprocess.Popen(
            host.command(command),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PURGEKIT_STATE": str(folder / "state")},
        )

    def end(self) -> tuple[int, dict[str, Any], str]:
        out, err = self.process.communicate(timeout=WITHIN_S)
        return self.process.returncode, json.loads(out), err

    def stop_clock(self) -> None:
        """Freeze it: its kernel still answers, it does not."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.communicate()


def until(condition: Any, what: str) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline_s, f"never happened: {what}"
        time.sleep(0.02)


def is_true(server: Server, query: str, database: str) -> bool:
    return bool(server.admin_sql(query, parameters=(database,))[0][0])


@contextlib.contextmanager
def locked_row(url: str) -> Iterator[None]:
    """Hold a doomed row, so that a purge comes to it and waits in the middle of a chunk."""
    with contextlib.closing(connect(url)) as holder:
        cursor = holder.cursor()
        cursor.execute("BEGIN")
        cursor.execute(f"SELECT ID FROM {TABLE} WHERE ID = {LOCKED} FOR UPDATE")
        yield
        cursor.execute("ROLLBACK")


def fill(checker: Connection, url: str) -> None:
    make_sessions(checker, url, [now_s() + (HOUR_S if n in LIVE else -5 * HOUR_S) for n in range(1, ROWS + 1)])


class Takeover:
    """The play on one server: ``how`` is "cable" or "frozen", ``where`` is "chunk" or "pause"."""

    def __init__(self, server: Server, hosts: Sequence[Host], folder: Path, how: str, where: str) -> None:
        self.server, self.hosts, self.folder = server, hosts, folder
        self.how, self.where = how, where
        self.family = "postgresql" if server.scheme == "postgresql" else "mysql"
        self.database = f"takeover_{how}_{where}"

    def play(self) -> Outcome:
        url = self.server.create_database(self.database)
        outcome = Outcome()
        with contextlib.closing(connect(url)) as checker:
            fill(checker, url)
            first = self._broken_off(url)
            try:
                outcome.left_by_first = len(survivors(checker))
                self._take_over(url, outcome)
                self._mend(first)
                outcome.first_code, outcome.first, outcome.errors = first.end()
            finally:
                first.kill()
            outcome.survivors = survivors(checker)
        with pk.connect(url) as db:
            outcome.history = db.history()
        return outcome

    def _broken_off(self, url: str) -> Purge:
        slow = ("--chunk-ms", "2", "--max-rows-per-s", "400")
        first = Purge(self.hosts[0], url, self.folder / "first", *slow, "--lock-wait-ms", "120000")
        if self.where == "chunk":
            with locked_row(url):
                until(lambda: is_true(self.server, WAITS[self.family], self.database), "a purge waiting for a row")
                self._break(first)
            return first
        with contextlib.closing(connect(url)) as checker:
            until(lambda: 0 < len(survivors(checker)) < ROWS - 100, "some chunks")
        self._break(first)
        while not is_true(self.server, RESTS[self.family], self.database):
            self._mend(first)
            time.sleep(0.05)
            self._break(first)
        return first

    def _break(self, first: Purge) -> None:
        if self.how == "cable":
            self.hosts[0].pull_cable()
        else:
            first.stop_clock()
            time.sleep(0.2)  # what it had sent already arrives

    def _mend(self, first: Purge) -> None:
        if self.how == "cable":
            self.hosts[0].plug_cable()
        else:
            first.go_on()

    def _take_over(self, url: str, outcome: Outcome) -> None:
        start_s = time.monotonic()
        while True:
            second = Purge(self.hosts[1], url, self.folder / "second")
            try:
                outcome.second_code, outcome.second, errors = second.end()
            finally:
                second.kill()
            outcome.took_s = time.monotonic() - start_s
            if outcome.second_code != 3:
                return
            outcome.refusals.append(str(outcome.second["stop_reason"]))
            assert outcome.took_s < WITHIN_S, f"never taken over: {outcome.refusals[-3:]} {errors}"
            time.sleep(1)
