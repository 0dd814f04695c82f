"""The metadata database of Apache Airflow 3: runs with all that hangs on them, logs, jobs, events, callbacks."""

from __future__ import annotations

from purgekit._core import Dependent, Policy, Predicate
from purgekit.packs.airflow_notes import (
    CALLBACK_NOTE,
    CELERY_NOTE,
    DEADLINE_NOTE,
    EVENT_NOTE,
    IMPORT_NOTE,
    JOB_NOTE,
    LOG_NOTE,
    NOTE,
    PARTITION_NOTE,
    REQUEST_NOTE,
    RUN_NOTE,
    STATE_NOTE,
    TEST_NOTE,
    TOKEN_NOTE,
    XCOM_NOTE,
)
from purgekit.packs.common import CLOCK, COMMON, Values, aged, optional_policy, past, table_in
from purgekit.packs.model import Advice, Built, Pack, PackPolicy, Parameter
from purgekit.predicates import col, dependent, not_referenced_by, referenced_by

RUN = "dag_run"
TASK = "task_instance"
FINISHED = ("success", "failed")
SAME_TASK = {column: column for column in ("dag_id", "task_id", "run_id", "map_index")}

LIFETIME = Parameter("lifetime", "90d", "age at which a row may go")
PARAMETERS = (*COMMON, LIFETIME, *CLOCK)


def _of_a_run(values: Values) -> list[Dependent]:
    """What goes with a run, in every release since 3.0; each of them has tables that others lack."""

    def child(table: str, on: dict[str, str], of: str = "") -> Dependent:
        return dependent(
            table_in(values, table),
            on=on,
            unless_referenced=False,
            optional=True,
            of=table_in(values, of) if of else "",
        )

    return [
        child(TASK, {"dag_id": "dag_id", "run_id": "run_id"}),
        *(
            child(table, SAME_TASK, TASK)
            for table in ("xcom", "rendered_task_instance_fields", "task_map", "task_instance_history")
        ),
        child("hitl_detail_history", {"ti_history_id": "task_instance_id"}, "task_instance_history"),
        *(child(table, {"ti_id": "id"}, TASK) for table in ("task_reschedule", "task_instance_note", "hitl_detail")),
        *(
            child(table, {"dag_run_id": "id"})
            for table in ("dag_run_note", "dagrun_asset_event", "task_state_store", "backfill_dag_run")
        ),
        child("asset_partition_dag_run", {"created_dag_run_id": "id"}),
        child("deadline", {"dagrun_id": "id"}),
    ]


def _runs(values: Values) -> Built:
    table = table_in(values, RUN)
    # Not the last one by its schedule: the scheduler and depends_on_past look at it and at its tasks.
    has_newer = referenced_by(
        table, on={"dag_id": "dag_id"}, newer="start_date", where=col("run_type") != "manual"
    )
    is_old = aged("start_date", values["lifetime"], values)
    policy = Policy(
        "dag-runs",
        table=table,
        where=is_old & col("state").isin(FINISHED) & ((col("run_type") == "manual") | has_newer),
        grace=values["grace"],
        dependents=_of_a_run(values),
        optional=True,
    )
    unfinished = Advice(
        "unfinished_runs",
        is_old & ~col("state").isin(FINISHED),
        "{rows} runs that were started longer ago than lifetime are neither success nor failed, so they stay with "
        f"their tasks; SELECT dag_id, run_id, state FROM {table} WHERE state NOT IN ('success', 'failed') lists them",
        of_all=True,
    )
    return Built(policy, [unfinished])


def _by_age(name: str, table: str, column: str, note: str, summary: str, *children: str) -> PackPolicy:
    """Rows older than the lifetime by one column. ``children``: tables that refer to a row by event_id."""

    def build(values: Values) -> Built:
        return Built(
            optional_policy(
                name,
                table=table_in(values, table),
                where=aged(column, values["lifetime"], values),
                grace=values["grace"],
                dependents=[
                    dependent(table_in(values, child), on={"event_id": "id"}, unless_referenced=False, optional=True)
                    for child in children
                ],
            )
        )

    return PackPolicy(name, table, summary, note, build, PARAMETERS)


def _past(name: str, table: str, column: str, note: str, summary: str) -> PackPolicy:
    """Rows past an expiry of their own."""

    def build(values: Values) -> Built:
        where = past(column, values)
        return Built(optional_policy(name, table=table_in(values, table), where=where, grace=values["grace"]))

    return PackPolicy(name, table, summary, note, build, (*COMMON, *CLOCK))


def _optional(name: str, table: str, where: Predicate, values: Values) -> Built:
    return Built(optional_policy(name, table=table_in(values, table), where=where, grace=values["grace"]))


def _callbacks(values: Values) -> Built:
    has_no_deadline = not_referenced_by(table_in(values, "deadline"), on={"callback_id": "id"})
    is_over = col("state").isin(FINISHED) | col("state").is_null() | (col("state") == "scheduled")
    where = aged("created_at", values["lifetime"], values) & is_over & has_no_deadline
    return Built(
        optional_policy(
            "callbacks",
            table=table_in(values, "callback"),
            where=where,
            grace=values["grace"],
            dependents=[
                dependent(
                    table_in(values, "deadline"), on={"callback_id": "id"}, unless_referenced=False, optional=True
                )
            ],
        )
    )


def _partition_log(values: Values) -> Built:
    is_orphan = not_referenced_by(
        table_in(values, "asset_partition_dag_run"), on={"id": "asset_partition_dag_run_id"}
    )
    where = aged("created_at", values["lifetime"], values) & is_orphan
    return _optional("partition-log", "partitioned_asset_key_log", where, values)


def _connection_tests(values: Values) -> Built:
    where = aged("updated_at", values["lifetime"], values) & col("state").isin(FINISHED)
    return _optional("connection-tests", "connection_test_request", where, values)


def _celery(values: Values) -> list[Built]:
    where = aged("date_done", values["lifetime"], values)
    tables = ("celery_taskmeta", "celery_tasksetmeta")
    return [_optional(f"celery-results/{table}", table, where, values) for table in tables]


def _xcoms(values: Values) -> Built:
    return _optional("xcoms", "xcom", aged("timestamp", values["lifetime"], values), values)


PACK = Pack(
    "airflow",
    "Apache Airflow 3: runs and their tasks, logs, jobs, events, callbacks",
    (
        PackPolicy(
            "dag-runs",
            RUN,
            "Finished runs by age, with tasks, XComs and all else; but for the last scheduled run of each DAG",
            RUN_NOTE,
            _runs,
            PARAMETERS,
        ),
        _by_age("deadlines", "deadline", "deadline_time", DEADLINE_NOTE, "Deadlines by the time they were set for"),
        PackPolicy("callbacks", "callback", "Callbacks by age, once over", CALLBACK_NOTE, _callbacks, PARAMETERS),
        _by_age("callback-requests", "callback_request", "created_at", REQUEST_NOTE, "Requests for callbacks by age"),
        PackPolicy(
            "partition-log",
            "partitioned_asset_key_log",
            "What pending runs of partitions were waiting for, once the run is gone",
            PARTITION_NOTE,
            _partition_log,
            PARAMETERS,
        ),
        _by_age(
            "asset-events",
            "asset_event",
            "timestamp",
            EVENT_NOTE,
            "Events of assets by age",
            "asset_alias_asset_event",
            "dagrun_asset_event",
        ),
        _by_age("audit-log", "log", "dttm", LOG_NOTE, "The audit log by age"),
        _by_age("jobs", "job", "latest_heartbeat", JOB_NOTE, "Jobs by their last heartbeat"),
        _by_age("import-errors", "import_error", "timestamp", IMPORT_NOTE, "Errors of importing DAG files by age"),
        PackPolicy(
            "connection-tests",
            "connection_test_request",
            "Finished tests of connections by age",
            TEST_NOTE,
            _connection_tests,
            PARAMETERS,
        ),
        PackPolicy(
            "celery-results",
            "celery_taskmeta",
            "Results of the Celery executor by age",
            CELERY_NOTE,
            _celery,
            PARAMETERS,
        ),
        _past("task-states", "task_state_store", "expires_at", STATE_NOTE, "State that tasks stored, past its expiry"),
        _past("revoked-tokens", "revoked_token", "exp", TOKEN_NOTE, "Revoked API tokens past their expiry"),
        _past("ui-sessions", "session", "expiry", TOKEN_NOTE, "Sessions of the FAB auth manager past their expiry"),
        PackPolicy(
            "xcoms", "xcom", "XComs by age, of runs that stay as well", XCOM_NOTE, _xcoms, PARAMETERS, by_name_only=True
        ),
    ),
    NOTE,
)
