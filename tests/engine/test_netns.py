"""One purge of a table at a time, on hosts of their own: cables are pulled, processes freeze, and the fence decides."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

import purgekit as pk
from engine.tables import survivors
from engine.takeover import LIVE, ROWS, Outcome, Purge, Takeover, fill, until
from servers import Connection, MariaDb, MySql56, Network, PostgreSql, Server

pytestmark = pytest.mark.long

DOOMED = ROWS - len(LIVE)
SERVERS = {"postgresql": PostgreSql, "mariadb": MariaDb, "mysql56": MySql56}
PLAYS = [("cable", "chunk"), ("frozen", "chunk"), ("frozen", "pause")]


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.fixture(scope="module")
def servers(network: Network, servers_dir: Path) -> Iterator[dict[str, Server]]:
    """Servers that listen where the other hosts can reach them."""
    with contextlib.ExitStack() as stack:
        made: dict[str, Server] = {}
        for name, kind in SERVERS.items():
            server = kind(servers_dir)
            server.host, server.clients = network.server_address, network.subnet
            made[name] = stack.enter_context(server)
        yield made


@pytest.fixture(scope="module")
def outcomes(
    servers: dict[str, Server], network: Network, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str, str], Future[Outcome]]:
    """All plays at once: they mostly wait for the servers' own limits."""
    with ThreadPoolExecutor(max_workers=len(SERVERS) * len(PLAYS)) as pool:
        return {
            (name, how, where): pool.submit(
                Takeover(
                    servers[name],
                    (network.add_host(), network.add_host()),
                    tmp_path_factory.mktemp(f"{name}-{how}-{where}"),
                    how,
                    where,
                ).play
            )
            for name in SERVERS
            for how, where in PLAYS
        }


@pytest.mark.needs_server
@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize(("how", "where"), PLAYS)
def test_a_silent_host_is_taken_over_and_fenced_out(
    outcomes: dict[tuple[str, str, str], Future[Outcome]], name: str, how: str, where: str
) -> None:
    outcome = outcomes[name, how, where].result()
    print(f"{name} {how} {where}: {outcome.took_s:.0f} s, {len(outcome.refusals)} refusals")
    assert set(outcome.refusals) <= {"another_run"}
    assert outcome.second_code == 0, outcome.second
    assert outcome.second["continues"] == outcome.first["run_id"]
    assert outcome.survivors == LIVE
    assert (outcome.first_code, outcome.first["stop_reason"]) == (3, "fenced"), outcome.errors
    assert "Traceback" not in outcome.errors
    assert outcome.first["rows_deleted"] == ROWS - outcome.left_by_first
    assert outcome.first["rows_deleted"] + outcome.second["rows_deleted"] == DOOMED
    told = {run["run_id"]: run["rows_deleted"] for run in outcome.history}
    assert told[outcome.first["run_id"]] == outcome.first["rows_deleted"]
    assert sum(told.values()) == DOOMED


@pytest.mark.needs_server
@pytest.mark.parametrize("name", SERVERS)
def test_a_second_host_is_refused_while_the_first_works(
    servers: dict[str, Server], network: Network, name: str, tmp_path: Path, admin: Callable[[str], Connection]
) -> None:
    server = servers[name]
    url = server.create_database("both")
    checker = admin(url)
    fill(checker, url)
    first = Purge(network.add_host(), url, tmp_path / "first", "--chunk-ms", "2", "--max-rows-per-s", "500")
    until(lambda: len(survivors(checker)) < ROWS, "a first chunk")
    code, report, errors = Purge(network.add_host(), url, tmp_path / "second").end()
    assert (code, report["stop_reason"], report["rows_deleted"]) == (3, "another_run", 0), errors
    code, report, errors = first.end()
    assert (code, report["rows_deleted"]) == (0, DOOMED), errors
    assert survivors(checker) == LIVE


def test_a_file_shared_by_two_hosts_is_kept_apart_by_the_fence(
    network: Network, sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path
) -> None:
    # The quick refusal knows its own network namespace only, so the second one gets as far as the ledger.
    checker = admin(sqlite_url)
    fill(checker, sqlite_url)
    slow = ("--chunk-ms", "2", "--max-rows-per-s", "400")
    first = Purge(network.add_host(), sqlite_url, tmp_path / "first", *slow)
    until(lambda: len(survivors(checker)) < ROWS, "a first chunk")
    second_code, second, second_errors = Purge(network.add_host(), sqlite_url, tmp_path / "second").end()
    first_code, told, first_errors = first.end()
    assert (second_code, second["status"]) == (0, "completed"), second_errors
    assert (first_code, told["stop_reason"]) == (3, "fenced"), first_errors
    assert survivors(checker) == LIVE
    assert told["rows_deleted"] + second["rows_deleted"] == DOOMED
    with pk.connect(sqlite_url) as db:
        assert sum(run["rows_deleted"] for run in db.history()) == DOOMED
