"""The history of runs on this machine: one file for each run, in the folder that ``PURGEKIT_STATE`` names."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import socket
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any

from purgekit.statefolder import StateFolder
from purgekit.text import printable

_log = logging.getLogger("purgekit")

SCHEMA = "purgekit.state/1"
HISTORY_KEYS = ("run_id", "started_utc", "database", "status", "exit_code", "policies", "rows_deleted", "rows_archived")
MOST_FLIGHTS = 50
MOST_LOOKED_THROUGH = 200
NEWER = "newer"  # status of a record that a later version wrote
MISSING = (errno.ENOENT, errno.ENOTDIR)

Json = dict[str, Any]


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


def now_utc() -> str:
    """This machine's clock, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class RunStore:
    """The runs of one state folder. That it can't be written never stops a purge: the ledger is what counts."""

    def __init__(self, folder: Path | None = None) -> None:
        root = folder or state_folder()
        self._runs = StateFolder(root, "runs")
        self._flights = StateFolder(root, "flights")
        self.folder = self._runs.path
        self._warned = False

    def begin(self, run_id: str, database: str, policies: list[str], ledger: str = "") -> None:
        """Note that a run has started, so that it is known even if it is killed."""
        record = {
            "schema": SCHEMA,
            "run_id": run_id,
            "started_utc": now_utc(),
            "database": database,
            "status": "running",
            "exit_code": None,
            "policies": policies,
            "rows_deleted": 0,
            "rows_archived": 0,
            "ledger": ledger,
            "host": socket.gethostname(),
            "process": _this_process(),
        }
        self._write(self._runs, run_id, record)

    def progress(self, run_id: str, rows_deleted: int) -> None:
        """Note how far a run has come: what its record shows if it is killed."""
        self._change(run_id, {"rows_deleted": rows_deleted}, durable=False)

    def end(self, run_id: str, report: Json) -> None:
        """Note how a run ended, with its report."""
        taken = {key: report.get(key) for key in ("status", "exit_code", "rows_deleted", "rows_archived")}
        self._change(run_id, {**taken, "report": report})

    def lost(self, run_id: str, outcome: Json) -> None:
        """Note that a run ended without a report: the rows are those of its last progress."""
        self._change(run_id, outcome)

    def refused(self, run_id: str) -> None:
        """Forget a run that never began: nothing was changed."""
        try:
            self._runs.remove(file_name(run_id))
        except OSError as error:
            self._warn(self._runs, error)

    def settle(self, run_id: str, told: Json) -> None:
        """What the ledger says of a run that was interrupted here, for good."""
        rows = {key: told[key] for key in ("rows_deleted", "rows_archived") if _is_count(told.get(key))}
        self._change(run_id, {**rows, "status": "interrupted", "exit_code": 1, "settled": True})

    def unsettled(self, database: str, ledger: str) -> list[str]:
        """Runs of that database that were interrupted and whose rows nobody has asked the ledger about yet."""
        return [
            record["run_id"]
            for record in islice(self._records(), MOST_LOOKED_THROUGH)
            if record.get("status") == "interrupted"
            and not record.get("settled")
            and (record.get("database"), record.get("ledger")) == (database, ledger)
        ]

    def read(self, run_id: str) -> Json | None:
        """The record of one run, with its report if it has ended; None when there is none to be read."""
        return self._load(file_name(run_id))

    def runs(self) -> list[Json]:
        """All runs, the newest first. Files that can't be read are named in a warning, left out and left alone."""
        return [{key: record.get(key) for key in HISTORY_KEYS} for record in self._records()]

    def write_flight(self, run_id: str, document: Json) -> Path | None:
        """Keep a flight record, and the newest 50 of all; its path, or None when it can't be written."""
        if not self._write(self._flights, run_id, document):
            return None
        try:
            for name in self._flights.names()[:-MOST_FLIGHTS]:
                self._flights.remove(name)
        except OSError as error:
            self._warn(self._flights, error)
        return self._flights.path / file_name(run_id)

    def read_flight(self, run_id: str) -> Json | None:
        """The flight record of a run, if there is one."""
        try:
            found = self._flights.read(file_name(run_id))
        except (OSError, ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def _records(self) -> Iterator[Json]:
        try:
            names = self._runs.names()
        except OSError as error:
            if error.errno not in MISSING:
                _log.warning("cannot read run history in %s: %s", printable(self.folder), error.strerror)
            return
        for name in reversed(names):
            if record := self._load(name):
                yield record

    def _load(self, name: str) -> Json | None:
        path = self.folder / name
        try:
            record = self._runs.read(name)
            if not isinstance(record, dict) or record.get("run_id") != path.stem:
                raise ValueError("not the record of that run")
            if _is_newer(record):
                _log.warning("run history: %s was written by a newer version; it is shown as far as it goes", path)
                return {**_plausible(record), "status": NEWER}
            if _plausible(record) != {key: record.get(key) for key in HISTORY_KEYS}:
                raise ValueError("impossible values")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            _log.warning("run history: skipped %s: %s", printable(path), printable(why))
            return None
        if record.get("status") == "running" and not _is_alive(record):
            record["status"] = "interrupted"
        return dict(record)

    def _change(self, run_id: str, values: Json, *, durable: bool = True) -> None:
        record = self.read(run_id) or {"schema": SCHEMA, "run_id": run_id, "policies": []}
        if record.get("status") != NEWER:
            self._write(self._runs, run_id, {**record, **values}, durable=durable)

    def _write(self, folder: StateFolder, run_id: str, document: Json, *, durable: bool = True) -> bool:
        try:
            folder.write(file_name(run_id), document, durable=durable)
        except OSError as error:
            self._warn(folder, error)
            return False
        return True

    def _warn(self, folder: StateFolder, error: OSError) -> None:
        if self._warned:
            return
        self._warned = True
        _log.warning(
            "run history can't be written to %s: %s; the run and its ledger are not affected; "
            "set PURGEKIT_STATE to a folder of yours",
            printable(folder.path),
            printable(error.strerror),
        )


def file_name(run_id: str) -> str:
    """Of a run's file: an id given by a user must not lead out of the folder, nor to a hidden file."""
    name = Path(run_id).name.lstrip(".")
    return f"{name if len(name) <= 100 else 'none'}.json"


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _plausible(record: Json) -> Json:
    """The record's own values where they have the right type, else None: others may have written it."""
    out: Json = dict.fromkeys(HISTORY_KEYS)
    for key in ("run_id", "started_utc", "database", "status"):
        out[key] = record.get(key) if isinstance(record.get(key), str) else None
    for key in ("exit_code", "rows_deleted", "rows_archived"):
        out[key] = record.get(key) if _is_count(record.get(key)) else None
    policies = record.get("policies")
    whole = isinstance(policies, list) and all(isinstance(name, str) for name in policies)
    out["policies"] = policies if whole else None
    return out


def _is_newer(record: Json) -> bool:
    name, _, version = str(record.get("schema", SCHEMA)).partition("/")
    return name == SCHEMA.partition("/")[0] and version.isdecimal() and int(version) > 1


def _this_process() -> Json:
    return {"pid": os.getpid(), **_identity(os.getpid())}


def _identity(pid: int) -> Json:
    """What tells a process from a later one with the same number; empty where the system doesn't say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # The command name may hold blanks and brackets: the fields follow its last ')'.
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return {}
    return {"boot": boot, "started": started}


def _is_alive(record: Json) -> bool:
    """Whether the process that began the run is there, as far as this machine can tell."""
    noted = record.get("process")
    process = noted if isinstance(noted, dict) else {"pid": record.get("pid")}
    pid = process.get("pid")
    if record.get("host") != socket.gethostname() or not isinstance(pid, int) or pid <= 0:
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    known = {key: process.get(key) for key in ("boot", "started")}
    now = _identity(pid)
    return not now or not all(known.values()) or known == now
