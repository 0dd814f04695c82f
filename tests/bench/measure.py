"""One run of one contestant on a fresh copy: times, logs, and whether it left what it should."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.contestants import Contestant, Task
from bench.data import Rule, Shape
from bench.machine import Work
from bench.place import BenchFailed, Place
from servers import connect

POLL_S = 0.01


class Peak:
    """The largest size a file had."""

    def __init__(self, path: Path | None) -> None:
        self.bytes = 0
        self._path = path
        self._stop = threading.Event()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        if self._path is None:
            yield
            return
        watcher = threading.Thread(target=self._watch, args=(self._path,), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            self._stop.set()
            watcher.join()

    def _watch(self, path: Path) -> None:
        while not self._stop.wait(POLL_S):
            with contextlib.suppress(FileNotFoundError):
                self.bytes = max(self.bytes, path.stat().st_size)


def execute(url: str, statements: Sequence[str]) -> None:
    """In autocommit."""
    with contextlib.closing(connect(url)) as connection:
        for statement in statements:
            connection.cursor().execute(statement)


def one(place: Place, shape: Shape, rule: Rule, contestant: Contestant) -> dict[str, Any]:
    """Reset, run, check; the figures."""
    url = place.fresh(shape)
    task = Task(url, rule, place.work)
    execute(url, contestant.statements(task))
    peak = Peak(place.wal_file)
    log_before = place.log_bytes()
    work = Work(place)
    with peak.watching():
        outcome = contestant.run(task)
    drained_s = place.drain()
    record: dict[str, Any] = {
        "contestant": contestant.name,
        "elapsed_s": outcome.elapsed_s,
        "wall_s": outcome.wall_s,
        **outcome.figures,
        **work.figures(),
    }
    if drained_s is not None:
        record["drained_wall_s"] = outcome.wall_s + drained_s
    log_after = place.log_bytes()
    if log_before is not None and log_after is not None:
        record["log_mb"] = (log_after - log_before) / 2**20
    if place.wal_file is not None:
        record["wal_file_mb"] = peak.bytes / 2**20
    left = place.survivors(url)
    if left != shape.survivors:
        raise BenchFailed(f"{contestant.name} left {left}, not {shape.survivors}")
    if contestant.keeps and record["rows_archived"] != shape.purgeable:
        raise BenchFailed(f"{contestant.name} kept {record['rows_archived']} rows of {shape.purgeable}")
    return record
