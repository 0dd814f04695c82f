"""How far and how hard a run may go."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, timezone, tzinfo

from purgekit._core import parse_percent
from purgekit.errors import PurgeRefused
from purgekit.text import did_you_mean, printable

PACES = ("gentle", "fast")
RECLAIMS = ("none", "statistics", "space")
LONGEST_RUN_S = 10 * 366 * 86_400
MOST_WORKERS = 64
CLOCK = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)")


@dataclass(frozen=True)
class Limits:
    """Limits of one run. The defaults stop at nothing but yield to the database.

    Attributes:
        chunk_ms: target time of one transaction.
        max_rows: rows of all tables together; never exceeded.
        max_rows_per_s: averaged over the run.
        max_run_s: no chunk is begun later than this.
        until: ``"HH:MM"``, client's local time, or ``"HH:MM Zone"``: no chunk is begun after it.
        window: ``"HH:MM-HH:MM"``, may cross midnight, with a zone as in ``until``; outside it nothing is done.
        max_replica_lag_s: wait while a replica is further behind.
        replicas: URLs of replicas that are asked for that (MySQL, MariaDB: the primary does not know). One without a
            password takes the database's.
        lag_sql: asked of the replicas, or of the database itself, instead: one number, the seconds. Such as the age of
            a row that a heartbeat keeps writing.
        probe_sql: a query that is run twice a second on a connection of its own, in a transaction that can't write.
        probe_limit_ms: wait while it takes longer than this.
        lock_wait_ms: longest wait for a locked row.
        stop_file: the run ends when this file is there.
        max_fraction: refuse when a larger share of a table is purgeable; None: the policy's, else 0.98.
        within: ``"50%"``: refuse when what may go differs by more from the last run of the same policy, or may be more
            than a plan file was made for by more than that; None: as each policy says, and 10% above a plan file.
        pace: ``"gentle"`` yields to measured pressure; ``"fast"`` never pauses on its own account.
        workers: connections that purge one table at a time, on parts of it (1 to 64). Where a walk can't be cut (an
            index walk; SQLite, which has one writer), one does the work.
    """

    chunk_ms: int = 100
    max_rows: int | None = None
    max_rows_per_s: float | None = None
    max_run_s: float | None = None
    until: str | None = None
    window: str | None = None
    max_replica_lag_s: float | None = None
    lock_wait_ms: int = 1_000
    stop_file: str | None = None
    max_fraction: float | None = None
    within: str | None = None
    pace: str = "gentle"
    workers: int = 1
    replicas: Sequence[str] = field(default=(), repr=False)
    lag_sql: str | None = None
    probe_sql: str | None = None
    probe_limit_ms: float | None = None

    def __post_init__(self) -> None:
        _check("chunk_ms", self.chunk_ms, above=0)
        _check("max_rows", self.max_rows, above=0, most=2**63 - 1, whole=True)
        _check("max_rows_per_s", self.max_rows_per_s, above=0)
        _check("max_run_s", self.max_run_s, above=0, most=LONGEST_RUN_S)
        _check("max_replica_lag_s", self.max_replica_lag_s, least=0)
        _check("lock_wait_ms", self.lock_wait_ms, least=0, most=2**32 - 1, whole=True)
        _check("max_fraction", self.max_fraction, above=0, most=1)
        if self.within is not None and not isinstance(self.within, str):
            raise _refusal(f'within must be a percentage in quotes, such as "50%", not {printable(self.within)}')
        if self.within is not None:
            parse_percent(self.within)
        if self.pace not in PACES:
            raise _refusal(f"unknown pace '{printable(self.pace)}'{did_you_mean(str(self.pace), PACES)}")
        _check("workers", self.workers, above=0, most=MOST_WORKERS, whole=True)
        _check("probe_limit_ms", self.probe_limit_ms, least=1, most=60_000)
        self._check_watched()
        if self.until is not None:
            _clock_and_zone("until", self.until, 1)
        if self.window is not None:
            _window(self.window)

    @property
    def within_pct(self) -> float | None:
        """``within`` as a number."""
        return None if self.within is None else parse_percent(self.within)

    def _check_watched(self) -> None:
        for name, sql in (("lag_sql", self.lag_sql), ("probe_sql", self.probe_sql)):
            if sql is not None and (not isinstance(sql, str) or not sql.strip()):
                raise _refusal(f"{name} must be a query")
        if (self.probe_sql is None) != (self.probe_limit_ms is None):
            raise _refusal("probe_sql and probe_limit_ms go together: a query, and how long it may take")
        if isinstance(self.replicas, str):
            raise _refusal("replicas must be a list of URLs, not one")
        if self.max_replica_lag_s is None and (self.replicas or self.lag_sql is not None):
            raise _refusal("replicas and lag_sql need max_replica_lag_s: how far behind a replica may be")

    def stops_at(self, now: datetime) -> tuple[datetime, str] | None:
        """When the run must begin no further chunk, and which limit says so. ``now`` is aware.

        The instant is ``now`` itself when the window is closed.
        """
        ends: list[tuple[datetime, str]] = []
        if self.max_run_s is not None:
            ends.append((now + timedelta(seconds=self.max_run_s), "max_run_s"))
        if self.until is not None:
            (clock,), zone = _clock_and_zone("until", self.until, 1)
            ends.append((_next(clock, now, zone), "until"))
        if self.window is not None:
            (opens, closes), zone = _window(self.window)
            ends.append((_next(closes, now, zone) if _is_open(opens, closes, now, zone) else now, "window"))
        return min(ends, default=None)


def check_reclaim(reclaim: str) -> None:
    """Refuse an unknown word for what is done after a purge."""
    if reclaim not in RECLAIMS:
        raise _refusal(f"unknown reclaim '{printable(reclaim)}'{did_you_mean(str(reclaim), RECLAIMS)}")


def _refusal(message: str) -> PurgeRefused:
    return PurgeRefused(message, code="limit")


def _check(
    name: str,
    value: float | None,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
    whole: bool = False,
) -> None:
    if value is None:
        return
    is_number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool) and value == value
    if (
        is_number
        and (above is None or value > above)
        and (least is None or value >= least)
        and (most is None or value <= most)
    ):
        return
    bound = f"more than {above}" if above is not None else f"{least} or more"
    number = "a whole number, " if whole else ""
    raise _refusal(
        f"{name} must be {number}{bound}{f' and at most {most}' if most is not None else ''}, not {printable(value)}"
    )


def _window(text: str) -> tuple[list[time], tzinfo | None]:
    clocks, zone = _clock_and_zone("window", text, 2)
    if clocks[0] == clocks[1]:
        raise _refusal(f"window '{printable(text)}' is never open; leave it out to run at any time")
    return clocks, zone


def _clock_and_zone(name: str, text: str, count: int) -> tuple[list[time], tzinfo | None]:
    clock_text, _, zone_name = text.strip().partition(" ")
    clocks = [_clock(part) for part in clock_text.split("-")]
    if len(clocks) != count or None in clocks:
        form = "HH:MM-HH:MM" if count == 2 else "HH:MM"
        raise _refusal(f"{name} must be {form}, with a time zone behind it if need be, not '{printable(text)}'")
    return [clock for clock in clocks if clock is not None], _zone(zone_name.strip())


def _clock(text: str) -> time | None:
    found = CLOCK.fullmatch(text)
    if found is None or (found[1] == "24" and found[2] != "00"):
        return None
    return time(int(found[1]) % 24, int(found[2]))


def _zone(name: str) -> tzinfo | None:
    """None: the client's local time."""
    if not name:
        return None
    if name.upper() in ("UTC", "Z"):
        return timezone.utc
    from purgekit.zones import find_zone

    return find_zone(name)


def _local(instant: datetime, zone: tzinfo | None) -> datetime:
    """The wall clock in ``zone``, or in the client's local time, without a zone."""
    return instant.astimezone(zone).replace(tzinfo=None)


def _instant(wall: datetime, zone: tzinfo | None) -> datetime:
    """The first instant that shows ``wall``."""
    aware = wall.astimezone() if zone is None else wall.replace(tzinfo=zone)
    return aware.astimezone(timezone.utc)


def _next(clock: time, now: datetime, zone: tzinfo | None) -> datetime:
    """The next time after ``now`` that clocks show ``clock``."""
    today = _local(now, zone).date()
    for days in range(3):
        candidate = _instant(datetime.combine(today + timedelta(days=days), clock), zone)
        if candidate > now:
            return candidate
    raise AssertionError("a clock shows every time of day within three days")


def _is_open(opens: time, closes: time, now: datetime, zone: tzinfo | None) -> bool:
    clock = _local(now, zone).time()
    if opens < closes:
        return opens <= clock < closes
    return clock >= opens or clock < closes
