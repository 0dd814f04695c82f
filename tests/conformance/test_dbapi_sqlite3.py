"""A backend written in Python, around the standard library's sqlite3, passes the shipped suite."""

import sqlite3

import pytest

import purgekit as pk
from purgekit.testing import ConformanceSuite, Quirks

pytestmark = pytest.mark.long

ONE_WRITER = "SQLite locks the whole file, so a writer blocks everything"


@pytest.fixture(scope="module", autouse=True)
def _backend() -> None:
    pk.register_backend(pk.DbapiBackend(sqlite3, name="pysqlite", schemes=["pysqlite"]))


class TestDbapiSqlite3(ConformanceSuite):
    @pytest.fixture
    def declared_quirks(self, sqlite_url: str) -> Quirks:
        path = sqlite_url.removeprefix("sqlite:///")
        sqlite3.connect(path).close()
        return Quirks(
            url=f"pysqlite:///{path}",
            admin=lambda: sqlite3.connect(path, timeout=10, isolation_level=None),
            unsupported={
                "locked_rows": ONE_WRITER,
                "cancel": "interrupting SQLite does not end its wait for a lock",
                "care": "DbapiBackend knows no database's own way",
                "replacing": "the rowid is the key there, and a row that is made again has another",
                "run_lock": "DbapiBackend leaves it to the ledger's fence",
            },
        )
