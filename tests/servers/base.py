"""What every test server has in common: start, wait, look in, stop, kill, start again."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote

from . import process
from .connect import Connection, connect
from .errors import ServerFailed

# How a server is told apart from the default: option name to value; None is a bare flag.
Settings = Mapping[str, str | None]

READY_WITHIN_S = 120  # a bound against hanging for ever, not an expectation
STOPPED_WITHIN_S = 60
POLL_S = 0.05

S = TypeVar("S", bound="Server")
_numbers = itertools.count(1)
_running: set[Server] = set()


class Server(ABC):
    """One private server. Use as a context manager, or call ``start`` and ``stop``.

    The port and the data stay the same over ``restart`` and ``kill9``, so URLs stay valid.
    Methods may be called from any thread, one at a time.
    """

    name: ClassVar[str]
    account: ClassVar[str]  # who runs it when we are root
    scheme: ClassVar[str]
    user: ClassVar[str]
    password: ClassVar[str | None]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, base_dir: Path, settings: Settings | None = None) -> None:
        # Changed before the first start by tests whose clients live in network namespaces.
        self.host = "127.0.0.1"
        self.clients = IPv4Network("127.0.0.1/32")
        self.folder = base_dir / f"{self.name}-{next(_numbers)}"
        self.data_dir = self.folder / "data"
        self.log = self.folder / "log"
        self.settings = dict(settings or {})
        self.environment: dict[str, str] = {}  # of the server's process, on top of ours
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._prepared = False

    # What each kind of server says about itself

    @abstractmethod
    def prepare(self) -> None:
        """Find the binaries (or raise ServerMissing) and fill ``data_dir``."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command line of the server itself, in the foreground."""

    @abstractmethod
    def probe(self) -> None:
        """Connect once; raise when it does not answer yet. First call after ``prepare``: set up."""

    @abstractmethod
    def version(self) -> str:
        """What the running server says its version is, e.g. ``15.14``."""

    @abstractmethod
    def quoted(self, identifier: str) -> str:
        """``identifier`` in this database's quotes."""

    @property
    @abstractmethod
    def admin_database(self) -> str:
        """The database to connect to for statements about other databases."""

    # Life

    def start(self) -> None:
        """Start (again) and return once it answers."""
        if self.running:
            return
        if not self._prepared:
            self.folder.mkdir(parents=True)
            self.data_dir.mkdir(mode=0o700)
            self.log.touch()
            self.port = process.free_port()
            self.prepare()
            process.give_to(self.account, self.folder)
            self._prepared = True
        added = [f"{name}={value}" for name, value in self.environment.items()]
        command = ["env", *added, *self.command()] if added else self.command()  # env execs: the process id stays
        self._process = process.spawn(process.as_account(self.account, command, dies_with_us=True), self.log)
        _running.add(self)
        try:
            self._wait_ready()
        except BaseException:
            self.kill9()
            raise

    def stop(self) -> None:
        """Clean shutdown; kills only what does not end by itself."""
        if self._process is not None and self._process.poll() is None:
            self.resume()
            process.signal_quietly(self._process.pid, self.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOPPED_WITHIN_S)
        self.kill9()

    def kill9(self) -> None:
        """Like a power cut for the server: no process of it gets another instruction."""
        if self._process is not None and self._process.poll() is None:
            # Stopped first, so that it can't start replacements while its children are counted.
            process.signal_quietly(self._process.pid, signal.SIGSTOP)
            family = [self._process.pid, *process.children_of(self._process.pid)]
            for pid in family:
                process.signal_quietly(pid, signal.SIGKILL)
            self._process.wait(STOPPED_WITHIN_S)
            process.wait_gone(family, STOPPED_WITHIN_S)
        self._process = None
        _running.discard(self)

    def restart(self, settings: Settings | None = None) -> None:
        """Stop if it runs, then start with the same data and port, and new settings if given."""
        self.stop()
        if settings is not None:
            self.settings = dict(settings)
        self.start()

    def pause(self) -> None:
        """Freeze every process of the server: the line stays up and nothing answers."""
        for pid in self._family():
            process.signal_quietly(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Undo ``pause``."""
        for pid in self._family():
            process.signal_quietly(pid, signal.SIGCONT)

    def copy_data(self) -> Path:
        """The data folder as it is this instant, as a power cut would leave it: a replica that may fall behind."""
        copy = self.folder / f"data-copy-{next(_numbers)}"
        self.pause()
        try:
            subprocess.run(["cp", "-a", "--reflink=auto", str(self.data_dir), str(copy)], check=True)
        finally:
            self.resume()
        return copy

    def fail_over(self, copy: Path) -> None:
        """The server dies, and what answers in its place, on the same port, is what ``copy_data`` took."""
        self.kill9()
        shutil.rmtree(self.data_dir)
        copy.rename(self.data_dir)
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)
        self.start()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    def __enter__(self: S) -> S:
        self.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.stop()

    # Looking in

    def url(
        self,
        database: str,
        user: str | None = None,
        password: str | None = None,
        *,
        host: str | None = None,
        port: int | None = None,
    ) -> str:
        """The database's URL. Without ``user``: the administrator. ``port``: e.g. a proxy's."""
        if user is None:
            user, password = self.user, self.password if password is None else password
        secret = "" if password is None else ":" + quote(password, safe="")
        place = f"{host or self.host}:{self.port if port is None else port}"
        return f"{self.scheme}://{quote(user, safe='')}{secret}@{place}/{quote(database)}"

    def connect(self, database: str | None = None) -> Connection:
        """A new autocommit connection as administrator, past any proxy. The caller closes it."""
        return connect(self.url(self.admin_database if database is None else database))

    def admin_sql(
        self, sql: str, database: str | None = None, parameters: Sequence[Any] | None = None
    ) -> list[tuple[Any, ...]]:
        """Run one statement as administrator and return its rows (none for one without)."""
        with contextlib.closing(self.connect(database)) as connection:
            cursor = connection.cursor()
            cursor.execute(sql, parameters)
            return [] if cursor.description is None else [tuple(row) for row in cursor.fetchall()]

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URL."""
        self.admin_sql(f"CREATE DATABASE {self.quoted(name)}")
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is still connected to it."""
        self.admin_sql(f"DROP DATABASE IF EXISTS {self.quoted(name)}")

    def log_tail(self, lines: int = 30) -> str:
        """The end of the server's log, for messages."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    # Helpers

    def run_tool(self, command: Sequence[str]) -> None:
        """Run a one-off tool of the server as its account; its output is in the error."""
        process.give_to(self.account, self.folder)
        done = subprocess.run(
            process.as_account(self.account, command, dies_with_us=False),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},
            cwd="/",
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ServerFailed(f"{command[0]} failed ({done.returncode}):\n{done.stdout}")

    def _family(self) -> list[int]:
        if self._process is None or self._process.poll() is not None:
            return []
        return [self._process.pid, *process.children_of(self._process.pid)]

    def _wait_ready(self) -> None:
        deadline_s = time.monotonic() + READY_WITHIN_S
        while True:
            if not self.running:
                raise ServerFailed(f"{self.name} ended while starting:\n{self.log_tail()}")
            try:
                return self.probe()
            except Exception as error:
                if time.monotonic() > deadline_s:
                    raise ServerFailed(
                        f"{self.name} did not answer in {READY_WITHIN_S} s ({error}):\n"
                        f"{self.log_tail()}"
                    ) from error
            time.sleep(POLL_S)


@atexit.register
def _stop_all() -> None:
    """The last net, should a fixture not get to its end; the death signal is the one below it."""
    for server in list(_running):
        with contextlib.suppress(Exception):
            server.kill9()
