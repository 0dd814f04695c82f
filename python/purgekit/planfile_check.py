"""Whether a plan file still tells the truth: the same database, policies, tables, holds and about as many rows."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NoReturn

from purgekit import _core
from purgekit.errors import PolicyError, PurgeRefused
from purgekit.policyhash import policy_hash
from purgekit.text import is_file, plural, printable

if TYPE_CHECKING:
    from purgekit.planfile import PlanFile
    from purgekit.report import Plan

_log = logging.getLogger("purgekit")

MOST_GROWTH_PCT = 10.0
DEFAULT_MAX_AGE = "7d"
# What a table's make adds to a plan's warnings: a new one is a change of the schema.
STRUCTURE = ("foreign_key", "delete_trigger")

Json = dict[str, Any]


def check_place_and_age(file: PlanFile, server: Json, max_age_ns: int) -> None:
    """Refuse a plan of another database, or one that is too old by the database's clock."""
    if server["identity"] != file.identity:
        here = printable(server["database"])
        _refuse(file, f"is of another database ({printable(file.database['name'])}) than {here}", "plan_database")
    age_ns = server["clock_utc_ns"] - _core.parse_instant(file.database["clock_utc"])
    if age_ns > max_age_ns:
        age, most = (_core.format_duration(ns // 10**9 * 10**9) for ns in (age_ns, max_age_ns))
        _refuse(file, f"is {age} old, older than max-plan-age {most} allows; plan again", "plan_age")


def check_sources(file: PlanFile) -> None:
    """Refuse when what the policies were loaded from says something else by now. What is not there tells nothing."""
    from purgekit.policies import load_all

    specs, params = file.sources
    if not specs or not all(_can_be_looked_at(spec) for spec in specs):
        return
    try:
        now = {policy.name: policy_hash(policy) for policy in load_all(specs, params)}
    except PolicyError as error:
        _refuse(file, f"was made of policies that can't be loaded any more: {error}; plan again")
    for entry in file.entries:
        if now.get(entry["policy"]) != entry["hash"]:
            _refuse(file, f"was made before policy {printable(entry['policy'])} was changed; plan again")


def check_unchanged(file: PlanFile, plan: Plan, growth_pct: float) -> None:
    """Refuse when the tables, their references, holds or the number of rows are not those of the plan file."""
    for old, new, shape in zip(file.entries, plan.policies, plan.native.fingerprints, strict=True):
        name = printable(old["policy"])
        if changes := _changes(old, new, shape):
            _refuse(file, f"no longer fits policy {name}: {changes}; plan again")
        before, now = old["rows_purgeable"], new["rows_purgeable"]
        if (now - before) * 100 > before * growth_pct:
            _refuse(
                file,
                f"was made for {plural(before, 'row')} of policy {name}, and {now:,} may go now, more than "
                f"{growth_pct:g}% above; plan again, or pass --within with more if it is right",
            )
        if new["strategy"] != old["strategy"]:
            _log.warning("policy %s: goes by %s, planned was %s", name, new["strategy"], printable(old["strategy"]))


def _changes(old: Json, new: Json, shape: str) -> str:
    """What is another than planned, in few words; empty: nothing is."""
    table = printable(old["table"])
    if old["skipped"] != new["skipped"]:
        return f"table {table} {'does not exist any more' if new['skipped'] else 'exists now'}"
    if old["table"] != new["table"]:
        return f"its table is {printable(new['table'])} now, not {table}"
    if old["fingerprint"] != shape:
        return f"table {table} {_reshaped(old['fingerprint'], shape)}"
    for key, noun in (("dependents", "the dependents"), ("archive", "the archive"), ("holds", "the holds")):
        if old.get(key) != new.get(key):
            return f"{noun} of table {table} are not those of the plan"
    told = _structure(old)
    return next((printable(message) for message in _structure(new) if message not in told), "")


def _reshaped(old: str, new: str) -> str:
    before, after = old.split("|"), new.split("|")
    come = [part for part in after[1:] if part not in before]
    gone = [part for part in before[1:] if part not in after]
    if not come and not gone:
        return "was changed or made again"
    now = f"now has {', '.join(come)}" if come else ""
    no_longer = f"no longer has {', '.join(gone)}" if gone else ""
    return printable(" and ".join(filter(None, (now, no_longer)))[:300])


def _structure(entry: Json) -> list[str]:
    return [warning["message"] for warning in entry["warnings"] if warning["code"] in STRUCTURE]


def _refuse(file: PlanFile, why: str, code: str = "plan_changed") -> NoReturn:
    raise PurgeRefused(f"plan file {printable(file.path)} {why}; nothing was changed", code=code)


def _can_be_looked_at(spec: str) -> bool:
    """Python files are code, and not run for this."""
    path = spec.partition("#")[0]
    return ".py:" not in spec and (not path.endswith(".toml") or is_file(path))
