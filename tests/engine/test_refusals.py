"""What must not be purged is refused before anything changes, by a message that names the table and the way out."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import purgekit as pk
from engine.tables import HOUR_S, TABLE, make_sessions, now_s, sessions_policy, survivors
from servers import Connection

Admin = Callable[[str], Connection]


def refused(url: str, policy: pk.Policy | None = None, **limits: object) -> pk.PurgekitError:
    with pytest.raises(pk.PurgekitError) as caught, pk.connect(url) as db:
        db.run(policy or sessions_policy(), limits=pk.Limits(max_fraction=1, **limits))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return caught.value


def some_sessions(admin: Admin, url: str, rows: int = 10) -> Connection:
    connection = admin(url)
    make_sessions(connection, url, [now_s() - 5 * HOUR_S] * rows)
    return connection


def test_view(any_url: str, admin: Admin) -> None:
    connection = some_sessions(admin, any_url)
    connection.cursor().execute(f"CREATE VIEW V AS SELECT * FROM {TABLE}")
    error = refused(any_url, pk.Policy("v", table="V", where=pk.expired("EXPIRES", unit="s")))
    assert isinstance(error, pk.PurgeRefused)
    assert "view" in str(error)


def test_unknown_table_and_column_name_the_nearest(any_url: str, admin: Admin) -> None:
    some_sessions(admin, any_url)
    assert "did you mean" in str(
        refused(any_url, pk.Policy("x", table="SESSION", where=pk.expired("EXPIRES", unit="s")))
    )
    assert "did you mean" in str(refused(any_url, pk.Policy("x", table=TABLE, where=pk.expired("EXPIRE", unit="s"))))


def test_cascading_reference(any_url: str, admin: Admin) -> None:
    connection = some_sessions(admin, any_url)
    suffix = "" if any_url.startswith(("sqlite", "postgresql")) else " ENGINE=InnoDB"
    connection.cursor().execute(
        "CREATE TABLE CHILD (ID BIGINT PRIMARY KEY, S BIGINT, "
        f"FOREIGN KEY (S) REFERENCES {TABLE} (ID) ON DELETE CASCADE){suffix}"
    )
    error = refused(any_url)
    assert error.code == "cascade"
    assert len(survivors(connection)) == 10


def test_referenced_rows_stay_and_are_reported(any_url: str, admin: Admin) -> None:
    connection = some_sessions(admin, any_url, 50)
    suffix = "" if any_url.startswith(("sqlite", "postgresql")) else " ENGINE=InnoDB"
    cursor = connection.cursor()
    cursor.execute(
        f"CREATE TABLE CHILD (ID BIGINT PRIMARY KEY, S BIGINT, FOREIGN KEY (S) REFERENCES {TABLE} (ID))" + suffix
    )
    cursor.execute("INSERT INTO CHILD VALUES (1, 7), (2, 7), (3, 30)")
    with pk.connect(any_url) as db:
        report = db.run(sessions_policy(), limits=pk.Limits(max_fraction=1))
    assert report.exit_code == 4
    assert survivors(connection) == {7, 30}
    (blocked,) = report.policies[0]["blocked"]
    assert (blocked["reason"], blocked["rows"]) == ("foreign_key", 2)
    assert blocked["constraint"]
    assert blocked["sample_key"].upper() in ("ID=7", "ID=30")


def test_a_unit_mistaken(any_url: str, admin: Admin) -> None:
    connection = some_sessions(admin, any_url)
    policy = pk.Policy("x", table=TABLE, where=pk.expired("EXPIRES", unit="ns"))
    assert refused(any_url, policy).code == "implausible_clock"
    assert len(survivors(connection)) == 10


def test_nearly_the_whole_table(any_url: str, admin: Admin) -> None:
    connection = some_sessions(admin, any_url)
    with pytest.raises(pk.PurgeRefused, match="max-fraction"), pk.connect(any_url) as db:
        db.run(sessions_policy())
    assert len(survivors(connection)) == 10


def test_a_table_that_changed_since_the_plan(any_url: str, admin: Admin) -> None:
    connection = some_sessions(admin, any_url)
    with pk.connect(any_url) as db:
        plan = db.plan(sessions_policy())
        connection.cursor().execute(f"ALTER TABLE {TABLE} ADD COLUMN MORE INT")
        with pytest.raises(pk.PurgeRefused, match="changed"):
            db.run(plan, limits=pk.Limits(max_fraction=1))
    assert len(survivors(connection)) == 10


def test_now_ahead_of_the_database(any_url: str, admin: Admin) -> None:
    some_sessions(admin, any_url)
    with pk.connect(any_url) as db:
        ahead = db.plan(sessions_policy(), now="2199-01-01T00:00:00Z")
        with pytest.raises(pk.PurgeRefused, match="ahead"):
            db.run(ahead, limits=pk.Limits(max_fraction=1))


def test_a_table_without_transactions(mariadb_url: str, admin: Admin) -> None:
    admin(mariadb_url).cursor().execute(f"CREATE TABLE {TABLE} (ID BIGINT PRIMARY KEY, EXPIRES BIGINT) ENGINE=MyISAM")
    assert refused(mariadb_url).code == "not_transactional"


def test_rows_hidden_by_row_security(postgresql_url: str, admin: Admin) -> None:
    cursor = some_sessions(admin, postgresql_url).cursor()
    database = postgresql_url.rsplit("/", 1)[1]
    cursor.execute(f"CREATE ROLE hidden_{database} LOGIN")
    cursor.execute(f"GRANT ALL ON {TABLE} TO hidden_{database}")
    cursor.execute(f"ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY")
    try:
        assert refused(postgresql_url.replace("postgres@", f"hidden_{database}@")).code == "rows_hidden"
    finally:
        cursor.execute(f"DROP OWNED BY hidden_{database}; DROP ROLE hidden_{database}")


def test_missing_privileges_come_with_the_grant(postgresql_url: str, admin: Admin) -> None:
    connection = some_sessions(admin, postgresql_url)
    cursor = connection.cursor()
    user = f"reader_{postgresql_url.rsplit('/', 1)[1]}"
    cursor.execute(f"CREATE ROLE {user} LOGIN")
    cursor.execute(f"GRANT SELECT ON {TABLE} TO {user}")
    url = postgresql_url.replace("postgres@", f"{user}@")
    try:
        error = refused(url)
        assert error.code == "privilege"
        assert "GRANT" in str(error)
        cursor.execute(f"GRANT DELETE ON {TABLE} TO {user}")
        error = refused(url)
        assert error.code == "ledger_privilege"
        assert "CREATE TABLE" in str(error)
        with pk.connect(url) as db:
            report = db.run(sessions_policy(), limits=pk.Limits(max_fraction=1), ledger="none")
        assert report.rows_deleted == 10
        assert report.policies[0]["at_least"] is True
    finally:
        cursor.execute(f"DROP OWNED BY {user}; DROP ROLE {user}")


def test_read_only_sqlite_file_can_be_planned_but_not_purged(sqlite_url: str, admin: Admin) -> None:
    connection = some_sessions(admin, sqlite_url)
    connection.close()
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    copy = path.with_name("copy.db")
    shutil.copyfile(path, copy)
    program = (
        "import os, sys, purgekit as pk\n"
        "p = pk.Policy('s', table='SESSIONS', where=pk.expired('EXPIRES', unit='s'))\n"
        "with pk.connect(sys.argv[2]) as db: db.run(p, limits=pk.Limits(max_fraction=1))\n"  # loads all modules
        "if os.getuid() == 0: os.setuid(65534)\n"  # root may write anything
        "with pk.connect(sys.argv[1]) as db:\n"
        "    print(db.plan(p).rows_purgeable)\n"
        "    try: db.run(p, limits=pk.Limits(max_fraction=1))\n"
        "    except pk.PurgeRefused as e: print(e.code)\n"
    )
    path.chmod(0o444)
    for folder in (path.parent, *path.parent.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o555)
    done = subprocess.run(
        [sys.executable, "-c", program, sqlite_url, f"sqlite:///{copy}"], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["10", "read_only"], done.stderr


def test_the_interpreter_runs_on_while_native_code_works(any_url: str, admin: Admin) -> None:
    """Another Python thread counts while a purge runs: the GIL is released."""
    some_sessions(admin, any_url, 3_000)
    ticks = 0
    over = threading.Event()

    def count() -> None:
        nonlocal ticks
        while not over.wait(0.001):
            ticks += 1

    thread = threading.Thread(target=count)
    with pk.connect(any_url) as db:
        plan = db.plan(sessions_policy())
        thread.start()
        before = ticks
        report = db.run(plan, limits=pk.Limits(max_fraction=1, chunk_ms=1, max_rows_per_s=6_000))
        during = ticks - before
    over.set()
    thread.join()
    assert report.rows_deleted == 3_000
    assert during > 20


def test_nothing_survives_a_fork(sqlite_url: str, admin: Admin) -> None:
    some_sessions(admin, sqlite_url)
    program = (
        "import os, sys, purgekit as pk\n"
        "p = pk.Policy('s', table='SESSIONS', where=pk.expired('EXPIRES', unit='s'))\n"
        "db = pk.connect(sys.argv[1])\n"
        "if os.fork() == 0:\n"
        "    try: db.plan(p)\n"
        "    except pk.PurgekitError as e: print('refused' if 'fork' in str(e) else e, flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "print(db.plan(p).rows_purgeable)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, sqlite_url], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["refused", "10"], done.stderr
