"""A database to measure on: builds each table once as a template, and makes every run a fresh, warm copy of it."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

from bench.data import TABLE, Shape, Survivors
from servers import Connection, connect

P = TypeVar("P", bound="Place")

# Of write-ahead log or binlog that a server keeps: up to four times what is deleted, and never more than this.
KEPT_LOG_GB = 3


class BenchFailed(RuntimeError):
    """A run whose figures would mean nothing."""


@dataclass(frozen=True)
class Settings:
    """Of the servers. ``pool_mb``: shared_buffers or the InnoDB buffer pool."""

    pool_mb: int = 2_048
    log_mb: int = 1_024  # InnoDB's redo log
    autovacuum: bool = False


class Place(ABC):
    """``keep`` holds what is built once, ``work`` is gone at the end. Use as a context manager."""

    backend: ClassVar[str]
    # Whether the first run pays for what later ones find done, such as log files that a server makes once.
    starts_cold: ClassVar[bool] = False
    tables: ClassVar[Sequence[str]] = (TABLE,)

    def __init__(self, keep: Path, work: Path, settings: Settings) -> None:
        self.keep = keep / self.backend
        self.work = work
        self.settings = settings

    def __enter__(self: P) -> P:
        self.keep.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.stop()

    @property
    def fixed_mb(self) -> int:
        """What a table's place takes before its first row, such as a log of a size that is set."""
        return 100

    @abstractmethod
    def start(self) -> None:
        """What there is to start."""

    @abstractmethod
    def stop(self) -> None:
        """What there is to stop."""

    def build(self, shape: Shape) -> bool:
        """Make the template unless it is there; whether it had to."""
        missing = not self.has(shape)
        tables = 2 if missing else 1
        require_room(self.keep, shape, tables, self.fixed_mb * tables)
        if missing:
            self.make(shape)
        return missing

    @abstractmethod
    def has(self, shape: Shape) -> bool:
        """Whether the template is there."""

    @abstractmethod
    def make(self, shape: Shape) -> None:
        """Make the template; one that was given up half-way does not count as there."""

    @abstractmethod
    def fresh(self, shape: Shape) -> str:
        """The URL of a new copy of the template, warm, with nothing left to write from making it."""

    @abstractmethod
    def facts(self) -> dict[str, str]:
        """Version and the settings that matter."""

    def log_bytes(self) -> int | None:
        """Bytes of write-ahead or redo log written so far; None where nobody counts them."""
        return None

    def cpu_s(self) -> float:
        """Processor time of the server so far."""
        return 0.0

    def drain(self) -> float | None:
        """Wait until the server has done what the deletes left to do; seconds, None where there is no such thing."""
        return None

    @property
    def wal_file(self) -> Path | None:
        """A log file whose size is worth watching."""
        return None

    def survivors(self, url: str) -> Survivors:
        """What is left, by a driver that is not purgekit's."""
        with contextlib.closing(connect(url)) as connection:
            cursor = connection.cursor()
            cursor.execute(self.survivors_sql(connection))
            count, first, second = cursor.fetchone()
        return Survivors(int(count), int(first or 0), int(second or 0))

    @abstractmethod
    def survivors_sql(self, connection: Connection) -> str:
        """Count, sum of the first eight hexadecimal digits of each key, sum of the next eight."""


def require_room(folder: Path, shape: Shape, tables: int, fixed_mb: int) -> None:
    """For so many tables of that shape, with pages that are not full and with a log."""
    table_gb = shape.rows * 1.3 * (shape.row_bytes + 200 * shape.indexes) / 2**30
    needed_gb = tables * table_gb + min(KEPT_LOG_GB, 4 * table_gb) + fixed_mb / 1024
    free_gb = shutil.disk_usage(folder).free / 2**30
    if free_gb < needed_gb:
        raise BenchFailed(f"{shape} takes about {needed_gb:.1f} GB of disk and {folder} has {free_gb:.1f}; see --keep")


def copy_tree(source: Path, target: Path) -> None:
    """With owners; holes are filled, as the files of a server that has been running for long have none."""
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", "--sparse=never", str(source), str(target)], check=True)


def memory_for_building_mb() -> int:
    """A third of what can be had: an index built in random order wants to be in memory."""
    (available_kb,) = re.findall(r"^MemAvailable: *(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return max(256, int(available_kb) // 1024 // 3)
