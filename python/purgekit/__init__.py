"""purgekit deletes expired rows from production databases without hurting them.

import purgekit as pk

sessions = pk.Policy("sessions", table="SESSIONS", where=pk.expired("EXPIRY_TIME", unit="ns"))
with pk.connect("postgresql://localhost/iam") as db:
    print(db.plan(sessions))
    report = db.run(sessions, limits=pk.Limits(max_run_s=600))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from purgekit import archives, evidence
    from purgekit._core import Dependent, Policy, Predicate, RunControl, __version__
    from purgekit.backend_api import Backend, BackendSession, DbapiBackend
    from purgekit.database import Database, connect
    from purgekit.errors import (
        ConnectionFailed,
        EvidenceError,
        PolicyError,
        PurgeFailed,
        PurgekitError,
        PurgeRefused,
    )
    from purgekit.holds import Hold
    from purgekit.limits import Limits
    from purgekit.moving import move_to
    from purgekit.planfile import PlanFile, load_plan
    from purgekit.plugins import backends, get_cmake_dir, get_include, load_backend, register_backend
    from purgekit.policies import load_policies
    from purgekit.predicates import (
        all_of,
        any_of,
        col,
        created,
        dependent,
        expired,
        keep_latest,
        not_referenced_by,
        referenced_by,
        sql,
    )
    from purgekit.report import Plan, Report
    from purgekit.restoring import RestoreReport
    from purgekit.retention import archive_retention

# Loaded when first used: what starts the interpreter often (schedulers, shells) should not wait for the engine.
_HOMES = {
    "purgekit._core": ("Dependent", "Policy", "Predicate", "RunControl", "__version__"),
    "purgekit.backend_api": ("Backend", "BackendSession", "DbapiBackend"),
    "purgekit.database": ("Database", "connect"),
    "purgekit.errors": (
        "ConnectionFailed",
        "EvidenceError",
        "PolicyError",
        "PurgeFailed",
        "PurgeRefused",
        "PurgekitError",
    ),
    "purgekit.holds": ("Hold",),
    "purgekit.keys": ("PurgedKeys",),
    "purgekit.limits": ("Limits",),
    "purgekit.moving": ("move_to",),
    "purgekit.planfile": ("PlanFile", "load_plan"),
    "purgekit.plugins": ("backends", "get_cmake_dir", "get_include", "load_backend", "register_backend"),
    "purgekit.policies": ("load_policies",),
    "purgekit.predicates": (
        "all_of",
        "any_of",
        "col",
        "created",
        "dependent",
        "expired",
        "keep_latest",
        "not_referenced_by",
        "referenced_by",
        "sql",
    ),
    "purgekit.report": ("Plan", "Report"),
    "purgekit.restoring": ("RestoreReport",),
    "purgekit.retention": ("archive_retention",),
}
_MODULES = ("archives", "evidence")
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Backend",
    "BackendSession",
    "ConnectionFailed",
    "Database",
    "DbapiBackend",
    "Dependent",
    "EvidenceError",
    "Hold",
    "Limits",
    "Plan",
    "PlanFile",
    "Policy",
    "PolicyError",
    "Predicate",
    "PurgeFailed",
    "PurgeRefused",
    "PurgedKeys",
    "PurgekitError",
    "Report",
    "RestoreReport",
    "RunControl",
    "__version__",
    "all_of",
    "any_of",
    "archive_retention",
    "archives",
    "backends",
    "col",
    "connect",
    "created",
    "dependent",
    "evidence",
    "expired",
    "get_cmake_dir",
    "get_include",
    "keep_latest",
    "load_backend",
    "load_plan",
    "load_policies",
    "move_to",
    "not_referenced_by",
    "referenced_by",
    "register_backend",
    "sql",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"purgekit.{name}")
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'purgekit' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
