"""Policy packs: ready policies for the tables of well-known products.

A new pack is a module with a ``PACK`` and one line in ``_MODULES``; a new policy is one module in its pack's folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import import_module

from purgekit._core import Policy
from purgekit.errors import PolicyError
from purgekit.fuses import FUSES, check_fuses, with_fuses
from purgekit.packs.model import Advice, Built, Pack, PackPolicy, Parameter
from purgekit.text import did_you_mean, printable

__all__ = ["Advice", "Built", "Pack", "PackPolicy", "Parameter", "advice_for", "build", "find_pack", "pack_names"]

_MODULES = {
    "wso2-is": "purgekit.packs.wso2_is",
    "wso2-apim": "purgekit.packs.wso2_apim",
    "airflow": "purgekit.packs.airflow",
    "django": "purgekit.packs.django",
    "keycloak": "purgekit.packs.keycloak",
}
# Policies are plain values of the native engine and carry no advice; equal policies deserve equal advice.
_advice: dict[Policy, Sequence[Advice]] = {}


def pack_names() -> list[str]:
    """All packs."""
    return list(_MODULES)


def find_pack(name: str) -> Pack:
    """The pack ``name``; PolicyError with the nearest right name when there is none."""
    if name not in _MODULES:
        raise PolicyError(f"unknown policy pack '{printable(name)}'{did_you_mean(name, _MODULES)}")
    pack = import_module(_MODULES[name]).PACK
    assert isinstance(pack, Pack)
    return pack


def build(spec: str, values: Mapping[str, str]) -> tuple[list[Policy], set[str]]:
    """The policies of ``pack`` or ``pack/name``, and the names of the parameters that they know.

    Besides its own, every policy of a pack takes the fuses of a policy file as parameters. Of a whole pack, policies
    whose table is absent are passed over: no database has all of them. Those that must be asked for are not in it.
    """
    pack_name, _, policy_name = spec.partition("/")
    pack = find_pack(pack_name)
    fuses = {name: values[name] for name in FUSES if name in values}
    check_fuses(fuses)
    chosen = [pack.find(policy_name)] if policy_name else [one for one in pack.policies if not one.by_name_only]
    policies = []
    for entry in chosen:
        for built in entry.with_values(values):
            policy = with_fuses(built.policy, fuses)
            if not policy_name and not policy.optional:
                policy = Policy.from_json(json.dumps({**json.loads(policy.to_json()), "optional": True}))
            _advice[policy] = built.advice
            policies.append(policy)
    return policies, {parameter.name for entry in chosen for parameter in entry.parameters} | {*fuses}


def refuse_if_none_is_here(policies: Sequence[Policy], skipped: Sequence[bool]) -> None:
    """PolicyError when all policies are of packs and the tables of all of them are absent: a wrong database."""
    if not policies or not all(skipped) or not all(policy in _advice for policy in policies):
        return
    tables = list(dict.fromkeys(policy.table for policy in policies))
    shown = ", ".join(tables[:3]) + (f" and {len(tables) - 3} more" if len(tables) > 3 else "")
    raise PolicyError(
        f"none of the tables that {'these policies are' if len(policies) > 1 else 'this policy is'} for is in this "
        f"database ({shown}); check the URL, or name their schema with --param schema=NAME",
        code="unknown_table",
    )


def advice_for(policy: Policy) -> Sequence[Advice]:
    """What a pack wants said about the policy in a plan."""
    return _advice.get(policy, ())
