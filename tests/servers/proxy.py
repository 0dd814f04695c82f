"""A TCP proxy on loopback that can cut, silence and slow the line between a client and a server.

    with TcpProxy("127.0.0.1", server.port) as proxy:
        proxy.on_client_bytes = on_text(b"COMMIT", Action.CUT_AFTER_REPLY)
        ...                      # connect to proxy.port
        assert proxy.fired.is_set()

What it cannot do: lose packets. A silent line is still acknowledged by this machine's kernel, as if
the server were frozen, not as if a cable were pulled.
"""

from __future__ import annotations

import contextlib
import enum
import select
import socket
import struct
import threading
import time
from collections.abc import Callable

POLL_S = 0.02
BUFFER_BYTES = 65536
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # linger for 0 s: close sends RST instead of FIN


class Action(enum.Enum):
    """What becomes of the client's bytes at hand, and of the connection they came on."""

    PASS = "pass"
    CUT_BEFORE = "cut before"  # the server never gets them; both sides see a reset
    CUT_AFTER_REPLY = "cut after reply"  # the server did its work; the client never hears of it
    STALL_BEFORE = "stall before"  # held back until resume(); the line is silent
    STALL_AFTER = "stall after"  # the server gets them; its reply is held back until resume()


Hook = Callable[[bytes], "Action | None"]


def on_text(text: bytes, action: Action, *, skip: int = 0) -> Hook:
    """A hook that does ``action`` once, when ``text`` passes for the time after ``skip`` times.

    Case is ignored. A statement is looked for within one read; short ones are sent in one write.
    """
    lock = threading.Lock()
    left = skip + 1

    def hook(content: bytes) -> Action:
        nonlocal left
        if text.upper() not in content.upper():
            return Action.PASS
        with lock:
            left -= 1
            return action if left == 0 else Action.PASS

    return hook


class TcpProxy:
    """Listens on ``port`` from the beginning of ``with``. All methods may be called any time."""

    def __init__(self, target_host: str, target_port: int) -> None:
        self._target = (target_host, target_port)
        self.port = 0
        self.delay_s = 0.0  # added to each piece of data, either way
        self.refusing = False  # new connections are reset at once
        self.on_client_bytes: Hook | None = None
        self.fired = threading.Event()  # the hook has answered something else than PASS
        self.connections = 0  # accepted so far
        self._stalled = threading.Event()
        self._closing = threading.Event()
        self._links: set[_Link] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> TcpProxy:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(POLL_S)
        self.port = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="proxy-accept", daemon=True)
        self._acceptor.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._closing.set()
        self._acceptor.join()
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Reset every open connection on both sides. New ones are accepted (see ``refusing``)."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.dead.set()
        for link in links:
            link.join()

    def half_close(self, *, towards_client: bool) -> None:
        """One side of every open connection sees its end; the other is told nothing, and the way back stays open."""
        with self._lock:
            for link in self._links:
                with contextlib.suppress(OSError):
                    (link.client if towards_client else link.server).shutdown(socket.SHUT_WR)

    def blackhole(self) -> None:
        """From now on nothing passes, on open and new connections, and nothing is closed."""
        self._stalled.set()

    def resume(self) -> None:
        """Let all that was held back pass."""
        self._stalled.clear()
        with self._lock:
            for link in self._links:
                link.stalled.clear()

    def silent(self, link: _Link) -> bool:
        return self._stalled.is_set() or link.stalled.is_set()

    def judge(self, content: bytes) -> Action:
        hook = self.on_client_bytes
        action = (hook(content) if hook else None) or Action.PASS
        if action is not Action.PASS:
            self.fired.set()
        return action

    def forget(self, link: _Link) -> None:
        with self._lock:
            self._links.discard(link)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            try:
                if self.refusing:
                    raise ConnectionRefusedError
                server = socket.create_connection(self._target)
            except OSError:
                _reset(client)  # as if nobody listened; the proxy itself stays up
                continue
            link = _Link(self, client, server)
            with self._lock:  # so that cut() only ever sees links whose threads run
                self._links.add(link)
                link.start()


class _Link:
    """One client's connection: a thread each way, both ended by ``dead``."""

    def __init__(self, proxy: TcpProxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self.dead = threading.Event()
        self.stalled = threading.Event()
        self._cut_on_reply = threading.Event()
        self._open_ways = 2
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._pump, args=way, name="proxy-pump", daemon=True)
            for way in ((client, server, self._from_client), (server, client, self._from_server))
        ]
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.setblocking(False)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def _pump(
        self, source: socket.socket, target: socket.socket, handle: Callable[[bytes], None]
    ) -> None:
        try:
            while not self.dead.is_set():
                if self.proxy.silent(self):
                    time.sleep(POLL_S)
                elif select.select([source], [], [], POLL_S)[0]:
                    if self.proxy.silent(self):
                        continue  # silenced while waiting: leave the bytes where they are
                    content = source.recv(BUFFER_BYTES)
                    if not content:
                        with contextlib.suppress(OSError):
                            target.shutdown(socket.SHUT_WR)
                        break
                    if self.proxy.delay_s > 0:
                        self.dead.wait(self.proxy.delay_s)
                    handle(content)
        except OSError:
            self.dead.set()  # one side reset the line: so do we on the other
        finally:
            self._end_way()

    def _from_client(self, content: bytes) -> None:
        action = self.proxy.judge(content)
        if action is Action.CUT_BEFORE:
            self.dead.set()
            return
        if action is Action.CUT_AFTER_REPLY:
            self._cut_on_reply.set()
        if action in (Action.STALL_BEFORE, Action.STALL_AFTER):
            self.stalled.set()
        self._send(self.server, content, even_if_silent=action is Action.STALL_AFTER)

    def _from_server(self, content: bytes) -> None:
        if self._cut_on_reply.is_set():
            self.dead.set()
            return
        self._send(self.client, content)

    def _send(self, target: socket.socket, content: bytes, *, even_if_silent: bool = False) -> None:
        view = memoryview(content)
        while view and not self.dead.is_set():
            if self.proxy.silent(self) and not even_if_silent:
                time.sleep(POLL_S)
            elif select.select([], [target], [], POLL_S)[1]:
                view = view[target.send(view) :]

    def _end_way(self) -> None:
        with self._lock:
            self._open_ways -= 1
            if self._open_ways:
                return
        for end in (self.client, self.server):
            _reset(end) if self.dead.is_set() else end.close()
        self.proxy.forget(self)


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    end.close()
