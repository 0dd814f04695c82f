"""A run as the engine is told of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timezone

from purgekit._core import RunControl
from purgekit.evidence.keys import Key, find_key
from purgekit.limits import Limits
from purgekit.policyhash import policy_hash
from purgekit.report import Json, Plan
from purgekit.state import new_run_id


def run_options(
    plan: Plan,
    limits: Limits,
    ledger: str,
    control: RunControl,
    accept_clock: bool,
    evidence_key: str | os.PathLike[str] | None,
    replicas: Sequence[tuple[str, Json]],
) -> tuple[Json, tuple[datetime, str] | None]:
    """What the engine is told, and when it must end by which limit. ``replicas``: names, and how to connect to them."""
    key = Key() if ledger == "none" else find_key(evidence_key)
    approval = plan.file.approval if plan.file else None
    started = datetime.now(timezone.utc)
    end = limits.stops_at(started)
    options: Json = {
        "run_id": new_run_id(),
        "ledger": ledger,
        "control": control,
        "chunk_ms": limits.chunk_ms,
        "pace": limits.pace,
        "max_rows": limits.max_rows,
        "max_rows_per_s": limits.max_rows_per_s,
        "deadline_s": (end[0] - started).total_seconds() if end else None,
        "max_replica_lag_s": limits.max_replica_lag_s,
        "lock_wait_ms": limits.lock_wait_ms,
        "stop_file": limits.stop_file or "",
        "max_fraction": plan.max_fraction if limits.max_fraction is None else limits.max_fraction,
        "accept_clock": accept_clock or plan.accept_clock,
        "policy_hashes": [policy_hash(policy) for policy in plan.native.policies],
        "workers": limits.workers,
        "probe_sql": limits.probe_sql or "",
        "probe_limit_ms": limits.probe_limit_ms,
        "replicas": replicas,
        "lag_sql": limits.lag_sql or "",
        "evidence_key": key,
        "evidence_plan": plan.file.hash.removeprefix("sha256:") if plan.file else "",
        "evidence_approval": approval.hash.removeprefix("sha256:") if approval else "",
    }
    return options, end
