"""What administrators and accidents can do to a schedule's database, told apart by backend."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from pathlib import Path

from faults.book import Book
from faults.checker import LEDGER
from faults.places import USER, Place
from faults.shapes import COLUMNS, MAIN, RowMaker, Shape
from servers import Connection, PostgreSql, Server, connect

NEW_ROWS = 200
FIRST_NEW_ROW = 500_000
MOST_HOGS = 200


class Levers:
    """Mixed into World."""

    place: Place
    server: Server | None
    shape: Shape
    book: Book
    folder: Path
    maker: RowMaker
    text_keys: bool
    _hogs: list[Connection]

    def _admin_sql(self, sql: str, parameters: tuple[object, ...] | None = None) -> list[tuple[object, ...]]:
        assert self.server is not None
        return self.server.admin_sql(sql, self.place.name, parameters)

    def sessions(self) -> list[int]:
        """Sessions of purges in this database."""
        if isinstance(self.server, PostgreSql):
            return [
                int(str(row[0]))
                for row in self._admin_sql(
                    "SELECT pid FROM pg_stat_activity WHERE usename = %s AND datname = %s", (USER, self.place.name)
                )
            ]
        if self.server is None:
            return []
        return [
            int(str(row[0]))
            for row in self._admin_sql(
                "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = %s AND DB = %s", (USER, self.place.name)
            )
        ]

    def end_session(self, session: int) -> None:
        with contextlib.suppress(Exception):  # it may have ended just now
            self._admin_sql(
                f"SELECT pg_terminate_backend({session})" if isinstance(self.server, PostgreSql) else f"KILL {session}"
            )

    def cancel_statement(self, session: int) -> None:
        with contextlib.suppress(Exception):
            self._admin_sql(
                f"SELECT pg_cancel_backend({session})"
                if isinstance(self.server, PostgreSql)
                else f"KILL QUERY {session}"
            )

    def limit_connections(self, limited: bool) -> None:
        """Nobody of the purge's account is let in."""
        if isinstance(self.server, PostgreSql):
            self._admin_sql(f"ALTER ROLE {USER} CONNECTION LIMIT {0 if limited else -1}")
            return
        assert self.server is not None
        self._admin_sql(f"SET GLOBAL max_connections = {10 if limited else 100}")
        if not limited:
            for hog in self._hogs:
                hog.close()
            self._hogs = []
        while limited and len(self._hogs) < MOST_HOGS:
            try:
                self._hogs.append(connect(self.place.url))
            except Exception:
                return

    def allow(self, what: str, allowed: bool) -> None:
        """Give or take: DELETE or SELECT on the table, or writing to the ledger."""
        verb, to = ("GRANT", "TO") if allowed else ("REVOKE", "FROM")
        if isinstance(self.server, PostgreSql):
            privilege, table = ("UPDATE", LEDGER) if what == "ledger" else (what, MAIN)
            self._admin_sql(f'{verb} {privilege} ON "{table}" {to} {USER}')
            return
        # Grants of a whole database can't be taken away for one table: all or the rest.
        taken = {"ledger": "UPDATE", "DELETE": "DELETE", "SELECT": "SELECT"}[what]
        for host in ("127.0.0.1", "localhost"):
            self._admin_sql(f"{verb} {taken} ON {self.place.name}.* {to} '{USER}'@'{host}'")

    def strict_isolation(self, strict: bool) -> None:
        if isinstance(self.server, PostgreSql):
            level = "serializable" if strict else "read committed"
            self._admin_sql(f"ALTER ROLE {USER} SET default_transaction_isolation = '{level}'")
        else:
            level = "SERIALIZABLE" if strict else "REPEATABLE READ"
            self._admin_sql(f"SET GLOBAL TRANSACTION ISOLATION LEVEL {level}")

    def change_server_zone(self, rng: random.Random) -> None:
        if isinstance(self.server, PostgreSql):
            zone = rng.choice(("Europe/Berlin", "America/St_Johns", "Pacific/Kiritimati"))
            self._admin_sql(f"ALTER ROLE {USER} SET timezone = '{zone}'")
        elif self.server is not None:
            self._admin_sql(f"SET GLOBAL time_zone = '{rng.choice(('+05:30', '-09:00', '+00:00'))}'")

    def copy_database(self) -> Path:
        if self.server is not None:
            return self.server.copy_data()
        copy = self.folder / "copy.db"
        with (
            contextlib.closing(sqlite3.connect(self.place.file)) as db,
            contextlib.closing(sqlite3.connect(copy)) as to,
        ):
            db.backup(to)
        return copy

    def replace_database(self, copy: Path) -> None:
        """SQLite: over the file's own content, as restoring a backup does, so that open handles see it too."""
        if self.server is not None:
            self.server.fail_over(copy)
            return
        with (
            contextlib.closing(sqlite3.connect(copy)) as db,
            contextlib.closing(sqlite3.connect(self.place.file, timeout=30)) as to,
        ):
            db.backup(to)
        copy.unlink()

    def note_rows_taken_away(self) -> None:
        """What is in the table now will go by another's hand; what is not there was purged."""
        for row in self.place.content(MAIN, COLUMNS[MAIN]):
            self.book.delete(MAIN, row[0])

    def make_main_again(self, rng: random.Random) -> None:
        self.place.create(self.shape, text_keys=self.text_keys, indexed=rng.random() < 0.5, keyed=True)
        rows = [self.maker.main(FIRST_NEW_ROW + number, 0) for number in range(NEW_ROWS)]
        self.place.fill({MAIN: rows})
        for row in rows:
            self.book.insert(MAIN, row)


def discard(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
