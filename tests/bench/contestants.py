"""Who deletes: one plain statement, the loop that everybody writes, and purgekit. The rivals have their own files."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from bench import child
from bench.data import NOW_TEXT, TABLE, Rule
from bench.place import BenchFailed
from servers import Connection, connect


@dataclass(frozen=True)
class Task:
    """What is to be deleted, and where."""

    url: str
    rule: Rule
    folder: Path  # for the contestant's own files


@dataclass(frozen=True)
class Outcome:
    """``elapsed_s``: the deleting itself, as the contestant says. ``wall_s``: all of it, start-up and end included."""

    elapsed_s: float
    wall_s: float
    figures: dict[str, Any] = field(default_factory=dict)


class Contestant(ABC):
    backends: ClassVar[Sequence[str]] = ("sqlite", "postgresql", "mariadb")

    @property
    def keeps(self) -> bool:
        """Whether every row must be in its archive at the end; it tells ``rows_archived`` then."""
        return False

    @property
    @abstractmethod
    def name(self) -> str:
        """As it is called in the tables of results."""

    def statements(self, _task: Task) -> Sequence[str]:
        """What has to be there beforehand and is not timed."""
        return ()

    @abstractmethod
    def run(self, task: Task) -> Outcome:
        """Delete all that is purgeable."""


@contextlib.contextmanager
def connected(url: str) -> Any:
    """A connection as a program of that database's users would have it."""
    with contextlib.closing(connect(url)) as connection:
        if url.startswith("sqlite"):
            connection.cursor().execute("PRAGMA cache_size=-524288")
        yield connection


class PlainDelete(Contestant):
    """One statement, one transaction: the database's own limit. Everything is compared with it."""

    def __init__(self, isolation: str | None = None) -> None:
        self._isolation = isolation

    @property
    def name(self) -> str:
        return "one DELETE" + (f", {self._isolation}" if self._isolation else "")

    def run(self, task: Task) -> Outcome:
        started = time.perf_counter()
        with connected(task.url) as connection:
            cursor = connection.cursor()
            if self._isolation:
                cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {self._isolation}")
            begun, cpu_before_s = time.perf_counter(), time.process_time()
            cursor.execute(f"DELETE FROM {TABLE} WHERE {task.rule.condition}")
            elapsed_s = time.perf_counter() - begun
            figures = {"own_cpu_s": time.process_time() - cpu_before_s}
        return Outcome(elapsed_s, time.perf_counter() - started, figures)


class Loop(Contestant):
    """The few lines that are in every answer: delete some rows, commit, again until none is left."""

    backends = ("sqlite",)

    def __init__(self, rows: int = 5_000) -> None:
        self._rows = rows

    @property
    def name(self) -> str:
        return f"loop of {self._rows:,}"

    def run(self, task: Task) -> Outcome:
        started, cpu_before_s = time.perf_counter(), time.process_time()
        with connected(task.url) as connection:
            chunks = _until_empty(
                connection,
                f"DELETE FROM {TABLE} WHERE rowid IN "
                f"(SELECT rowid FROM {TABLE} WHERE {task.rule.condition} LIMIT {self._rows})",
            )
            elapsed_s = time.perf_counter() - started
            figures = {"chunks": chunks, "own_cpu_s": time.process_time() - cpu_before_s}
        return Outcome(elapsed_s, time.perf_counter() - started, figures)


def _until_empty(connection: Connection, statement: str) -> int:
    for done in itertools.count():
        cursor = connection.cursor()
        cursor.execute(statement)
        if cursor.rowcount == 0:
            return done
    raise AssertionError("count never ends")


@dataclass(frozen=True)
class Purgekit(Contestant):
    """The command line tool, ledger on."""

    pace: str = "fast"
    chunk_ms: int = 100
    workers: int = 1
    strategy: str = "auto"
    archive: str = ""  # "table" or "files"

    @property
    def name(self) -> str:
        if self.strategy != "auto":
            return f"purgekit, strategy {self.strategy}"
        workers = f"{self.workers} worker{'' if self.workers == 1 else 's'}"
        kept = {"": "", "table": ", archive in a table", "files": ", archive in files"}[self.archive]
        return f"purgekit {self.pace}, {self.chunk_ms} ms, {workers}{kept}"

    @property
    def keeps(self) -> bool:
        return bool(self.archive)

    def run(self, task: Task) -> Outcome:
        policy = task.folder / "policy.toml"
        policy.write_text(f'{task.rule.policy}strategy = "{self.strategy}"\n')
        arguments = ["run", task.url, str(policy), "--yes", "--json", "--now", NOW_TEXT, "--max-fraction", "1"]
        arguments += ["--pace", self.pace, "--chunk-ms", str(self.chunk_ms), "--workers", str(self.workers)]
        if self.archive:
            kept = task.folder / "kept"
            shutil.rmtree(kept, ignore_errors=True)
            arguments += ["--archive", "table" if self.archive == "table" else f"{kept}/"]
        ended = purgekit(arguments, task.folder)
        if ended.code != 0:
            said = (ended.err or ended.out).strip()
            raise BenchFailed(f"{self.name} ended with {ended.code}: {said}")
        report = json.loads(ended.out)
        entry = report["policies"][0]
        figures = {
            "strategy": entry["strategy"],
            "chunks": entry["chunks"],
            "retries": entry["retries"],
            "chunk_ms": entry["chunk_ms"],
            "throttled_s": entry["throttled_s"],
            "rows_archived": entry["rows_archived"],
            "own_cpu_s": ended.cpu_s,
            "max_rss_mb": ended.max_rss_mb,
        }
        return Outcome(report["elapsed_s"], ended.wall_s, figures)


def purgekit(arguments: Sequence[str], folder: Path) -> child.Ended:
    """The command with its run history in ``folder``: of this Python, so that it is clear which build is measured."""
    command = [sys.executable, "-m", "purgekit", *arguments]
    return child.run(command, folder, {"PURGEKIT_STATE": str(folder / "state")})
