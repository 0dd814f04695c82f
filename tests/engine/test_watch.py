"""Rows leave as they expire; an idle watch costs a probe an interval and leaves no trace; it ends as it should."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk
from command import purgekit
from engine.restores import archive_of, execute, rows, suffix
from engine.tables import HOUR_S, TABLE, make_sessions, mark, now_s, survivors
from engine.watches import POLICIES, Watch, wait_for
from servers import Connection, MariaDb, PostgreSql

Admin = Callable[[str], Connection]


def make_indexed(connection: Connection, url: str, expiries: list[int]) -> None:
    make_sessions(connection, url, expiries)
    execute(connection, f"CREATE INDEX SESSIONS_EXPIRES ON {TABLE} (EXPIRES)")


def add(connection: Connection, url: str, number: int, expires: int) -> None:
    m = mark(url)
    connection.cursor().execute(f"INSERT INTO {TABLE} (ID, EXPIRES) VALUES ({m}, {m})", (number, expires))


def ledger(connection: Connection) -> list[tuple[Any, ...]]:
    return rows(connection, "SELECT * FROM purgekit_ledger ORDER BY kind, id")


def sessions(**changes: Any) -> pk.Policy:
    where = pk.expired("EXPIRES", unit="s", grace="0s")
    return pk.Policy("sessions", table=TABLE, where=where, evidence_retention="1d", **changes)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_rows_leave_as_they_expire(any_url: str, admin: Admin, tmp_path: Path, number: signal.Signals) -> None:
    checker = admin(any_url)
    make_indexed(checker, any_url, [now_s() - 5, now_s() - 1, now_s() + HOUR_S])
    with Watch(any_url, tmp_path, "--max-fraction", "1") as watch:
        wait_for(lambda: survivors(checker) == {3}, "the backlog leaves")
        add(checker, any_url, 4, now_s() - 1)
        add(checker, any_url, 5, now_s() + 1)
        wait_for(lambda: survivors(checker) == {3}, "what expires meanwhile leaves")
        wait_for(lambda: watch.rows_deleted() == 4, "it tells of all of them")
        report = watch.end(number)
    assert watch.process.returncode == report["exit_code"] == 3
    assert (report["status"], report["stop_reason"], report["rows_deleted"]) == ("stopped", "signal", 4)
    assert {purge["run_id"] for purge in watch.purges()} == {report["run_id"]}
    assert all(purge["rows_deleted"] > 0 for purge in watch.purges())
    with pk.connect(any_url) as db:
        assert [(run["run_id"], run["rows_deleted"]) for run in db.history()] == [(report["run_id"], 4)]


def test_an_idle_watch_leaves_no_trace(any_url: str, admin: Admin) -> None:
    """Nothing is written, and a run's takeover and record are all there is, however long it lasts."""
    checker = admin(any_url)
    make_indexed(checker, any_url, [now_s() + HOUR_S] * 3)
    control = pk.RunControl()
    begun = threading.Event()
    with pk.connect(any_url) as db:
        watch = threading.Thread(target=lambda: db.watch(sessions(), interval_s=0.05, control=control))
        watch.start()
        wait_for(lambda: has_run(checker), "it takes the table over")
        before = ledger(checker)
        begun.wait(1.5)
        assert ledger(checker) == before
        control.stop("enough")
        watch.join()
    assert len(rows(checker, "SELECT * FROM purgekit_ledger WHERE kind = 'run'")) == 1


def has_run(connection: Connection) -> bool:
    try:
        return bool(rows(connection, "SELECT 1 FROM purgekit_ledger WHERE kind = 'run'"))
    except Exception:  # the ledger is not there yet
        return False


def test_idle_postgresql_is_asked_once_an_interval_by_the_index(
    postgresql_url: str, postgresql_server: PostgreSql, admin: Admin, tmp_path: Path
) -> None:
    checker = admin(postgresql_url)
    make_indexed(checker, postgresql_url, [now_s() + HOUR_S] * 2_000)
    execute(checker, f"ANALYZE {TABLE}")

    def scans() -> tuple[int, int]:
        found = rows(checker, f"SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = '{TABLE.lower()}'")
        return int(found[0][0]), int(found[0][1])

    with Watch(postgresql_url, tmp_path) as watch:
        wait_for(lambda: has_run(checker), "it takes the table over")
        wait_for(lambda: scans()[1] > 3, "it looks for rows")
        (sequential, by_index), since = scans(), time.monotonic()
        wait_for(lambda: scans()[1] >= by_index + 20, "it goes on looking")
        after, elapsed_s = scans(), time.monotonic() - since
        watch.end()
    assert after[0] == sequential, "the whole table was read"
    # The statistics lag by a second or two, so that some of the scans counted were made before.
    assert after[1] - by_index <= elapsed_s / 0.1 + 25


def test_idle_mariadb_is_asked_once_an_interval(
    mariadb_url: str, mariadb_server: MariaDb, admin: Admin, tmp_path: Path
) -> None:
    checker = admin(mariadb_url)
    make_indexed(checker, mariadb_url, [now_s() + HOUR_S] * 2_000)

    def counted(name: str) -> int:
        return int(rows(checker, f"SHOW GLOBAL STATUS LIKE '{name}'")[0][1])

    with Watch(mariadb_url, tmp_path) as watch:
        wait_for(lambda: has_run(checker), "it takes the table over")
        threading.Event().wait(0.5)  # past what it does once
        selects, since = counted("Com_select"), time.monotonic()
        read = counted("Rows_read")
        wait_for(lambda: counted("Com_select") >= selects + 10, "it goes on looking")
        made, elapsed_s = counted("Com_select") - selects, time.monotonic() - since
        assert made <= elapsed_s / 0.1 + 2
        assert counted("Rows_read") - read < 2_000, "the table was read"
        watch.end()


@pytest.mark.long
def test_memory_stays_flat(sqlite_url: str, admin: Admin, tmp_path: Path) -> None:
    """Over some hundred intervals, each with a row that leaves or without."""
    checker = admin(sqlite_url)
    make_indexed(checker, sqlite_url, [now_s() + HOUR_S] * 3)
    with Watch(sqlite_url, tmp_path, "--interval", "0.05") as watch:

        def purge(numbers: range) -> None:
            for number in numbers:
                add(checker, sqlite_url, number, now_s() - 1)
                wait_for(lambda: len(survivors(checker)) == 3, "the row leaves")

        purge(range(10, 40))
        settled_kb = watch.memory_kb()
        purge(range(40, 110))
        threading.Event().wait(4)
        assert watch.memory_kb() < settled_kb + 4_096
        watch.end()


def test_a_second_purge_of_the_table_leaves(any_url: str, admin: Admin, tmp_path: Path) -> None:
    checker = admin(any_url)
    make_indexed(checker, any_url, [now_s() + HOUR_S] * 3)
    with Watch(any_url, tmp_path) as watch:
        wait_for(lambda: has_run(checker), "it takes the table over")
        second = purgekit("watch", any_url, str(tmp_path / "watched.toml"))
        assert second.returncode == 3
        assert "another_run" in second.stderr
        with pk.connect(any_url) as db:
            assert db.run(sessions(max_fraction=1.0)).stop_reason == "another_run"
        add(checker, any_url, 9, now_s() - 1)
        wait_for(lambda: watch.rows_deleted() == 1, "the first one goes on")
        watch.end()


@pytest.mark.parametrize("backend", ["postgresql", "mariadb"])
@pytest.mark.needs_server
def test_a_restarted_server_is_waited_for(
    backend: str, request: pytest.FixtureRequest, admin: Admin, tmp_path: Path
) -> None:
    url = str(request.getfixturevalue(f"{backend}_url"))
    server = request.getfixturevalue(f"{backend}_server")
    make_indexed(admin(url), url, [now_s() + HOUR_S] * 3)
    with Watch(url, tmp_path) as watch:
        wait_for(lambda: has_run(admin(url)), "it takes the table over")
        server.stop()
        wait_for(lambda: bool(said_of_loss(watch)), "it says that the server is gone")
        threading.Event().wait(1)
        server.start()
        checker = admin(url)
        add(checker, url, 9, now_s() - 1)
        wait_for(lambda: survivors(checker) == {1, 2, 3}, "it goes on when the server is back")
        report = watch.end()
    assert report["rows_deleted"] == 1
    assert len(said_of_loss(watch)) == 1, watch.talk


def said_of_loss(watch: Watch) -> list[str]:
    """The line that was broken is mended, or the run is begun again: as the server happens to end it."""
    return [line for line in list(watch.talk) if "connecting again" in line or "trying again" in line]


def test_without_an_index_it_is_refused_with_the_statement(any_url: str, admin: Admin, tmp_path: Path) -> None:
    checker = admin(any_url)
    make_sessions(checker, any_url, [now_s() - 5, now_s() + HOUR_S])
    policies = tmp_path / "p.toml"
    policies.write_text(POLICIES)
    refused = purgekit("watch", any_url, str(policies))
    assert refused.returncode == 2
    assert "(EXPIRES)" in refused.stderr.upper()
    assert "CREATE INDEX" in refused.stderr
    assert survivors(checker) == {1, 2}
    with Watch(any_url, tmp_path, "--accept-scan") as watch:
        wait_for(lambda: survivors(checker) == {2}, "it scans when told to")
        watch.end()
    statement = refused.stderr[refused.stderr.index("CREATE INDEX") :].split("),")[0]
    execute(checker, statement)
    execute(checker, f"INSERT INTO {TABLE} (ID, EXPIRES) VALUES (7, 1)")
    with Watch(any_url, tmp_path) as watch:
        wait_for(lambda: survivors(checker) == {2}, "with the index that was named it works")
        watch.end()


def test_several_policies_with_dependents_and_an_archive(any_url: str, admin: Admin, tmp_path: Path) -> None:
    checker = admin(any_url)
    make_indexed(checker, any_url, [now_s() - 5, now_s() + HOUR_S])
    execute(checker, f"CREATE TABLE APPS (APP BIGINT PRIMARY KEY, ID BIGINT){suffix(any_url)}")
    execute(checker, "CREATE INDEX APPS_ID ON APPS (ID)")
    execute(checker, "INSERT INTO APPS VALUES (1, 1)")
    execute(checker, f"CREATE TABLE CODES (CODE BIGINT PRIMARY KEY, EXPIRES BIGINT){suffix(any_url)}")
    execute(checker, "CREATE INDEX CODES_EXPIRES ON CODES (EXPIRES)")
    execute(checker, f"INSERT INTO CODES VALUES (1, {now_s() - 5})")
    policies = POLICIES + (
        '[[policy.dependents]]\ntable = "APPS"\non = { ID = "ID" }\n'
        '[[policy]]\nname = "codes"\ntable = "CODES"\ngrace = "0s"\nevidence_retention = "1d"\nmax_fraction = 1\n'
        'expired = { column = "EXPIRES", unit = "s" }\n'
    )
    with Watch(any_url, tmp_path, "--archive", "table", policies=policies) as watch:
        wait_for(lambda: watch.rows_deleted() == 3, "both tables are purged")
        report = watch.end()
    assert [(p["policy"], p["rows_deleted"], p["rows_archived"]) for p in report["policies"]] == [
        ("sessions", 1, 1),
        ("codes", 1, 1),
    ]
    assert rows(checker, "SELECT * FROM APPS") == []
    assert rows(checker, f"SELECT ID FROM {archive_of(any_url, 'APPS')}") == [(1,)]


def test_holds_are_obeyed_while_it_watches(any_url: str, admin: Admin, tmp_path: Path) -> None:
    checker = admin(any_url)
    make_indexed(checker, any_url, [now_s() + HOUR_S] * 3)
    with Watch(any_url, tmp_path) as watch:
        wait_for(lambda: has_run(checker), "it takes the table over")
        with pk.connect(any_url) as lawyer:
            lawyer.hold(TABLE, keys=[7])
        add(checker, any_url, 7, now_s() - 5)
        add(checker, any_url, 8, now_s() - 5)
        wait_for(lambda: survivors(checker) == {1, 2, 3, 7}, "what is not held leaves")
        report = watch.end()
    assert report["rows_deleted"] == 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--max-rows", "2"], "max_rows"),
        (["--max-run-s", "0.5"], "max_run_s"),
        (["--stop-file", "{folder}/stop"], "stop_file"),
    ],
)
def test_limits_end_it(sqlite_url: str, admin: Admin, tmp_path: Path, options: list[str], reason: str) -> None:
    checker = admin(sqlite_url)
    make_indexed(checker, sqlite_url, [*[now_s() - 5] * 3, now_s() + HOUR_S])
    with Watch(sqlite_url, tmp_path, *(option.format(folder=tmp_path) for option in options)) as watch:
        wait_for(lambda: watch.rows_deleted() >= 2 or watch.process.poll() is not None, "rows leave")
        (tmp_path / "stop").touch()
        report = watch.report()
    assert (watch.process.returncode, report["stop_reason"]) == (3, reason)
    if reason == "max_rows":
        assert report["rows_deleted"] == 2


def test_a_new_run_is_opened_in_the_ledger_after_a_while(sqlite_url: str, admin: Admin) -> None:
    """So that evidence has an end at which what has outlived its time is deleted."""
    checker = admin(sqlite_url)
    make_indexed(checker, sqlite_url, [now_s() + HOUR_S] * 2)
    control = pk.RunControl()
    reports: list[pk.Report] = []

    def watch() -> None:
        with pk.connect(sqlite_url) as db:
            reports.append(db.watch(sessions(), interval_s=0.05, control=control, session_s=0.3))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in (7, 8):
        wait_for(lambda wanted=number - 6: runs(checker) > wanted, "one more run")  # type: ignore[misc]
        add(checker, sqlite_url, number, now_s() - 5)
        wait_for(lambda: survivors(checker) == {1, 2}, "the row leaves")
    control.stop("enough")
    watcher.join()
    assert (reports[0].rows_deleted, reports[0].stop_reason) == (2, "enough")
    with pk.connect(sqlite_url) as db:
        history = db.history()
    assert sum(run["rows_deleted"] for run in history) == 2
    assert {run["run_id"].partition(".")[0] for run in history} == {reports[0].run_id}


def runs(connection: Connection) -> int:
    return len(rows(connection, "SELECT id FROM purgekit_ledger WHERE kind = 'run'")) if has_run(connection) else 0


def test_bad_options_are_refused(sqlite_url: str, admin: Admin) -> None:
    make_indexed(admin(sqlite_url), sqlite_url, [now_s() + HOUR_S] * 2)
    with pk.connect(sqlite_url) as db:
        for options, said in [
            ({"interval_s": 0.01}, "interval"),
            ({"interval_s": 60}, "interval"),
            ({"limits": pk.Limits(workers=2)}, "worker"),
            ({"limits": pk.Limits(within="50%")}, "within"),
        ]:
            with pytest.raises(pk.PurgekitError, match=said):
                db.watch(sessions(), **options)  # type: ignore[arg-type]
        with pytest.raises(pk.PurgekitError, match="no time that all of its rows have passed"):
            db.watch(pk.Policy("named", table=TABLE, where=pk.col("NOTE") == "x", evidence_retention="1d"))
