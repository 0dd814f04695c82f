"""The airflow pack on tables that Airflow's own migrations made, with rows in Airflow's own types.

Beside ``airflow db clean`` on a copy: the same rows stay, but for those that the pack's note names.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import purgekit as pk
from conftest import NEEDS_SERVER
from packs.airflow_world import RUNS, World, plain
from packs.products import python_of, run
from servers import Connection, PostgreSql

Admin = Callable[[str], Connection]
LIFETIME = timedelta(days=30)
# Tables that do not hang on a run, and what tells their rows apart.
RECORDS = {
    "job": "id",
    "log": "run_id",
    "import_error": "id",
    "asset_event": "id",
    "dagrun_asset_event": "event_id",
    "partitioned_asset_key_log": "id",
    "connection_test_request": "id",
    "callback": "id",
    "deadline": "id",
    "revoked_token": "jti",
    "dag": "dag_id",
    "backfill": "id",
}
WATCHED = {"trigger": "id", "asset_watcher": "trigger_id"}
OF_RUNS = {
    "dag_run": "id",
    "dag_run_note": "dag_run_id",
    "backfill_dag_run": "dag_run_id",
    "task_instance": "id",
    "xcom": "value",
    "rendered_task_instance_fields": "rendered_fields",
    "task_map": "keys",
    "task_instance_history": "task_instance_id",
    "hitl_detail": "ti_id",
    "hitl_detail_history": "ti_history_id",
    "task_instance_note": "ti_id",
    "task_reschedule": "ti_id",
    "task_state_store": "value",
}


class Airflow:
    """Airflow on one database."""

    def __init__(self, url: str, home: Path) -> None:
        self.home = home
        self._env = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url.replace("postgresql://", "postgresql+psycopg2://"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        }

    def __call__(self, *arguments: str) -> str:
        return run([str(python_of("airflow")), "-m", "airflow", *arguments], self._env)

    def load(self, world: World) -> None:
        rows = self.home / "rows.json"
        rows.write_text(json.dumps(list(world.tables.items())))
        run([str(python_of("airflow")), str(Path(__file__).with_name("airflow_load.py")), str(rows)], self._env)

    def clean(self, now: datetime) -> None:
        before = (now - LIFETIME).isoformat()
        self("db", "clean", "--clean-before-timestamp", before, "--skip-archive", "--yes", "--error-on-cleanup-failure")


def left(connection: Connection, tables: dict[str, str]) -> dict[str, set[str]]:
    cursor = connection.cursor()
    found = {}
    for table, key in tables.items():
        cursor.execute(f'SELECT {key} FROM "{table}"')
        found[table] = {plain(row[0]) for row in cursor.fetchall()}
    return found


def stays(dag: str, age: float | None, kind: str, state: str) -> bool:
    """The pack's rule for runs, told once more."""
    if age is None or age < 30 or state not in ("success", "failed"):
        return True
    last = min((a for d, a, k, _ in RUNS if d == dag and k != "manual" and a is not None), default=None)
    return kind != "manual" and age == last


def compare(airflow_url: str, ours_url: str, world: World, admin: Admin) -> pk.Report:
    """Purge the second database; the first one is what ``airflow db clean`` has left."""
    with pk.connect(ours_url) as db:
        plan = db.plan(pk.load_policies("airflow", params={"lifetime": "30d", "grace": "0s"}))
        report = db.run(plan)
    assert report.exit_code == 0, report.to_dict()

    theirs, ours = left(admin(airflow_url), RECORDS), left(admin(ours_url), RECORDS)
    theirs["log"].discard("None")  # the command's own entry
    assert ours == theirs
    # Callbacks: the young finished ones, those that run, and those whose deadline is young.
    assert (len(ours["job"]), len(ours["callback"])) == (3, 3 + 6 + 6)

    theirs, ours = left(admin(airflow_url), OF_RUNS), left(admin(ours_url), OF_RUNS)
    kept = {number for number, one in enumerate(RUNS, 1) if stays(*one)}
    for table in OF_RUNS:
        assert ours[table] == {key for key, of in world.run_of[table].items() if of in kept}, table
        assert theirs[table] - {"None"} <= ours[table], table
    # What stays here and not there: the run that is still running, and the tasks of runs that stay.
    more = {RUNS[int(key) - 1][:2] for key in ours["dag_run"] - theirs["dag_run"]}
    assert more == {("stuck", 80)}
    tasks = ours["task_instance"] - theirs["task_instance"]
    assert {RUNS[world.run_of["task_instance"][key] - 1][:2] for key in tasks} == {
        ("stuck", 80),
        ("yearly", 200),
        ("cleared", 10),
    }
    assert theirs["backfill_dag_run"] == {"None"}
    assert left(admin(ours_url), WATCHED) == {"trigger": {"1"}, "asset_watcher": {"1"}}
    assert left(admin(airflow_url), WATCHED) == {"trigger": set(), "asset_watcher": set()}

    (warning,) = [w["message"] for w in plan.warnings if w["code"] == "unfinished_runs"]
    assert warning.startswith("1 runs that were started longer ago")
    return report


@pytest.mark.long  # Airflow is fetched by the first test
def test_beside_airflow_on_sqlite(tmp_path: Path, admin: Admin) -> None:
    theirs, ours = tmp_path / "theirs.db", tmp_path / "ours.db"
    airflow, world = Airflow(f"sqlite:///{theirs}", tmp_path), World()
    airflow("db", "migrate")
    airflow.load(world)
    shutil.copy(theirs, ours)
    airflow.clean(datetime.now(timezone.utc))
    compare(f"sqlite:///{theirs}", f"sqlite:///{ours}", world, admin)

    # XComs before their runs: only when named.
    with pk.connect(f"sqlite:///{ours}") as db:
        assert db.run(db.plan(pk.load_policies("airflow/xcoms", params={"lifetime": "9d"}))).exit_code == 0
    young = [number for number, one in enumerate(RUNS, 1) if one[0] != "cleared" and (one[1] or 0) < 9]
    xcoms = world.run_of["xcom"]
    assert left(admin(f"sqlite:///{ours}"), {"xcom": "value"})["xcom"] == {k for k, of in xcoms.items() if of in young}


@NEEDS_SERVER
def test_beside_airflow_on_postgresql(
    tmp_path: Path, postgresql_server: PostgreSql, postgresql_url: str, admin: Admin
) -> None:
    airflow, world = Airflow(postgresql_url, tmp_path), World()
    airflow("db", "migrate")
    airflow.load(world)
    name = postgresql_url.rpartition("/")[2]
    copy = f"{name}_copy"
    postgresql_server.admin_sql(f"CREATE DATABASE {copy} TEMPLATE {name}")
    airflow.clean(datetime.now(timezone.utc))
    compare(postgresql_url, postgresql_server.url(copy), world, admin)
    postgresql_server.drop_database(copy)


# Not Airflow's own: Celery and Flask-Session make them, in these types, when they are first used.
OTHERS = {
    "celery_taskmeta": ("date_done", "id INTEGER PRIMARY KEY, task_id VARCHAR(155), date_done {time}"),
    "celery_tasksetmeta": ("date_done", "id INTEGER PRIMARY KEY, taskset_id VARCHAR(155), date_done {time}"),
    "session": ("expiry", "id INTEGER PRIMARY KEY, session_id VARCHAR(255), expiry {time}"),
}


def test_tables_of_celery_and_of_flask_session(any_url: str, admin: Admin) -> None:
    connection = admin(any_url)
    cursor = connection.cursor()
    kind = "DATETIME" if any_url.startswith(("mysql", "mariadb", "sqlite")) else "TIMESTAMP"
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    ages = [timedelta(days=d) for d in (40, 30.01, 29.99, 0.01, -1)]
    for table, (column, columns) in OTHERS.items():
        cursor.execute(f"CREATE TABLE {table} ({columns.format(time=kind)})")
        for number, age in enumerate(ages):
            cursor.execute(f"INSERT INTO {table} (id, {column}) VALUES ({number}, '{now - age}')")
    with pk.connect(any_url) as db:
        plan = db.plan(pk.load_policies("airflow", params={"lifetime": "30d", "grace": "0s"}))
        assert db.run(plan).exit_code == 0
    for table in OTHERS:
        cursor.execute(f"SELECT id FROM {table} ORDER BY id")
        kept = [row[0] for row in cursor.fetchall()]
        assert kept == ([4] if table == "session" else [2, 3, 4])


def test_a_run_s_children_that_the_pack_does_not_know_are_refused(sqlite_url: str, admin: Admin) -> None:
    """As in Airflow 2, whose task_fail the cascade would take along uncounted."""
    cursor = admin(sqlite_url).cursor()
    cursor.execute(
        "CREATE TABLE dag_run (id INTEGER PRIMARY KEY, dag_id TEXT, run_id TEXT, run_type TEXT, state TEXT,"
        " start_date TIMESTAMP, UNIQUE (dag_id, run_id))"
    )
    same = "dag_id TEXT, task_id TEXT, run_id TEXT, map_index INTEGER"
    key = "(dag_id, task_id, run_id, map_index)"
    to_run = "FOREIGN KEY (dag_id, run_id) REFERENCES dag_run (dag_id, run_id) ON DELETE CASCADE"
    cursor.execute(f"CREATE TABLE task_instance ({same}, PRIMARY KEY {key}, {to_run})")
    to_task = f"FOREIGN KEY {key} REFERENCES task_instance {key} ON DELETE CASCADE"
    cursor.execute(f"CREATE TABLE task_fail (id INTEGER PRIMARY KEY, {same}, {to_task})")
    cursor.execute("INSERT INTO dag_run VALUES (1, 'd', 'r', 'manual', 'success', '2020-01-01 00:00:00.000000')")
    with pk.connect(sqlite_url) as db, pytest.raises(pk.PurgeRefused, match="task_fail"):
        db.run(db.plan(pk.load_policies("airflow"), max_fraction=1.0))
    cursor.execute("SELECT count(*) FROM dag_run")
    assert cursor.fetchone()[0] == 1
