"""The forms of POLICY: packs, files, Python files."""

from pathlib import Path

import pytest

import purgekit as pk
from purgekit.packs import find_pack, pack_names
from purgekit.policies import load_all

TOML = '[[policy]]\nname = "{}"\ntable = "T"\nexpired = {{ column = "E", unit = "ms" }}\n'
PYTHON = """
import purgekit as pk

one = pk.Policy("one", table="T", where=pk.expired("E", unit="ms"))
both = [one, pk.Policy("two", table="T", where=pk.col("A") == 1)]
number = 3
"""


def test_toml_by_name(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(TOML.format("first") + TOML.format("second"))
    assert [p.name for p in pk.load_policies(str(path))] == ["first", "second"]
    assert [p.name for p in pk.load_policies(f"{path}#second")] == ["second"]
    with pytest.raises(pk.PolicyError, match="did you mean second"):
        pk.load_policies(f"{path}#secnd")


def test_python_file(tmp_path: Path) -> None:
    path = tmp_path / "p.py"
    path.write_text(PYTHON)
    assert [p.name for p in pk.load_policies(f"{path}:one")] == ["one"]
    assert [p.name for p in pk.load_policies(f"{path}:both")] == ["one", "two"]
    for spec, part in ((f"{path}:on", "did you mean one"), (f"{path}:number", "not int"), (str(path), "variable")):
        with pytest.raises(pk.PolicyError, match=part):
            pk.load_policies(spec)
    path.write_text("1 / 0")
    with pytest.raises(pk.PolicyError, match="ZeroDivisionError"):
        pk.load_policies(f"{path}:one")


def test_packs_and_their_parameters() -> None:
    assert pack_names() == ["wso2-is", "wso2-apim", "airflow", "django", "keycloak"]
    (sessions,) = pk.load_policies("wso2-is/sessions")
    assert sessions.table == "IDN_AUTH_SESSION_STORE"
    assert len(sessions.dependents) == 4
    assert all(child.optional and child.unless_referenced for child in sessions.dependents)
    (longer,) = pk.load_policies("wso2-is/sessions", {"lifetime": "30d", "grace": "1h"})
    assert longer != sessions
    assert longer.grace_ns == 3_600 * 10**9
    (by_expiry,) = pk.load_policies("wso2-is/sessions", {"by": "expiry"})
    assert "EXPIRY_TIME" in str(by_expiry.where)


@pytest.mark.parametrize(
    ("spec", "params", "part"),
    [
        ("wso-is", {}, "did you mean wso2-is"),
        ("wso2-is/session", {}, "did you mean sessions"),
        ("wso2-is", {"lifetme": "1d"}, "did you mean lifetime"),
        ("wso2-is", {"by": "expired"}, "did you mean expiry"),
        ("wso2-is", {"lifetime": "soon"}, "soon"),
        ("a/b/c", {}, "is no policy"),
        ("policies.yaml", {}, "is no policy"),
        ("", {}, "unknown policy pack"),
    ],
)
def test_refusals(spec: str, params: dict[str, str], part: str) -> None:
    with pytest.raises(pk.PolicyError, match=part):
        pk.load_policies(spec, params)


def test_parameters_are_for_packs(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(TOML.format("x"))
    with pytest.raises(pk.PolicyError, match="packs only"):
        pk.load_policies(path, {"by": "expiry"})
    assert [p.name for p in load_all([str(path), "wso2-is/sessions"], {"by": "expiry"})] == ["x", "sessions"]


def test_names_must_differ(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(TOML.format("sessions"))
    with pytest.raises(pk.PolicyError, match="named 'sessions'"):
        load_all([str(path), "wso2-is"])


def test_every_pack_policy_says_why_it_differs() -> None:
    for name in pack_names():
        for policy in find_pack(name).policies:
            assert len(policy.note) > 100
            assert policy.summary
