"""Purge again and again in one process, as a watcher does: memory, handles and connections must stay flat.

    .venv/bin/python tests/bench/soak.py [--minutes 10] [--backend sqlite postgresql mariadb]

Each round adds expired rows, plans and purges them on one long-lived connection, and every tenth round another client
ends that connection on the server, so that the purge reconnects. Prints resident memory, open handles, threads and the
server's connections at the start (after a warm-up), in between and at the end. Exit code 1 when memory grew by more
than 10 %, or anything else by more than one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pymysql

import purgekit as pk
from servers import Connection, MariaDb, PostgreSql, connect, make_base_dir

WARM_UP_ROUNDS = 30
ROWS_A_ROUND = 2_000
POLICY = pk.Policy("sessions", table="sessions", where=pk.expired("expires", unit="s"), max_fraction=1.0)
OTHERS = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'purgekit%'",
    "mariadb": "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND user <> 'system user'",
}
END = {"postgresql": "SELECT pg_terminate_backend({})", "mariadb": "KILL {}"}


def others(backend: str, admin: Connection) -> list[int]:
    """The server's sessions of the purge."""
    if backend not in OTHERS:
        return []
    cursor = admin.cursor()
    cursor.execute(OTHERS[backend])
    return [int(row[0]) for row in cursor.fetchall()]


def sample(backend: str, admin: Connection) -> dict[str, int]:
    """What this process and the server hold now."""
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {
        "rss_kb": resident // 1024,
        "handles": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "threads": threading.active_count(),
        "native_threads": sum(1 for _ in Path("/proc/self/task").iterdir()),
        "connections": len(others(backend, admin)),
    }


def soak(backend: str, url: str, minutes: float) -> dict[str, Any]:
    """Purge until the time is up."""
    admin = connect(url)
    cursor = admin.cursor()
    suffix = " ENGINE=InnoDB" if backend == "mariadb" else ""
    cursor.execute(f"CREATE TABLE sessions (id BIGINT PRIMARY KEY, expires BIGINT NOT NULL){suffix}")
    mark = "?" if backend == "sqlite" else "%s"
    samples: list[dict[str, int]] = []
    number = rounds = deleted = ended = 0
    started = time.monotonic()
    with pk.connect(url) as db:
        while time.monotonic() - started < minutes * 60 or rounds < WARM_UP_ROUNDS + 10:
            values = [value for n in range(ROWS_A_ROUND) for value in (number + n, 1_600_000_000)]
            cursor.execute(f"INSERT INTO sessions VALUES {', '.join([f'({mark}, {mark})'] * ROWS_A_ROUND)}", values)
            number += ROWS_A_ROUND
            ending = rounds % 10 == 9 and backend in OTHERS
            before = ended

            def end_session(_progress: dict[str, Any], before: int = before) -> None:
                nonlocal ended
                for session in others(backend, admin)[:1] if ended == before else []:
                    with contextlib.suppress(pymysql.MySQLError):  # it may have ended just now
                        admin.cursor().execute(END[backend].format(session))
                        ended += 1

            limits = pk.Limits(chunk_ms=5)
            deleted += db.run(db.plan(POLICY), limits=limits, on_progress=end_session if ending else None).rows_deleted
            rounds += 1
            if rounds >= WARM_UP_ROUNDS and rounds % 10 == 0:
                samples.append(sample(backend, admin))
    first, last = samples[0], samples[-1]
    flat = last["rss_kb"] <= first["rss_kb"] * 1.1
    flat = flat and all(last[key] <= first[key] + 1 for key in first if key != "rss_kb")
    return {
        "backend": backend,
        "rounds": rounds,
        "rows_deleted": deleted,
        "all_rows_deleted": deleted == number,
        "connections_ended": ended,
        "first": first,
        "middle": samples[len(samples) // 2],
        "last": last,
        "flat": flat,
    }


def main() -> int:
    """Each backend in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", nargs="+", choices=("sqlite", *OTHERS), default=["sqlite", *OTHERS])
    parser.add_argument("--minutes", type=float, default=10)
    args = parser.parse_args()
    good = True
    for backend in args.backend:
        folder = make_base_dir()
        os.environ["PURGEKIT_STATE"] = str(folder / "state")
        try:
            if backend == "sqlite":
                out = soak(backend, f"sqlite:///{folder / 'soak.db'}", args.minutes)
            else:
                with (PostgreSql if backend == "postgresql" else MariaDb)(folder) as server:
                    out = soak(backend, server.create_database("soak"), args.minutes)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(json.dumps(out, indent=2), flush=True)
        good = good and out["flat"] and out["all_rows_deleted"]
    return int(not good)


if __name__ == "__main__":
    raise SystemExit(main())
