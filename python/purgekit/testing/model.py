"""What a policy means, said again in Python and row by row: the yardstick for every backend.

It reads the policy's JSON and shares no code with the engine. Rows are dicts; times are integers in the column's unit,
or naive datetimes for ``timestamp``.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from purgekit import Policy
from purgekit._core import parse_duration

Row = Mapping[str, Any]
Tables = Mapping[str, Sequence[Row]]
Truth = bool | None  # None is SQL's unknown

UNITS_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
EPOCH = datetime(1970, 1, 1)


def matches(policy: Policy, row: Row, tables: Tables, now_ns: int, key: Sequence[str] = ("ID",)) -> bool:
    """Whether a row of the policy's table may go now; ``key`` breaks ties of ``keep_latest``."""
    document = json.loads(policy.to_json())
    world = _World(tables, document["table"], now_ns, parse_duration(document["grace"]), key)
    if "held_while" in document and world.truth(document["held_while"], row) is not False:
        return False  # unknown holds back as well
    return world.truth(document["where"], row) is True


def survivors(policy: Policy, tables: Tables, now_ns: int, key: Sequence[str] = ("ID",)) -> list[Row]:
    """The rows left of the policy's table after passes that end when one deletes nothing."""
    rows = list(tables[policy.table])
    while True:
        world = {**tables, policy.table: rows}
        left = [row for row in rows if not matches(policy, row, world, now_ns, key)]
        if len(left) == len(rows):
            return left
        rows = left


class _World:
    def __init__(self, tables: Tables, table: str, now_ns: int, grace_ns: int, key: Sequence[str]) -> None:
        self.tables = tables
        self.table = table
        self.now_ns = now_ns
        self.grace_ns = grace_ns
        self.key = key

    def truth(self, rule: Mapping[str, Any], row: Row) -> Truth:
        if "column" in rule:
            return _condition(rule, row)
        ((kind, body),) = rule.items()
        if kind == "all":
            return _and([self.truth(child, row) for child in body])
        if kind == "any":
            return _not(_and([_not(self.truth(child, row)) for child in body]))
        if kind == "not":
            return _not(self.truth(body, row))
        if kind == "referenced_by":
            return self._referenced_by(body, row)
        return self._keep_latest(body, row) if kind == "keep_latest" else self._time(body, row)

    def _time(self, body: Mapping[str, Any], row: Row) -> Truth:
        time_ns = _instant_ns(row[body["column"]], body["unit"])
        if time_ns is None:
            return True if body.get("null") == "purge" else None
        lifetime_ns = 0
        if isinstance(lifetime := body.get("lifetime", "0s"), str):
            lifetime_ns = parse_duration(lifetime)
        else:
            value = row[lifetime["column"]]
            if value is None or value <= 0:
                if lifetime.get("null") != "purge":
                    return None  # it never expires; as with NULL, neither the rule nor its negation holds
            else:
                lifetime_ns = value * UNITS_NS[lifetime["unit"]]
        grace_ns = parse_duration(body["grace"]) if "grace" in body else self.grace_ns
        return bool(time_ns + lifetime_ns + grace_ns < self.now_ns)

    def _referenced_by(self, body: Mapping[str, Any], row: Row) -> bool:
        def refers(other: Row) -> bool:
            for other_column, op, this_column in body["on"]:
                a, b = other[other_column], row[this_column]
                if a is None or b is None or not OPERATORS[op](a, b):
                    return False
            return "where" not in body or self.truth(body["where"], other) is True

        return any(refers(other) for other in self.tables[body["table"]])

    def _keep_latest(self, body: Mapping[str, Any], row: Row) -> bool:
        def age(other: Row) -> tuple[Any, ...]:
            value = other[body["order_by"]]
            return (value is not None, value if value is not None else 0, *(other[column] for column in self.key))

        def same_group(other: Row) -> bool:
            return all(other[column] == row[column] for column in body["per"])

        newer = sum(1 for other in self.tables[self.table] if same_group(other) and age(other) > age(row))
        return newer >= int(body["n"])


def _condition(rule: Mapping[str, Any], row: Row) -> Truth:
    value = row[rule["column"]]
    if "null" in rule:
        return (value is None) is bool(rule["null"])
    if value is None:
        return None
    if "in" in rule:
        return bool(value in rule["in"])
    return OPERATORS[rule["op"]](value, rule["value"])


def _instant_ns(value: Any, unit: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        span = value - EPOCH
        return (span.days * 86_400 + span.seconds) * 1_000_000_000 + span.microseconds * 1_000
    return value * UNITS_NS[unit] if value > 0 else None


def _and(parts: Sequence[Truth]) -> Truth:
    if any(part is False for part in parts):
        return False
    return None if any(part is None for part in parts) else True


def _not(part: Truth) -> Truth:
    return None if part is None else not part
