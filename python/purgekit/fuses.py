"""What a run checks against earlier runs before its first delete: "within 50% of the last run"."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from purgekit._core import Policy, parse_duration, parse_percent
from purgekit.errors import PolicyError, PurgeRefused
from purgekit.predicates import duration_ns
from purgekit.text import plural, printable

if TYPE_CHECKING:
    from purgekit.report import Plan

_log = logging.getLogger("purgekit")

FUSES = ("approval", "min_retention", "within")

Json = dict[str, Any]


def check_fuses(fuses: Mapping[str, str | None]) -> None:
    """PolicyError when one can't be read, whatever policy it is for."""
    if fuses.get("approval") not in (None, "required"):
        raise PolicyError(f"approval is \"required\" or left out, not '{printable(fuses['approval'])}'")
    if (within := fuses.get("within")) is not None:
        parse_percent(within)
    duration_ns(fuses.get("min_retention"), "min_retention")


def with_fuses(policy: Policy, fuses: Mapping[str, str | None]) -> Policy:
    """The policy with these keys where it has none of its own; of two ``min_retention`` the longer one holds."""
    if not any(fuses.values()):
        return policy
    document: Json = json.loads(policy.to_json())
    for key, value in fuses.items():
        own = document.get(key)
        longer = own is not None and key == "min_retention" and parse_duration(value or "0s") > parse_duration(own)
        if value is not None and (own is None or longer):
            document[key] = value
    return Policy.from_json(json.dumps(document))


def usual_rows(runs: Sequence[Json], policy: str, table: str) -> tuple[int | None, int]:
    """What the last completed run of a policy found purgeable, and what unfinished runs have deleted since.

    A run that was stopped and those that went on with it count as one. Runs that found nothing tell nothing.

    Args:
        runs: of ``purgekit.history/1``, the newest first.
        policy: its name.
        table: as reports name it.
    """
    usual: int | None = None
    since = 0
    for run in reversed(runs):
        for entry in run.get("entries", ()):
            if (entry["policy"], entry["table"], entry["kind"]) != (policy, table, "purge"):
                continue
            if entry["status"] == "completed":
                found = entry["rows_deleted"] if entry["rows_purgeable"] is None else entry["rows_purgeable"]
                usual, since = since + found or usual, 0
            else:
                since += entry["rows_deleted"]
    return usual, since


def check_within(plan: Plan, within_pct: float | None, runs: Sequence[Json] | None) -> None:
    """Refuse when what may go differs too much from what the last run of the same policy took.

    Args:
        plan: with exact figures.
        within_pct: for all policies; None: as each policy says.
        runs: the ledger's, the newest first; None: there is no ledger.
    """
    for policy, entry in zip(plan.native.policies, plan.policies, strict=True):
        pct = policy.within_pct if within_pct is None else within_pct
        if pct is None or entry["skipped"]:
            continue
        what = f"policy {printable(policy.name)}"
        if runs is None:
            raise _refusal(policy, f"{what}: within compares with the last run, which only a ledger knows; name one")
        if not entry["exact"]:
            raise _refusal(policy, f"{what}: within needs exact figures, and these are estimates; plan with exact")
        rows = entry["rows_purgeable"]
        usual, since = usual_rows(runs, policy.name, entry["table"])
        if usual is None or rows == 0:
            _log.info("policy %s: nothing to compare its rows with (within %g%%)", printable(policy.name), pct)
        elif abs(rows + since - usual) * 100 > usual * pct:
            done = f" ({plural(since, 'row')} of them gone by now)" if since else ""
            raise _refusal(
                policy,
                f"{what}: {plural(rows + since, 'row')} may go{done}, and for the last run it was {usual:,}: that is "
                f"not within {pct:g}%; look at the plan, and pass --within with more if it is right",
            )


def _refusal(policy: Policy, message: str) -> PurgeRefused:
    return PurgeRefused(message, code="within", policy=policy.name, table=policy.table)
