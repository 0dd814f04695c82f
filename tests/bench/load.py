"""A purge of a large session table while logins go on: what the foreground notices.

    .venv/bin/python tests/bench/load.py [--backend postgresql mariadb] [--rows 10000000] [--rate 500] [--pace gentle]

Ten million session rows, 80 % expired. Foreground clients send a fixed number of transactions a second, at fixed times
whether or not the ones before are through: half read a session, a quarter renew one, the others log in (insert) and out
(delete). First without a purge, then while the command line tool purges. Prints errors, latencies (from when a
transaction was due) and the purge's figures; exit code 1 when a foreground transaction failed, a renewed session is
gone, or the purge left something.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers import Connection, MariaDb, PostgreSql, Server, connect, make_base_dir

CLIENTS = 8
HOUR_S = 3_600
POLICY = '[[policy]]\nname = "sessions"\ntable = "sessions"\nexpired = { column = "expires", unit = "s" }\n'
COLUMNS = "id BIGINT PRIMARY KEY, expires BIGINT NOT NULL, owner BIGINT NOT NULL, body VARCHAR(100) NOT NULL"
SERVERS: dict[str, type[Server]] = {"postgresql": PostgreSql, "mariadb": MariaDb}
SETTINGS = {
    "postgresql": {"shared_buffers": "1GB", "max_wal_size": "8GB"},
    "mariadb": {"innodb_buffer_pool_size": "2G", "innodb_log_file_size": "2G"},
}


def fill(connection: Connection, backend: str, rows: int) -> None:
    """Every fifth session is live for hours yet; the others expired between half a day and twelve days ago."""
    now = int(time.time())
    expires = f"CASE WHEN n % 5 = 0 THEN {now + 6 * HOUR_S} + n % 7200 ELSE {now - 43_200} - n % 1000000 END"
    body = "'0123456789012345678901234567890123456789012345678901234567890123456789'"
    cursor = connection.cursor()
    if backend == "postgresql":
        cursor.execute(f"CREATE TABLE sessions ({COLUMNS})")
        source = f"generate_series(1, {rows}) AS s(n)"
    else:
        cursor.execute(f"CREATE TABLE sessions ({COLUMNS}) ENGINE=InnoDB")
        source = f"(SELECT seq AS n FROM seq_1_to_{rows}) AS s"
    step = 1_000_000
    for low in range(0, rows, step):
        cursor.execute(
            f"INSERT INTO sessions SELECT n, {expires}, n % 100000, {body} FROM {source} "
            f"WHERE n > {low} AND n <= {low + step}"
        )
    cursor.execute("CREATE INDEX sessions_owner ON sessions (owner)")
    cursor.execute("ANALYZE sessions" if backend == "postgresql" else "ANALYZE TABLE sessions")


class Client(threading.Thread):
    """Sends its share of the transactions, each at the time it is due."""

    def __init__(self, number: int, url: str, rows: int, rate: float, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.random = random.Random(number)
        self.connection = connect(url)
        self.rows, self.interval_s, self.stop_event = rows, CLIENTS / rate, stop
        self.next_id = 10 * rows + number * 100_000_000
        self.mine: list[int] = []
        self.renewed: set[int] = set()
        self.gone_when_renewed = 0
        self.latencies_ms: list[float] = []
        self.errors: list[str] = []

    def run(self) -> None:
        """Until told to stop."""
        due = time.perf_counter() + self.random.random() * self.interval_s
        while not self.stop_event.is_set():
            wait = due - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            try:
                self.transaction()
            except Exception as error:  # whatever a driver raises is what this counts
                self.errors.append(f"{type(error).__name__}: {error}".strip())
            self.latencies_ms.append((time.perf_counter() - due) * 1_000)
            due += self.interval_s

    def transaction(self) -> None:
        """One of a login service's usual statements; the drivers are in autocommit."""
        cursor = self.connection.cursor()
        choice = self.random.random()
        live = self.random.randrange(1, self.rows // 5) * 5
        if choice < 0.5:
            cursor.execute("SELECT expires, body FROM sessions WHERE id = %s", (live,))
            cursor.fetchall()
        elif choice < 0.75:
            # Any session, expired ones too: somebody comes back with an old cookie that still is in the table.
            wanted = live if self.random.random() < 0.5 else self.random.randrange(1, self.rows)
            cursor.execute("UPDATE sessions SET expires = %s WHERE id = %s", (int(time.time()) + 8 * HOUR_S, wanted))
            if cursor.rowcount == 1:
                self.renewed.add(wanted)
            else:
                self.gone_when_renewed += 1
        elif choice < 0.9 or not self.mine:
            self.next_id += 1
            cursor.execute(
                "INSERT INTO sessions (id, expires, owner, body) VALUES (%s, %s, %s, %s)",
                (self.next_id, int(time.time()) + 8 * HOUR_S, live % 100_000, "x" * 70),
            )
            self.mine.append(self.next_id)
        else:
            cursor.execute("DELETE FROM sessions WHERE id = %s", (self.mine.pop(0),))


def percentile(values: Sequence[float], share: float) -> float:
    """Of unsorted values."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def summary(clients: Sequence[Client], elapsed_s: float) -> dict[str, Any]:
    """What all clients saw together."""
    latencies = [ms for client in clients for ms in client.latencies_ms]
    return {
        "transactions_per_s": round(len(latencies) / elapsed_s),
        "errors": sum(len(client.errors) for client in clients),
        "first_errors": [client.errors[0] for client in clients if client.errors][:3],
        "latency_ms": {
            "p50": round(percentile(latencies, 0.5), 2),
            "p99": round(percentile(latencies, 0.99), 1),
            "max": round(max(latencies), 1),
            "over_100_ms_share": round(sum(ms > 100 for ms in latencies) / len(latencies), 5),
        },
    }


def measure(backend: str, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Fill, watch the foreground alone, then beside the purge."""
    with SERVERS[backend](folder, SETTINGS[backend]) as server:
        url = server.create_database("load")
        connection = connect(url)
        fill(connection, backend, args.rows)
        out: dict[str, Any] = {"backend": backend, "rows": args.rows, "rate": args.rate, "pace": args.pace}
        renewed: set[int] = set()
        for phase in ("alone", "with_purge"):
            stop = threading.Event()
            clients = [
                Client(number + (phase == "alone") * 100, url, args.rows, args.rate, stop) for number in range(CLIENTS)
            ]
            started = time.perf_counter()
            for client in clients:
                client.start()
            if phase == "alone":
                time.sleep(args.alone_s)
            else:
                out["purge"] = purge(url, args, folder)
            stop.set()
            for client in clients:
                client.join()
            out[phase] = summary(clients, time.perf_counter() - started)
            out[phase]["gone_when_renewed"] = sum(client.gone_when_renewed for client in clients)
            for client in clients:
                renewed |= client.renewed
        cursor = connection.cursor()
        cursor.execute("SELECT id FROM sessions WHERE id <= %s", (args.rows,))
        left = {int(row[0]) for row in cursor.fetchall()}
        out["renewed"] = len(renewed)
        out["renewed_but_gone"] = len(renewed - left)
        out["live_but_gone"] = len(set(range(5, args.rows + 1, 5)) - left)
        return out


def purge(url: str, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """By the command line tool; what its report says."""
    policy = folder / "policy.toml"
    policy.write_text(POLICY)
    command = [sys.executable, "-m", "purgekit", "run", url, str(policy), "--yes", "--json", "--pace", args.pace]
    environment = {**os.environ, "PURGEKIT_STATE": str(folder / "state")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"the purge ended with {done.returncode}: {done.stderr.strip()}")
    report = json.loads(done.stdout)
    entry = report["policies"][0]
    return {
        "rows_deleted": report["rows_deleted"],
        "elapsed_s": report["elapsed_s"],
        "rows_left": entry["rows_left"],
        "chunks": entry["chunks"],
        "retries": entry["retries"],
        "throttled_s": entry["throttled_s"],
        "chunk_ms": entry["chunk_ms"],
    }


def main() -> int:
    """Each backend in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", nargs="+", choices=sorted(SERVERS), default=sorted(SERVERS, reverse=True))
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rate", type=float, default=500, help="foreground transactions a second")
    parser.add_argument("--alone-s", type=float, default=20, help="seconds without a purge, to compare with")
    parser.add_argument("--pace", choices=("gentle", "fast"), default="gentle")
    args = parser.parse_args()
    failed = False
    for backend in args.backend:
        folder = make_base_dir()
        try:
            out = measure(backend, args, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(json.dumps(out, indent=2), flush=True)
        lost = out["renewed_but_gone"] + out["live_but_gone"] + out["purge"]["rows_left"]
        failed = failed or lost > 0 or out["with_purge"]["errors"] > 0
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
