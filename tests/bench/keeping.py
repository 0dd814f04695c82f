"""Who keeps what it deletes: the rivals of archives, and the least that a copy outside the database must cost."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from bench import child
from bench.contestants import Outcome, PlainDelete, Task, connected
from bench.data import TABLE
from bench.place import BenchFailed
from bench.pt_archiver import PtArchiver, login

KEPT_TABLE = "KEPT_SESSIONS"
EMPTY_COPY = (f"DROP TABLE IF EXISTS {KEPT_TABLE}", f"CREATE TABLE {KEPT_TABLE} AS SELECT * FROM {TABLE} LIMIT 0")
FILE = "kept.txt"
FETCHED_ROWS = 10_000


class InsertThenDelete(PlainDelete):
    """Two plain statements in one transaction, into a table without indexes: what the database itself needs."""

    @property
    def name(self) -> str:
        return "one INSERT … SELECT, one DELETE"

    @property
    def keeps(self) -> bool:
        return True

    def statements(self, _task: Task) -> Sequence[str]:
        return EMPTY_COPY

    def run(self, task: Task) -> Outcome:
        started = time.perf_counter()
        with connected(task.url) as connection:
            cursor = connection.cursor()
            begun, cpu_before_s = time.perf_counter(), time.process_time()
            cursor.execute("BEGIN")
            cursor.execute(f"INSERT INTO {KEPT_TABLE} SELECT * FROM {TABLE} WHERE {task.rule.condition}")
            kept = cursor.rowcount
            cursor.execute(f"DELETE FROM {TABLE} WHERE {task.rule.condition}")
            cursor.execute("COMMIT")
            elapsed_s = time.perf_counter() - begun
            figures = {"own_cpu_s": time.process_time() - cpu_before_s, "rows_archived": kept}
        return Outcome(elapsed_s, time.perf_counter() - started, figures)


class SelectThenDelete(PlainDelete):
    """Every row to the client, which throws it away, and then one DELETE: no file archive can do with less."""

    @property
    def name(self) -> str:
        return "one SELECT to the client, one DELETE"

    def run(self, task: Task) -> Outcome:
        started, cpu_before_s = time.perf_counter(), time.process_time()
        query = f"SELECT * FROM {TABLE} WHERE {task.rule.condition}"
        {"sqlite": _read, "postgresql": _copy, "mariadb": _client}[task.url.partition(":")[0]](task, query)
        select_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu_before_s
        deleted = super().run(task)
        figures = {"own_cpu_s": cpu_s + deleted.figures["own_cpu_s"]}
        return Outcome(select_s + deleted.elapsed_s, time.perf_counter() - started, figures)


def _read(task: Task, query: str) -> None:
    with connected(task.url) as connection:
        cursor = connection.cursor()
        cursor.execute(query)
        while cursor.fetchmany(FETCHED_ROWS):
            pass


def _copy(task: Task, query: str) -> None:
    with connected(task.url) as connection, Path(os.devnull).open("wb") as nowhere:
        cursor: Any = connection.cursor()
        cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT binary)", nowhere)


def _client(task: Task, query: str) -> None:
    """The database's own, in C: a driver in Python would spend more time than the server."""
    parts = urlsplit(task.url)
    command = ["mariadb", f"--defaults-file={login(task)}", f"--host={parts.hostname}", f"--port={parts.port}"]
    command += ["--quick", "--batch", "--skip-column-names", "-e", query, unquote(parts.path.lstrip("/"))]
    ended = child.run(["sh", "-c", 'exec "$@" >/dev/null', "sh", *command], task.folder)
    if ended.code != 0:
        raise BenchFailed(f"mariadb ended with {ended.code}: {ended.err.strip()}")


class PtArchiverTable(PtArchiver):
    """Into a table without secondary indexes, by LOAD DATA: its fastest way."""

    fate: ClassVar = ("--bulk-insert",)

    @property
    def keeps(self) -> bool:
        return True

    @property
    def name(self) -> str:
        return f"{super().name}, --dest"

    def statements(self, _task: Task) -> Sequence[str]:
        return EMPTY_COPY

    def options(self, task: Task) -> list[str]:
        return [*super().options(task), "--dest", f"t={KEPT_TABLE},L=1"]

    def run(self, task: Task) -> Outcome:
        outcome = super().run(task)
        with connected(task.url) as connection:
            cursor = connection.cursor()
            cursor.execute(f"SELECT COUNT(*) FROM {KEPT_TABLE}")
            (found,) = cursor.fetchall()
        return Outcome(outcome.elapsed_s, outcome.wall_s, {**outcome.figures, "rows_archived": found[0]})


class PtArchiverFile(PtArchiver):
    """Into a file of lines, buffered, which is its own default."""

    fate: ClassVar = ()

    @property
    def keeps(self) -> bool:
        return True

    @property
    def name(self) -> str:
        return f"{super().name}, --file"

    def options(self, task: Task) -> list[str]:
        file = task.folder / FILE
        file.unlink(missing_ok=True)  # it would be added to
        return [*super().options(task), "--file", str(file)]

    def run(self, task: Task) -> Outcome:
        outcome = super().run(task)
        with (task.folder / FILE).open("rb") as file:
            lines = sum(1 for line in file if not line.endswith(b"\\\n"))
        return Outcome(outcome.elapsed_s, outcome.wall_s, {**outcome.figures, "rows_archived": lines})
