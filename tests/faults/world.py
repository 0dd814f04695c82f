"""One schedule's database, its purges and what is known of them."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faults.book import Book
from faults.checker import ARCHIVE, LEDGER, Found, Outcome, Terms, Verdict, check, check_outcome, parse_records
from faults.levers import Levers
from faults.places import Place
from faults.purges import HANG_BOUND_S, Purge
from faults.schedule import Schedule
from faults.shapes import COLUMNS, MAIN, RowMaker, initial_rows, policy_text
from faults.station import Station
from faults.writers import Writers
from servers import Connection, ServerFailed, TcpProxy

CLOSING_RUNS = 14
CLOSING_PAUSE_S = 0.15
REVIVED_WITHIN_S = 60.0
STARTS = 3  # of a server: some recover at the second try


def plugins_folder() -> Path:
    spec = importlib.util.find_spec("purgekit")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "plugins"


class World(Levers):
    def __init__(self, schedule: Schedule, station: Station, folder: Path) -> None:
        self.schedule, self.station, self.folder = schedule, station, folder
        self.shape = schedule.shape
        self.server = station.server(schedule.backend)
        self.terms = Terms(now_s=int(time.time()), archived=schedule.archived)
        self.purges: list[Purge] = []
        self.complaints: list[str] = []
        self.disk_was_full = False  # the server's
        self.fired = 0  # faults that found a purge to do harm to
        self.after_refusal = ""  # a statement that an administrator runs once an undisturbed run has refused
        self.environment: dict[str, str] = {}
        self.arguments: list[str] = []
        self.proxy: TcpProxy | None = None
        self._stack = contextlib.ExitStack()
        folder.mkdir(parents=True)
        self.place = Place(
            schedule.backend, schedule.name.replace("-", "_"), folder, self.server, schedule.journal, schedule.stored_as
        )
        self.policy = folder / "policy.toml"
        self.policy.write_text(policy_text(self.shape, schedule.stored_as))
        rng = schedule.random("rows")
        self.text_keys = schedule.text_keys
        self._hogs: list[Connection] = []
        self.maker = maker = RowMaker(
            rng,
            self.shape,
            self.terms.now_s,
            schedule.doomed_share,
            schedule.text_keys,
            schedule.stored_as == "seconds",
        )
        self.place.create(self.shape, text_keys=schedule.text_keys, indexed=schedule.indexed, keyed=schedule.keyed)
        rows = initial_rows(maker, self.shape, schedule.rows, rng)
        self.place.fill(rows)
        self.book = Book({table: COLUMNS[table] for table in self.shape.tables})
        for table, content in rows.items():
            for row in content:
                self.book.insert(table, row)
        self.writers = Writers(
            schedule.writers,
            self.place,
            self.shape,
            self.book,
            maker,
            f"{schedule.name}/writers",
            schedule.writer_pause_s,
        )

    # Purges

    def start(
        self,
        steps: str = "",
        *,
        through_proxy: bool = False,
        arguments: Sequence[str] = (),
        environment: dict[str, str] | None = None,
        memory_bytes: int | None = None,
        policy: Path | None = None,
    ) -> Purge:
        """A purge with a gate that acts at ``steps`` (see native/gate.cpp)."""
        folder = self.folder / f"run{len(self.purges) + 1:02d}"
        command = self._command(through_proxy, policy, arguments)
        purge = self.station.zygote.start(command, folder, self._environment(folder, steps, environment), memory_bytes)
        purge.harmed = memory_bytes is not None or any(act in steps for act in ("=kill", "=starve"))
        self.purges.append(purge)
        return purge

    def _command(self, through_proxy: bool, policy: Path | None, arguments: Sequence[str]) -> list[str]:
        schedule = self.schedule
        command = [
            "run",
            self.proxied() if through_proxy else self.place.url,
            str(policy or self.policy),
            "--yes",
            "--json",
        ]
        command += ["--max-fraction", "1", "--chunk-ms", str(schedule.chunk_ms), "--pace", "fast"]
        command += ["--lock-wait-ms", str(schedule.lock_wait_ms), "--workers", str(schedule.workers)]
        if schedule.archived:
            command += ["--archive", "table"]
        return [*command, *self.arguments, *arguments]

    def _environment(self, folder: Path, steps: str, more: dict[str, str] | None) -> dict[str, str]:
        return {
            "PURGEKIT_STATE": str(self.folder / "state"),
            "PURGEKIT_PLUGIN_PATH": str(self.station.gates),
            "PURGEKIT_FAULT_PLUGINS": str(plugins_folder()),
            "PURGEKIT_FAULT_STEPS": steps,
            "PURGEKIT_FAULT_FOLDER": str(folder),
            "PURGEKIT_FAULT_ROWS": str(self.schedule.chunk_rows),
            **self.environment,
            **(more or {}),
        }

    def proxied(self) -> str:
        """The purge's URL by way of a proxy that can break the line."""
        assert self.server is not None
        if self.proxy is None:
            self.proxy = self._stack.enter_context(TcpProxy("127.0.0.1", self.server.port))
        return self.place.url.replace(f":{self.server.port}/", f":{self.proxy.port}/", 1)

    def end(self, *purges: Purge, bound_s: float = HANG_BOUND_S) -> None:
        """Wait for purges and judge what they said."""
        for purge in purges:
            if purge.frozen:
                purge.thaw()
            purge.wait(bound_s)
            self.fired += purge.fired

    def judge(self) -> list[Outcome]:
        outcomes = []
        for purge in self.purges:
            name = purge.folder.name
            assert purge.code is not None
            try:
                document = purge.document
            except json.JSONDecodeError as error:
                document = None
                if not purge.harmed:
                    self.complaints.append(f"{name}: standard output is no JSON: {error}")
            outcome = Outcome(name, purge.code, document, purge.harmed)
            outcomes.append(outcome)
            # What a starved interpreter manages to print is its own affair; that it did no harm is checked too.
            if not (purge.harmed and document is None):
                self.complaints += check_outcome(outcome, purge.out, purge.err)
        return outcomes

    # The end

    def close_down(self) -> None:
        """Undisturbed runs until the table is done."""
        self.station.calm()
        self.revive()
        self.writers.stop()
        self.complaints += self.writers.failures
        if self.proxy is not None:
            self._stack.close()
            self.proxy = None
        for attempt in range(CLOSING_RUNS):
            purge = self._by_hand() if self.schedule.own_interpreter and attempt == 0 else self.start()
            code = purge.wait()
            if code in (0, 4):
                return
            if code == 2 and self.after_refusal:
                self.place.run(self.after_refusal)
                self.after_refusal = ""
                continue
            document = purge.document or {}
            reasons = {policy.get("stop_reason") for policy in document.get("policies", [])}
            if not (code == 3 and reasons == {"another_run"}):
                self.complaints.append(f"undisturbed {purge.folder.name} ended with {code}: {purge.err.strip()[-300:]}")
                return
            time.sleep(CLOSING_PAUSE_S * (attempt + 1))
        self.complaints.append(f"no end after {CLOSING_RUNS} undisturbed runs: another run is said to go on")

    def revive(self) -> None:
        """The server answers again: one that is about to give up still counts as running."""
        deadline_s = time.monotonic() + REVIVED_WITHIN_S
        starts = 0
        while self.server is not None:
            try:
                self.server.start()
                self.place.query("SELECT 1")
                return
            except Exception as error:
                starts += isinstance(error, ServerFailed)
                if starts == STARTS or time.monotonic() > deadline_s:
                    raise
                time.sleep(0.1)

    def _by_hand(self) -> Purge:
        """As people start it: an interpreter of its own, with the plugins as installed."""
        folder = self.folder / f"run{len(self.purges) + 1:02d}"
        folder.mkdir()
        command = self._command(False, None, ())
        with (folder / "stdout").open("w") as out, (folder / "stderr").open("w") as err:
            started = subprocess.Popen(
                [sys.executable, "-m", "purgekit", *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, "PURGEKIT_STATE": str(self.folder / "state")},
            )
            purge = Purge(started.pid, command, folder)
            purge.end(started.wait(HANG_BOUND_S))
        self.purges.append(purge)
        return purge

    def find(self) -> Found:
        tables = self.place.tables()
        archives = {
            table: self.place.content(
                ARCHIVE + table,
                (*COLUMNS[table], "purgekit_run_id", "purgekit_chunk", "purgekit_archived_utc"),
                of=table,
            )
            for table in self.shape.purged
            if ARCHIVE + table in tables
        }
        return Found(
            content={
                table: self.place.content(table, COLUMNS[table]) if table in tables else []
                for table in self.shape.tables
            },
            archives=archives,
            tables=tables,
            records=parse_records(self.place.content(LEDGER, ("kind", "document"))) if LEDGER in tables else [],
            ledger_history=self._history(self.place.url),
            state_history=self._history(),
            outcomes=self.judge(),
        )

    def _history(self, *url: str) -> list[dict[str, Any]]:
        folder = self.folder / ("history-ledger" if url else "history-state")
        purge = self.station.zygote.start(["history", *url, "--json"], folder, self._environment(folder, "", None))
        if purge.wait() != 0:
            self.complaints.append(f"history failed: {purge.err.strip()[-300:]}")
            return []
        runs: list[dict[str, Any]] = (purge.document or {})["runs"]
        return runs

    def verdict(self) -> Verdict:
        found = self.find()
        verdict = check(self.shape, self.book, found, self.terms)
        verdict.complaints += self.complaints
        return verdict

    def close(self, *, server_lost: bool = False) -> None:
        for purge in self.purges:
            if not purge.ended.is_set():
                purge.thaw()
                purge.kill()
        self.writers.stopping.set()
        self.station.calm()
        if self.server is not None and not server_lost:
            self.server.start()
            if self.disk_was_full:
                # InnoDB's log now names a file it could not make: a kill before the next checkpoint, in whatever
                # schedule, would find it unable to recover. Stopping cleanly makes the checkpoint.
                self.server.restart()
        self.writers.stop()
        self._stack.close()

    def random(self, purpose: str) -> random.Random:
        return self.schedule.random(purpose)

    def rows_now(self) -> int:
        return int(self.place.query(f"SELECT COUNT(*) FROM {self.place.quoted(MAIN)}")[0][0])
