"""Time zones as lists of offset changes, which is how the native engine takes them.

The engine's C++ library has no time-zone database of its own, so zones are resolved here, when a plan is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from purgekit.errors import PolicyError
from purgekit.text import nearest, printable

FAR_PAST_NS = -(2**63)
FIRST = datetime(1970, 1, 1, tzinfo=timezone.utc)
LAST = datetime(2200, 1, 1, tzinfo=timezone.utc)
# No zone has ever changed there and back within this span (Morocco's Ramadan clock takes about a month).
STRIDE = timedelta(days=5)

Steps = tuple[tuple[int, int], ...]


def find_zone(name: str) -> ZoneInfo:
    """The zone ``name``; PolicyError with the nearest right name when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = nearest(name, available_timezones())
        hint = f" (did you mean {near}?)" if near else '; use a name such as "Europe/Berlin"'
        raise PolicyError(f"unknown time zone '{printable(name)}'{hint}") from None


@lru_cache(maxsize=64)
def zone_steps(name: str) -> Steps:
    """``(from_utc_ns, offset_ns)`` for each offset the zone has between 1970 and 2200, ascending.

    The first holds from the far past. Offsets are those of whole seconds that zoneinfo gives.
    """
    zone = find_zone(name)
    offset = _offset(FIRST, zone)
    steps = [(FAR_PAST_NS, _ns(offset))]
    at = FIRST
    while at < LAST:
        after = min(at + STRIDE, LAST)
        later = _offset(after, zone)
        if later != offset:
            steps.append((_ns(_change(at, after, zone) - FIRST), _ns(later)))
            offset = later
        at = after
    return tuple(steps)


def steps_by_zone(names: Iterable[str]) -> dict[str, Steps]:
    """The steps of each zone named."""
    return {name: zone_steps(name) for name in names}


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first whole second at which the zone has the offset that it has at ``after``."""
    new = _offset(after, zone)
    low, high = 0, int((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(before + timedelta(seconds=middle), zone) == new:
            high = middle
        else:
            low = middle
    return before + timedelta(seconds=high)


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()


def _ns(span: timedelta) -> int:
    return (span.days * 86_400 + span.seconds) * 1_000_000_000 + span.microseconds * 1_000
