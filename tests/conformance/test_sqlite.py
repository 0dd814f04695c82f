"""SQLite passes the shipped suite."""

import sqlite3
from contextlib import closing

import pytest

from purgekit.testing import ConformanceSuite, Quirks

ONE_WRITER = "SQLite locks the whole file, so a writer blocks everything"


class TestSqlite(ConformanceSuite):
    @pytest.fixture
    def declared_quirks(self, sqlite_url: str) -> Quirks:
        path = sqlite_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA journal_mode = WAL")
        return Quirks(
            url=sqlite_url,
            admin=lambda: sqlite3.connect(path, timeout=10, isolation_level=None),
            unsupported={"locked_rows": ONE_WRITER},
        )
