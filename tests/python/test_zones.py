"""Zones as steps agree with zoneinfo at any instant."""

from datetime import datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import purgekit as pk
from purgekit.zones import FAR_PAST_NS, zone_steps

NAMES = ["Europe/Berlin", "America/New_York", "Africa/Casablanca", "Australia/Lord_Howe", "Asia/Kathmandu", "Etc/GMT+5"]
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=200, deadline=None)
@given(second=st.integers(0, 7_258_118_399))
def test_offset_at_any_instant(name: str, second: int) -> None:
    offset_ns = [offset for start, offset in zone_steps(name) if start <= second * 10**9][-1]
    expected = (EPOCH + timedelta(seconds=second)).astimezone(ZoneInfo(name)).utcoffset()
    assert expected == timedelta(microseconds=offset_ns // 1000)


def test_steps_are_ascending_changes() -> None:
    steps = zone_steps("Europe/Berlin")
    assert steps[0] == (FAR_PAST_NS, 3_600 * 10**9)
    assert [start for start, _ in steps] == sorted({start for start, _ in steps})
    assert all(a[1] != b[1] for a, b in pairwise(steps))
    # 2024-03-31T01:00:00Z, the beginning of summer time
    assert (1_711_846_800 * 10**9, 7_200 * 10**9) in steps


@pytest.mark.parametrize(
    ("name", "part"), [("Europe/Berln", "Europe/Berlin"), ("../etc/passwd", "unknown"), ("", "unknown")]
)
def test_unknown_zone(name: str, part: str) -> None:
    with pytest.raises(pk.PolicyError, match=part):
        zone_steps(name)
