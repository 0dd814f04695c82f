"""What ``DbapiBackend(sqlite3)`` knows of SQLite: sessions, dialect, errors. See also ``sqlite3_catalog``."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

from purgekit import sqlite3_catalog
from purgekit.backend_api import BackendError, BackendSession, Classified, Row

# Primary result codes; https://www.sqlite.org/rescode.html
CODES = {
    3: "privilege",
    5: "lock_timeout",
    6: "lock_timeout",
    7: "server_resources",
    8: "read_only",
    9: "cancelled",
    11: "corrupt",
    13: "server_resources",
    14: "connect_failed",
    17: "schema_changed",
    18: "data",
    20: "data",
    23: "privilege",
    26: "corrupt",
}
EXTENDED_CODES = {517: "serialization", 787: "foreign_key", 1811: "trigger"}
# For Python 3.10, whose exceptions carry no code.
MESSAGES = (
    ("locked", 5),
    ("interrupted", 9),
    ("readonly", 8),
    ("unable to open", 14),
    ("not a database", 26),
    ("malformed", 11),
    ("disk is full", 13),
    ("FOREIGN KEY constraint", 787),
)


def dialect() -> dict[str, Any]:
    """What differs from the default dialect."""
    return {
        # In double quotes, SQLite takes an unknown column for a text.
        "quote": "`",
        "placeholder": "?",
        "has_returning": sqlite3.sqlite_version_info >= (3, 35),
        "has_row_ranges": sqlite3.sqlite_version_info >= (3, 15),
        "for_update": "",
        "insert_or_ignore": ("INSERT OR IGNORE INTO ", ""),
        "null_safe_equal": "{a} IS {b}",
        "time_digits": 6,
        "text_times": True,
    }


class Sqlite3Session(BackendSession):
    """One connection to a file. The file is never made, so that a wrong path is an error."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._path = Path()
        self._open: sqlite3.Connection | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection."""
        if self._open is None:
            raise BackendError("connection_lost", "not connected")
        return self._open

    def connect(self, params: Mapping[str, Any]) -> None:
        """Open the file that ``database`` names."""
        self.close()
        self._path = Path(params["database"]).absolute()
        if not self._path.is_file():
            raise BackendError("connect_failed", f"no database file {self._path}")
        self._open = self._module.connect(
            f"{self._path.as_uri()}?mode=rw",
            uri=True,
            timeout=int(params.get("lock_wait_ms") or 1_000) / 1_000,
            isolation_level=None,  # transactions begin when we say so
            check_same_thread=False,  # calls are serial, but not all from one thread
        )
        self._open.execute("PRAGMA foreign_keys = ON")
        self._open.execute("SELECT count(*) FROM sqlite_master").fetchone()  # says so now if it is no database

    def close(self) -> None:
        """Close; what is open is rolled back."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def cancel(self) -> None:
        """Interrupt the statement under way."""
        if self._open is not None:
            self._open.interrupt()

    def execute(self, sql: str, params: Sequence[Any]) -> int:
        """Run a statement; rows affected."""
        return self.connection.execute(sql, _bindable(params)).rowcount

    def query(self, sql: str, params: Sequence[Any]) -> list[Row]:
        """Run a statement; its rows."""
        return self.connection.execute(sql, _bindable(params)).fetchall()

    def begin(self) -> None:
        """Take the write lock at once: a transaction that began to read could not always be turned into a writer."""
        self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Commit."""
        self.connection.execute("COMMIT")

    def rollback(self) -> None:
        """Roll back."""
        if self._open is not None and self._open.in_transaction:
            self._open.execute("ROLLBACK")

    def set_lock_wait(self, wait_ms: int) -> None:
        """Set SQLite's busy timeout."""
        self.connection.execute(f"PRAGMA busy_timeout = {int(wait_ms)}")

    def inspect(self) -> dict[str, Any]:
        """Facts about the file. The clock is this machine's, as the database is."""
        status = self._path.stat()
        query_only = self.connection.execute("PRAGMA query_only").fetchone()[0]
        return {
            "product": "SQLite",
            "version": self._module.sqlite_version,
            "clock_utc_ns": time.time_ns(),
            "read_only": bool(query_only),
            "tls": True,
            "tls_verified": True,
            "loopback": True,
            "database": str(self._path),
            "identity": f"{status.st_dev}:{status.st_ino}",
            "warnings": [],
        }

    def describe(self, schema: str, name: str, schema_quoted: bool, name_quoted: bool) -> dict[str, Any]:
        """Describe a table from SQLite's catalogue."""
        return sqlite3_catalog.describe(self.connection, schema, name, name_quoted)

    def tables(self, schema: str) -> list[str]:
        """Tables of the file."""
        return sqlite3_catalog.tables(self.connection, schema)

    def classify(self, error: BaseException) -> Classified:
        """By SQLite's extended result code."""
        message = str(error)
        if isinstance(error, BackendError):
            return error.code, message, "", 0, ""
        number = int(getattr(error, "sqlite_errorcode", 0) or 0)
        if not number:
            number = next((code for text, code in MESSAGES if text in message), 1)
        if not isinstance(error, self._module.Error):
            return "internal", f"{type(error).__name__}: {message}", "", 0, ""
        if number == 1 and "no such table" in message:
            return "not_found", message, "", number, ""
        code = EXTENDED_CODES.get(number) or CODES.get(number & 0xFF, "invalid_argument" if number == 1 else "internal")
        return code, message, "", number, ""


def _bindable(params: Sequence[Any]) -> list[Any]:
    """SQLite knows 64-bit integers and floats only; comparisons between the two are exact."""
    return [_number(value) if isinstance(value, (int, Decimal)) else value for value in params]


def _number(value: int | Decimal) -> int | float:
    whole = int(value)
    return whole if whole == value and -(2**63) <= whole < 2**63 else float(value)
