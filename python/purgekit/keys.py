"""Purging rows by their keys, when an application issues, refreshes or revokes something."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from purgekit._core import KeyPurge, Policy
from purgekit.approval import require_approval
from purgekit.errors import PolicyError
from purgekit.policyhash import policy_hash
from purgekit.state import new_run_id
from purgekit.zones import steps_by_zone

if TYPE_CHECKING:
    from purgekit._core import Connection

Json = dict[str, Any]

# An application has few policies; one that makes them anew for each call must not fill the memory.
MOST_READY = 64


@dataclass(frozen=True)
class PurgedKeys:
    """What one call deleted."""

    policy: str
    table: str
    keys: int  #: that were given
    rows_deleted: int  #: of the policy's own table; the others are not there, or not purgeable now, or held
    rows_archived: int  #: over all tables
    tables: list[Json]  #: ``table``, ``rows_deleted`` and ``rows_archived`` of it and of each dependent
    run_id: str  #: of the record in the ledger that counts them, and of the archived rows
    elapsed_ms: float

    def to_dict(self) -> Json:
        """As ``purgekit.keys/1``."""
        return {
            "schema": "purgekit.keys/1",
            "policy": self.policy,
            "table": self.table,
            "keys": self.keys,
            "rows_deleted": self.rows_deleted,
            "rows_archived": self.rows_archived,
            "tables": self.tables,
            "run_id": self.run_id,
            "elapsed_ms": round(self.elapsed_ms, 3),
        }


class KeyPurges:
    """The policies of one connection that were made ready for such calls."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()  # of what follows
        # By identity first: hashing a policy takes as long as deleting a row. An entry keeps its policy alive.
        self._known: dict[tuple[int, object, str, bool], tuple[Policy, KeyPurge]] = {}
        self._ready: dict[tuple[Policy, object, str, bool], KeyPurge] = {}

    def purge(
        self,
        policy: Policy,
        keys: Sequence[object],
        archive: bool | str | None,
        ledger: str,
        accept_clock: bool,
    ) -> PurgedKeys:
        """See ``Database.purge_keys``."""
        if isinstance(keys, (str, bytes)) or not isinstance(keys, Sequence):
            raise PolicyError(f"keys is a list of keys, not {type(keys).__name__}")
        found = self._known.get((id(policy), archive, ledger, accept_clock))
        ready = found[1] if found is not None else self._find(policy, archive, ledger, accept_clock)
        counts, elapsed_ms = self._connection.purge_keys(ready, [_values(key) for key in keys])
        tables = [{"table": table, "rows_deleted": rows, "rows_archived": kept} for table, rows, kept in counts]
        return PurgedKeys(
            policy.name,
            ready.table,
            len(keys),
            counts[0][1],
            sum(kept for _, _, kept in counts),
            tables,
            ready.run_id,
            elapsed_ms,
        )

    def _find(self, policy: Policy, archive: bool | str | None, ledger: str, accept_clock: bool) -> KeyPurge:
        """One that was made ready for an equal policy, or a new one."""
        if not isinstance(policy, Policy):
            raise PolicyError(f"purge_keys takes one policy, not {type(policy).__name__}")
        place = (policy, archive, ledger, accept_clock)
        with self._lock:
            ready = self._ready.get(place)
            if ready is None:
                ready = self._ready[place] = self._make_ready(policy, archive, ledger, accept_clock)
            self._known[(id(policy), archive, ledger, accept_clock)] = (policy, ready)
            while len(self._known) > MOST_READY:
                del self._known[next(iter(self._known))]
            while len(self._ready) > MOST_READY:
                del self._ready[next(iter(self._ready))]
        return ready

    def _make_ready(self, policy: Policy, archive: bool | str | None, ledger: str, accept_clock: bool) -> KeyPurge:
        require_approval([policy], None)
        return self._connection.key_purge(
            policy,
            run_id=new_run_id(),
            ledger=ledger,
            archive=_archive(policy, archive),
            keeps_rows=archive is not False,
            accept_clock=accept_clock,
            zones=steps_by_zone(set(policy.zones)),
            policy_hash=policy_hash(policy),
        )


def _archive(policy: Policy, archive: bool | str | None) -> str:
    if archive is True:
        return "" if policy.archive else "table"
    if archive is None or archive is False:
        return ""
    if not isinstance(archive, str) or archive.split(":", 1)[0] != "table":
        raise PolicyError("archive is True, False, None, 'table' or 'table:NAME': purge_keys keeps rows in tables only")
    return archive


def _values(key: object) -> Sequence[object]:
    """One for each column of the primary key; a single one needs no brackets."""
    if isinstance(key, (tuple, list)):
        return [str(value) if isinstance(value, UUID) else value for value in key]
    return (str(key) if isinstance(key, UUID) else key,)
