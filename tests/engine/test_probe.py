"""What a purge looks at beside its own session: a user's probe, replicas, a heartbeat."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk
from engine.tables import HOUR_S, TABLE, make_sessions, mark, now_s, sessions_policy, survivors
from engine.test_killed import command, policy_file
from engine.test_pace import BOUND_S, until
from purgekit.testing.session import open_session
from servers import BINLOG_ROW, Connection, MariaDb, PostgreSql, connect
from servers.postgresql import newest_bin_dir

ROWS = 400
LIVE = {n + 1 for n in range(0, ROWS, 4)}
HEARTBEAT = "SELECT MAX(LAG_S) FROM BEAT"


@pytest.fixture
def checker(any_url: str, admin: Callable[[str], Connection]) -> Connection:
    connection = admin(any_url)
    fill(connection, any_url)
    return connection


def fill(connection: Connection, url: str) -> None:
    make_sessions(connection, url, [now_s() + (HOUR_S if n % 4 == 0 else -5 * HOUR_S) for n in range(ROWS)])


def limits(**more: Any) -> pk.Limits:
    return pk.Limits(max_fraction=1, **{"pace": "fast", **more})


def beat(connection: Connection, url: str, lag_s: float | None) -> None:
    connection.cursor().execute(f"UPDATE BEAT SET LAG_S = {mark(url)}", (lag_s,))


def make_beat(connection: Connection, url: str, lag_s: float | None = 0) -> None:
    suffix = " ENGINE=InnoDB" if url.startswith(("mysql", "mariadb")) else ""
    connection.cursor().execute(f"CREATE TABLE BEAT (LAG_S DOUBLE PRECISION){suffix}")
    connection.cursor().execute("INSERT INTO BEAT VALUES (0)")
    beat(connection, url, lag_s)


class Purge:
    """A run on a thread of its own, and what it says while it waits."""

    def __init__(self, url: str, **more: Any) -> None:
        self.waits: list[str] = []
        self.report: pk.Report | None = None
        self.problem: BaseException | None = None
        self._limits = limits(**more)
        self._thread = threading.Thread(target=self._run, args=(url,), daemon=True)
        self._thread.start()

    def _run(self, url: str) -> None:
        try:
            with pk.connect(url) as db:
                self.report = db.run(sessions_policy(), limits=self._limits, on_progress=self._heard)
        except BaseException as problem:
            self.problem = problem

    def _heard(self, event: dict[str, Any]) -> None:
        self.waits.append(event["waiting"])

    def until_waiting(self, why: str) -> None:
        until(lambda: self.problem is not None or any(waiting.startswith(why) for waiting in self.waits))
        assert self.problem is None

    def ended(self) -> pk.Report:
        self._thread.join(BOUND_S)
        assert self.problem is None
        assert self.report is not None, "it hangs"
        return self.report


def test_measure_gives_a_number_and_a_time(any_url: str, checker: Connection) -> None:
    with open_session(any_url) as opened:
        for _ in range(2):
            answer = opened.measure(f"SELECT COUNT(*) FROM {TABLE}", 5_000)
            assert answer["value"] == ROWS
            assert 0 < answer["elapsed_ms"] < BOUND_S * 1000
        assert opened.measure("SELECT 1.5", 5_000)["value"] == 1.5
        assert opened.measure("SELECT '2.5'", 5_000)["value"] == 2.5
        for none in ("SELECT NULL", "SELECT 'soon'", f"SELECT ID FROM {TABLE} WHERE ID < 0"):
            assert opened.measure(none, 5_000)["value"] is None


@pytest.mark.parametrize("statement", [f"DELETE FROM {TABLE}", f"UPDATE {TABLE} SET NOTE = 'x'", f"DROP TABLE {TABLE}"])
def test_measure_does_not_write(statement: str, any_url: str, checker: Connection) -> None:
    with open_session(any_url) as opened:
        with pytest.raises(pk.PurgekitError):
            opened.measure(statement, 5_000)
        assert opened.measure("SELECT 1", 5_000)["value"] == 1, "and the session goes on"
    assert len(survivors(checker)) == ROWS


def test_a_probe_that_is_quick_hinders_nobody(any_url: str, checker: Connection) -> None:
    asked: list[dict[str, Any]] = []
    with pk.connect(any_url) as db:
        report = db.run(
            sessions_policy(),
            limits=limits(
                probe_sql=f"SELECT COUNT(*) FROM {TABLE}", probe_limit_ms=60_000, max_rows_per_s=100, pace="gentle"
            ),
            pacer=lambda chunk: asked.append(chunk["signals"]),
        )
    assert report.exit_code == 0
    assert survivors(checker) == LIVE
    assert any("probe_ms" in signals for signals in asked)


SLEEP = {"postgresql": "SELECT pg_sleep({})", "mariadb": "SELECT SLEEP({})", "mysql": "SELECT SLEEP({})"}


@pytest.mark.parametrize("pace", ["gentle", "fast"])
def test_a_purge_waits_while_the_probe_is_slow(pace: str, server_url: str, admin: Callable[[str], Connection]) -> None:
    connection = admin(server_url)
    fill(connection, server_url)
    make_beat(connection, server_url, 0.4)
    probe = SLEEP[server_url.partition(":")[0]].format("(SELECT LAG_S FROM BEAT)")
    purge = Purge(server_url, probe_sql=probe, probe_limit_ms=200, pace=pace)
    purge.until_waiting("probe_ms ")
    assert len(survivors(connection)) == ROWS, "no chunk is begun above the limit"
    beat(connection, server_url, 0)
    report = purge.ended()
    assert report.exit_code == 0
    assert survivors(connection) == LIVE
    assert report.policies[0]["waits"]["probe_ms"] > 0


@pytest.mark.long
def test_a_probe_that_fails_stops_the_purge_with_its_message(
    postgresql_url: str, admin: Callable[[str], Connection]
) -> None:
    checker = admin(postgresql_url)
    fill(checker, postgresql_url)
    make_beat(checker, postgresql_url)
    purge = Purge(postgresql_url, probe_sql="SELECT LAG_S FROM BEAT", probe_limit_ms=10_000, max_rows_per_s=5)
    until(lambda: len(survivors(checker)) < ROWS)
    checker.cursor().execute("DROP TABLE BEAT")
    report = purge.ended()
    assert report.exit_code == 3
    assert str(report.stop_reason).startswith("the probe can't be read: ")
    assert "beat" in str(report.stop_reason).lower()
    assert "the probe can't be read" in report.policies[0]["waits"]
    assert report.rows_deleted == ROWS - len(survivors(checker))


def refused(url: str, folder: Path, *options: str) -> str:
    said = subprocess.run(command(url, policy_file(folder), *options), capture_output=True, text=True, check=False)
    assert said.returncode == 2, said.stderr
    message = json.loads(said.stdout)["message"]
    assert message in said.stderr
    return str(message)


def test_what_can_not_be_looked_at_is_refused(any_url: str, checker: Connection, tmp_path: Path) -> None:
    bad = ["--probe-sql", "SELEKT 1", "--probe-limit-ms", "50"]
    assert "--probe-sql can't be used" in refused(any_url, tmp_path, *bad)
    assert "absent" in refused(any_url, tmp_path, "--probe-sql", "SELECT 1 FROM absent", "--probe-limit-ms", "50")
    heartbeat = ["--max-replica-lag-s", "5", "--lag-sql"]
    assert "absent" in refused(any_url, tmp_path, *heartbeat, "SELECT 1 FROM absent")
    assert "one number" in refused(any_url, tmp_path, *heartbeat, "SELECT 'late'")
    assert "one number" in refused(any_url, tmp_path, *heartbeat, "SELECT NULL")
    assert "is to give" not in refused(any_url, tmp_path, "--max-replica-lag-s", "5", "--replica", any_url)
    assert len(survivors(checker)) == ROWS
    with contextlib.closing(connect(any_url)) as connection, pytest.raises(Exception, match=r"(?i)purgekit_ledger"):
        connection.cursor().execute("SELECT 1 FROM purgekit_ledger")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--probe-sql", "SELECT 1"], "go together"),
        (["--probe-limit-ms", "5"], "go together"),
        (["--probe-sql", "SELECT 1", "--probe-limit-ms", "0"], "probe_limit_ms"),
        (["--probe-sql", " ", "--probe-limit-ms", "5"], "probe_sql must be a query"),
        (["--lag-sql", "SELECT 1"], "need max_replica_lag_s"),
        (["--replica", "mysql://u:sesame@nobody/x"], "need max_replica_lag_s"),
        (["--max-replica-lag-s", "5", "--replica", "mysql://u:sesame@nobody/x"], "is another kind of database"),
        (["--max-replica-lag-s", "5", "--replica", "sesame"], "is not a database URL"),
    ],
)
def test_nonsense_is_refused(
    options: list[str], why: str, sqlite_url: str, tmp_path: Path, admin: Callable[[str], Connection]
) -> None:
    fill(admin(sqlite_url), sqlite_url)
    message = refused(sqlite_url, tmp_path, *options)
    assert why in message
    assert "u:sesame" not in message


def test_a_heartbeat_is_heeded(any_url: str, checker: Connection) -> None:
    make_beat(checker, any_url, 30)
    purge = Purge(any_url, max_replica_lag_s=5, lag_sql=HEARTBEAT)
    purge.until_waiting("replica lag 30.0 s > 5.0 s")
    assert len(survivors(checker)) == ROWS
    beat(checker, any_url, 4)
    report = purge.ended()
    assert report.exit_code == 0
    assert survivors(checker) == LIVE
    assert report.policies[0]["waits"]["replica_lag_s"] > 0


@pytest.mark.long
def test_a_heartbeat_that_stops_is_no_all_clear(sqlite_url: str, admin: Callable[[str], Connection]) -> None:
    checker = admin(sqlite_url)
    fill(checker, sqlite_url)
    make_beat(checker, sqlite_url)
    purge = Purge(sqlite_url, max_replica_lag_s=5, lag_sql=HEARTBEAT, max_rows_per_s=5)
    until(lambda: len(survivors(checker)) < ROWS)
    beat(checker, sqlite_url, None)
    report = purge.ended()
    assert report.exit_code == 3
    assert "replica lag can't be read: the query is to give one number" in str(report.stop_reason)
    assert report.rows_deleted == ROWS - len(survivors(checker))


# A replica of MariaDB


@pytest.fixture(scope="module")
def pair(servers_dir: Path) -> Iterator[tuple[MariaDb, MariaDb]]:
    with MariaDb(servers_dir, settings=BINLOG_ROW) as primary:
        primary.create_database("replicated")
        with MariaDb(servers_dir, settings={**BINLOG_ROW, "server-id": "2"}) as replica:
            replica.create_database("replicated")
            log, position = primary.admin_sql("SHOW MASTER STATUS")[0][:2]
            replica.admin_sql(
                f"CHANGE MASTER TO MASTER_HOST = '{primary.host}', MASTER_PORT = {primary.port},"
                f" MASTER_USER = '{primary.user}', MASTER_PASSWORD = '{primary.password}',"
                f" MASTER_LOG_FILE = '{log}', MASTER_LOG_POS = {position},"
                " MASTER_CONNECT_RETRY = 1"
            )
            replica.admin_sql("START SLAVE")
            until(lambda: lag_of(replica) == 0)
            yield primary, replica


def lag_of(replica: MariaDb) -> float | None:
    with open_session(replica.url("replicated")) as opened:
        try:
            return float(opened.own_lag())
        except pk.PurgekitError:
            return None


@pytest.fixture
def replicated(pair: tuple[MariaDb, MariaDb]) -> Iterator[tuple[Connection, MariaDb, MariaDb]]:
    primary, replica = pair
    with contextlib.closing(primary.connect("replicated")) as connection:
        connection.cursor().execute(f"DROP TABLE IF EXISTS {TABLE}, purgekit_ledger")
        fill(connection, primary.url("replicated"))
        yield connection, primary, replica


@pytest.mark.needs_server
def test_a_replica_is_asked(replicated: tuple[Connection, MariaDb, MariaDb]) -> None:
    connection, primary, replica = replicated
    until(lambda: lag_of(replica) == 0)
    with pk.connect(primary.url("replicated")) as db:
        report = db.run(sessions_policy(), limits=limits(max_replica_lag_s=10, replicas=[replica.url("replicated")]))
    assert report.exit_code == 0
    assert survivors(connection) == LIVE


def delay(replica: MariaDb, seconds: int) -> None:
    for statement in ("STOP SLAVE", f"CHANGE MASTER TO MASTER_DELAY = {seconds}", "START SLAVE"):
        replica.admin_sql(statement)


@pytest.mark.needs_server
def test_a_purge_waits_for_a_replica_that_is_behind(replicated: tuple[Connection, MariaDb, MariaDb]) -> None:
    connection, primary, replica = replicated
    until(lambda: lag_of(replica) == 0)
    url = replica.url("replicated")
    delay(replica, 30)
    connection.cursor().execute(f"UPDATE {TABLE} SET NOTE = 'later' WHERE ID = 1")
    until(lambda: (lag_of(replica) or 0) >= 2)
    purge = Purge(primary.url("replicated"), max_replica_lag_s=1, replicas=[url])
    purge.until_waiting("replica lag ")
    assert len(survivors(connection)) == ROWS
    delay(replica, 0)
    report = purge.ended()
    assert report.exit_code == 0
    assert survivors(connection) == LIVE
    assert report.policies[0]["waits"]["replica_lag_s"] > 0


@pytest.mark.needs_server
def test_a_replica_that_stands_still_is_not_up_to_date(
    replicated: tuple[Connection, MariaDb, MariaDb], tmp_path: Path
) -> None:
    connection, primary, replica = replicated
    url = replica.url("replicated")
    until(lambda: lag_of(replica) == 0)
    purge = Purge(primary.url("replicated"), max_replica_lag_s=5, replicas=[url], max_rows_per_s=5)
    until(lambda: len(survivors(connection)) < ROWS)
    replica.admin_sql("STOP SLAVE")
    try:
        report = purge.ended()
        assert report.exit_code == 3
        assert "replica lag can't be read" in str(report.stop_reason)
        assert "its replication is not running" in str(report.stop_reason)
        assert report.rows_deleted == ROWS - len(survivors(connection))
        options = ["--max-replica-lag-s", "5", "--replica", url]
        message = refused(primary.url("replicated"), tmp_path, *options)
    finally:
        replica.admin_sql("START SLAVE")
    assert "its replication is not running" in message
    assert replica.password and f":{replica.password}@" not in message


@pytest.mark.needs_server
def test_a_replica_that_is_none_is_refused(server_url: str, tmp_path: Path, admin: Callable[[str], Connection]) -> None:
    fill(admin(server_url), server_url)
    message = refused(server_url, tmp_path, "--max-replica-lag-s", "5", "--replica", server_url)
    assert "it is not a replica" in message
    with open_session(server_url) as opened, pytest.raises(pk.PurgekitError, match="not a replica"):
        opened.own_lag()


class Standby(PostgreSql):
    """Streams from another server."""

    def __init__(self, base_dir: Path, primary: PostgreSql) -> None:
        super().__init__(base_dir)
        self._primary = primary

    def prepare(self) -> None:
        self._bin_dir = newest_bin_dir()
        place = [f"--host={self._primary.host}", f"--port={self._primary.port}", f"--username={self.user}"]
        tool = str(self._bin_dir / "pg_basebackup")
        self.run_tool([tool, *place, f"--pgdata={self.data_dir}", "--write-recovery-conf", "--checkpoint=fast"])


def run_on(server: PostgreSql, database: str, query: str) -> object:
    return server.admin_sql(query, database)[0][0]


@pytest.mark.needs_server
def test_a_purge_waits_for_a_standby_that_is_behind(
    postgresql_server: PostgreSql, postgresql_url: str, servers_dir: Path, admin: Callable[[str], Connection]
) -> None:
    connection = admin(postgresql_url)
    fill(connection, postgresql_url)
    database = postgresql_url.rpartition("/")[2]
    with Standby(servers_dir, postgresql_server) as standby, open_session(standby.url(database)) as opened:
        until(lambda: opened.own_lag() == 0)
        connection.cursor().execute(f"UPDATE {TABLE} SET NOTE = 'soon' WHERE ID = 1")
        until(lambda: run_on(standby, database, f"SELECT NOTE FROM {TABLE} WHERE ID = 1") == "soon")
        standby.admin_sql("SELECT pg_wal_replay_pause()")
        connection.cursor().execute(f"UPDATE {TABLE} SET NOTE = 'later' WHERE ID = 1")
        until(lambda: opened.own_lag() >= 2)
        purge = Purge(postgresql_url, max_replica_lag_s=1, replicas=[standby.url(database)])
        purge.until_waiting("replica lag ")
        assert len(survivors(connection)) == ROWS
        standby.admin_sql("SELECT pg_wal_replay_resume()")
        assert purge.ended().exit_code == 0
        assert survivors(connection) == LIVE
