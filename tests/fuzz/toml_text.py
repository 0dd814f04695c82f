"""Python values as TOML text, and values to make policy files of: right ones, nearly right ones and nonsense."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, time
from typing import Any

from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = st.sampled_from(["A", "EXPIRES", "my col", 'quo"ted', "s.T", '"a.b".T']) | TEXT
DURATIONS = st.sampled_from(["2h", "14d", "PT2H", "0s", "-1h", "200000d", "1y", "2"]) | TEXT
UNITS = st.sampled_from(["s", "ms", "us", "ns", "timestamp", "seconds"]) | TEXT
SCALARS = st.one_of(
    TEXT,
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, -1, 10**30, -(10**400)]),
    st.floats(),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.dates(),
    st.times(),
)


def toml(value: object) -> str:
    """``value`` as it stands behind ``key =``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return (
            ("nan" if math.isnan(value) else "inf" if value > 0 else "-inf")
            if not math.isfinite(value)
            else repr(value)
        )
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat() + ("" if value.tzinfo is None else "+05:30")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(str(key))} = {toml(item)}" for key, item in value.items()) + "}"
    assert isinstance(value, list)
    return "[" + ", ".join(map(toml, value)) + "]"


def _table(required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(required, optional=optional)


def _or_nonsense(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(strategy, strategy, strategy, strategy, SCALARS, st.lists(SCALARS, max_size=2))


NULL = st.sampled_from(["keep", "purge", "never"])
TIME = _table(
    {"column": NAMES},
    unit=UNITS,
    grace=DURATIONS,
    null=NULL,
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "Nowhere"]),
    stored=st.sampled_from(["wall", "x"]),
)
CREATED = _table(
    {"column": NAMES, "lifetime": DURATIONS | _table({"column": NAMES, "unit": UNITS}, null=NULL)},
    unit=UNITS,
    null=NULL,
)
CONDITIONS = st.one_of(
    _table({"column": NAMES, "in": st.lists(SCALARS, max_size=3)}),
    _table({"column": NAMES, "null": st.booleans()}),
    _table({"column": NAMES, "op": st.sampled_from(["=", "<>", "<", ">=", "~"]), "value": SCALARS}),
)
RULES = st.recursive(
    st.one_of(
        CONDITIONS,
        _table({"expired": _or_nonsense(TIME)}),
        _table({"created": _or_nonsense(CREATED)}),
        _table({"sql": _table({"text": TEXT}, a=SCALARS)}),
        _table(
            {
                "keep_latest": _table(
                    {"per": st.lists(NAMES, max_size=2), "order_by": NAMES}, n=SCALARS | st.integers(0, 3)
                )
            }
        ),
    ),
    lambda inner: st.one_of(
        _table({"all": st.lists(inner, max_size=3)}),
        _table({"any": st.lists(inner, max_size=3)}),
        _table({"not": inner}),
        _table(
            {
                "not_referenced_by": _table(
                    {"table": NAMES, "on": st.dictionaries(NAMES, NAMES, max_size=2)}, where=inner
                )
            }
        ),
    ),
    max_leaves=6,
)
POLICIES = st.builds(
    lambda rule, rest: {**rest, **rule},
    RULES,
    _table(
        {"name": _or_nonsense(NAMES), "table": _or_nonsense(NAMES)},
        grace=_or_nonsense(DURATIONS),
        max_fraction=SCALARS,
        optional=_or_nonsense(st.booleans()),
        held_while=RULES,
        approval=_or_nonsense(st.just("required")),
        within=_or_nonsense(st.sampled_from(["50%", "0", "1e3%", "inf%", "0.001%"])),
        min_retention=_or_nonsense(DURATIONS),
        evidence_retention=_or_nonsense(DURATIONS),
        dependents=st.lists(_table({"table": NAMES, "on": st.dictionaries(NAMES, NAMES, max_size=2)}), max_size=2),
        nonsense=SCALARS,
    ),
)
