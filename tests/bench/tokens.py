"""Tokens with what hangs on them: three tables, and the plain statements that purge them."""

from __future__ import annotations

import itertools
import sqlite3
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from bench.contestants import Contestant, Outcome, PlainDelete, Task, connected
from bench.data import NOW_S, Rule, Shape, Survivors, key_of
from bench.place import Place
from bench.place_mariadb import Mariadb
from bench.place_postgresql import Postgresql
from bench.place_sqlite import Sqlite
from servers import Connection

TOKEN, SCOPE, BINDING = "IDN_OAUTH2_ACCESS_TOKEN", "IDN_OAUTH2_ACCESS_TOKEN_SCOPE", "IDN_OAUTH2_TOKEN_BINDING"
TABLES = (TOKEN, SCOPE, BINDING)
SCOPES = ("openid", "profile")
STATES = ("REVOKED", "EXPIRED", "INACTIVE")
ROWS_AT_ONCE = 500
DAY_S = 86_400
BARE_TOKEN_BYTES = 200  # with its keys, without the token itself
CUTOFF = "2025-12-25 00:00:00"
IS_OVER = f"TOKEN_STATE IN {STATES} AND TIME_CREATED < '{CUTOFF}'"


@dataclass(frozen=True)
class Tokens(Shape):
    """``rows`` tokens, each with two scopes and a binding."""

    @property
    def name(self) -> str:
        return f"tokens_{super().name}"

    @property
    def survivors(self) -> Survivors:
        left = self.rows - self.purgeable
        return Survivors(left, len(SCOPES) * left, left)

    def __str__(self) -> str:
        return f"{self.rows:,} tokens of {self.row_bytes} bytes, each with two scopes and a binding, {self.share} % go"


@dataclass(frozen=True)
class TokenRule(Rule):
    @property
    def condition(self) -> str:
        return IS_OVER

    @property
    def policy(self) -> str:
        children = ", ".join(
            f'{{ table = "{child}", on = {{ TOKEN_ID = "TOKEN_ID" }}, unless_referenced = false }}'
            for child in (SCOPE, BINDING)
        )
        return (
            f'[[policy]]\nname = "tokens"\ntable = "{TOKEN}"\n'
            f'all = [{{ column = "TOKEN_STATE", in = {list(STATES)} }},'
            ' { created = { column = "TIME_CREATED", unit = "timestamp", lifetime = "7d" } }]\ngrace = "0s"\n'
            f"dependents = [{children}]\n"
        )


class Cascading(PlainDelete):
    """One statement; the foreign keys take what hangs on the tokens along."""

    @property
    def name(self) -> str:
        return "one DELETE that cascades"

    def run(self, task: Task) -> Outcome:
        return timed(task, [f"DELETE FROM {TOKEN} WHERE {IS_OVER}"])


class ChildrenFirst(Contestant):
    """One transaction, a statement for each table."""

    @property
    def name(self) -> str:
        return "a DELETE for each table"

    def run(self, task: Task) -> Outcome:
        of_tokens = f"TOKEN_ID IN (SELECT TOKEN_ID FROM {TOKEN} WHERE {IS_OVER})"
        children = [f"DELETE FROM {child} WHERE {of_tokens}" for child in (SCOPE, BINDING)]
        return timed(task, [*children, f"DELETE FROM {TOKEN} WHERE {IS_OVER}"])


def timed(task: Task, statements: list[str]) -> Outcome:
    started = time.perf_counter()
    with connected(task.url) as connection:
        cursor = connection.cursor()
        if task.url.startswith("sqlite"):
            cursor.execute("PRAGMA foreign_keys = ON")
        begun = time.perf_counter()
        cursor.execute("BEGIN")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("COMMIT")
        elapsed_s = time.perf_counter() - begun
    return Outcome(elapsed_s, time.perf_counter() - started)


def rows(shape: Shape) -> Iterator[tuple[Any, ...]]:
    """Key, token, creation, state: as written, in time order."""
    width = shape.row_bytes - BARE_TOKEN_BYTES
    for number in range(shape.rows):
        digits = key_of(number)
        is_over = number < shape.purgeable
        created_s = NOW_S - 30 * DAY_S + number * 22 * DAY_S // shape.purgeable if is_over else NOW_S - 3_600
        created = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(created_s))
        body = (digits * (width // len(digits) + 1))[:width]
        yield str(uuid.UUID(digits[:32])), body, created, STATES[number % 3] if is_over else "ACTIVE"


def statements(time_type: str, suffix: str) -> list[str]:
    """The tables as the product makes them, with those of its indexes that matter to their size."""
    child = f"FOREIGN KEY (TOKEN_ID) REFERENCES {TOKEN} (TOKEN_ID) ON DELETE CASCADE"
    return [
        f"CREATE TABLE {TOKEN} (TOKEN_ID VARCHAR(255) PRIMARY KEY, ACCESS_TOKEN VARCHAR(2048),"
        f" CONSUMER_KEY_ID INTEGER, AUTHZ_USER VARCHAR(100), TIME_CREATED {time_type},"
        f" TOKEN_STATE VARCHAR(25), VALIDITY_PERIOD BIGINT){suffix}",
        f"CREATE INDEX IDX_TC ON {TOKEN} (TIME_CREATED)",
        f"CREATE INDEX IDX_AT_CK_AU ON {TOKEN} (CONSUMER_KEY_ID, AUTHZ_USER, TOKEN_STATE)",
        f"CREATE TABLE {SCOPE} (TOKEN_ID VARCHAR(255), TOKEN_SCOPE VARCHAR(100), TENANT_ID INTEGER,"
        f" PRIMARY KEY (TOKEN_ID, TOKEN_SCOPE), {child}){suffix}",
        f"CREATE TABLE {BINDING} (TOKEN_ID VARCHAR(255), TOKEN_BINDING_TYPE VARCHAR(32),"
        f" TOKEN_BINDING_VALUE VARCHAR(100), PRIMARY KEY (TOKEN_ID), {child}){suffix}",
    ]


def load(cursor: Any, shape: Shape, mark: str) -> None:
    """Token by token with what hangs on it, as an application writes them."""
    made = rows(shape)
    while part := list(itertools.islice(made, ROWS_AT_ONCE)):
        tokens = [(key, body, n % 50, f"user{n}", *when, 3_600_000) for n, (key, body, *when) in enumerate(part)]
        scopes = [(key, scope, -1234) for key, *_ in part for scope in SCOPES]
        bindings = [(key, "cookie", key) for key, *_ in part]
        for table, some in ((TOKEN, tokens), (SCOPE, scopes), (BINDING, bindings)):
            one = f"({', '.join([mark] * len(some[0]))})"
            values = [value for row in some for value in row]
            cursor.execute(f"INSERT INTO {table} VALUES {', '.join([one] * len(some))}", values)


SURVIVORS = f"SELECT (SELECT COUNT(*) FROM {TOKEN}), (SELECT COUNT(*) FROM {SCOPE}), (SELECT COUNT(*) FROM {BINDING})"


class TokensSqlite(Sqlite):
    tables: ClassVar[tuple[str, ...]] = TABLES

    def fill(self, connection: sqlite3.Connection, shape: Shape) -> None:
        for statement in statements("TIMESTAMP", ""):
            connection.execute(statement)
        load(connection, shape, "?")

    def survivors_sql(self, _connection: Connection) -> str:
        return SURVIVORS


class TokensPostgresql(Postgresql):
    tables: ClassVar[tuple[str, ...]] = TABLES

    def fill(self, cursor: Any, shape: Shape) -> None:
        for statement in statements("TIMESTAMP", ""):
            cursor.execute(statement)
        load(cursor, shape, "%s")

    def survivors_sql(self, _connection: Connection) -> str:
        return SURVIVORS


class TokensMariadb(Mariadb):
    tables: ClassVar[tuple[str, ...]] = TABLES

    def fill(self, cursor: Any, shape: Shape) -> None:
        for statement in statements("TIMESTAMP NULL", " ENGINE=InnoDB DEFAULT CHARSET=latin1"):
            cursor.execute(statement)
        load(cursor, shape, "%s")

    def survivors_sql(self, _connection: Connection) -> str:
        return SURVIVORS


PLACES: dict[str, type[Place]] = {place.backend: place for place in (TokensSqlite, TokensPostgresql, TokensMariadb)}
