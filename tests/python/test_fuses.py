"""Fuses as policies, policy files, packs and limits write them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk
from purgekit.fuses import usual_rows

HEAD = '[[policy]]\nname = "a"\ntable = "T"\n'
CREATED = 'created = { column = "C", unit = "s", lifetime = "30d" }\n'


def read(tmp_path: Path, text: str) -> list[pk.Policy]:
    path = tmp_path / "policies.toml"
    path.write_text(text, encoding="utf-8")
    return pk.load_policies(path)


def test_in_a_policy(tmp_path: Path) -> None:
    (policy,) = read(tmp_path, f'{HEAD}approval = "required"\nwithin = "33.3%"\nmin_retention = "30d"\n{CREATED}')
    assert (policy.approval, policy.within_pct, policy.min_retention_ns) == ("required", 33.3, 30 * 86_400 * 10**9)
    where = pk.created("C", unit="s", lifetime="30d")
    same = pk.Policy("a", table="T", where=where, approval="required", within="33.3%", min_retention="30d")
    assert policy == same == pickle.loads(pickle.dumps(policy)) == pk.Policy.from_json(policy.to_json())
    (without,) = read(tmp_path, HEAD + CREATED)
    assert (without.approval, without.within_pct, without.min_retention_ns) == (None, None, None)
    assert without != policy
    assert "approval" not in without.to_json()


def test_for_a_whole_file(tmp_path: Path) -> None:
    settings = '[settings]\nmin_retention = "10d"\nwithin = "50%"\napproval = "required"\n'
    own = 'within = "5%"\nmin_retention = "{}"\n'
    second = HEAD.replace('"a"', '"b"')
    third = HEAD.replace('"a"', '"c"')
    policies = read(
        tmp_path,
        settings + HEAD + CREATED + second + own.format("20d") + CREATED + third + own.format("1d") + CREATED,
    )
    assert {policy.approval for policy in policies} == {"required"}
    assert [policy.within_pct for policy in policies] == [50, 5, 5]
    day_ns = 86_400 * 10**9
    # A file's floor can be raised by a policy and not be lowered.
    assert [policy.min_retention_ns for policy in policies] == [10 * day_ns, 20 * day_ns, 10 * day_ns]


REFUSED = [
    (HEAD + 'approval = "yes"\n' + CREATED, "'yes'"),
    (HEAD + "approval = true\n" + CREATED, "'approval' must be text"),
    (HEAD + 'within = "lots"\n' + CREATED, "'lots' is no percentage"),
    (HEAD + "within = 50\n" + CREATED, "'within' must be text"),
    (HEAD + 'min_retention = "a month"\n' + CREATED, "a month"),
    (
        HEAD + 'min_retention = "31d"\n' + CREATED,
        "30d2h old (lifetime and grace together), and min_retention keeps them",
    ),
    (HEAD + 'min_retention = "1d"\nexpired = { column = "E", unit = "s" }\n', "2h old"),
    (HEAD + 'min_retention = "1s"\nall = [{ column = "A", null = true }]\n', "of any age"),
    ('[settings]\nmin_retention = "31d"\n' + HEAD + CREATED, "30d2h old"),
    ('[settings]\nmin_retention = "soon"\n' + HEAD + CREATED, "settings: min_retention: "),
    ('[settings]\nwithin = "x"\n' + HEAD + CREATED, "settings: 'x' is no percentage"),
    ('[settings]\napproval = "x"\n' + HEAD + CREATED, "settings: approval is"),
    ('[settings]\nmin_retension = "1d"\n' + HEAD + CREATED, "did you mean min_retention?"),
    ('[settings]\ngrace = "1d"\n' + HEAD + CREATED, "unknown key 'grace'"),
    ("settings = 3\n" + HEAD + CREATED, "settings: it must be a table"),
    ("[settngs]\n" + HEAD + CREATED, "unknown key 'settngs'"),
]


@pytest.mark.parametrize(("text", "part"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str, part: str) -> None:
    with pytest.raises(pk.PolicyError) as caught:
        read(tmp_path, text)
    assert part in str(caught.value)
    assert "policies.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_for_a_pack() -> None:
    (policy,) = pk.load_policies("wso2-is/sessions", {"within": "20%", "approval": "required", "min_retention": "14d"})
    assert (policy.approval, policy.within_pct) == ("required", 20)
    assert policy.min_retention_ns == 14 * 86_400 * 10**9
    for params in ({"min_retention": "15d"}, {"within": "many"}, {"approval": "no"}, {"min_retention": "x"}):
        with pytest.raises(pk.PolicyError):
            pk.load_policies("wso2-is/sessions", params)


@pytest.mark.parametrize("within", ["half", "", "-5%", "5%%", 50, 0.5, True])
def test_limits_take_a_percentage(within: Any) -> None:
    with pytest.raises(pk.PurgekitError, match="percentage"):
        pk.Limits(within=within)
    assert pk.Limits(within="50").within_pct == pk.Limits(within="50%").within_pct == 50


def run(status: str, purgeable: int | None, deleted: int, **other: str) -> dict[str, Any]:
    entry = {"policy": "p", "table": "t", "kind": "purge", "status": status}
    return {"entries": [{**entry, "rows_purgeable": purgeable, "rows_deleted": deleted, **other}]}


def test_what_is_usual() -> None:
    def usual(*oldest_first: dict[str, Any]) -> tuple[int | None, int]:
        return usual_rows(oldest_first[::-1], "p", "t")

    assert usual() == (None, 0)
    assert usual({}, run("completed", 10, 10)) == (10, 0)
    assert usual(run("completed", 10, 10), run("completed", 30, 20)) == (30, 0)
    assert usual(run("completed", 10, 10), run("completed", 0, 0)) == (10, 0)
    assert usual(run("stopped", 10, 4), run("running", None, 3)) == (None, 7)
    assert usual(run("stopped", 10, 4), run("failed", 6, 1), run("completed", 5, 5)) == (10, 0)
    assert usual(run("completed", 10, 10), run("stopped", 9, 4)) == (10, 4)
    assert usual(run("completed", None, 10)) == (10, 0)  # by an earlier version
    assert usual(run("completed", 10, 10), run("completed", 99, 99, kind="restore")) == (10, 0)
    assert usual(run("completed", 10, 10), run("completed", 99, 99, policy="q")) == (10, 0)
    assert usual(run("completed", 10, 10), run("completed", 99, 99, table="s.t")) == (10, 0)
