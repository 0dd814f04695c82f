"""Fixtures for all tests: fresh databases on real servers, started only when a test uses them.

Options: ``--quick`` keeps what needs SQLite only; the rest is deselected, not skipped. Without it a
missing server is an error that says how to install it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))  # makes `servers` importable everywhere

from servers import (
    Connection,
    MariaDb,
    MySql56,
    PostgreSql,
    Server,
    connect,
    make_base_dir,
)

SERVER_FIXTURES = {"postgresql_server", "mariadb_server", "mysql56_server"}
NEEDS_SERVER = pytest.mark.needs_server
SERVERS = [pytest.param(name, marks=NEEDS_SERVER) for name in ("postgresql", "mariadb", "mysql56")]

# Left over from the developer's shell, these would change what a test sees.
FOREIGN_VARIABLES = re.compile(
    r"(PURGEKIT_|PG(HOST|PORT|USER|PASS|DATABASE|SERVICE|OPTIONS)|MYSQL_)"
)

_database_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="SQLite only: deselect what needs a server"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs_server: needs a database server; not run by --quick")
    config.addinivalue_line("markers", "long: takes many seconds; not run by --quick")
    # A shell that starts tests in the background has them ignore Ctrl-C, which several are about.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--quick"):
        return
    left_out = [item for item in items if _needs_server(item) or item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def _needs_server(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    return item.get_closest_marker("needs_server") is not None or bool(fixtures & SERVER_FIXTURES)


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run history goes to the test's own folder, and no setting comes from outside."""
    for name in [n for n in os.environ if FOREIGN_VARIABLES.match(n)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PURGEKIT_STATE", str(tmp_path / "purgekit-state"))


# Servers: one of each kind for the whole session, started by the first test that uses it


@pytest.fixture(scope="session")
def servers_dir() -> Iterator[Path]:
    """A short-named folder that the servers' accounts can reach. For tests' own servers as well."""
    folder = make_base_dir()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql_server(servers_dir: Path) -> Iterator[PostgreSql]:
    with PostgreSql(servers_dir) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server(servers_dir: Path) -> Iterator[MariaDb]:
    with MariaDb(servers_dir) as server:
        yield server


@pytest.fixture(scope="session")
def mysql56_server(servers_dir: Path) -> Iterator[MySql56]:
    with MySql56(servers_dir) as server:
        yield server


@contextlib.contextmanager
def _fresh_database(server: Server) -> Iterator[str]:
    server.start()  # does nothing unless an earlier test killed it
    name = f"purgekit_{next(_database_numbers)}"
    yield server.create_database(name)
    server.start()
    server.drop_database(name)


# Databases: a fresh, empty one for each test, as a URL


@pytest.fixture
def postgresql_url(postgresql_server: PostgreSql) -> Iterator[str]:
    with _fresh_database(postgresql_server) as url:
        yield url


@pytest.fixture
def mariadb_url(mariadb_server: MariaDb) -> Iterator[str]:
    with _fresh_database(mariadb_server) as url:
        yield url


@pytest.fixture
def mysql56_url(mysql56_server: MySql56) -> Iterator[str]:
    with _fresh_database(mysql56_server) as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A file that does not exist yet; opening it makes it."""
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture(params=["sqlite", *SERVERS])
def any_url(request: pytest.FixtureRequest) -> str:
    """Runs the test once on each backend."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=SERVERS)
def server_url(request: pytest.FixtureRequest) -> str:
    """Runs the test once on each server."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=SERVERS)
def any_server(request: pytest.FixtureRequest) -> Server:
    """Runs the test once with each server itself, for tests that kill or freeze it."""
    server = request.getfixturevalue(f"{request.param}_server")
    assert isinstance(server, Server)
    server.start()  # does nothing unless an earlier test killed it
    return server


@pytest.fixture
def admin() -> Iterator[Callable[[str], Connection]]:
    """``admin(url)``: an autocommit connection of an independent driver, closed after the test."""
    with contextlib.ExitStack() as stack:

        def opened(url: str) -> Connection:
            return stack.enter_context(contextlib.closing(connect(url)))

        yield opened
