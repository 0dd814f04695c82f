"""TOML policy files: read, checked, and made into native policies."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purgekit._core import ArchiveMapping, Dependent, Policy, Predicate, distrust
from purgekit.errors import PolicyError
from purgekit.fuses import check_fuses, with_fuses
from purgekit.moving import move_to
from purgekit.predicates import col, created, dependent, expired, keep_latest, referenced_by, sql
from purgekit.retention import archive_retention
from purgekit.text import printable

if TYPE_CHECKING:
    from purgekit import policyschema as schema

_log = logging.getLogger("purgekit")

tomllib: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")


def read_policy_file(path: Path) -> list[Policy]:
    """The policies of a TOML file, in its order. PolicyError names the file and the policy at fault."""
    name = printable(path)
    tables, settings = _tables(path)
    doubt = distrust(str(path), is_code=False)
    if doubt:
        _log.warning("policy file %s decides what is deleted, and %s", name, doubt)
    policies: list[Policy] = []
    for number, table in enumerate(tables, 1):
        label = table.get("name") if isinstance(table, dict) else None
        label = label if isinstance(label, str) and label else f"number {number}"
        try:
            policy, *archives = _policies(table)
            policy = with_fuses(policy, settings)
        except PolicyError as error:
            raise PolicyError(
                f"{name}: policy '{printable(label)}': {str(error).removeprefix(f'policy {printable(label)}: ')}",
                code=error.code,
                table=error.table,
                policy=label,
            ) from None
        if doubt and '{"sql":' in policy.to_json():
            raise PolicyError(
                f"{name}: policy '{printable(label)}' holds raw sql, which is trusted like code, and {doubt}",
                code="untrusted_file",
                policy=label,
            )
        if any(earlier.name == policy.name for earlier in policies):
            raise PolicyError(
                f"{name}: two policies are named '{printable(policy.name)}'; rename one", policy=policy.name
            )
        policies += [policy, *archives]
    return policies


def _tables(path: Path) -> tuple[list[Any], dict[str, str | None]]:
    """The policies' tables, and the settings that hold for all of them."""
    name = printable(path)
    try:
        document = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise PolicyError(f"cannot read policy file {name}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise PolicyError(f"policy file {name} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        raise PolicyError(f"policy file {name} is not TOML: {printable(error)}") from None
    except RecursionError:
        raise PolicyError(f"policy file {name} is nested too deeply") from None
    for key in document:
        if key not in ("policy", "settings"):
            raise PolicyError(f"{name}: unknown key '{printable(key)}' (did you mean [[policy]]?)")
    tables = document.get("policy", [])
    if not isinstance(tables, list):
        raise PolicyError(f"{name}: write [[policy]] with two brackets on each side")
    if not tables:
        raise PolicyError(f"{name} holds no policy; add a [[policy]] table")
    return tables, _settings(document.get("settings", {}), name)


def _settings(table: Any, name: str) -> dict[str, str | None]:
    from pydantic import ValidationError

    from purgekit.policyfaults import first_fault
    from purgekit.policyschema import Settings

    try:
        settings: dict[str, str | None] = Settings.model_validate(table).model_dump()
        check_fuses(settings)
    except ValidationError as error:
        raise PolicyError(f"{name}: settings: {first_fault(error, Settings)}") from None
    except PolicyError as error:
        raise PolicyError(f"{name}: settings: {error}", code=error.code) from None
    return settings


def _policies(table: Any) -> list[Policy]:
    """The policy, and those that its archives are purged by."""
    from pydantic import ValidationError

    from purgekit.policyfaults import first_fault
    from purgekit.policyschema import Move, PolicyTable

    try:
        checked = PolicyTable.model_validate(table)
    except ValidationError as error:
        raise PolicyError(first_fault(error)) from None
    where = _rule(checked, "the policy")
    if where is None:
        raise PolicyError("it has no rule, so every row would go; give it expired, created or another rule")
    policy = Policy(
        checked.name,
        table=checked.table,
        where=where,
        grace=checked.grace,
        dependents=[_dependent(child) for child in checked.dependents],
        max_fraction=None if checked.max_fraction is None else float(min(checked.max_fraction, 2)),
        optional=checked.optional,
        held_while=None if checked.held_while is None else _needed(checked.held_while, "held_while"),
        archive=_move(checked.archive) if isinstance(checked.archive, Move) else checked.archive,
        strategy=checked.strategy,
        move_window=checked.move_window,
        hold=None if checked.hold is None else _hold(checked.hold),
        approval=checked.approval,
        within=checked.within,
        min_retention=checked.min_retention,
        evidence_retention=checked.evidence_retention,
    )
    if checked.archive_retention is None:
        return [policy]
    return [policy, *archive_retention(policy, checked.archive_retention)]


def rule_of_text(text: str, where: str) -> Predicate:
    """One rule as it stands in policy files: ``{ column = "STATE", in = ["OLD"] }``."""
    from pydantic import ValidationError

    from purgekit.policyfaults import first_fault
    from purgekit.policyschema import Rule

    try:
        document = tomllib.loads(f"rule = {text}")
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"{where} is not TOML: {printable(error)}") from None
    if list(document) != ["rule"]:
        raise PolicyError(f"{where} must be one rule in braces")
    try:
        return _needed(Rule.model_validate(document["rule"]), where)
    except ValidationError as error:
        raise PolicyError(f"{where}: {first_fault(error)}") from None


def _hold(hold: schema.Hold) -> Predicate:
    rule = _rule(hold, "hold")
    if hold.table is not None and hold.on is not None:
        return referenced_by(hold.table, on=hold.on, where=rule)
    if hold.table is not None or hold.on is not None:
        raise PolicyError("hold by a table of keys needs both table and on = { ITS_COLUMN = \"COLUMN\" }")
    return _needed(hold, "hold")


def _dependent(child: schema.Child) -> Dependent:
    archive = None if child.archive is None else _move(child.archive)
    return dependent(
        child.table,
        on=child.on,
        unless_referenced=child.unless_referenced,
        optional=child.optional,
        archive=archive,
        of=child.of,
    )


def _move(archive: schema.Move) -> ArchiveMapping:
    return move_to(archive.table, columns=archive.columns)


def _rule(rule: schema.Rule, where: str) -> Predicate | None:
    parts = list(_parts(rule, where))
    return Predicate.all_of(parts) if parts else None


def _needed(rule: schema.Rule, where: str) -> Predicate:
    found = _rule(rule, where)
    if found is None:
        raise PolicyError(f"{where} is empty; put a rule into it")
    return found


def _parts(rule: schema.Rule, where: str) -> Iterator[Predicate]:
    yield from _condition(rule, where)
    if rule.expired is not None:
        yield expired(**rule.expired.model_dump())
    if rule.created is not None:
        yield _created(rule.created)
    if rule.referenced_by is not None:
        yield _reference(rule.referenced_by, "referenced_by")
    if rule.not_referenced_by is not None:
        yield ~_reference(rule.not_referenced_by, "not_referenced_by")
    if rule.keep_latest is not None:
        yield keep_latest(rule.keep_latest.n, per=rule.keep_latest.per, order_by=rule.keep_latest.order_by)
    if rule.sql is not None:
        yield sql(rule.sql.text, **(rule.sql.model_extra or {}))
    if rule.all is not None:
        yield from (_needed(child, f"all[{i}]") for i, child in enumerate(rule.all))
    if rule.any is not None:
        yield Predicate.any_of([_needed(child, f"any[{i}]") for i, child in enumerate(rule.any)])
    if rule.not_ is not None:
        yield ~_needed(rule.not_, "not")


def _condition(rule: schema.Rule, where: str) -> Iterator[Predicate]:
    compares = rule.op is not None or rule.value is not None
    forms = [rule.in_ is not None, rule.null is not None, compares]
    if rule.column is None:
        if any(forms):
            raise PolicyError(f"a condition in {where} has no column")
        return
    column = printable(rule.column)
    if sum(forms) != 1:
        raise PolicyError(f"the condition on column '{column}' needs one of: in, null, or op with value")
    if rule.in_ is not None:
        yield col(rule.column).isin(rule.in_)
    elif rule.null is not None:
        yield col(rule.column).is_null() if rule.null else col(rule.column).not_null()
    elif rule.op is None or rule.value is None:
        raise PolicyError(f"the condition on column '{column}' needs both op and value")
    else:
        yield Predicate.compare(rule.column, rule.op, rule.value)


def _created(rule: schema.Created) -> Predicate:
    common = rule.model_dump(exclude={"lifetime"})
    if isinstance(rule.lifetime, str):
        return created(lifetime=rule.lifetime, **common)
    lifetime = rule.lifetime
    return created(lifetime=col(lifetime.column), lifetime_unit=lifetime.unit, lifetime_null=lifetime.null, **common)


def _reference(rule: schema.Reference, where: str) -> Predicate:
    inner = None if rule.where is None else _needed(rule.where, f"where of {where}")
    return referenced_by(rule.table, on=rule.on, where=inner, older=rule.older, newer=rule.newer)
