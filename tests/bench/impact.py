"""What a login service notices: alone, while rows are deleted, and for a while afterwards."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.contestants import Contestant, PlainDelete, Purgekit, Task
from bench.data import TABLE, Rule, Shape, expected, key_of
from bench.foreground import Order, Seen
from bench.machine import Work
from bench.measure import execute
from bench.place import BenchFailed, Place
from bench.report import table as markdown
from servers import connect

START_UP_S = 2.0  # for the clients to connect
STEADY_S = 1.0  # left out: the first logins fill caches
STALL_MS = 100.0
ENDS_WITHIN_S = 120
LOOK_UP_KEYS = 500


@dataclass(frozen=True)
class Load:
    rate: float
    clients: int
    idle_s: float
    after_s: float
    renew_expired: float = 0.0


class Foreground:
    """All clients together."""

    def __init__(self, url: str, shape: Shape, load: Load, folder: Path) -> None:
        self.start_s = time.monotonic() + START_UP_S
        interval_s = load.clients / load.rate
        self._results = [folder / f"client-{number}.json" for number in range(load.clients)]
        self._clients = []
        for number, result in enumerate(self._results):
            result.unlink(missing_ok=True)
            order = Order(
                url,
                number,
                interval_s,
                self.start_s + interval_s * number / load.clients,
                shape.purgeable,
                shape.rows,
                load.renew_expired,
                str(result),
            )
            client = subprocess.Popen([sys.executable, "-m", "bench.foreground"], stdin=subprocess.PIPE, text=True)
            assert client.stdin is not None
            client.stdin.write(json.dumps(asdict(order)) + "\n")
            client.stdin.flush()
            self._clients.append(client)

    def stop(self) -> list[Seen]:
        """End the load; what each client saw."""
        for client in self._clients:
            assert client.stdin is not None
            client.stdin.close()
        for client in self._clients:
            try:
                client.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                client.kill()
                client.wait()
        missing = [path.name for path in self._results if not path.exists()]
        if missing:
            raise BenchFailed(f"foreground clients failed: {', '.join(missing)}")
        return [Seen(**json.loads(path.read_text())) for path in self._results]


def compare(
    place: Place,
    shape: Shape,
    rule: Rule,
    contestants: Sequence[Contestant],
    repeats: int,
    load: Load,
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """All runs, round after round."""
    if place.build(shape):
        say(f"{place.backend}: built {shape}")
    records = []
    for number in range(repeats):
        for contestant in contestants:
            record: dict[str, Any] = {"backend": place.backend, "shape": shape.name, "round": number}
            record |= one(place, shape, rule, contestant, load)
            records.append(record)
            during = record["windows"]["during"]
            say(f"{place.backend}: {contestant.name}: {record['elapsed_s']:.1f} s, p99 {during['p99']} ms")
    return records


def one(place: Place, shape: Shape, rule: Rule, contestant: Contestant, load: Load) -> dict[str, Any]:
    """Load alone, load and purge, load alone."""
    url = place.fresh(shape)
    task = Task(url, rule, place.work)
    execute(url, contestant.statements(task))
    foreground = Foreground(url, shape, load, place.work)
    try:
        time.sleep(max(0.0, foreground.start_s + STEADY_S + load.idle_s - time.monotonic()))
        work = Work(place)
        begun = time.monotonic()
        outcome = contestant.run(task)
        ended = time.monotonic()
        work_figures = work.figures()
        time.sleep(load.after_s)
    finally:
        seen = foreground.stop()
    lost = check(place, url, shape, contestant, seen)
    steady = foreground.start_s + STEADY_S
    windows = {"idle": (steady, begun), "during": (begun, ended), "after": (ended, ended + load.after_s)}
    return {
        "contestant": contestant.name,
        "elapsed_s": outcome.elapsed_s,
        "wall_s": outcome.wall_s,
        **outcome.figures,
        "windows": {name: window(seen, *bounds) for name, bounds in windows.items()},
        "first_errors": sorted({text for one in seen for _, text in one.errors})[:3],
        "series": series(seen, begun, steady),
        "window_s": ended - begun,
        "renewed_but_deleted": lost,
        **work_figures,
    }


def check(place: Place, url: str, shape: Shape, contestant: Contestant, seen: Sequence[Seen]) -> int:
    """Whether just those rows are left that should; how many renewed ones were deleted all the same."""
    stored = [key_of(number) for one in seen for number in one.stored]
    renewed = {key_of(number) for one in seen for number in one.renewed_expired}
    there = _present(url, sorted(renewed))
    left, wanted = place.survivors(url), expected(shape).plus([*stored, *there])
    if left != wanted:
        raise BenchFailed(f"{contestant.name} left {left}, not {wanted}")
    lost = len(renewed) - len(there)
    if lost and isinstance(contestant, Purgekit):
        raise BenchFailed(f"{contestant.name} deleted {lost} sessions that had been renewed")
    return lost


def _present(url: str, keys: Sequence[str]) -> list[str]:
    found: list[str] = []
    with contextlib.closing(connect(url)) as connection:
        for start in range(0, len(keys), LOOK_UP_KEYS):
            some = list(keys[start : start + LOOK_UP_KEYS])
            cursor = connection.cursor()
            marks = ", ".join(["%s"] * len(some))
            cursor.execute(f"SELECT SESSION_ID FROM {TABLE} WHERE SESSION_ID IN ({marks})", some)
            found += [str(row[0]) for row in cursor.fetchall()]
    return found


def window(seen: Sequence[Seen], start_s: float, end_s: float) -> dict[str, Any]:
    """Latencies of the logins that were due in between."""
    times = sorted(
        ms for one in seen for due, ms in zip(one.due_s, one.latency_ms, strict=True) if start_s <= due < end_s
    )
    errors = sum(start_s <= due < end_s for one in seen for due, _ in one.errors)
    out: dict[str, Any] = {"logins": len(times), "errors": errors, "over_100_ms": sum(ms > STALL_MS for ms in times)}
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)):
        out[name] = round(percentile(times, share), 2) if times else None
    return out


def percentile(ordered: Sequence[float], share: float) -> float:
    """Of sorted values, at least one."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def series(seen: Sequence[Seen], begun_s: float, steady_s: float) -> list[tuple[int, float]]:
    """Second after the purge's start (negative: before), p99 in that second in milliseconds."""
    seconds: dict[int, list[float]] = {}
    for one in seen:
        for due, ms in zip(one.due_s, one.latency_ms, strict=True):
            if due >= steady_s:
                seconds.setdefault(int((due - begun_s) // 1), []).append(ms)
    return [(second, round(percentile(sorted(ms), 0.99), 2)) for second, ms in sorted(seconds.items())]


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """A row for each run."""
    limits = [record["elapsed_s"] for record in records if record["contestant"] == PlainDelete().name]
    header = ["contestant", "deleting s", "x DELETE"]
    for name in ("idle", "during", "after"):
        header += [f"{name}: p50 / p95 / p99 / max ms", f"{name}: over 100 ms"]
    header += ["errors", "renewed, yet deleted", "others' CPUs"]
    rows = []
    for record in records:
        row = [
            record["contestant"],
            f"{record['elapsed_s']:.1f}",
            f"{record['elapsed_s'] / limits[0]:.2f}" if limits else "",
        ]
        for name in ("idle", "during", "after"):
            one = record["windows"][name]
            row.append(" / ".join(_ms(one[figure]) for figure in ("p50", "p95", "p99", "max")))
            row.append(f"{one['over_100_ms']:,} of {one['logins']:,}")
        row.append("; ".join([str(sum(one["errors"] for one in record["windows"].values())), *record["first_errors"]]))
        row.append(str(record["renewed_but_deleted"] or ""))
        row.append(f"{record['other_processors']:.2f}")
        rows.append(row)
    return markdown(header, rows)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if value < 100 else f"{value:,.0f}"
