"""A gentle purge sees that others are at work and leaves them their part, without missing a row."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import purgekit as pk
from engine.tables import HOUR_S, make_sessions, now_s, sessions_policy, survivors
from purgekit.testing.session import open_session
from servers import Connection, connect

ROWS = 30_000
SIGNALS = {"postgresql": "others_at_work", "mariadb": "others_statements_per_s", "mysql": "others_statements_per_s"}


@contextlib.contextmanager
def somebody_at_work(url: str) -> Iterator[None]:
    """A session of an application, busy all the time with small statements."""
    done = threading.Event()

    def work() -> None:
        with contextlib.closing(connect(url)) as connection:
            cursor = connection.cursor()
            while not done.wait(0.002):
                cursor.execute("SELECT 1")
                cursor.fetchall()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def fill(url: str, connection: Connection) -> set[int]:
    """Rows of which every fourth is live. Returns those."""
    make_sessions(connection, url, [now_s() + (HOUR_S if n % 4 == 0 else -5 * HOUR_S) for n in range(ROWS)])
    return {n + 1 for n in range(0, ROWS, 4)}


@pytest.mark.needs_server
def test_the_signal_tells_who_is_there(server_url: str, admin: Callable[[str], Connection]) -> None:
    signal = SIGNALS[server_url.partition(":")[0]]
    policy = sessions_policy()
    fill(server_url, admin(server_url))
    with open_session(server_url) as opened:
        now_ns = time.time_ns()
        opened.prepare(policy, now_ns, opened.propose(policy, now_ns)[0]["id"])

        def shared_chunk_ms() -> float:
            """As of a look after one second: rates count from the look before it, PostgreSQL looks back by a second."""
            opened.pressure()
            time.sleep(1.2)
            (found,) = [one for one in opened.pressure() if one["name"] == signal]
            assert found["limit"] == 0, "nobody is waited for until they are gone"
            return float(found["shared_chunk_ms"]) if found["value"] > 0 else 0.0

        assert shared_chunk_ms() == 0, "what this process does itself is nobody else's work"
        with somebody_at_work(server_url):
            assert shared_chunk_ms() == (10 if "postgresql" in server_url else 40)
        time.sleep(1.2)
        assert shared_chunk_ms() == 0


@pytest.mark.needs_server
@pytest.mark.parametrize("kind", ["postgresql", "mariadb", "mysql56"])
@pytest.mark.parametrize("pace", ["gentle", "fast"])
def test_others_are_spared_by_a_gentle_purge_only(
    kind: str, pace: str, request: pytest.FixtureRequest, admin: Callable[[str], Connection]
) -> None:
    url = str(request.getfixturevalue(f"{kind}_url"))
    connection = admin(url)
    live = fill(url, connection)
    # A rate, so that the purge lasts long enough to be told of the others.
    limits = pk.Limits(max_fraction=1, pace=pace, max_rows_per_s=20_000, workers=2)
    with somebody_at_work(url), pk.connect(url) as db:
        report = db.run(sessions_policy(), limits=limits)
    assert report.exit_code == 0
    assert survivors(connection) == live
    (entry,) = report.policies
    assert entry["rows_left"] == 0
    signal = SIGNALS[url.partition(":")[0]]
    if kind == "postgresql":  # elsewhere chunks are shorter, without pauses of their own
        assert (signal in entry["waits"]) == (pace == "gentle")
    else:
        assert signal not in entry["waits"]


@pytest.mark.needs_server
def test_what_is_left_is_counted_in_slices_to_the_row(postgresql_url: str, admin: Callable[[str], Connection]) -> None:
    connection = admin(postgresql_url)
    live = fill(postgresql_url, connection)
    with contextlib.closing(connect(postgresql_url)) as other:
        holder = other.cursor()
        holder.execute("BEGIN")
        holder.execute("SELECT 1 FROM sessions WHERE id IN (2, 15000, 29999) FOR UPDATE")
        limits = pk.Limits(max_fraction=1, pace="gentle", max_rows_per_s=20_000, lock_wait_ms=20)
        with somebody_at_work(postgresql_url), pk.connect(postgresql_url) as db:
            report = db.run(sessions_policy(), limits=limits)
        holder.execute("COMMIT")
    (entry,) = report.policies
    assert "others_at_work" in entry["waits"]
    assert (report.exit_code, entry["rows_left"]) == (4, 3)
    assert survivors(connection) == live | {2, 15_000, 29_999}
