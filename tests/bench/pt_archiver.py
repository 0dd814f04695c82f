"""pt-archiver of the Percona Toolkit, as its makers and users tune it for bulk deletes."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from bench import child
from bench.contestants import Contestant, Outcome, Task
from bench.data import TABLE
from bench.place import BenchFailed
from servers import connect

LIMIT_ROWS = 5_000


class PtArchiver(Contestant):
    backends: ClassVar = ("mariadb",)
    fate: ClassVar[Sequence[str]] = ("--purge",)

    @property
    def name(self) -> str:
        return f"pt-archiver, bulk {LIMIT_ROWS:,}"

    def options(self, _task: Task) -> list[str]:
        return [*self.fate, "--bulk-delete", "--commit-each", "--limit", str(LIMIT_ROWS), "--no-check-charset"]

    def run(self, task: Task) -> Outcome:
        if shutil.which("pt-archiver") is None:
            raise BenchFailed("pt-archiver is not installed; apt-get install percona-toolkit, or choose --contestants")
        parts = urlsplit(task.url)
        place = f"F={login(task)},h={parts.hostname},P={parts.port},D={parts.path.lstrip('/')}"
        source = f"{place},t={TABLE},i={_index(task)}"
        command = ["pt-archiver", "--source", source, "--where", task.rule.condition, *self.options(task)]
        ended = child.run(command, task.folder, {"HOME": str(task.folder)})
        if ended.code != 0:
            raise BenchFailed(f"pt-archiver ended with {ended.code}: {ended.err.strip()}")
        return Outcome(ended.wall_s, ended.wall_s, {"own_cpu_s": ended.cpu_s, "max_rss_mb": ended.max_rss_mb})


def login(task: Task) -> Path:
    """The client's own file with user and password: no command line shows them."""
    parts = urlsplit(task.url)
    file = task.folder / "client.cnf"
    file.touch(mode=0o600)
    file.write_text(f"[client]\nuser={unquote(parts.username or '')}\npassword={unquote(parts.password or '')}\n")
    return file


def _index(task: Task) -> str:
    """The one on the time, which it is then forced to use; the primary key where there is none."""
    with contextlib.closing(connect(task.url)) as connection:
        cursor = connection.cursor()
        cursor.execute(f"SHOW INDEX FROM {TABLE} WHERE Key_name = %s", (task.rule.index,))
        return task.rule.index if cursor.fetchall() else "PRIMARY"
