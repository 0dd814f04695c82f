"""From a database URL to a PEP 249 connection of an independent driver.

Tests look at the database through this, never through purgekit, so that a mistake in purgekit
cannot hide itself. Connections are in autocommit: each statement sees the latest committed rows
and leaves no transaction open that could hold locks or a snapshot.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Protocol, cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import psycopg2
import pymysql

CONNECT_TIMEOUT_S = 10


class Cursor(Protocol):
    """The part of a PEP 249 cursor that all three drivers share."""

    @property
    def rowcount(self) -> int: ...
    @property
    def description(self) -> Any: ...
    def execute(self, sql: str, parameters: Any = ..., /) -> Any: ...
    def executemany(self, sql: str, rows: Any, /) -> Any: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> Sequence[Any]: ...
    def close(self) -> None: ...


class Connection(Protocol):
    """The part of a PEP 249 connection that all three drivers share."""

    def cursor(self) -> Cursor: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...


def connect(url: str) -> Connection:
    """Open ``url``; its scheme chooses the driver (a ``+driver`` suffix is ignored)."""
    parts = urlsplit(url)
    scheme = parts.scheme.split("+")[0]
    if scheme == "sqlite":
        return _sqlite(url)
    if scheme == "postgresql":
        return _postgresql(parts)
    if scheme in ("mysql", "mariadb"):
        return _mysql(parts)
    raise ValueError(f"no independent driver for URL scheme {scheme!r}")


def _sqlite(url: str) -> Connection:
    path = unquote(url.split("://", 1)[1].split("?", 1)[0])[1:]
    # isolation_level None is autocommit; the timeout waits for a chunk's short write lock.
    return cast(Connection, sqlite3.connect(path, timeout=CONNECT_TIMEOUT_S, isolation_level=None))


def _postgresql(parts: SplitResult) -> Connection:
    connection = psycopg2.connect(
        host=parts.hostname,
        port=parts.port,
        user=_decoded(parts.username),
        password=_decoded(parts.password),
        dbname=unquote(parts.path.lstrip("/")),
        connect_timeout=CONNECT_TIMEOUT_S,
        **cast(dict[str, Any], dict(parse_qsl(parts.query))),
    )
    connection.autocommit = True
    return cast(Connection, connection)


def _mysql(parts: SplitResult) -> Connection:
    connection = pymysql.connect(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=_decoded(parts.username),
        password=_decoded(parts.password) or "",
        database=unquote(parts.path.lstrip("/")) or None,
        charset="utf8mb4",
        autocommit=True,
        connect_timeout=CONNECT_TIMEOUT_S,
    )
    return cast(Connection, connection)


def _decoded(text: str | None) -> str | None:
    return None if text is None else unquote(text)
