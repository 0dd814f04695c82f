"""The flight record of a run that failed: what it did last, for whoever looks into it afterwards."""

from __future__ import annotations

import platform
import traceback
from typing import Any

from purgekit import _core
from purgekit.state import now_utc

SCHEMA = "purgekit.flight/1"
POLICY_KEYS = (
    "policy",
    "table",
    "strategy",
    "status",
    "stop_reason",
    "rows_deleted",
    "rows_archived",
    "rows_left",
    "chunks",
    "retries",
    "workers",
    "at_least",
)
LIMIT_KEYS = (
    "ledger",
    "chunk_ms",
    "pace",
    "max_rows",
    "max_rows_per_s",
    "deadline_s",
    "max_replica_lag_s",
    "probe_limit_ms",
    "lock_wait_ms",
    "max_fraction",
    "workers",
)

Json = dict[str, Any]


def worth_a_record(report: Json) -> bool:
    """Whether the run failed, or was fenced out."""
    fenced = any(entry.get("stop_reason") == "fenced" for entry in report["policies"])
    return report["status"] == "failed" or fenced


def flight_document(
    run_id: str,
    database: str,
    server: Json,
    options: Json,
    events: Json,
    report: Json | None,
    error: BaseException | None,
) -> Json:
    """``purgekit.flight/1``. No values of rows and no messages of servers get in: those are the report's."""
    entries = report["policies"] if report else []
    return {
        "schema": SCHEMA,
        "run_id": run_id,
        "written_utc": now_utc(),
        "purgekit": _core.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "database": database,
        "backend": server.get("backend"),
        "server_version": server.get("server_version"),
        "limits": {key: options.get(key) for key in LIMIT_KEYS},
        "status": report["status"] if report else "failed",
        "exit_code": report["exit_code"] if report else 1,
        "rows_deleted": report["rows_deleted"] if report else None,
        "error_code": ((report or {}).get("error") or {}).get("code"),
        "exception": _where(error) if error else None,
        "policies": [{key: entry.get(key) for key in POLICY_KEYS} for entry in entries],
        **events,
    }


def _where(error: BaseException) -> Json:
    """Kind and places; not its text, which may quote anything."""
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "frames": [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames],
    }
