"""Policy files and JSON with anything in them: policies, or a PolicyError of one line that names the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import purgekit as pk
from fuzz.profile import FUZZ
from fuzz.toml_text import DURATIONS, POLICIES, RULES, SCALARS, TEXT, toml


@pytest.fixture(scope="module")
def policy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "some-policies.toml"


def load(path: Path, content: bytes) -> list[pk.Policy]:
    """What the file gives; no policy when it is refused as it should be."""
    path.write_bytes(content)
    try:
        policies = pk.load_policies(path)
    except pk.PolicyError as error:
        assert path.name in str(error)
        assert str(error).isprintable()
        return []
    assert policies
    for policy in policies:
        assert pk.Policy.from_json(policy.to_json()) == policy
        assert policy.name
        assert str(policy.where)
    return policies


@FUZZ
@given(st.lists(POLICIES, max_size=2))
def test_files_of_nearly_right_policies(policy_file: Path, policies: list[dict[str, Any]]) -> None:
    load(policy_file, f"policy = {toml(policies)}".encode())


@FUZZ
@given(RULES)
def test_rules_that_are_right_but_for_their_values(policy_file: Path, rule: dict[str, Any]) -> None:
    load(policy_file, f"policy = {toml([{'name': 'p', 'table': 'T', **rule}])}".encode())


@FUZZ
@given(
    st.dictionaries(
        TEXT | st.just("policy"),
        st.recursive(SCALARS, lambda i: st.lists(i, max_size=2) | st.dictionaries(TEXT, i, max_size=2)),
    )
)
def test_files_of_anything_that_is_toml(policy_file: Path, document: dict[str, Any]) -> None:
    load(policy_file, "\n".join(f"{toml(key)} = {toml(value)}" for key, value in document.items()).encode())


@FUZZ
@given(st.binary(max_size=60))
def test_files_of_any_bytes(policy_file: Path, content: bytes) -> None:
    load(policy_file, content)


@pytest.mark.parametrize("depth", [11, 60, 250, 5_000])
@pytest.mark.parametrize("opening", ["{not = ", "{all = [", "{any = [{column = 'A', null = true}, "])
def test_rules_nested_deeply_in_their_like(policy_file: Path, depth: int, opening: str) -> None:
    rule = opening * depth + "{column = 'A', null = true}" + ("]}" if "[" in opening else "}") * depth
    load(policy_file, f"[[policy]]\nname = 'p'\ntable = 'T'\nnot = {rule}".encode())


@pytest.mark.parametrize("depth", [1, 5, 6, 60, 5_000])
def test_levels_of_rules_that_differ(policy_file: Path, depth: int) -> None:
    leaf = "{column = 'A', null = true}"
    rule = f"{{all = [{leaf}, {{any = [{leaf}, " * depth + leaf + "]}]}" * depth
    found = load(policy_file, f"[[policy]]\nname = 'p'\ntable = 'T'\nnot = {rule}".encode())
    assert bool(found) == (depth <= 5)


def test_numbers_of_thousands_of_digits(policy_file: Path) -> None:
    assert (
        load(policy_file, b"[[policy]]\nname = 'p'\ntable = 'T'\ncolumn = 'A'\nop = '='\nvalue = " + b"9" * 5_000) == []
    )


@FUZZ
@given(
    st.recursive(
        SCALARS.map(lambda v: v if isinstance(v, (str, bool, int, float)) else None),
        lambda i: st.lists(i) | st.dictionaries(TEXT, i),
    )
    | RULES
)
def test_json_of_anything(document: object) -> None:
    text = json.dumps(document, default=str)
    for read in (pk.Policy.from_json, pk.Predicate.from_json):
        try:
            made = read(text)
        except pk.PolicyError as error:
            assert str(error).isprintable()
        else:
            assert read(made.to_json()) == made


@FUZZ
@given(st.text(max_size=20))
def test_names_on_the_command_line(name: str) -> None:
    try:
        assert pk.load_policies(name)
    except pk.PolicyError as error:
        assert str(error).isprintable()


@pytest.mark.parametrize(
    "name", ["x" * 300, "x/" * 2_000, "a\0b", "\ud800", "\ud800.toml", "x" * 300 + ".toml", "x" * 300 + ".py:policies"]
)
def test_names_that_are_no_file_names(name: str) -> None:
    with pytest.raises(pk.PolicyError):
        pk.load_policies(name)


@FUZZ
@given(DURATIONS | st.text(max_size=12))
def test_durations(text: str) -> None:
    try:
        rule = pk.expired("A", unit="s", grace=text)
    except pk.PolicyError as error:
        assert str(error).isprintable()
    else:
        assert pk.Predicate.from_json(rule.to_json()) == rule


@FUZZ
@given(st.text(max_size=6), st.one_of(SCALARS, st.decimals(), st.binary(max_size=8), st.text(max_size=6), st.none()))
def test_comparisons_in_python(column: str, value: object) -> None:
    try:
        rule = pk.col(column) == value
    except pk.PolicyError as error:
        assert str(error).isprintable()
    else:
        assert pk.Predicate.from_json(rule.to_json()) == rule
        assert str(rule)
