"""The history of runs on this machine: one file for each run, in the folder that ``PURGEKIT_STATE`` names."""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from purgekit.text import printable

_log = logging.getLogger("purgekit")

HISTORY_KEYS = ("run_id", "started_utc", "database", "status", "exit_code", "policies", "rows_deleted", "rows_archived")


def state_folder() -> Path:
    """``PURGEKIT_STATE``, else the XDG state folder's ``purgekit``."""
    if own := os.environ.get("PURGEKIT_STATE"):
        return Path(own)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "purgekit"


def new_run_id(now: datetime | None = None) -> str:
    """Sorts by time, to the millisecond: ``20261121T101112345Z-3f9a2c``."""
    instant = (now or datetime.now(timezone.utc)).astimezone(timezone.utc)
    return f"{instant:%Y%m%dT%H%M%S}{instant.microsecond // 1000:03d}Z-{secrets.token_hex(3)}"


class RunStore:
    """The runs of one state folder. That it can't be written never stops a purge: the ledger is what counts."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or state_folder()) / "runs"

    def begin(self, run_id: str, database: str, policies: list[str]) -> None:
        """Note that a run has started."""
        record = {
            "run_id": run_id,
            "started_utc": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "database": database,
            "status": "running",
            "exit_code": None,
            "policies": policies,
            "rows_deleted": 0,
            "rows_archived": 0,
            "host": socket.gethostname(),
            "pid": os.getpid(),
        }
        self._write(record)

    def end(self, run_id: str, report: dict[str, Any]) -> None:
        """Note how a run ended, with its report."""
        record = self.read(run_id) or {"run_id": run_id}
        taken = {key: report.get(key) for key in ("status", "exit_code", "rows_deleted", "rows_archived")}
        self._write({**record, **taken, "report": report})

    def refused(self, run_id: str) -> None:
        """Forget a run that never began: nothing was changed."""
        try:
            self._path(run_id).unlink(missing_ok=True)
        except OSError as error:
            _log.warning("cannot remove %s: %s", printable(self._path(run_id)), error.strerror)

    def read(self, run_id: str) -> dict[str, Any] | None:
        """The record of one run, with its report if it has ended; None when there is none to be read."""
        path = self._path(run_id)
        return self._load(path) if path.is_file() else None

    def runs(self) -> list[dict[str, Any]]:
        """All runs, the newest first. Files that can't be read are named in a warning and left out."""
        return [{key: record.get(key) for key in HISTORY_KEYS} for record in self._records()]

    def _records(self) -> Iterator[dict[str, Any]]:
        try:
            paths = sorted(self.folder.glob("*.json"), reverse=True)
        except OSError as error:
            _log.warning("cannot read run history in %s: %s", printable(self.folder), error.strerror)
            return
        for path in paths:
            if record := self._load(path):
                yield record

    def _load(self, path: Path) -> dict[str, Any] | None:
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(record, dict) or record.get("run_id") != path.stem:
                raise ValueError("not the record of that run")
        except (OSError, ValueError, RecursionError) as error:
            _log.warning("run history: skipped %s: %s", printable(path), printable(error))
            return None
        if record.get("status") == "running" and not _is_alive(record):
            record["status"] = "interrupted"
        return record

    def _write(self, record: dict[str, Any]) -> None:
        path = self._path(record["run_id"])
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(record, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            _log.warning(
                "run history can't be written to %s: %s; set PURGEKIT_STATE to a folder of yours",
                printable(self.folder),
                error.strerror,
            )

    def _path(self, run_id: str) -> Path:
        # A run id given by a user must not lead out of the folder.
        return self.folder / f"{Path(run_id).name}.json"


def _is_alive(record: dict[str, Any]) -> bool:
    """Whether the process that began the run is there, as far as this machine can tell."""
    pid = record.get("pid")
    if record.get("host") != socket.gethostname() or not isinstance(pid, int):
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
