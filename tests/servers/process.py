"""Starting a server as an unprivileged account so that it can never outlive the tests."""

from __future__ import annotations

import contextlib
import os
import pwd
import queue
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Below the kernel's range for outgoing connections (32768 and up): a port that a server gave up
# for a moment, because a test killed it, is not handed to a client as its local port.
PORTS = range(15000, 32000)


def make_base_dir() -> Path:
    """A new folder for servers, reachable by their accounts and short enough for socket names."""
    for parent in (Path(tempfile.gettempdir()).resolve(), Path("/tmp")):
        open_to_all = all(p.stat().st_mode & 0o001 for p in (parent, *parent.parents))
        if open_to_all and len(str(parent)) <= 50:  # a socket name holds 107 bytes at most
            break
    base_dir = Path(tempfile.mkdtemp(prefix="purgekit-", dir=parent))
    base_dir.chmod(0o755)
    return base_dir


def free_port() -> int:
    """A loopback TCP port nobody listens on now."""
    for port in random.SystemRandom().sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free loopback port among 100 tried")


def as_account(account: str, command: Sequence[str], *, dies_with_us: bool) -> list[str]:
    """``command`` run as ``account`` when we are root (servers refuse root), else as ourselves.

    ``setpriv`` execs, so the process id is the server's own. Its death signal is set after the
    change of user, which would clear it, and the kernel keeps it over the exec.
    """
    prefix = ["setpriv"]
    if os.geteuid() == 0:
        prefix += [f"--reuid={account}", f"--regid={account}", "--init-groups"]
    if dies_with_us:
        prefix.append("--pdeathsig=KILL")
    return [*prefix, "--", *command] if len(prefix) > 1 else list(command)


def account_exists(account: str) -> bool:
    """Whether ``account`` is there, or isn't needed because we are not root."""
    if os.geteuid() != 0:
        return True
    with contextlib.suppress(KeyError):
        pwd.getpwnam(account)
        return True
    return False


def give_to(account: str, folder: Path) -> None:
    """Hand ``folder`` and all in it to ``account`` when we are root."""
    if os.geteuid() != 0:
        return
    for path in [folder, *folder.rglob("*")]:
        shutil.chown(path, account, account)


def children_of(pid: int) -> list[int]:
    """Direct children of ``pid``. PostgreSQL's backends are; each has a session of its own."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The command name may hold blanks and brackets: the parent follows its last ')'.
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def signal_quietly(pid: int, number: signal.Signals) -> None:
    """Send a signal; a process that is gone already is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_gone(pids: Sequence[int], within_s: float) -> None:
    """Return when none of ``pids`` runs any more, or when the time is up."""
    deadline_s = time.monotonic() + within_s
    while any(_runs(pid) for pid in pids) and time.monotonic() < deadline_s:
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    """A zombie that nobody has collected doesn't: it holds no file and no port."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


_Task = tuple[Callable[[], Any], "queue.Queue[Any]"]
_tasks: queue.Queue[_Task] = queue.Queue()
_spawner_lock = threading.Lock()
_spawner: threading.Thread | None = None


def spawn(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start ``command`` with all its output in ``log``, from a thread that lives as long as we do.

    The kernel sends the death signal when the *thread* that started a process ends. A test that
    restarts a server from a short-lived thread would otherwise see it die at once.
    """
    _start_spawner()
    answer: queue.Queue[Any] = queue.Queue()

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                start_new_session=True,  # Ctrl-C in the terminal is for pytest, which stops us
            )

    _tasks.put((start, answer))
    outcome = answer.get()
    if isinstance(outcome, BaseException):
        raise outcome
    assert isinstance(outcome, subprocess.Popen)
    return outcome


def _start_spawner() -> None:
    global _spawner
    with _spawner_lock:
        if _spawner is None:
            _spawner = threading.Thread(target=_serve_tasks, name="server-spawner", daemon=True)
            _spawner.start()


def _serve_tasks() -> None:
    while True:
        task, answer = _tasks.get()
        try:
            answer.put(task())
        except BaseException as error:
            answer.put(error)
