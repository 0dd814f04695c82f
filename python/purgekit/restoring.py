"""Putting rows back that a run has kept in archive tables or files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from purgekit import _core
from purgekit.errors import PolicyError, PurgeFailed, PurgekitError
from purgekit.report import Json, Outcome
from purgekit.signals import stop_on_ctrl_c
from purgekit.state import RunStore, new_run_id
from purgekit.text import did_you_mean, printable

Instant = str | datetime
ON_CONFLICT = ("refuse", "skip", "replace")


class RestoreReport(Outcome):
    """What a restore did. ``run_id`` is its own, as in the history. ``to_dict`` gives ``purgekit.restore/1``."""

    @property
    def restored_run_id(self) -> str:
        """The run whose rows came back."""
        return str(self._json["restored_run_id"])

    @property
    def rows_restored(self) -> int:
        """Rows of all tables."""
        return int(self._json["rows_restored"])

    @property
    def rows_skipped(self) -> int:
        """Rows left in the archive, because rows with their key are there."""
        return int(self._json["rows_skipped"])

    @property
    def rows_loaded(self) -> int:
        """Rows that came out of archive files into archive tables first."""
        return int(self._json["rows_loaded"])

    @property
    def tables(self) -> list[Json]:
        """Each: ``table``, ``archive``, ``rows_restored``, ``rows_skipped``, ``rows_loaded``, ``chunks``, ``hold``."""
        found: list[Json] = self._json["tables"]
        return found

    @property
    def warnings(self) -> list[Json]:
        """Each with ``code`` and ``message``."""
        found: list[Json] = self._json["warnings"]
        return found

    def __repr__(self) -> str:
        return f"<RestoreReport {printable(self.run_id)}: {self.status}, {self.rows_restored:,} rows restored>"


def restore(
    connection: _core.Connection,
    database: str,
    run_id: str,
    *,
    archive: str | os.PathLike[str] | None,
    policy: str | Sequence[str] | None,
    table: str | Sequence[str] | None,
    where: Mapping[str, object] | None,
    since: Instant | None,
    until: Instant | None,
    on_conflict: str,
    hold: bool,
    ledger: str,
    lock_wait_ms: int,
    control: _core.RunControl | None,
    on_progress: Callable[[Json], object] | None,
) -> RestoreReport:
    """See ``Database.restore``."""
    if on_conflict not in ON_CONFLICT:
        hint = did_you_mean(str(on_conflict), ON_CONFLICT)
        raise PolicyError(f"unknown on_conflict '{printable(on_conflict)}'{hint}")
    control = control or _core.RunControl()
    options: Json = {
        "run_id": new_run_id(),
        "ledger": ledger,
        "policies": _names(policy),
        "tables": _names(table),
        "where": list((where or {}).items()),
        "since_ns": _instant_ns(since),
        "until_ns": _instant_ns(until),
        "on_conflict": on_conflict,
        "hold": hold,
        "lock_wait_ms": lock_wait_ms,
        "control": control,
        "on_progress": on_progress,
    }
    report = RestoreReport(_recorded(connection, database, run_id, options, None if archive is None else Path(archive)))
    if report.status == "failed":
        error = report.error or {}
        failure = PurgeFailed(str(error.get("message")), code=str(error.get("code") or ""), table=error.get("table"))
        failure.restored = report
        raise failure
    return report


def _recorded(connection: _core.Connection, database: str, run_id: str, options: Json, archive: Path | None) -> Json:
    """Restore, with a record of it on this machine."""
    store = RunStore()
    own_id = options["run_id"]
    store.begin(own_id, database, [f"restore of {run_id}"], options["ledger"])
    try:
        with stop_on_ctrl_c(options["control"]):
            options["files"] = _files(connection, run_id, options, archive)
            report: Json = json.loads(connection.restore(run_id, **options))
    except PurgekitError:
        store.refused(own_id)
        raise
    except BaseException:
        store.lost(own_id, {"status": "failed", "exit_code": 1})
        raise
    store.end(own_id, {**report, "rows_deleted": 0, "rows_archived": 0})
    return report


def _files(connection: _core.Connection, run_id: str, options: Json, archive: Path | None) -> list[Json]:
    """What the run kept in files, each of them as it was when it was written."""
    places = json.loads(connection.archive_places(run_id, ledger=options["ledger"]))
    if not places["policies"] and archive is None:
        return []
    from purgekit.archives.kept import kept_files

    return kept_files(places, run_id, path=archive, policies=options["policies"], tables=options["tables"])


def _names(given: str | Sequence[str] | None) -> list[str]:
    return [] if given is None else [given] if isinstance(given, str) else list(given)


def _instant_ns(instant: Instant | None) -> int | None:
    text = instant.isoformat() if isinstance(instant, datetime) else instant
    return None if text is None else _core.parse_instant(text)
