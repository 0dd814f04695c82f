"""Small session tables for the engine tests, the same on every database."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import purgekit as pk
from servers import Connection

HOUR_S = 3_600
TABLE = "SESSIONS"


def now_s() -> int:
    return int(time.time())


def mark(url: str) -> str:
    """Parameter mark of the independent driver for this URL."""
    return "?" if url.startswith("sqlite") else "%s"


def make_sessions(connection: Connection, url: str, expiries: Sequence[int], *, extra: str = "") -> None:
    """Rows with ids 1, 2, … that expire at the given seconds since the epoch."""
    cursor = connection.cursor()
    suffix = " ENGINE=InnoDB" if re.match("mysql|mariadb", url) else ""
    cursor.execute(f"CREATE TABLE {TABLE} (ID BIGINT PRIMARY KEY, EXPIRES BIGINT, NOTE VARCHAR(200){extra}){suffix}")
    rows = [(number, expires, "x" * 100) for number, expires in enumerate(expiries, 1)]
    one = f"({mark(url)}, {mark(url)}, {mark(url)})"
    for start in range(0, len(rows), 200):
        part = rows[start : start + 200]
        cursor.execute(
            f"INSERT INTO {TABLE} (ID, EXPIRES, NOTE) VALUES " + ", ".join([one] * len(part)),
            [v for r in part for v in r],
        )


def survivors(connection: Connection, table: str = TABLE) -> set[int]:
    cursor = connection.cursor()
    cursor.execute(f"SELECT ID FROM {table}")
    return {int(row[0]) for row in cursor.fetchall()}


def sessions_policy(**changes: object) -> pk.Policy:
    return pk.Policy("sessions", table=TABLE, where=pk.expired("EXPIRES", unit="s"), **changes)  # type: ignore[arg-type]


def through(url: str, port: int) -> str:
    """The same URL by way of a proxy's port."""
    parts = urlsplit(url)
    assert parts.port is not None
    return url.replace(f":{parts.port}/", f":{port}/", 1)
