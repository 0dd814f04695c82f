"""What policies of several packs have in common: parameters, times, tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from purgekit._core import Policy, Predicate
from purgekit.errors import PolicyError
from purgekit.packs.model import Advice, Parameter
from purgekit.predicates import col, created, expired
from purgekit.text import printable

Values = Mapping[str, str]

GRACE = Parameter("grace", "2h", "time added before a row may go")
SCHEMA = Parameter("schema", "", "schema of the tables, where it is not the connection's own")
TIMEZONE = Parameter("timezone", "UTC", "of times stored without a zone; the product writes UTC")
STORED = Parameter(
    "stored",
    "instant",
    "wall for TIMESTAMP columns of MySQL that were written as UTC by a server whose zone is another",
    ("instant", "wall"),
)
DEAD_GRACE = Parameter("dead_grace", "2h", "time after its creation before a row in a dead state may go")
CLOCK = (TIMEZONE, STORED)
COMMON = (GRACE, SCHEMA)


def table_in(values: Values, table: str) -> str:
    """``table`` with the schema that was asked for."""
    return f"{values['schema']}.{table}" if values["schema"] else table


def clock(values: Values) -> dict[str, Any]:
    """How a column of a date and time type is read."""
    return {"timezone": values["timezone"], "stored": "wall" if values["stored"] == "wall" else ""}


def past(column: str, values: Values, **more: Any) -> Predicate:
    """A column of a date and time type lies behind us, by more than the grace."""
    return expired(column, unit="timestamp", **clock(values), **more)


def aged(column: str, lifetime: str, values: Values, **more: Any) -> Predicate:
    """The row was made longer ago than ``lifetime`` and the grace."""
    return created(column, unit="timestamp", lifetime=lifetime, **clock(values), **more)


def whole(parameter: Parameter, values: Values, least: int = 1) -> int:
    """The value of a parameter that is a whole number."""
    text = values[parameter.name]
    if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < least:
        raise PolicyError(f"parameter {parameter.name} must be a whole number from {least} on, not '{printable(text)}'")
    return int(text)


def optional_policy(name: str, **members: Any) -> Policy:
    """A policy for a table that need not be there, and of which all rows may be over at a time."""
    return Policy(name, optional=True, max_fraction=1.0, **members)


def unknown_states(column: str, states: tuple[str, ...], table: str) -> Advice:
    """Says that there are rows in a state which no rule names; they stay."""
    return Advice(
        "unknown_state",
        ~col(column).isin(states),
        f"{{rows}} rows have a {column} that no rule names (known: {', '.join(states)}), so they stay; "
        f"SELECT {column}, COUNT(*) FROM {table} GROUP BY {column} lists them",
        of_all=True,
    )
