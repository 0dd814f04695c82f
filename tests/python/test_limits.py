"""Limits: what is refused, and when a run must end."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

import purgekit as pk

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"chunk_ms": 0}, "chunk_ms must be more than 0"),
        ({"max_rows": -1}, "max_rows"),
        ({"max_rows_per_s": float("nan")}, "max_rows_per_s"),
        ({"max_run_s": 0}, "max_run_s"),
        ({"max_fraction": 1.5}, "at most 1"),
        ({"pace": "gentel"}, "did you mean gentle"),
        ({"workers": 0}, "workers must be a whole number, more than 0"),
        ({"until": "25:00"}, "HH:MM"),
        ({"until": "7"}, "HH:MM"),
        ({"until": "07:00 Europe/Berln"}, "Europe/Berlin"),
        ({"window": "22:00"}, "HH:MM-HH:MM"),
        ({"window": "22:00-22:00"}, "never open"),
        ({"window": "24:30-01:00"}, "HH:MM-HH:MM"),
    ],
)
def test_refusals(arguments: dict[str, object], part: str) -> None:
    with pytest.raises(pk.PurgekitError, match=part):
        pk.Limits(**arguments)  # type: ignore[arg-type]


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("window", "now", "end"),
    [
        ("22:00-05:00", "2024-05-06T23:00", "2024-05-07T05:00"),
        ("22:00-05:00", "2024-05-06T04:59", "2024-05-06T05:00"),
        ("22:00-05:00", "2024-05-06T05:00", None),
        ("22:00-05:00", "2024-05-06T21:59", None),
        ("22:00-05:00", "2024-05-06T22:00", "2024-05-07T05:00"),
        ("09:00-17:00", "2024-05-06T12:00", "2024-05-06T17:00"),
        ("09:00-17:00", "2024-05-06T17:00", None),
        ("00:00-24:00", "2024-05-06T12:00", None),
        ("20:00-24:00", "2024-05-06T21:00", "2024-05-07T00:00"),
        # Clocks go forward at 02:00 and back at 03:00.
        ("01:00-02:30", "2024-03-31T01:30", "2024-03-31T03:30"),
        ("01:00-04:00", "2024-10-27T01:30", "2024-10-27T04:00"),
    ],
)
def test_window_in_a_zone(window: str, now: str, end: str | None) -> None:
    if window == "00:00-24:00":
        with pytest.raises(pk.PurgekitError, match="never open"):
            pk.Limits(window=f"{window} Europe/Berlin")
        return
    at = berlin(now).astimezone(timezone.utc)
    stop = pk.Limits(window=f"{window} Europe/Berlin").stops_at(at)
    assert stop is not None
    assert stop[1] == "window"
    expected = at if end is None else berlin(end)
    assert stop[0].astimezone(timezone.utc) == expected.astimezone(timezone.utc)


def test_the_earliest_end_counts() -> None:
    now = datetime(2024, 5, 6, 10, 0, tzinfo=timezone.utc)
    assert pk.Limits().stops_at(now) is None
    assert pk.Limits(max_run_s=60, until="10:30 UTC").stops_at(now) == (now + timedelta(seconds=60), "max_run_s")
    assert pk.Limits(max_run_s=6e4, until="10:30 UTC").stops_at(now) == (now + timedelta(minutes=30), "until")
    assert pk.Limits(until="09:00 UTC").stops_at(now) == (now + timedelta(hours=23), "until")
    assert pk.Limits(until="11:00 UTC", window="09:00-10:30 Z").stops_at(now) == (now + timedelta(minutes=30), "window")


def test_local_time_is_the_client_s() -> None:
    now = datetime.now(timezone.utc)
    stop = pk.Limits(until="12:00").stops_at(now)
    assert stop is not None
    assert (stop[0].astimezone().hour, stop[0].astimezone().minute) == (12, 0)
    assert timedelta(0) < stop[0] - now <= timedelta(hours=25)
