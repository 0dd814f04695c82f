"""The suite's workbench: makes tables through an independent driver and opens sessions of the backend under test."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from purgekit import Database, Policy, _core, connect
from purgekit.testing.quirks import Quirks
from purgekit.testing.session import open_session

Row = dict[str, Any]


class Bench:
    """One database, seen from outside (``admin``) and through the backend."""

    def __init__(self, quirks: Quirks) -> None:
        self.quirks = quirks
        self._made: list[str] = []

    def needs(self, *features: str) -> None:
        """Skip the test, with the reason given in the quirks, if a feature is missing."""
        for feature in features:
            if reason := self.quirks.unsupported.get(feature):
                pytest.skip(f"{feature}: {reason}")

    # From outside

    def sql(self, text: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """One statement in autocommit; ``?`` stands for a parameter."""
        if self.quirks.placeholder != "?":
            text = text.replace("%", "%%").replace("?", self.quirks.placeholder)
        with contextlib.closing(self.quirks.admin()) as connection:
            cursor = connection.cursor()
            cursor.execute(text, tuple(parameters))
            return [] if cursor.description is None else [tuple(row) for row in cursor.fetchall()]

    def make(
        self, name: str, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]] = (), rest: str = ""
    ) -> None:
        """A table, in place of an earlier one of that name. ``columns``: name to type; ``rest``: constraints."""
        self.drop(name)
        q = self.quirks.quoted
        parts = [f"{q(column)} {kind}" for column, kind in columns.items()]
        parts += [rest] if rest else []
        self.sql(f"CREATE TABLE {q(name)} ({', '.join(parts)}){self.quirks.table_suffix}")
        self._made.append(name)
        self.insert(name, rows)

    def insert(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows, all with the same columns."""
        if not rows:
            return
        q = self.quirks.quoted
        names = ", ".join(q(column) for column in rows[0])
        marks = ", ".join([self.quirks.placeholder] * len(rows[0]))
        with contextlib.closing(self.quirks.admin()) as connection:
            connection.cursor().executemany(
                f"INSERT INTO {q(name)} ({names}) VALUES ({marks})", [tuple(row.values()) for row in rows]
            )

    def adopt(self, name: str) -> None:
        """Drop a table afterwards that the backend makes."""
        self._made.append(name)

    def drop(self, name: str) -> None:
        """Drop a table if it is there."""
        self.sql(f"DROP TABLE IF EXISTS {self.quirks.quoted(name)}")

    def column(self, table: str, column: str = "ID") -> list[Any]:
        """All values of a column, sorted."""
        q = self.quirks.quoted
        return sorted(row[0] for row in self.sql(f"SELECT {q(column)} FROM {q(table)}"))

    def clean(self) -> None:
        """Drop what was made, the youngest first."""
        for name in reversed(self._made):
            self.drop(name)
        self.drop("purgekit_ledger")
        self._made.clear()

    # Through the backend

    def session(self) -> contextlib.AbstractContextManager[_core.Session]:
        """The bare verbs."""
        return open_session(self.quirks.url)

    def database(self) -> Database:
        """A connection as people use it."""
        return connect(self.quirks.url)

    def purge(self, policy: Policy, now: str | None = None, ledger: str = "none") -> dict[str, Any]:
        """Run a policy; the report."""
        with self.database() as db:
            plan = db.plan(policy, now=now, exact=True, max_fraction=1.0, accept_clock=True)
            report = db.run(plan, ledger=ledger)
        return report.to_dict()
