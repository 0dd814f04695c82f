"""Plan files: a plan kept in a file, so that it can be looked at, approved, and run as it is or not at all."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purgekit import _core
from purgekit.approval import Approval, find_approval
from purgekit.errors import PolicyError, PurgeRefused
from purgekit.policyhash import policy_hash
from purgekit.sealed import Kind, read_sealed, write_sealed
from purgekit.text import plural, printable

if TYPE_CHECKING:
    from purgekit.report import Plan

_log = logging.getLogger("purgekit")

KIND = Kind("purgekit.planfile/1", "plan file", "plan_file")
# Of the plan's JSON. Not the sample: no value of any row gets into a file.
KEPT = (
    "policy",
    "table",
    "skipped",
    "rule",
    "cutoff_utc",
    "rows_total",
    "rows_purgeable",
    "strategy",
    "index",
    "statements",
    "dependents",
    "archive",
    "holds",
    "warnings",
)

Json = dict[str, Any]


class PlanFile:
    """A plan as it was written to a file, whole and unchanged. ``Database.run`` carries it out or refuses."""

    def __init__(self, path: Path, document: Json) -> None:
        self.path = path
        self._json = document
        self.policies = [_policy(path, entry) for entry in document["policies"]]

    @property
    def hash(self) -> str:
        """What an approval is bound to: ``sha256:…``."""
        return str(self._json["hash"])

    @cached_property
    def approval(self) -> Approval | None:
        """The approval beside it; PurgeRefused when there is one that does not fit."""
        return find_approval(self)

    @property
    def identity(self) -> str:
        """Of the database that it was made for."""
        return str(self._json["identity"])

    @property
    def database(self) -> Json:
        """For people: name, backend, version, and the clock when it was made."""
        found: Json = self._json["database"]
        return found

    @property
    def entries(self) -> list[Json]:
        """One for each policy, as planned."""
        found: list[Json] = self._json["policies"]
        return found

    @property
    def sources(self) -> tuple[list[str], dict[str, str]]:
        """What the policies were loaded from, and the packs' parameters."""
        found = self._json["sources"]
        return list(found["specs"]), dict(found["params"])

    @property
    def options(self) -> Json:
        """What ``Database.plan`` is to be called with to get the same plan."""
        given: Json = self._json["options"]
        return {**given, "now": self._json["now_utc"], "exact": True}

    @property
    def rows_purgeable(self) -> int:
        """Rows of the policies' own tables that it was made for."""
        return sum(entry["rows_purgeable"] for entry in self.entries)

    @property
    def evidence(self) -> Json:
        """For the report of its run."""
        approval = self.approval
        return {
            "hash": self.hash,
            "approved_by": approval.by if approval else None,
            "approved_utc": approval.approved_utc if approval else None,
        }

    def to_dict(self) -> Json:
        """The file's content, ``purgekit.planfile/1``."""
        copy: Json = json.loads(json.dumps(self._json))
        return copy

    def __repr__(self) -> str:
        return f"<PlanFile {printable(self.path)}: {plural(self.rows_purgeable, 'row')} purgeable, {self.hash[:19]}…>"


def save_plan(
    plan: Plan, path: str | os.PathLike[str], specs: Sequence[str] = (), params: Mapping[str, str] | None = None
) -> PlanFile:
    """Write a plan with exact figures to a file. No value of any row gets into it.

    Args:
        plan: what to write.
        path: over an earlier plan file, or where nothing is yet.
        specs: what the policies were loaded from, so that ``run`` sees when they have changed there.
        params: and the packs' parameters.
    """
    if not plan.exact:
        raise PurgeRefused("a plan file needs exact figures, these are estimates; plan with exact", code="estimated")
    entries = []
    for entry, policy, shape in zip(plan.policies, plan.native.policies, plan.native.fingerprints, strict=True):
        kept = {key: entry[key] for key in KEPT if key in entry}
        source = json.loads(policy.to_json())
        entries.append({**kept, "fingerprint": shape, "hash": policy_hash(policy), "source": source})
    database = plan.database
    document = {
        "schema": KIND.schema,
        "purgekit": _core.__version__,
        "database": {key: database[key] for key in ("name", "backend", "product", "server_version", "clock_utc")},
        "identity": plan.native.identity,
        "now_utc": plan.policies[0]["now_utc"],
        "options": {"archive": plan.archive, "max_fraction": plan.max_fraction, "accept_clock": plan.accept_clock},
        "sources": {"specs": [_absolute(spec) for spec in specs], "params": dict(params or {})},
        "policies": entries,
    }
    place = Path(path)
    return PlanFile(place, write_sealed(place, document, KIND))


def load_plan(path: str | os.PathLike[str]) -> PlanFile:
    """The plan in a file; ``Database.run`` takes it.

    Raises:
        PurgeRefused: it is not there, was changed or cut off, or is of a newer version.
    """
    place = Path(path)
    document = read_sealed(place, KIND)
    if not _is_whole(document):
        KIND.refuse(place, "lacks what a plan must have; make it anew")
    try:
        file = PlanFile(place, document)
    except PolicyError as error:
        KIND.refuse(place, f"holds a policy that this version can't run: {error}; make it anew")
    if doubt := _core.distrust(str(place), is_code=False):
        if any('{"sql":' in policy.to_json() for policy in file.policies):
            KIND.refuse(place, f"holds raw sql, which is trusted like code, and {doubt}")
        _log.warning("plan file %s decides what is deleted, and %s", printable(place), doubt)
    return file


def _policy(path: Path, entry: Json) -> _core.Policy:
    policy = _core.Policy.from_json(json.dumps(entry["source"]))
    if policy_hash(policy) != entry["hash"] or policy.name != entry["policy"]:
        KIND.refuse(path, "holds a policy that this version reads in another way; make it anew")
    return policy


def _absolute(spec: str) -> str:
    path, mark, name = spec.partition("#")
    return f"{Path(path).absolute()}{mark}{name}" if path.endswith(".toml") else spec


_Types = tuple[type, ...]
_TEXT, _COUNT, _FLAG, _LIST, _TABLE = (str,), (int,), (bool,), (list,), (dict,)
_TOP: dict[str, _Types] = {
    **dict.fromkeys(("database", "options", "sources"), _TABLE),
    **dict.fromkeys(("identity", "now_utc"), _TEXT),
    "policies": _LIST,
}
_OPTIONS: dict[str, _Types] = {
    "archive": (str, type(None)),
    "max_fraction": (float, int, type(None)),
    "accept_clock": _FLAG,
}
_ENTRY: dict[str, _Types] = {
    **dict.fromkeys(("policy", "table", "strategy", "fingerprint", "hash"), _TEXT),
    **dict.fromkeys(("rows_total", "rows_purgeable"), _COUNT),
    **dict.fromkeys(("dependents", "warnings"), _LIST),
    "skipped": _FLAG,
    "source": _TABLE,
}


def _is_whole(document: Json) -> bool:
    """A hash can be made by anybody: the types are looked at before anything relies on them."""
    if not _has(document, _TOP) or not document["policies"]:
        return False
    database, sources, options = document["database"], document["sources"], document["options"]
    return (
        _has(database, {"name": _TEXT, "clock_utc": _TEXT})
        and _is_instant(database["clock_utc"])
        and _is_instant(document["now_utc"])
        and options.keys() == _OPTIONS.keys()
        and _has(options, _OPTIONS)
        and _has(sources, {"specs": _LIST, "params": _TABLE})
        and all(isinstance(text, str) for text in (*sources["specs"], *sources["params"].values()))
        and all(_has(entry, _ENTRY) for entry in document["policies"])
        and all(_has(told, {"code": _TEXT, "message": _TEXT}) for e in document["policies"] for told in e["warnings"])
    )


def _has(table: Any, shape: Mapping[str, _Types]) -> bool:
    return isinstance(table, dict) and all(type(table.get(key)) in types for key, types in shape.items())


def _is_instant(text: str) -> bool:
    try:
        _core.parse_instant(text)
    except PolicyError:
        return False
    return True
