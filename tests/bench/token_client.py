"""One client of a sign-on service, a process of its own: token changes at fixed times, even if the last is not through.

    echo ORDER | python -m bench.token_client        # an Order as JSON; the end of standard input ends it

A change reads a token, issues one that expires soon, and renews a third, in one transaction. Latency counts from the
instant at which a change was due, so that a stall shows in all those it delays.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.foreground import Seen
from servers import Connection, connect

TABLE = "ACCESS_TOKENS"
STATEMENTS = (
    f"CREATE TABLE {TABLE} (TOKEN_ID VARCHAR(60) PRIMARY KEY, SUBJECT VARCHAR(60), BODY VARCHAR(900), EXPIRES BIGINT)",
    f"CREATE INDEX {TABLE}_EXPIRES ON {TABLE} (EXPIRES)",
    f"CREATE INDEX {TABLE}_SUBJECT ON {TABLE} (SUBJECT)",
)
BODY = "b" * 600
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Order:
    url: str
    number: int  # of this client
    interval_s: float
    start_at_s: float  # on the monotonic clock, which all processes share
    live: int  # tokens that stay
    lifetime_ms: int  # of those that are issued
    result: str


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def key_of(number: int) -> str:
    """Spread over the index, as random tokens are."""
    return f"{number * 2_654_435_761 % 2**32:08x}-{number:012}"


class Client:
    def __init__(self, order: Order, stop: threading.Event) -> None:
        self._order = order
        self._stop = stop
        self._random = random.Random(order.number)
        self._connection = connect(order.url)
        self._next = 10**9 * (order.number + 1)
        self.seen = Seen()

    def run(self) -> Seen:
        """Until told to stop."""
        due = self._order.start_at_s + self._random.random() * self._order.interval_s
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            try:
                self._change(self._connection)
            except Exception as error:  # whatever a driver raises is what this counts
                self.seen.errors.append((due, f"{type(error).__name__}: {error}".strip()))
                with contextlib.suppress(Exception):
                    self._connection.cursor().execute("ROLLBACK")
            self.seen.due_s.append(due)
            self.seen.latency_ms.append((time.monotonic() - due) * 1_000)
            due += self._order.interval_s
        return self.seen

    def _change(self, connection: Connection) -> None:
        cursor = connection.cursor()
        cursor.execute("BEGIN")
        cursor.execute(f"SELECT SUBJECT, EXPIRES FROM {TABLE} WHERE TOKEN_ID = %s", (self._live(),))
        cursor.fetchall()
        self._next += 1
        values = (key_of(self._next), f"user{self._next % 1_000}", BODY, now_ms() + self._order.lifetime_ms)
        cursor.execute(f"INSERT INTO {TABLE} VALUES (%s, %s, %s, %s)", values)
        cursor.execute(f"UPDATE {TABLE} SET EXPIRES = %s WHERE TOKEN_ID = %s", (now_ms() + HOUR_MS, self._live()))
        cursor.execute("COMMIT")
        self.seen.stored.append(self._next)

    def _live(self) -> str:
        return key_of(self._random.randrange(self._order.live))


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
