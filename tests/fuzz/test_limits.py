"""Windows, clocks and numbers of a run's limits: kept or refused with PurgekitError; an end never lies behind."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

import purgekit as pk
from fuzz.profile import FUZZ

CLOCKS = st.from_regex(r"[0-2]?\d:[0-6]\d", fullmatch=True)
ZONES = st.sampled_from(
    ["", " UTC", " Europe/Berlin", " America/New_York", " Australia/Lord_Howe", " Nowhere/At_All", " ../etc", "  "]
)
WINDOWS = st.builds(lambda a, b, zone: f"{a}-{b}{zone}", CLOCKS, CLOCKS, ZONES)
NOWS = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(timezone.utc))


@FUZZ
@given(
    st.one_of(st.builds(lambda c, z: c + z, CLOCKS, ZONES), st.text(max_size=12)),
    st.one_of(WINDOWS, st.text(max_size=14)),
    NOWS,
)
def test_windows_and_clocks(until: str, window: str, now: datetime) -> None:
    for arguments in ({"until": until}, {"window": window}):
        try:
            limits = pk.Limits(**arguments)  # type: ignore[arg-type]
        except pk.PurgekitError as error:
            assert str(error).isprintable()
            continue
        end = limits.stops_at(now)
        assert end is not None
        assert now <= end[0] <= now + timedelta(days=2)


@FUZZ
@given(
    st.sampled_from(
        ["chunk_ms", "max_rows", "max_rows_per_s", "max_run_s", "max_replica_lag_s", "lock_wait_ms", "max_fraction"]
    ),
    st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=4), st.booleans(), st.none()),
    NOWS,
)
def test_numbers(name: str, value: object, now: datetime) -> None:
    try:
        limits = pk.Limits(**{name: value})  # type: ignore[arg-type]
    except pk.PurgekitError as error:
        assert str(error).isprintable()
        return
    end = limits.stops_at(now)
    assert end is None or end[0] >= now
