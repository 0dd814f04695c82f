"""Composition in Python: what it refuses, and what may be written in several ways."""

import pickle
from datetime import timedelta

import pytest

import purgekit as pk


def test_column_is_no_condition_and_no_key() -> None:
    column = pk.col("A")
    with pytest.raises(TypeError, match="not a condition"):
        bool(column)
    with pytest.raises(TypeError):
        hash(column)
    with pytest.raises(pk.PolicyError, match="is_null"):
        column == None  # noqa: B015, E711 - the comparison itself refuses
    with pytest.raises(pk.PolicyError, match="column 'B'"):
        column < pk.col("B")  # noqa: B015
    with pytest.raises(pk.PolicyError, match="at least one"):
        column.isin([])
    with pytest.raises(pk.PolicyError):
        pk.col("")
    assert repr(column) == "col('A')"


def test_durations_as_text_or_timedelta() -> None:
    assert pk.created("A", unit="s", lifetime=timedelta(days=14)) == pk.created("A", unit="s", lifetime="14d")
    assert pk.created("A", unit="s", lifetime="P1DT12H") == pk.created("A", unit="s", lifetime="1d12h")
    assert pk.expired("A", unit="s", grace=timedelta(0)) == pk.expired("A", unit="s", grace="0s")
    assert pk.expired("A", unit="s") != pk.expired("A", unit="s", grace="2h")
    with pytest.raises(pk.PolicyError, match="negative"):
        pk.expired("A", unit="s", grace=timedelta(seconds=-1))
    with pytest.raises(pk.PolicyError, match="duration"):
        pk.created("A", unit="s", lifetime=14)  # type: ignore[arg-type]


def test_lifetime_columns() -> None:
    with pytest.raises(pk.PolicyError, match="lifetime_unit"):
        pk.created("A", unit="s", lifetime=pk.col("L"))
    with pytest.raises(pk.PolicyError, match="lifetime column"):
        pk.created("A", unit="s", lifetime="1d", lifetime_unit="ms")
    with pytest.raises(pk.PolicyError, match='"keep" or "purge"'):
        pk.expired("A", unit="s", null="drop")  # type: ignore[arg-type]


def test_composition_is_value_like() -> None:
    a, b, c = pk.col("A") == 1, pk.col("B") == 2, pk.col("C") == 3
    assert (a & b) & c == a & (b & c) == pk.all_of(a, b, c)
    assert (a | b) | c == pk.any_of(a, b, c)
    assert ~~a == a
    assert len({a & b, pk.all_of(a, b), b & a}) == 2
    assert pk.Predicate.from_json((a & ~b).to_json()) == a & ~b
    assert "\x1b" not in str(pk.col("\x1b[31m") == "\x1b[31m")


def test_references_need_columns() -> None:
    with pytest.raises(pk.PolicyError, match="on="):
        pk.not_referenced_by("C", on={})
    assert pk.not_referenced_by("C", on={"X": "A"}) == ~pk.referenced_by("C", on={"X": "A"})


def test_policy_without_a_usable_rule() -> None:
    with pytest.raises((pk.PolicyError, TypeError)):
        pk.Policy("p", table="T")  # type: ignore[call-arg]
    with pytest.raises(pk.PolicyError):
        pk.Policy("", table="T", where=pk.col("A") == 1)
    with pytest.raises(pk.PolicyError):
        pk.Policy("p", table="a.b.c.d", where=pk.col("A") == 1)


def test_errors_survive_pickling() -> None:
    error = pk.PolicyError("no", code="unknown_table", retryable=True, table="T", policy="p")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is pk.PolicyError
    assert (str(copy), copy.code, copy.retryable, copy.table, copy.policy) == ("no", "unknown_table", True, "T", "p")
