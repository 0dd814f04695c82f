"""Purging as rows expire, until asked to stop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from purgekit._core import Policy
from purgekit.errors import PurgeRefused
from purgekit.limits import Limits
from purgekit.state import now_utc
from purgekit.text import printable

_log = logging.getLogger("purgekit")

SCHEMA = "purgekit.watch/1"
DEFAULT_INTERVAL_S = 1.0
LEAST_INTERVAL_S, MOST_INTERVAL_S = 0.05, 20.0
# A trickle, also where a backlog is met at the start; several times what a busy sign-on service writes.
DEFAULT_ROWS_PER_S = 5_000.0

Json = dict[str, Any]
Purged = Callable[[Json], object]


def watch_limits(limits: Limits | None) -> Limits:
    """The limits as a watch takes them."""
    limits = limits or Limits()
    if limits.within is not None:
        raise PurgeRefused("within compares one run with the last one; a watch has no end to compare", code="limit")
    return limits if limits.max_rows_per_s is not None else replace(limits, max_rows_per_s=DEFAULT_ROWS_PER_S)


def check_interval(interval_s: float) -> float:
    """Refuse an interval in which nothing could be seen or no session would survive."""
    is_number = isinstance(interval_s, (int, float)) and not isinstance(interval_s, bool)
    if not (is_number and LEAST_INTERVAL_S <= interval_s <= MOST_INTERVAL_S):
        raise PurgeRefused(
            f"interval must lie between {LEAST_INTERVAL_S} and {MOST_INTERVAL_S:.0f} seconds, "
            f"not {printable(interval_s)}",
            code="limit",
        )
    return float(interval_s)


def warn_of_endless_evidence(policies: Sequence[Policy], ledger: str) -> None:
    """Each chunk leaves a link of evidence, and a watch makes some for as long as it lives."""
    for policy in policies:
        if ledger != "none" and policy.evidence_retention_ns is None:
            _log.warning(
                "policy %s keeps its evidence for ever: while it is watched the ledger grows by a link for each purge; "
                'evidence_retention = "90d" has old ones deleted once a day',
                printable(policy.name),
            )


def telling(on_purge: Purged | None) -> Purged | None:
    """Call it with ``purgekit.watch/1``."""
    if on_purge is None:
        return None

    def tell(event: Json) -> None:
        on_purge(
            {
                "schema": SCHEMA,
                "utc": now_utc(),
                "policy": event["policy"],
                "run_id": event["run_id"],
                "rows_deleted": sum(table["rows_deleted"] for table in event["tables"]),
                "rows_archived": sum(table["rows_archived"] for table in event["tables"]),
                "rows_blocked": event["rows_blocked"],
                "elapsed_ms": round(event["elapsed_ms"], 3),
                "tables": event["tables"],
            }
        )

    return tell
