"""Other limits for a run in progress: a small file in the state folder that the run looks at once a second.

The file is as trusted as the purge itself, so only one that this user (or root) wrote and nobody else can write counts.
"""

from __future__ import annotations

import _thread
import contextlib
import errno
import logging
import threading
from types import TracebackType
from typing import Any

from purgekit._core import RunControl
from purgekit.errors import PurgeRefused
from purgekit.limits import Limits
from purgekit.state import RunStore, file_name, state_folder
from purgekit.statefolder import StateFolder
from purgekit.text import printable

_log = logging.getLogger("purgekit")

SCHEMA = "purgekit.tune/1"
LOOK_EVERY_S = 1.0
ENDS_WITHIN_S = 5.0

Json = dict[str, Any]


def tune(run_id: str, *, chunk_ms: int | None = None, paused: bool | None = None) -> Json:
    """Change a run that is going on, on this machine; what now holds for it.

    Raises:
        PurgeRefused: there is no such run, it has ended, or the values are impossible.
    """
    if chunk_ms is None and paused is None:
        raise PurgeRefused("nothing to change: give --chunk-ms, --pause or --resume", code="limit")
    if chunk_ms is not None:
        Limits(chunk_ms=chunk_ms)
    record = RunStore().read(run_id)
    if record is None:
        raise PurgeRefused(
            f"no run {printable(run_id)} is known in {printable(state_folder())}; purgekit history lists those known",
            code="not_found",
        )
    if record.get("status") != "running":
        raise PurgeRefused(f"run {printable(run_id)} is not running: it is {record.get('status')}", code="not_running")
    folder = _folder()
    document = {**(_read(folder, run_id) or {}), "schema": SCHEMA, "run_id": run_id}
    if chunk_ms is not None:
        document["chunk_ms"] = chunk_ms
    if paused is not None:
        document["paused"] = paused
    try:
        folder.write(file_name(run_id), document)
    except OSError as error:
        where = printable(folder.path)
        raise PurgeRefused(f"the change can't be written to {where}: {error.strerror}", code="state") from None
    return document


class Tuning:
    """Heeds that file for as long as a run goes on, and clears it away."""

    def __init__(self, run_id: str, control: RunControl) -> None:
        self._run_id = run_id
        self._control = control
        self._folder = _folder()
        self._over = threading.Event()
        self._begun = threading.Event()
        self._ended = threading.Event()
        self._known: Json = {}
        self._problem = ""

    def __enter__(self) -> Tuning:
        # Not threading.Thread: its start waits for ever for a thread that lack of memory ended before its first line.
        try:
            _thread.start_new_thread(self._look, ())
        except RuntimeError as problem:
            _log.warning("run %s: no thread to look for changes of its limits: %s", self._run_id, problem)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._begun.is_set():
            self._ended.wait(ENDS_WITHIN_S)
        with contextlib.suppress(OSError):
            self._folder.remove(file_name(self._run_id))

    def _look(self) -> None:
        self._begun.set()
        try:
            self._watch()
        finally:
            self._ended.set()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            try:
                found = _read(self._folder, self._run_id)
            except (OSError, ValueError, RecursionError, PurgeRefused) as problem:
                why = printable(getattr(problem, "strerror", None) or problem)
                if why != self._problem:
                    self._problem = why
                    _log.warning("run %s: a change of its limits is not heeded: %s", self._run_id, why)
                continue
            if found is not None and found != self._known:
                self._known = found
                self._heed(found)

    def _heed(self, found: Json) -> None:
        if (chunk_ms := found.get("chunk_ms")) is not None:
            self._control.chunk_ms = float(chunk_ms)
        if (paused := found.get("paused")) is not None:
            self._control.paused = paused
        _log.info("run %s: now %s", self._run_id, {key: found.get(key) for key in ("chunk_ms", "paused")})


def _folder() -> StateFolder:
    return StateFolder(state_folder(), "tune")


def _read(folder: StateFolder, run_id: str) -> Json | None:
    try:
        found = folder.read(file_name(run_id), own=True)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise
    if not isinstance(found, dict) or found.get("schema") != SCHEMA or found.get("run_id") != run_id:
        raise ValueError("the file is not one for that run")
    if not isinstance(found.get("paused", False), bool):
        raise ValueError("paused must be true or false")
    if "chunk_ms" in found:
        Limits(chunk_ms=found["chunk_ms"])
    return found
