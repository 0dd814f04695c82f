"""A run with its traces on this machine: known from its start, outcome kept, a flight record where it went wrong."""

from __future__ import annotations

import json
import logging
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purgekit import _core
from purgekit.errors import PurgeFailed, PurgekitError
from purgekit.flight import flight_document, worth_a_record
from purgekit.signals import stop_on_ctrl_c
from purgekit.state import RunStore
from purgekit.text import plural, printable
from purgekit.tune import Tuning

if TYPE_CHECKING:
    from purgekit.report import Plan

_log = logging.getLogger("purgekit")

PROGRESS_EVERY_S = 5.0

Json = dict[str, Any]


class Recorded:
    """One run of a plan."""

    def __init__(
        self,
        connection: _core.Connection,
        database: str,
        plan: Plan,
        options: Json,
        end: tuple[datetime, str] | None,
    ) -> None:
        self._connection = connection
        self._database = database
        self._plan = plan
        self._options = options
        self._end = end
        self._store = RunStore()
        self._run_id = str(options["run_id"])
        self._on_progress = options["on_progress"]
        self._noted_s = time.monotonic()
        self._policy = ""
        self._purged_rows = 0

    def run(self) -> Json:
        """The report, whatever the outcome. An exception that passes through is recorded on its way."""
        policies = [entry["policy"] for entry in self._plan.policies]
        self._store.begin(self._run_id, self._database, policies, str(self._options["ledger"]))
        options = {**self._options, "on_progress": self._progress}
        if "watch_interval_s" in options:  # its policies purge side by side, each with a count of its own
            options |= {"on_progress": None, "on_purge": self._purged}
        try:
            with stop_on_ctrl_c(self._options["control"]), Tuning(self._run_id, self._options["control"]):
                text = self._connection.run(self._plan.native, **options)
        except BaseException as error:
            self._broken_off(error)
            raise
        report: Json = json.loads(text)
        self._ended(report, None)
        return report

    def _progress(self, event: Json) -> None:
        now_s = time.monotonic()
        # Where a policy ends its count is final; between, often enough.
        if event["policy"] != self._policy or now_s - self._noted_s >= PROGRESS_EVERY_S:
            self._policy, self._noted_s = event["policy"], now_s
            self._store.progress(self._run_id, event["rows_total_deleted"])
        if self._on_progress is not None:
            self._on_progress(event)

    def _purged(self, event: Json) -> None:
        self._purged_rows += sum(table["rows_deleted"] for table in event["tables"])
        now_s = time.monotonic()
        if now_s - self._noted_s >= PROGRESS_EVERY_S:
            self._noted_s = now_s
            self._store.progress(self._run_id, self._purged_rows)
        if self._options["on_purge"] is not None:
            self._options["on_purge"](event)

    def _ended(self, report: Json, error: BaseException | None) -> None:
        if self._end:
            _name_deadline(report, self._end[1])
        report["flight"] = None
        report["plan_file"] = self._plan.file.evidence if self._plan.file else None
        if error is not None or worth_a_record(report):
            path = self._write_flight(report, error)
            report["flight"] = str(path) if path else None
        self._store.end(self._run_id, report)
        self._settle_others()

    def _broken_off(self, error: BaseException) -> None:
        text, _ = self._connection.last_run()
        if text:  # it ran to an end; what was raised came from elsewhere, such as on_progress
            report: Json = json.loads(text)
            self._ended(report, error)
            _tell(error, report)
        elif isinstance(error, PurgekitError) and not isinstance(error, PurgeFailed):
            self._store.refused(self._run_id)
        else:
            path = self._write_flight(None, error)
            self._store.lost(self._run_id, {"status": "failed", "exit_code": 1, "flight": str(path) if path else None})
            if path and isinstance(error, PurgekitError):
                error.args = (f"{error.message}; flight record: {path}", *error.args[1:])

    def _write_flight(self, report: Json | None, error: BaseException | None) -> Path | None:
        _, events = self._connection.last_run()
        document = flight_document(
            self._run_id, self._database, self._plan.database, self._options, json.loads(events or "{}"), report, error
        )
        return self._store.write_flight(self._run_id, document)

    def _settle_others(self) -> None:
        """Runs that were killed here get the count that the ledger knows."""
        ledger = str(self._options["ledger"])
        open_runs = self._store.unsettled(self._database, ledger)
        if ledger == "none" or not open_runs:
            return
        try:
            told = {run["run_id"]: run for run in json.loads(self._connection.history(ledger))["runs"]}
        except PurgekitError as error:
            _log.debug("the ledger could not be asked about interrupted runs: %s", printable(error))
            return
        for run_id in open_runs:
            self._store.settle(run_id, told.get(run_id, {}))


def _tell(error: BaseException, report: Json) -> None:
    rows = plural(report["rows_deleted"], "row")
    where = f"; flight record: {report['flight']}" if report["flight"] else ""
    outcome = f"{rows} deleted and committed before the run was ended; run again to go on{where}"
    _log.warning("run %s ended because of %s: %s", report["run_id"], type(error).__name__, printable(outcome))


def _name_deadline(report: Json, limit: str) -> None:
    """The engine knows one deadline; people know which of their limits it came from."""
    for part in (report, *report["policies"]):
        if part.get("stop_reason") == "deadline":
            part["stop_reason"] = limit
