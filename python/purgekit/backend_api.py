"""Backends written in Python: the base classes, and a ready one around any PEP 249 driver.

A backend makes sessions; a session is one connection whose calls are serial (``cancel`` may come from any thread). The
native engine calls them, renders all SQL from ``dialect``, and brings the chunk protocol and the ledger.

    import sqlite3
    import purgekit as pk

    pk.register_backend(pk.DbapiBackend(sqlite3, name="mysqlite", schemes=["mysqlite"]))
    pk.connect("mysqlite:///app.db")
"""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from purgekit.errors import PurgekitError

Row = tuple[Any, ...]
# Code name, message, SQLSTATE, vendor code, constraint.
Classified = tuple[str, str, str, int, str]

PLACEHOLDERS = {"qmark": "?", "format": "%s", "pyformat": "%s", "numeric": ":1"}

# SQLSTATEs, and classes of them, whose meaning is the same everywhere.
SQLSTATES = {
    "08": "connection_lost",
    "28": "authentication",
    "40001": "serialization",
    "40P01": "deadlock",
    "42501": "privilege",
    "42P01": "not_found",
    "42S02": "not_found",
    "23503": "foreign_key",
    "53": "server_resources",
    "55P03": "lock_timeout",
    "57014": "cancelled",
    "57P01": "server_shutdown",
}

DEFAULT_DIALECT: dict[str, Any] = {
    "quote": '"',
    "placeholder": "?",
    "has_returning": False,
    "has_row_ranges": False,
    "for_update": " FOR UPDATE",
    "insert_or_ignore": ("INSERT INTO ", ""),
    "null_safe_equal": "",
    "time_digits": 6,
    "text_times": False,
}


class BackendError(Exception):
    """What a session may raise for a reason that its driver has no exception for. ``code`` as in ``PurgekitError``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class BackendSession(abc.ABC):
    """One connection. Statements run in autocommit unless ``begin`` was called."""

    @abc.abstractmethod
    def connect(self, params: Mapping[str, Any]) -> None:
        """Connect, or connect again.

        ``params``: scheme, user, password, host, port, database, options, connect_timeout_ms, lock_wait_ms,
        statement_timeout_ms.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Roll back what is open and disconnect. Never fails."""

    @abc.abstractmethod
    def cancel(self) -> None:
        """Make the call under way end with an exception. From any thread."""

    @abc.abstractmethod
    def execute(self, sql: str, params: Sequence[Any]) -> int:
        """Run a statement; rows affected."""

    @abc.abstractmethod
    def query(self, sql: str, params: Sequence[Any]) -> list[Row]:
        """Run a statement; all rows of its small result."""

    @abc.abstractmethod
    def begin(self) -> None:
        """Begin a READ COMMITTED transaction for writing."""

    @abc.abstractmethod
    def commit(self) -> None:
        """Commit."""

    @abc.abstractmethod
    def rollback(self) -> None:
        """Roll back; nothing happens when nothing is open."""

    @abc.abstractmethod
    def set_lock_wait(self, wait_ms: int) -> None:
        """Longest wait for a lock from now on."""

    @abc.abstractmethod
    def inspect(self) -> dict[str, Any]:
        """product, version, clock_utc_ns, read_only, tls, tls_verified, loopback, database, identity, warnings."""

    @abc.abstractmethod
    def describe(self, schema: str, name: str, schema_quoted: bool, name_quoted: bool) -> dict[str, Any]:
        """What the catalogue says of a table; BackendError ``not_found`` when there is none.

        Keys: schema, name, kind ("table" or "view"), storage, identity, transactional, columns (name, type_name, kind,
        nullable), key (names), indexes (name, columns, unique, partial), references, delete_triggers, rows_estimate,
        bytes, index_bytes.
        """

    @abc.abstractmethod
    def tables(self, schema: str) -> list[str]:
        """Names of the tables one could have meant."""

    @abc.abstractmethod
    def classify(self, error: BaseException) -> Classified:
        """What an exception raised here means to the engine."""


class Backend(abc.ABC):
    """A kind of database.

    Attributes:
        name: lower case, unique.
        version: of the backend and its driver, for people.
        schemes: URL schemes that it serves.
        dialect: how it writes SQL; the keys are those of ``DEFAULT_DIALECT``.
    """

    name: str
    version: str = ""
    schemes: Sequence[str]
    dialect: Mapping[str, Any] = DEFAULT_DIALECT

    @abc.abstractmethod
    def open(self) -> BackendSession:
        """A new session, not yet connected."""


class DbapiBackend(Backend):
    """A backend around a PEP 249 driver module.

    For ``sqlite3`` everything is built in. For another driver give ``connect``, ``describe`` and what differs from
    standard SQL in ``dialect``.

    Args:
        module: the driver.
        name: of the backend; the module's when not given.
        schemes: URL schemes; the name when not given.
        connect: ``connect(params) -> PEP 249 connection``.
        describe: ``describe(connection, schema, name, schema_quoted, name_quoted) -> dict``.
        dialect: overrides of ``DEFAULT_DIALECT``.
        classify: ``classify(error) -> (code, message, sqlstate, vendor_code, constraint)``; without it SQLSTATEs and
            the classes of PEP 249 decide. A missing table must be ``not_found``.
        tables: ``tables(connection, schema) -> names``.
        inspect: ``inspect(connection) -> dict`` with what differs from the default.
        cancel: ``cancel(connection)``, from any thread.
        set_lock_wait: ``set_lock_wait(connection, wait_ms)``.
    """

    def __init__(
        self,
        module: ModuleType,
        *,
        name: str | None = None,
        schemes: Sequence[str] | None = None,
        connect: Callable[[Mapping[str, Any]], Any] | None = None,
        describe: Callable[..., dict[str, Any]] | None = None,
        dialect: Mapping[str, Any] | None = None,
        classify: Callable[[BaseException], Classified] | None = None,
        tables: Callable[[Any, str], list[str]] | None = None,
        inspect: Callable[[Any], dict[str, Any]] | None = None,
        cancel: Callable[[Any], object] | None = None,
        set_lock_wait: Callable[[Any, int], object] | None = None,
    ) -> None:
        self.module = module
        self.name = name or module.__name__.partition(".")[0]
        self.schemes = list(schemes or [self.name])
        self.version = str(getattr(module, "__version__", getattr(module, "sqlite_version", "")))
        if module.__name__ == "sqlite3":
            from purgekit import backend_sqlite3 as built_in

            self.dialect = {**DEFAULT_DIALECT, **built_in.dialect(), **(dialect or {})}
            self._new_session: Callable[[], BackendSession] = lambda: built_in.Sqlite3Session(module)
            return
        style = getattr(module, "paramstyle", "")
        if style not in PLACEHOLDERS:
            raise PurgekitError(f"driver {self.name}: parameter style '{style}' is not offered", code="not_supported")
        if connect is None or describe is None:
            raise PurgekitError(f"driver {self.name} needs connect=… and describe=…", code="invalid_argument")
        self.dialect = {**DEFAULT_DIALECT, "placeholder": PLACEHOLDERS[style], **(dialect or {})}
        self._new_session = lambda: DbapiSession(
            module,
            connect,
            describe,
            classify=classify,
            tables=tables,
            inspect=inspect,
            cancel=cancel,
            set_lock_wait=set_lock_wait,
        )

    def open(self) -> BackendSession:
        """A new session, not yet connected."""
        return self._new_session()


class DbapiSession(BackendSession):
    """A session on a PEP 249 connection, which opens transactions by itself."""

    def __init__(
        self,
        module: ModuleType,
        connect: Callable[[Mapping[str, Any]], Any],
        describe: Callable[..., dict[str, Any]],
        *,
        classify: Callable[[BaseException], Classified] | None = None,
        tables: Callable[[Any, str], list[str]] | None = None,
        inspect: Callable[[Any], dict[str, Any]] | None = None,
        cancel: Callable[[Any], object] | None = None,
        set_lock_wait: Callable[[Any, int], object] | None = None,
    ) -> None:
        self.module = module
        self.connection: Any = None
        self._connect = connect
        self._describe = describe
        self._classify = classify
        self._tables = tables
        self._inspect = inspect
        self._cancel = cancel
        self._set_lock_wait = set_lock_wait
        self._escapes_percent = getattr(module, "paramstyle", "") in ("format", "pyformat")
        self._in_transaction = False
        self._database = ""

    def connect(self, params: Mapping[str, Any]) -> None:
        """Connect, by the function given."""
        self.close()
        self._database = str(params["database"])
        self.connection = self._connect(params)

    def close(self) -> None:
        """Disconnect."""
        connection, self.connection = self.connection, None
        self._in_transaction = False
        if connection is not None:
            try:
                connection.close()
            except Exception:  # the line may be gone already, and there is nobody to tell
                return

    def cancel(self) -> None:
        """Cancel, if the driver can."""
        connection = self.connection
        if self._cancel is not None and connection is not None:
            self._cancel(connection)

    def execute(self, sql: str, params: Sequence[Any]) -> int:
        """Run a statement; rows affected."""
        cursor = self._run(sql, params)
        rows = int(cursor.rowcount)
        cursor.close()
        self._end_statement()
        return rows

    def query(self, sql: str, params: Sequence[Any]) -> list[Row]:
        """Run a statement; its rows."""
        cursor = self._run(sql, params)
        rows = [tuple(row) for row in cursor.fetchall()]
        cursor.close()
        self._end_statement()
        return rows

    def begin(self) -> None:
        """The driver begins with the first statement."""
        self._in_transaction = True

    def commit(self) -> None:
        """Commit."""
        self._in_transaction = False
        self.connection.commit()

    def rollback(self) -> None:
        """Roll back."""
        self._in_transaction = False
        if self.connection is not None:
            self.connection.rollback()

    def set_lock_wait(self, wait_ms: int) -> None:
        """Set the longest wait for a lock, if told how."""
        if self._set_lock_wait is not None:
            self._set_lock_wait(self.connection, wait_ms)

    def inspect(self) -> dict[str, Any]:
        """Facts about the server; the clock is this machine's unless ``inspect`` was given."""
        facts: dict[str, Any] = {
            "product": self.module.__name__,
            "version": "",
            "clock_utc_ns": time.time_ns(),
            "read_only": False,
            "tls": False,
            "tls_verified": False,
            "loopback": False,
            "database": self._database,
            "identity": self._database,
            "warnings": [],
        }
        return facts if self._inspect is None else {**facts, **self._inspect(self.connection)}

    def describe(self, schema: str, name: str, schema_quoted: bool, name_quoted: bool) -> dict[str, Any]:
        """Describe a table, by the function given."""
        return self._describe(self.connection, schema, name, schema_quoted, name_quoted)

    def tables(self, schema: str) -> list[str]:
        """Names of tables, if told how."""
        return [] if self._tables is None else self._tables(self.connection, schema)

    def classify(self, error: BaseException) -> Classified:
        """By the function given, else by the classes of PEP 249."""
        if isinstance(error, BackendError):
            return error.code, str(error), "", 0, ""
        if self._classify is not None:
            return self._classify(error)
        sqlstate = str(getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or "")
        if known := SQLSTATES.get(sqlstate) or SQLSTATES.get(sqlstate[:2]):
            return known, str(error), sqlstate, 0, ""
        code = "internal"
        for class_name, meaning in (
            ("InterfaceError", "connection_lost"),
            ("DataError", "data"),
            ("IntegrityError", "foreign_key"),
            ("NotSupportedError", "not_supported"),
            ("ProgrammingError", "invalid_argument"),
        ):
            if isinstance(error, getattr(self.module, class_name, ())):
                code = meaning
        return code, str(error), sqlstate, 0, ""

    def _run(self, sql: str, params: Sequence[Any]) -> Any:
        cursor = self.connection.cursor()
        if self._escapes_percent:
            # Such drivers read every % of a statement as the start of a placeholder.
            sql = sql.replace("%", "%%").replace("%%s", "%s")
            if sql.count("%s") != len(params):
                raise BackendError(
                    "not_supported", "a name or condition with '%s' in it can't be used with this driver"
                )
        cursor.execute(sql, tuple(params))
        return cursor

    def _end_statement(self) -> None:
        if not self._in_transaction:
            self.connection.commit()
