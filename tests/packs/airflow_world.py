"""Rows of a metadata database that has been in use for a while, and which run each of them belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

DAY = timedelta(days=1)
# DAG, age in days of each run's start (None: not started yet), type, state.
RUNS: Sequence[tuple[str, float | None, str, str]] = (
    *(("etl", age, "scheduled", "failed" if age % 7 == 0 else "success") for age in range(99, 0, -4)),
    ("yearly", 400, "scheduled", "success"),
    ("yearly", 300, "manual", "success"),
    ("yearly", 200, "scheduled", "success"),
    ("yearly", 150, "manual", "failed"),
    ("by_hand", 90, "manual", "success"),
    ("by_hand", 60, "manual", "success"),
    ("by_hand", 5, "manual", "success"),
    ("stuck", 80, "scheduled", "running"),
    ("stuck", None, "scheduled", "queued"),
    ("stuck", 70, "backfill", "failed"),
    ("stuck", 40, "asset_triggered", "success"),
    ("stuck", 2, "scheduled", "success"),
    ("cleared", 10, "scheduled", "running"),
)
CLEARED_TASKS_AGE = 50
AGES = (120.0, 31.0, 30.01, 29.99, 10.0, 0.01)


class World:
    """``tables``: what to write, parents first. ``run_of``: for each table that hangs on runs, its keys' runs."""

    def __init__(self) -> None:
        self.tables: dict[str, list[dict[str, Any]]] = {}
        self.run_of: dict[str, dict[str, int]] = {}
        self._now = datetime.now(timezone.utc)
        self._uuids = 0
        self._definitions()
        for number, run in enumerate(RUNS, 1):
            self._run(number, *run)
        for number, age in enumerate(AGES, 1):
            self._records(number, age)

    def at(self, age_days: float | None) -> str | None:
        return None if age_days is None else (self._now - age_days * DAY).isoformat()

    def add(self, table: str, key: str, run: int | None = None, /, **row: Any) -> str:
        """One row. ``key``: the column that tells it from others; where no value is given, an id is made up."""
        if key not in row:
            self._uuids += 1
            row[key] = str(UUID(int=self._uuids))
        self.tables.setdefault(table, []).append(row)
        if run is not None:
            self.run_of.setdefault(table, {})[plain(row[key])] = run
        return str(row[key])

    def _definitions(self) -> None:
        self.add("dag_bundle", "name", name="dags", active=True)
        for dag in dict.fromkeys(run[0] for run in RUNS):
            seen = {"last_parsed_time": self.at(0), "is_paused": False, "is_stale": False, "fileloc": "/x.py"}
            self.add("dag", "dag_id", dag_id=dag, bundle_name="dags", timetable_type="t", **seen)
        times = {"created_at": self.at(400), "updated_at": self.at(400)}
        self.add("asset", "id", id=1, name="a", uri="a://b", group="g", extra={}, **times)
        # An asset that is watched for as long as there is Airflow.
        self.add("trigger", "id", id=1, classpath="t", kwargs="{}", encrypted_kwargs="{}", created_date=self.at(300))
        self.add("asset_watcher", "name", name="w", asset_id=1, trigger_id=1)
        dates = {"from_date": self.at(99), "to_date": self.at(60), **times}
        self.add("backfill", "id", id=1, dag_id="stuck", dag_run_conf={}, reprocess_behavior="none", **dates)

    def _run(self, number: int, dag: str, age: float | None, kind: str, state: str) -> None:
        name = f"{kind}_{number}"
        times = {"start_date": self.at(age), "run_after": self.at(age or 0), "logical_date": self.at(500 + number)}
        backfill = 1 if kind == "backfill" else None
        self.add("dag_run", "id", number, id=number, dag_id=dag, run_id=name, run_type=kind, state=state, **times,
                 backfill_id=backfill, conf={})  # fmt: skip
        note = {"content": "n", "created_at": self.at(age or 0), "updated_at": self.at(age or 0)}
        self.add("dag_run_note", "dag_run_id", number, dag_run_id=number, user_id="u", **note)
        if backfill:
            self.add("backfill_dag_run", "id", number, id=number, backfill_id=1, dag_run_id=number, sort_ordinal=1,
                     logical_date=self.at(80))  # fmt: skip
        for task in ("extract", "load"):
            self._task(number, dag, name, task, CLEARED_TASKS_AGE if dag == "cleared" else age)

    def _task(self, run: int, dag: str, run_name: str, task: str, age: float | None) -> None:
        at = self.at(age)
        written = at or self.at(0)
        same = {"dag_id": dag, "task_id": task, "run_id": run_name, "map_index": -1}
        ti = self.add("task_instance", "id", run, **same, start_date=at, pool="p", pool_slots=1, state="success")
        self.add("xcom", "value", run, dag_run_id=run, key="k", value=ti, timestamp=written, **same)
        self.add("rendered_task_instance_fields", "rendered_fields", run, rendered_fields=ti, **same)
        self.add("task_map", "keys", run, length=1, keys=ti, **same)
        old = self.add("task_instance_history", "task_instance_id", run, **same, start_date=at, pool="p", pool_slots=1,
                       try_number=1)  # fmt: skip
        asked: dict[str, Any] = {"options": [], "subject": "s", "params": {}, "params_input": {}, "created_at": written}
        self.add("hitl_detail", "ti_id", run, ti_id=ti, **asked)
        self.add("hitl_detail_history", "ti_history_id", run, ti_history_id=old, **asked)
        self.add("task_instance_note", "ti_id", run, ti_id=ti, created_at=written, updated_at=written, content="n")
        waited = {"start_date": written, "end_date": written, "reschedule_date": written, "duration": 1}
        self.add("task_reschedule", "ti_id", run, ti_id=ti, **waited)
        state = {"key": "k", "value": ti, "updated_at": written, "expires_at": None}
        self.add("task_state_store", "value", run, dag_run_id=run, **same, **state)

    def _records(self, number: int, age: float) -> None:
        at = self.at(age)
        self.add("job", "id", id=number, state="success", latest_heartbeat=at, job_type="SchedulerJob")
        self.add("log", "run_id", run_id=f"r{number}", dttm=at, event="e")
        self.add("import_error", "id", id=number, timestamp=at, filename="f", bundle_name="dags")
        self.add("asset_event", "id", id=number, asset_id=1, extra={}, timestamp=at)
        self.add("dagrun_asset_event", "event_id", dag_run_id=len(RUNS) - number % 2, event_id=number)
        self.add("partitioned_asset_key_log", "id", id=number, asset_id=1, asset_event_id=1, created_at=at,
                 asset_partition_dag_run_id=77, source_partition_key="k", target_dag_id="etl",
                 target_partition_key="k")  # fmt: skip
        for state in ("success", "running"):
            self.add("connection_test_request", "id", token=f"{state}{number}", connection_id="c", state=state,
                     conn_type="t", created_at=at, updated_at=at)  # fmt: skip
            self.add("callback", "id", type="triggerer", fetch_method="import_path", data={}, state=state,
                     priority_weight=1, created_at=at)  # fmt: skip
        # A deadline of a run that is long gone, and one of a run that stays, both old and young.
        for run in (None, len(RUNS) - 1):
            due = self.add("callback", "id", type="triggerer", fetch_method="import_path", data={}, state="scheduled",
                           priority_weight=1, created_at=at)  # fmt: skip
            self.add("deadline", "id", dagrun_id=run, deadline_time=at, missed=False, callback_id=due)
        self.add("revoked_token", "jti", jti=f"t{number}", exp=at if age > 30 else self.at(-9))


def plain(value: Any) -> str:
    """A key as text that is the same however a database writes ids."""
    return str(value).replace("-", "").replace('"', "")
