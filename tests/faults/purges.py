"""Starting, freezing, killing and awaiting purges, each a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

HANG_BOUND_S = 600.0  # longest any one purge may take, whatever is done to it, on a machine that is busy besides
POLL_S = 0.002
TESTS = Path(__file__).resolve().parents[1]


class Hung(AssertionError):
    """A purge did not end within the bound."""


class Purge:
    """One purge under way or ended. ``code`` is None while it runs; negative: the signal that ended it."""

    def __init__(self, pid: int, arguments: list[str], folder: Path) -> None:
        self.pid = pid
        self.arguments = arguments
        self.folder = folder
        self.code: int | None = None
        self.lasted_s = 0.0  # once it has ended
        self._started_s = time.monotonic()
        self.ended = threading.Event()
        self.harmed = False  # something was done to this process itself: killed, frozen, starved
        self.frozen = False

    def end(self, code: int) -> None:
        self.code = code
        self.lasted_s = time.monotonic() - self._started_s
        self.ended.set()

    @property
    def out(self) -> str:
        return (self.folder / "stdout").read_text(errors="replace")

    @property
    def err(self) -> str:
        return (self.folder / "stderr").read_text(errors="replace")

    @property
    def document(self) -> dict[str, Any] | None:
        """What it printed for programs, if it got as far as printing."""
        text = self.out
        if not text.strip():
            return None
        document: dict[str, Any] = json.loads(text)
        return document

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if not self.ended.is_set():
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.harmed = True
        self.send(signal.SIGKILL)
        self.ended.wait(HANG_BOUND_S)

    def freeze(self) -> None:
        self.frozen = True
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.frozen = False
        self.send(signal.SIGCONT)

    def wait(self, bound_s: float = HANG_BOUND_S) -> int:
        """Its exit code. A purge that does not end is killed, and that is a failure of the schedule."""
        if not self.ended.wait(bound_s):
            stack = Path(f"/proc/{self.pid}/wchan").read_text(errors="replace")
            self.send(signal.SIGKILL)
            self.ended.wait(5)
            raise Hung(f"purge {self.folder.name} did not end within {bound_s:g} s (waiting in {stack})")
        assert self.code is not None
        return self.code

    def reached(self, pause: str, bound_s: float = 20.0) -> bool:
        """Whether it stands at the pause of this name; False when it ended (or the time did) without getting there."""
        mark = self.folder / f"{pause}.reached"
        deadline_s = time.monotonic() + bound_s
        while not mark.exists():
            if self.ended.is_set() or time.monotonic() > deadline_s:
                return mark.exists()
            time.sleep(POLL_S)
        return True

    def go(self, pause: str) -> None:
        (self.folder / f"{pause}.go").touch()

    @property
    def fired(self) -> bool:
        """Whether a step of its gate did something."""
        return (self.folder / "fired").exists() or any(self.folder.glob("*.reached"))


class Zygote:
    """The process that forks purges. Start and stop from one thread."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "faults.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                **environment,
                "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
            },
            text=True,
        )
        self._answers: list[int] = []
        self._answered = threading.Condition()
        self._purges: dict[int, Purge] = {}
        self._early: dict[int, int] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(
        self, arguments: list[str], folder: Path, environment: dict[str, str], memory_bytes: int | None = None
    ) -> Purge:
        folder.mkdir(parents=True)
        request = {
            "arguments": arguments,
            "environment": environment,
            "stdout": str(folder / "stdout"),
            "stderr": str(folder / "stderr"),
            "memory_bytes": memory_bytes,
        }
        for stream in ("stdout", "stderr"):  # it may be killed before it has opened them
            (folder / stream).touch()
        (folder / "command.json").write_text(json.dumps(request, indent=1))
        assert self._process.stdin is not None
        with self._answered:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            if not self._answered.wait_for(lambda: bool(self._answers), 30):
                raise RuntimeError("the zygote does not answer")
            purge = Purge(self._answers.pop(), arguments, folder)
            if purge.pid in self._early:
                purge.end(self._early.pop(purge.pid))
            else:
                self._purges[purge.pid] = purge
            return purge

    def close(self) -> None:
        assert self._process.stdin is not None
        for purge in list(self._purges.values()):
            purge.send(signal.SIGKILL)
        self._process.stdin.close()
        self._process.wait(30)
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            with self._answered:
                if "code" not in answer:
                    self._answers.append(answer["pid"])
                    self._answered.notify_all()
                elif purge := self._purges.pop(answer["pid"], None):
                    purge.end(answer["code"])
                else:
                    self._early[answer["pid"]] = answer["code"]
