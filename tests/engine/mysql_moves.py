"""What the tests of moves on MariaDB and MySQL share: a table of sessions, and the bare verbs over it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import purgekit as pk
from purgekit import _core
from servers import Connection

NOW_NS = 1_800_000_000 * 10**9
OLD_S = 1_700_000_000
NEW_S = 1_900_000_000
SESSIONS = pk.Policy("sessions", table="SESSIONS", where=pk.expired("EXPIRES", unit="s"))


def make(checker: Connection, rows: int = 400, *, every: int = 5) -> None:
    """SESSIONS with numbers from 1 on, of which every fifth one stays."""
    cursor = checker.cursor()
    cursor.execute(
        "CREATE TABLE SESSIONS (ID BIGINT NOT NULL AUTO_INCREMENT, EXPIRES BIGINT, "
        "NOTE VARCHAR(100) DEFAULT 'it''s `so`', PRIMARY KEY (ID), UNIQUE KEY `by ``note` (NOTE, ID), "
        "KEY by_time (EXPIRES)) ENGINE=InnoDB COMMENT='AUTO_INCREMENT=7 KEY'"
    )
    values = ", ".join(f"({NEW_S if n % every == 0 else OLD_S}, 'n{n}')" for n in range(1, rows + 1))
    cursor.execute(f"INSERT INTO SESSIONS (EXPIRES, NOTE) VALUES {values}")


def asked(checker: Connection, sql: str) -> list[tuple[Any, ...]]:
    cursor = checker.cursor()
    cursor.execute(sql)
    return [tuple(row) for row in cursor.fetchall()]


def ids(checker: Connection) -> list[int]:
    return [row[0] for row in asked(checker, "SELECT ID FROM SESSIONS ORDER BY ID")]


def shape(checker: Connection) -> str:
    return str(asked(checker, "SHOW CREATE TABLE SESSIONS")[0][1])


def tables(checker: Connection) -> set[str]:
    return {row[0] for row in asked(checker, "SHOW TABLES")} - {"purgekit_ledger"}


def stroke(session: _core.Session, cursor: str = "", window_ms: int = 60_000) -> dict[str, Any]:
    session.begin()
    return session.delete_range(cursor, 1, lock_wait_ms=2_000, window_ms=window_ms)


def command(url: str, policy: Path) -> list[str]:
    return [sys.executable, "-m", "purgekit", "run", url, str(policy), "--yes", "--json", "--max-fraction", "1"]


def policy_file(folder: Path, strategy: str) -> Path:
    path = folder / "policy.toml"
    rule = 'table = "SESSIONS"\nexpired = { column = "EXPIRES", unit = "s" }'
    path.write_text(f'[[policy]]\nname = "sessions"\n{rule}\nstrategy = "{strategy}"\nmove_window = "20s"\n')
    return path
