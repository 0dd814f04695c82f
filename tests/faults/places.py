"""A database for each schedule: a file for SQLite, a database of a worker's own server for the others."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from faults.book import Row
from faults.shapes import COLUMNS, EXPIRES, MAIN, PARTS, PINNED, Shape
from servers import Connection, MariaDb, MySql56, PostgreSql, Server, connect

BACKENDS = ("sqlite", "postgresql", "mariadb", "mysql56")
SERVERS: dict[str, type[Server]] = {"postgresql": PostgreSql, "mariadb": MariaDb, "mysql56": MySql56}
USER, PASSWORD = "purger", "purger"
ROWS_A_STATEMENT = 250
FREE_PLACE_WITHIN_S = 90.0
TOO_MANY = "Too many connections"
KEY_TYPES = {True: "VARCHAR(40)", False: "BIGINT"}
# How expiry is stored: seconds, a wall clock in UTC, or an instant.
TIME_TYPES = {
    "seconds": dict.fromkeys(BACKENDS, "BIGINT"),
    "wall": {"sqlite": "TEXT", "postgresql": "timestamp", "mariadb": "DATETIME", "mysql56": "DATETIME"},
    "zoned": {"sqlite": "TEXT", "postgresql": "timestamptz", "mariadb": "TIMESTAMP NULL", "mysql56": "TIMESTAMP NULL"},
}


class Place:
    """Where one schedule's tables are."""

    def __init__(
        self, backend: str, name: str, folder: Path, server: Server | None, journal: str, stored_as: str
    ) -> None:
        self.backend = backend
        self.stored_as = stored_as
        self.name = name
        self.server = server
        self.file = folder / f"{name}.db"
        if server is None:
            with contextlib.closing(sqlite3.connect(self.file)) as db:
                db.execute(f"PRAGMA journal_mode = {journal}").fetchall()
            self.url = self.admin_url = f"sqlite:///{self.file}"
        else:
            server.start()
            self.admin_url = server.create_database(name)
            make_user(server, name)
            self.url = server.url(name, USER, PASSWORD)

    @property
    def is_mysql(self) -> bool:
        return self.backend in ("mariadb", "mysql56")

    @property
    def mark(self) -> str:
        return "?" if self.server is None else "%s"

    @contextlib.contextmanager
    def admin(self) -> Iterator[Connection]:
        with contextlib.closing(self.connect()) as connection:
            yield connection

    def connect(self) -> Connection:
        """A session in UTC, whatever the server's own zone is made to be."""
        connection = self._connected()
        if self.is_mysql:
            connection.cursor().execute("SET SESSION time_zone = '+00:00'")
        elif self.server is not None:
            connection.cursor().execute("SET TIME ZONE 'UTC'")
        return connection

    def _connected(self) -> Connection:
        """Half-closed lines keep their places in the server until it notices."""
        deadline_s = time.monotonic() + FREE_PLACE_WITHIN_S
        while True:
            try:
                return connect(self.admin_url)
            except Exception as error:
                if TOO_MANY not in str(error) or time.monotonic() > deadline_s:
                    raise
                time.sleep(0.1)

    def stored(self, table: str, row: Row) -> Row:
        """The row as it is written: with its expiry in the column's own type."""
        if self.stored_as == "seconds" or table != MAIN or row[EXPIRES] is None:
            return row
        text = f"{datetime.fromtimestamp(row[EXPIRES], timezone.utc):%Y-%m-%d %H:%M:%S}"
        marked = text if self.is_mysql or self.stored_as == "wall" else f"{text}+00:00"
        return (*row[:EXPIRES], marked, *row[EXPIRES + 1 :])

    def read(self, table: str, row: Row) -> Row:
        """The other way."""
        if self.stored_as == "seconds" or table != MAIN or row[EXPIRES] is None:
            return row
        value = row[EXPIRES]
        instant = datetime.fromisoformat(value) if isinstance(value, str) else value
        zoned = instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc)
        return (*row[:EXPIRES], int(zoned.timestamp()), *row[EXPIRES + 1 :])

    def run(self, *statements: str) -> None:
        """Statements of the administrator, each committed."""
        with self.admin() as connection:
            for statement in statements:
                connection.cursor().execute(statement)

    def query(self, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        with self.admin() as connection:
            cursor = connection.cursor()
            cursor.execute(sql, parameters)
            return [tuple(row) for row in cursor.fetchall()]

    def tables(self) -> set[str]:
        if self.server is None:
            rows = self.query("SELECT name FROM sqlite_master WHERE type = 'table'")
        elif self.backend == "postgresql":
            rows = self.query(
                "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
            )
        else:
            rows = self.query("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s", (self.name,))
        return {str(row[0]) for row in rows}

    def quoted(self, name: str) -> str:
        return f"`{name}`" if self.is_mysql else f'"{name}"'

    def content(self, table: str, columns: tuple[str, ...], *, of: str | None = None) -> list[Row]:
        """``of``: the table whose rows these are, when they are elsewhere."""
        named = ", ".join(self.quoted(column) for column in columns)
        return [self.read(of or table, row) for row in self.query(f"SELECT {named} FROM {self.quoted(table)}")]

    def create(self, shape: Shape, *, text_keys: bool, indexed: bool, keyed: bool) -> None:
        """The tables of a shape. ``keyed``: the main table has a primary key."""
        key, q = KEY_TYPES[text_keys], self.quoted
        engine = " ENGINE=InnoDB" if self.is_mysql else ""
        primary = f", PRIMARY KEY ({q('ID')})" if keyed else ""
        statements = [
            f"CREATE TABLE {q(MAIN)} ({q('ID')} {key} NOT NULL, {q('GRP')} BIGINT NOT NULL, "
            f"{q('EXPIRES')} {TIME_TYPES[self.stored_as][self.backend]}, "
            f"{q('SEQ_NO')} BIGINT NOT NULL, {q('VERSION')} BIGINT NOT NULL, {q('NOTE')} VARCHAR(200){primary}){engine}"
        ]
        for table in shape.tables[1:]:
            foreign = (
                f", CONSTRAINT {q('PART_OF')} FOREIGN KEY ({q('SESSION_ID')}) REFERENCES {q(MAIN)} ({q('ID')})"
                if shape.foreign_key and table == PARTS
                else ""
            )
            statements.append(
                f"CREATE TABLE {q(table)} ({q('ID')} BIGINT NOT NULL, {q('SESSION_ID')} {key} NOT NULL, "
                f"{q('VERSION')} BIGINT NOT NULL, {q('NOTE')} VARCHAR(200), PRIMARY KEY ({q('ID')}){foreign}){engine}"
            )
            statements.append(f"CREATE INDEX {q(f'{table}_SESSION')} ON {q(table)} ({q('SESSION_ID')})")
        if indexed:
            statements.append(f"CREATE INDEX {q('BY_EXPIRY')} ON {q(MAIN)} ({q('EXPIRES')})")
        if shape.trigger:
            statements += self._trigger()
        if self.backend == "postgresql":
            statements += [
                f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {USER}",
                f"GRANT CREATE ON SCHEMA public TO {USER}",
            ]
        self.run(*statements)

    def _trigger(self) -> list[str]:
        q = self.quoted
        if self.backend == "postgresql":
            return [
                "CREATE FUNCTION keep_pinned() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                f"""IF OLD."GRP" = {PINNED} THEN RAISE EXCEPTION 'pinned'; END IF; RETURN OLD; END $$""",
                f"CREATE TRIGGER pinned BEFORE DELETE ON {q(MAIN)} FOR EACH ROW EXECUTE FUNCTION keep_pinned()",
            ]
        if self.is_mysql:
            return [
                f"CREATE TRIGGER pinned BEFORE DELETE ON {q(MAIN)} FOR EACH ROW BEGIN "
                f"IF OLD.GRP = {PINNED} THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'pinned'; END IF; END"
            ]
        return [
            f"CREATE TRIGGER pinned BEFORE DELETE ON {q(MAIN)} WHEN OLD.GRP = {PINNED} "
            "BEGIN SELECT RAISE(ABORT, 'pinned'); END"
        ]

    def fill(self, rows: dict[str, list[Row]]) -> None:
        with self.admin() as connection:
            cursor = connection.cursor()
            for table, content in rows.items():
                one = "(" + ", ".join([self.mark] * len(COLUMNS[table])) + ")"
                for start in range(0, len(content), ROWS_A_STATEMENT if self.server else 100):
                    part = content[start : start + (ROWS_A_STATEMENT if self.server else 100)]
                    cursor.execute(
                        f"INSERT INTO {self.quoted(table)} VALUES " + ", ".join([one] * len(part)),
                        [value for row in part for value in self.stored(table, row)],
                    )
            if self.backend == "postgresql":
                cursor.execute("ANALYZE")

    def drop(self) -> None:
        if self.server is not None:
            self.server.start()
            self.server.drop_database(self.name)
            return
        for path in self.file.parent.glob(self.file.name + "*"):
            path.unlink()

    def dump(self, folder: Path) -> None:
        """Everything there is, for whoever looks into a failure."""
        if self.server is None:
            with contextlib.closing(sqlite3.connect(self.file)) as db, (folder / "database.sql").open("w") as out:
                out.writelines(f"{line}\n" for line in db.iterdump())
            return
        self.server.start()
        with (folder / "database.txt").open("w") as out:
            for table in sorted(self.tables()):
                out.write(f"{table}\n")
                out.writelines(f"  {row}\n" for row in self.query(f"SELECT * FROM {self.quoted(table)}"))
            out.write("sessions on the server\n")  # one that should be gone may hold a lock
            view = "information_schema.PROCESSLIST" if self.is_mysql else "pg_stat_activity"
            out.writelines(f"  {row}\n" for row in self.query(f"SELECT * FROM {view}"))
        shutil.copy(self.server.log, folder / "server.log")


def make_user(server: Server, database: str) -> None:
    """An ordinary account for the purges: what it may do can be taken away, and limits hold for it."""
    if server.name == "postgresql":
        if not server.admin_sql("SELECT 1 FROM pg_roles WHERE rolname = %s", parameters=(USER,)):
            server.admin_sql(f"CREATE ROLE {USER} LOGIN")
        return
    assert re.fullmatch(r"\w+", database)
    for host in ("127.0.0.1", "localhost"):
        with contextlib.suppress(Exception):  # it is there since the schedule before
            server.admin_sql(f"CREATE USER '{USER}'@'{host}' IDENTIFIED BY '{PASSWORD}'")
        server.admin_sql(f"GRANT ALL ON {database}.* TO '{USER}'@'{host}'")
