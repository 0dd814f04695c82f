"""The proxy really cuts, silences and slows, and can do so around one COMMIT."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import psycopg2
import pymysql
import pytest

from servers import Action, Server, TcpProxy, connect, on_text

LOST = (psycopg2.OperationalError, psycopg2.InterfaceError, pymysql.OperationalError)
BOUND_S = 30


@pytest.fixture
def echo() -> Iterator[TcpProxy]:
    """A proxy in front of a server that sends everything back."""

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=listener.accept()[:1], daemon=True).start()

    def answer(peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError):
            while content := peer.recv(65536):
                peer.sendall(content)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        with TcpProxy("127.0.0.1", listener.getsockname()[1]) as proxy:
            yield proxy
        listener.shutdown(socket.SHUT_RDWR)  # wakes accept


def dial(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=BOUND_S)


def exactly(peer: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        content += peer.recv(size - len(content))
    return content


def test_forwards_both_ways_and_ends(echo: TcpProxy) -> None:
    content = bytes(range(256)) * 8192  # 2 MiB: more than the kernel's buffers hold
    with dial(echo) as peer:
        sender = threading.Thread(target=peer.sendall, args=(content,))
        sender.start()
        assert exactly(peer, len(content)) == content
        sender.join()
        peer.shutdown(socket.SHUT_WR)
        assert peer.recv(1) == b""
    assert echo.connections == 1


def test_cut_resets_and_lets_new_ones_in(echo: TcpProxy) -> None:
    with dial(echo) as peer, dial(echo) as again:
        peer.sendall(b"x")
        assert peer.recv(1) == b"x"
        echo.cut()
        with pytest.raises(ConnectionResetError):
            peer.recv(1)
        again.close()
    with dial(echo) as peer:
        peer.sendall(b"y")
        assert peer.recv(1) == b"y"


def test_refusing_resets_new_ones(echo: TcpProxy) -> None:
    echo.refusing = True
    with pytest.raises(ConnectionResetError), dial(echo) as peer:
        peer.recv(1)


def test_blackhole_is_silent_until_resume(echo: TcpProxy) -> None:
    with dial(echo) as peer:
        echo.blackhole()
        peer.sendall(b"x")
        peer.settimeout(0.2)
        with pytest.raises(TimeoutError):
            peer.recv(1)
        echo.resume()
        peer.settimeout(BOUND_S)
        assert peer.recv(1) == b"x"


def test_delay_slows(echo: TcpProxy) -> None:
    echo.delay_s = 0.2
    with dial(echo) as peer:
        started_s = time.monotonic()
        peer.sendall(b"x")
        assert peer.recv(1) == b"x"
        assert time.monotonic() - started_s >= 0.4  # a lower bound holds on any machine


def test_stall_before_and_after(echo: TcpProxy) -> None:
    for action in (Action.STALL_BEFORE, Action.STALL_AFTER):
        echo.fired.clear()
        echo.on_client_bytes = on_text(b"STOP", action, skip=1)
        with dial(echo) as peer:
            peer.sendall(b"stop")
            assert exactly(peer, 4) == b"stop"  # the first one passes
            peer.sendall(b"stop")
            assert echo.fired.wait(BOUND_S)
            peer.settimeout(0.2)
            with pytest.raises(TimeoutError):
                peer.recv(1)
            echo.resume()
            peer.settimeout(BOUND_S)
            assert exactly(peer, 4) == b"stop"


@pytest.mark.parametrize(
    ("action", "rows_committed"), [(Action.CUT_BEFORE, 0), (Action.CUT_AFTER_REPLY, 1)]
)
def test_a_commit_in_doubt(any_server: Server, action: Action, rows_committed: int) -> None:
    """The client sees the same lost line; only the server knows which it was."""
    database = f"in_doubt_{rows_committed}"
    any_server.create_database(database)
    any_server.admin_sql("CREATE TABLE t (id INT PRIMARY KEY)", database)
    with TcpProxy("127.0.0.1", any_server.port) as proxy:
        client = connect(any_server.url(database, port=proxy.port))
        cursor = client.cursor()
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO t VALUES (1)")
        proxy.on_client_bytes = on_text(b"COMMIT", action)
        with pytest.raises(LOST):
            cursor.execute("COMMIT")
        assert proxy.fired.is_set()
    rows = any_server.admin_sql("SELECT COUNT(*) FROM t", database)
    assert rows == [(rows_committed,)]
    any_server.drop_database(database)


def test_a_server_behind_a_silent_line_still_commits(any_server: Server) -> None:
    any_server.create_database("silent")
    any_server.admin_sql("CREATE TABLE t (id INT PRIMARY KEY)", "silent")
    with TcpProxy("127.0.0.1", any_server.port) as proxy:
        client = connect(any_server.url("silent", port=proxy.port))
        proxy.on_client_bytes = on_text(b"INSERT", Action.STALL_AFTER)
        done = threading.Event()

        def insert() -> None:
            client.cursor().execute("INSERT INTO t VALUES (1)")
            done.set()

        inserting = threading.Thread(target=insert)
        inserting.start()
        assert proxy.fired.wait(BOUND_S)
        while any_server.admin_sql("SELECT COUNT(*) FROM t", "silent") != [(1,)]:
            time.sleep(0.01)
        assert not done.is_set()
        proxy.resume()
        inserting.join()
        assert done.is_set()
        client.close()
    any_server.drop_database("silent")
