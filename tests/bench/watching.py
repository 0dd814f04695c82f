"""What a sign-on service notices of a watch, how long rows stay after they have expired, and what the watch costs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.foreground import Seen
from bench.impact import ENDS_WITHIN_S, START_UP_S, STEADY_S, Load, window
from bench.place import BenchFailed
from bench.place_server import ServerPlace, ticks_of
from bench.report import table as markdown
from bench.token_client import BODY, HOUR_MS, STATEMENTS, TABLE, Order, key_of, now_ms
from servers import connect

LIFETIME_MS = 2_000
CAUGHT_UP_S = 2.0  # rows of the time before the watch began are a backlog: measured is what comes when it is gone
CATCHES_UP_WITHIN_S = 60
LOOK_EVERY_S = 0.1
POLICY = f"""
[[policy]]
name = "tokens"
table = "{TABLE}"
grace = "0s"
evidence_retention = "1d"
expired = {{ column = "EXPIRES", unit = "ms" }}
"""


class Lag(threading.Thread):
    """How long the oldest expired row has been purgeable, looked at again and again by another driver."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._end = threading.Event()
        self.seen_s: list[float] = []

    def run(self) -> None:
        with contextlib.closing(connect(self._url)) as connection:
            while not self._end.wait(LOOK_EVERY_S):
                cursor = connection.cursor()
                cursor.execute(f"SELECT MIN(EXPIRES) FROM {TABLE}")
                ((oldest,),) = cursor.fetchall()
                self.seen_s.append(max(0, now_ms() - int(oldest)) / 1_000)

    def wait_until_below(self, wanted_s: float) -> None:
        """And forget what was seen until then."""
        end = time.monotonic() + CATCHES_UP_WITHIN_S
        while not self.seen_s or self.seen_s[-1] > wanted_s:
            if time.monotonic() > end:
                raise BenchFailed(f"the watch has not caught up within {CATCHES_UP_WITHIN_S} s")
            time.sleep(LOOK_EVERY_S)
        self.seen_s.clear()

    def stop(self) -> None:
        self._end.set()
        self.join()


def compare(
    place: ServerPlace, live: int, repeats: int, load: Load, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Changes alone, and changes with a watch, of the same length."""
    records = []
    for number in range(repeats):
        url = place.server.create_database("watching")
        try:
            fill(url, live)
            record = {"backend": place.backend, "round": number, **one(place, url, live, load)}
        finally:
            place.server.drop_database("watching")
        records.append(record)
        say(f"{place.backend}: p99 {record['idle']['p99']} ms alone, {record['during']['p99']} ms with a watch")
    return records


def one(place: ServerPlace, url: str, live: int, load: Load) -> dict[str, Any]:
    policies = place.work / "watched.toml"
    policies.write_text(POLICY)
    start_s = time.monotonic() + START_UP_S
    results, clients = start_clients(url, live, load, start_s, place.work)
    command = [sys.executable, "-m", "purgekit", "watch", url, str(policies), "--json"]
    watch: subprocess.Popen[str] | None = None
    try:
        time.sleep(max(0.0, start_s + STEADY_S + load.idle_s - time.monotonic()))
        idle = (start_s + STEADY_S, time.monotonic())
        watch = subprocess.Popen(
            command, stdout=subprocess.PIPE, env={**os.environ, "PURGEKIT_STATE": str(place.work / "state")}, text=True
        )
        lag = Lag(url)
        lag.start()
        lag.wait_until_below(CAUGHT_UP_S)
        begun, cpu_before_s = time.monotonic(), _cpu_s(watch.pid)
        time.sleep(load.idle_s)
        cpu_s, ended = _cpu_s(watch.pid) - cpu_before_s, time.monotonic()
        lag.stop()
        watch.send_signal(signal.SIGTERM)
        out, _ = watch.communicate(timeout=ENDS_WITHIN_S)
    finally:
        if watch is not None and watch.poll() is None:
            watch.kill()
            watch.wait()
        seen = stop_clients(clients, results)
    report = json.loads(out.splitlines()[-1])
    if report["exit_code"] != 3 or report["stop_reason"] != "signal":
        raise BenchFailed(f"the watch ended with {report['exit_code']}, {report['stop_reason']}")
    check(url, seen, report["rows_deleted"])
    return {
        "idle": window(seen, *idle),
        "during": window(seen, begun, ended),
        "rows_deleted": report["rows_deleted"],
        "purges": len(out.splitlines()) - 1,
        "longest_lag_s": max(lag.seen_s),
        "watch_cpu_share": cpu_s / (ended - begun),
    }


def fill(url: str, live: int) -> None:
    """Tokens that stay."""
    with contextlib.closing(connect(url)) as connection:
        cursor = connection.cursor()
        for statement in STATEMENTS:
            cursor.execute(statement)
        expires = now_ms() + 24 * HOUR_MS
        for start in range(0, live, 500):
            part = range(start, min(start + 500, live))
            values = [value for n in part for value in (key_of(n), f"user{n % 1_000}", BODY, expires + n)]
            cursor.execute(f"INSERT INTO {TABLE} VALUES " + ", ".join(["(%s, %s, %s, %s)"] * len(part)), values)
        cursor.execute(f"ANALYZE {'TABLE ' if url.startswith('mariadb') else ''}{TABLE}")


def start_clients(
    url: str, live: int, load: Load, start_s: float, folder: Path
) -> tuple[list[Path], list[subprocess.Popen[str]]]:
    interval_s = load.clients / load.rate
    results = [folder / f"client-{number}.json" for number in range(load.clients)]
    clients = []
    for number, result in enumerate(results):
        result.unlink(missing_ok=True)
        first_s = start_s + interval_s * number / load.clients
        order = Order(url, number, interval_s, first_s, live, LIFETIME_MS, str(result))
        client = subprocess.Popen([sys.executable, "-m", "bench.token_client"], stdin=subprocess.PIPE, text=True)
        assert client.stdin is not None
        client.stdin.write(json.dumps(asdict(order)) + "\n")
        client.stdin.flush()
        clients.append(client)
    return results, clients


def stop_clients(clients: Sequence[subprocess.Popen[str]], results: Sequence[Path]) -> list[Seen]:
    for client in clients:
        assert client.stdin is not None
        client.stdin.close()
    for client in clients:
        client.wait(ENDS_WITHIN_S)
    missing = [path.name for path in results if not path.exists()]
    if missing:
        raise BenchFailed(f"token clients failed: {', '.join(missing)}")
    return [Seen(**json.loads(path.read_text())) for path in results]


def check(url: str, seen: Sequence[Seen], deleted: int) -> None:
    """Whether what went is what was issued and is no longer there."""
    issued = sum(len(one.stored) for one in seen)
    with contextlib.closing(connect(url)) as connection:
        cursor = connection.cursor()
        cursor.execute(f"SELECT COUNT(*) FROM {TABLE} WHERE EXPIRES < %s", (now_ms() + HOUR_MS // 2,))
        ((left,),) = cursor.fetchall()
    if issued - int(left) != deleted:
        raise BenchFailed(f"{issued} tokens were issued and {left} of them are left, but {deleted} were purged")


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """A row for each run."""
    header = ["alone: p50 / p99 / max ms", "with a watch: p50 / p99 / max ms", "x p99", "errors"]
    header += ["longest time that a row stayed s", "watch: share of a core", "rows", "purges"]
    rows = []
    for record in records:
        idle, during = record["idle"], record["during"]
        rows.append(
            [
                *(f"{w['p50']} / {w['p99']} / {w['max']}" for w in (idle, during)),
                f"{during['p99'] / idle['p99']:.2f}",
                str(during["errors"]),
                f"{record['longest_lag_s']:.2f}",
                f"{100 * record['watch_cpu_share']:.1f} %",
                str(record["rows_deleted"]),
                str(record["purges"]),
            ]
        )
    return markdown(header, rows)


def _cpu_s(pid: int) -> float:
    return ticks_of(pid) / os.sysconf("SC_CLK_TCK")
