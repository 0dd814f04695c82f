"""Logout markers, sessions of logins under way, and side rows of sessions that are gone, on every database."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

import purgekit as pk
from engine.wso2_tables import DAY_S, GRACE_S, HOUR_S, NOW, NOW_S, Tables
from servers import Connection

STORE, TEMP = "IDN_AUTH_SESSION_STORE", "IDN_AUTH_TEMP_SESSION_STORE"
APP, META, USER, FEDERATED = (
    "IDN_AUTH_SESSION_APP_INFO",
    "IDN_AUTH_SESSION_META_DATA",
    "IDN_AUTH_USER_SESSION_MAPPING",
    "IDN_FED_AUTH_SESSION_MAPPING",
)
Version = tuple[str, str, str, int, int | None]  # session, type, operation, created and expiry in seconds from now
COLUMNS = ("SESSION_ID", "SESSION_TYPE", "OPERATION", "TIME_CREATED", "EXPIRY_TIME")


def log(seed: int) -> list[Version]:
    """Random versions; some share the instant of a marker."""
    random_ = random.Random(seed)
    made: set[Version] = set()
    for number in range(120):
        for kind in random_.sample(["web", "oauth"], random_.randint(1, 2)):
            created = -random_.randrange(HOUR_S, 3 * DAY_S)
            for _ in range(random_.randint(1, 4)):
                expiry = random_.choice([created + HOUR_S, created + 2 * DAY_S, created + 2 * DAY_S, None, 0])
                operation = "DELETE" if random_.random() < 0.3 else "STORE"
                made.add((f"s{number}", kind, operation, created, expiry))
                if random_.random() < 0.2:
                    other = "STORE" if operation == "DELETE" else "DELETE"
                    made.add((f"s{number}", kind, other, created, expiry))
                created += random_.randrange(60, DAY_S)
    # The boundary of the 12 hours: exactly on it, a second past it and before it.
    for seconds in (0, -1, 1):
        made.add((f"edge{seconds}", "web", "DELETE", -12 * HOUR_S - GRACE_S + seconds, None))
    return sorted({(v[0], v[1], v[2], v[3]): v for v in made if v[3] < 0}.values(), key=str)


def stored(versions: list[Version]) -> list[dict[str, Any]]:
    def ns(seconds: int | None) -> int | None:
        return seconds if not seconds else (NOW_S + seconds) * 10**9

    return [dict(zip(COLUMNS, (*v[:3], ns(v[3]), ns(v[4])), strict=True)) for v in versions]


def read(tables: Tables, store: str) -> set[tuple[str, str, str, int]]:
    tables.cursor.execute(f"SELECT SESSION_ID, SESSION_TYPE, OPERATION, TIME_CREATED FROM {store}")
    return {(r[0], r[1], r[2], r[3] // 10**9 - NOW_S) for r in tables.cursor.fetchall()}


def hides(marker: Version, other: Version) -> bool:
    """Of a marker and a version with one instant, the marker counts as the newer."""
    same = marker[:2] == other[:2] and marker != other
    return same and (other[3] < marker[3] or (other[3] == marker[3] and other[2] != "DELETE"))


def test_logged_out_sessions_go_with_all_that_their_marker_hides(
    any_url: str, admin: Callable[[str], Connection]
) -> None:
    versions = log(3)
    tables = Tables(any_url, admin(any_url))
    tables.make(STORE, APP)
    tables.fill(STORE, stored(versions))
    sessions = sorted({v[0] for v in versions})
    tables.fill(APP, [{"SESSION_ID": s, "SUBJECT": "u", "APP_ID": 1} for s in sessions])
    markers = [v for v in versions if v[2] == "DELETE" and v[3] + 12 * HOUR_S + GRACE_S < 0]
    left = {v for v in versions if v not in markers and not any(hides(m, v) for m in markers)}
    assert 20 < len(left) < len(versions) - 20

    def nothing_comes_back(_: dict[str, Any]) -> None:
        """While it runs, no version is the newest of its session that a marker hid before."""
        there = read(tables, STORE)
        for marker in markers:
            hidden = {v[:4] for v in versions if hides(marker, v) and v[:4] in there and v[2] == "STORE"}
            assert not hidden or any(v[:2] == marker[:2] and v[3] >= marker[3] for v in there if v not in hidden)

    with pk.connect(any_url) as db:
        plan = db.plan(pk.load_policies("wso2-is/session-operations"), now=NOW, exact=True)
        report = db.run(plan, limits=pk.Limits(chunk_ms=1), on_progress=nothing_comes_back)
    assert report.exit_code == 0
    assert read(tables, STORE) == {v[:4] for v in left}
    assert plan.rows_purgeable == len(versions) - len(left)
    assert set(tables.column(APP, "SESSION_ID")) == {v[0] for v in left}, "side rows stay while any version is left"


@pytest.mark.parametrize("by", ["created", "expiry"])
def test_logins_under_way(any_url: str, admin: Callable[[str], Connection], by: str) -> None:
    versions = log(5)
    tables = Tables(any_url, admin(any_url))
    tables.make(TEMP)
    tables.fill(TEMP, stored(versions))

    def is_over(v: Version) -> bool:
        old = v[3] + DAY_S + GRACE_S < 0
        return v[4] + GRACE_S < 0 if by == "expiry" and v[4] else old

    def is_hidden(v: Version) -> bool:
        above = [o for o in versions if o[:2] == v[:2] and o != v and is_over(o)]
        return any(o[3] > v[3] or (o[3] == v[3] and o[2] == "DELETE" and v[2] != "DELETE") for o in above)

    left = {v[:4] for v in versions if not is_over(v) and not (by == "expiry" and is_hidden(v))}
    assert 10 < len(left) < len(versions) - 10
    with pk.connect(any_url) as db:
        policies = pk.load_policies("wso2-is/temp-sessions", params={"by": by, "lifetime": "1d"})
        report = db.run(db.plan(policies, now=NOW))
    assert report.exit_code == 0
    assert read(tables, TEMP) == left


def test_side_rows_of_sessions_that_are_gone(any_url: str, admin: Callable[[str], Connection]) -> None:
    """There: in the store. Old: long gone. New: the product has yet to write its session."""
    tables = Tables(any_url, admin(any_url))
    tables.make(STORE, APP, META, USER, FEDERATED)
    tables.fill(STORE, [dict(zip(COLUMNS, ("there", "web", "STORE", 1, None), strict=True))])
    now_ms = time.time_ns() // 10**6
    sessions = ("there", "old", "new", "no-login")
    tables.fill(APP, [{"SESSION_ID": s, "SUBJECT": "u", "APP_ID": 1} for s in sessions])
    tables.fill(USER, [{"ID": n, "USER_ID": "u", "SESSION_ID": s} for n, s in enumerate(sessions)])
    logins = {"there": now_ms, "old": now_ms - 3 * DAY_S * 1_000, "new": now_ms - 60_000}
    tables.fill(
        META,
        [{"SESSION_ID": s, "PROPERTY_TYPE": "Login Time", "VALUE": str(ms)} for s, ms in logins.items()]
        + [{"SESSION_ID": s, "PROPERTY_TYPE": "User Agent", "VALUE": "zzz"} for s in ("old", "new")],
    )
    moments = {"there": 30, "old": 30, "new": 0}
    tables.fill(
        FEDERATED,
        [
            {
                "ID": n,
                "SESSION_ID": s,
                "TIME_CREATED": f"{datetime.fromtimestamp(time.time() - days * DAY_S, timezone.utc):%Y-%m-%d %H:%M:%S}",
            }
            for n, (s, days) in enumerate(moments.items())
        ],
    )
    policies = pk.load_policies("wso2-is/session-orphans")
    assert [p.name.partition("/")[2] for p in policies] == [APP, USER, FEDERATED, META]
    with pk.connect(any_url) as db:
        report = db.run(db.plan(policies))
    assert report.exit_code == 0
    assert tables.column(APP, "SESSION_ID") == ["new", "there"]
    assert tables.column(USER, "SESSION_ID") == ["new", "there"]
    assert set(tables.column(META, "SESSION_ID")) == {"new", "there"}
    assert tables.column(FEDERATED, "SESSION_ID") == ["new", "there"]


def test_a_live_session_of_another_type_stays(any_url: str, admin: Callable[[str], Connection]) -> None:
    """The vendor's procedures delete by SESSION_ID alone: the live one goes too, and the side rows of both."""
    tables = Tables(any_url, admin(any_url))
    tables.make(STORE, APP)
    old, live = (-30 * DAY_S, -20 * DAY_S), (-HOUR_S, DAY_S)
    tables.fill(STORE, stored([("s", "web", "STORE", *old), ("s", "oauth", "STORE", *live)]))
    tables.fill(APP, [{"SESSION_ID": "s", "SUBJECT": "u", "APP_ID": 1}])
    with pk.connect(any_url) as db:
        db.run(db.plan(pk.load_policies("wso2-is/sessions", params={"by": "expiry"}), now=NOW))
    assert read(tables, STORE) == {("s", "oauth", "STORE", -HOUR_S)}
    assert tables.column(APP, "SESSION_ID") == ["s"]
