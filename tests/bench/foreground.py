"""One client of the foreground load, a process of its own: logins at fixed times, whether or not the last is through.

    echo ORDER | python -m bench.foreground        # an Order as JSON; the end of standard input ends it

A login reads a session, stores a new one and renews a third, in one transaction. Latency counts from the instant at
which a login was due, so that a stall shows in all those it delays.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.data import COLUMNS, DAY_NS, NOW_NS, SECOND_NS, TABLE, key_of
from servers import Connection, connect

NEW_KEYS_FROM = 10**12  # numbers of new sessions, far from those of the table's rows
CLIENT_KEYS = 10**9


@dataclass(frozen=True)
class Order:
    url: str
    number: int  # of this client
    interval_s: float
    start_at_s: float  # on the monotonic clock, which all processes share
    purgeable: int
    rows: int
    renew_expired: float
    result: str


@dataclass
class Seen:
    """What a client reports. Sessions are told by their numbers."""

    due_s: list[float] = field(default_factory=list)
    latency_ms: list[float] = field(default_factory=list)
    errors: list[tuple[float, str]] = field(default_factory=list)
    stored: list[int] = field(default_factory=list)
    renewed_expired: list[int] = field(default_factory=list)


class Client:
    def __init__(self, order: Order, stop: threading.Event) -> None:
        self._order = order
        self._stop = stop
        self._random = random.Random(order.number)
        self._connection = connect(order.url)
        self._next_new = NEW_KEYS_FROM + order.number * CLIENT_KEYS
        self._object = random.Random(order.number).randbytes(600)
        self.seen = Seen()

    def run(self) -> Seen:
        """Until told to stop."""
        due = self._order.start_at_s + self._random.random() * self._order.interval_s
        while True:
            wait = due - time.monotonic()
            if self._stop.wait(max(0.0, wait)):
                self._count_overdue(due)
                return self.seen
            try:
                self._login(self._connection)
            except Exception as error:  # whatever a driver raises is what this counts
                self.seen.errors.append((due, f"{type(error).__name__}: {error}".strip()))
                with contextlib.suppress(Exception):
                    self._connection.cursor().execute("ROLLBACK")
            self.seen.due_s.append(due)
            self.seen.latency_ms.append((time.monotonic() - due) * 1_000)
            due += self._order.interval_s

    def _count_overdue(self, due: float) -> None:
        """Logins that never had their turn waited until now at least; left out, the worst stalls would look best."""
        now = time.monotonic()
        while due < now:
            self.seen.due_s.append(due)
            self.seen.latency_ms.append((now - due) * 1_000)
            due += self._order.interval_s

    def _login(self, connection: Connection) -> None:
        cursor = connection.cursor()
        cursor.execute("BEGIN")
        cursor.execute(
            f"SELECT SESSION_OBJECT, EXPIRY_TIME FROM {TABLE} WHERE SESSION_ID = %s", (key_of(self._live()),)
        )
        cursor.fetchall()
        new = self._next_new = self._next_new + 1
        expires = NOW_NS + 14 * DAY_NS
        values = (key_of(new), "OAuthSessionDataCache", "STORE", self._object, NOW_NS - SECOND_NS, -1234, expires)
        marks = ", ".join(["%s"] * len(COLUMNS))
        cursor.execute(f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES ({marks})", values)
        expired = self._random.random() < self._order.renew_expired
        # Somebody comes back with an old cookie while its session is still in the table.
        third = self._random.randrange(self._order.purgeable) if expired else self._live()
        cursor.execute(f"UPDATE {TABLE} SET EXPIRY_TIME = %s WHERE SESSION_ID = %s", (expires, key_of(third)))
        renewed = expired and cursor.rowcount == 1
        cursor.execute("COMMIT")
        self.seen.stored.append(new)
        if renewed:
            self.seen.renewed_expired.append(third)

    def _live(self) -> int:
        return self._random.randrange(self._order.purgeable, self._order.rows)


def main() -> None:
    fields: dict[str, Any] = json.loads(sys.stdin.readline())
    order = Order(**fields)
    stop = threading.Event()

    def wait_for_end() -> None:
        os.read(sys.stdin.fileno(), 1)
        stop.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    seen = Client(order, stop).run()
    Path(order.result).write_text(json.dumps(asdict(seen)))


if __name__ == "__main__":
    main()
