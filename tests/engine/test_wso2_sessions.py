"""The pack's session policy on every database: survivors as worked out by hand, and no session comes back to life.

The rows are made so that the vendor's own procedures go wrong on them: several types under one id, old versions below
new ones, logout markers above rows that live longer than they do, rows without an expiry.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import purgekit as pk
from engine.tables import mark
from servers import Connection

HOUR_NS = 3_600 * 10**9
DAY_NS = 24 * HOUR_NS
LIFETIME_NS = 14 * DAY_NS
GRACE_NS = 2 * HOUR_NS
COLUMNS = ("SESSION_ID", "SESSION_TYPE", "OPERATION", "TIME_CREATED", "EXPIRY_TIME")
SIDES = {
    "IDN_AUTH_SESSION_APP_INFO": "SESSION_ID VARCHAR(100), APP_ID INTEGER, PRIMARY KEY (SESSION_ID, APP_ID)",
    "IDN_AUTH_USER_SESSION_MAPPING": "SESSION_ID VARCHAR(255), USER_ID VARCHAR(255), UNIQUE (USER_ID, SESSION_ID)",
}


class Version(NamedTuple):
    session: str
    type: str
    operation: str
    created: int
    expiry: int | None


def random_versions(now_ns: int) -> list[Version]:
    random_ = random.Random(11)
    made = set()
    for number in range(150):
        for type_ in random_.sample(["web", "oauth", "saml"], random_.randint(1, 2)):
            created = now_ns - random_.randrange(1 * HOUR_NS, 40 * DAY_NS)
            for _ in range(random_.randint(1, 4)):
                operation = "DELETE" if random_.random() < 0.25 else "STORE"
                validity = random_.choice([HOUR_NS, 3 * DAY_NS, 20 * DAY_NS])
                expiry = random_.choice([created + validity] * 6 + [None, 0])
                made.add(Version(f"s{number}", type_, operation, created, expiry))
                created += random_.randrange(1, 5 * DAY_NS)
                if created >= now_ns:
                    break
    return sorted(made, key=lambda v: (v.created, v.session, v.type, v.operation))


def is_over(v: Version, now_ns: int, by: str) -> bool:
    too_old = v.created + LIFETIME_NS + GRACE_NS < now_ns
    if by == "created":
        return too_old
    return v.expiry + GRACE_NS < now_ns if v.expiry is not None and v.expiry > 0 else too_old


def expected(versions: list[Version], now_ns: int, by: str) -> set[Version]:
    """By expiry a row also goes when a newer one of its session is over: nobody sees it any more."""

    def goes(v: Version) -> bool:
        if is_over(v, now_ns, by):
            return True
        same = [o for o in versions if (o.session, o.type) == (v.session, v.type) and o.created > v.created]
        return by == "expiry" and any(is_over(o, now_ns, by) for o in same)

    return {v for v in versions if not goes(v)}


def visible(versions: set[Version]) -> dict[tuple[str, str], Version]:
    """The version of each session that the product would load."""
    newest: dict[tuple[str, str], Version] = {}
    for v in sorted(versions, key=lambda v: v.created):
        newest[v.session, v.type] = v
    return newest


def is_alive(v: Version | None, now_ns: int, by: str) -> bool:
    return v is not None and v.operation == "STORE" and not is_over(v, now_ns, by)


class Store:
    def __init__(self, url: str, connection: Connection) -> None:
        self.cursor = connection.cursor()
        suffix = " ENGINE=InnoDB DEFAULT CHARSET=latin1" if url.startswith(("mysql", "mariadb")) else ""
        self.mark = mark(url)
        self.cursor.execute(
            "CREATE TABLE IDN_AUTH_SESSION_STORE (SESSION_ID VARCHAR(100) NOT NULL, SESSION_TYPE VARCHAR(100) NOT NULL,"
            " OPERATION VARCHAR(10) NOT NULL, TIME_CREATED BIGINT NOT NULL, EXPIRY_TIME BIGINT, "
            f"PRIMARY KEY (SESSION_ID, SESSION_TYPE, TIME_CREATED, OPERATION)){suffix}"
        )
        for table, columns in SIDES.items():
            self.cursor.execute(f"CREATE TABLE {table} ({columns}){suffix}")
            if "USER" in table:
                self.cursor.execute(f"CREATE INDEX SIDE_BY_SESSION ON {table} (SESSION_ID)")

    def fill(self, versions: list[Version]) -> None:
        insert = f"INSERT INTO IDN_AUTH_SESSION_STORE ({', '.join(COLUMNS)}) VALUES ({', '.join([self.mark] * 5)})"
        for v in versions:
            self.cursor.execute(insert, tuple(v))
        for session in [*sorted({v.session for v in versions}), "orphan"]:
            for table in SIDES:
                value: Any = 1 if "APP" in table else "user"
                self.cursor.execute(f"INSERT INTO {table} VALUES ({self.mark}, {self.mark})", (session, value))

    def versions(self) -> set[Version]:
        self.cursor.execute("SELECT " + ", ".join(COLUMNS) + " FROM IDN_AUTH_SESSION_STORE")
        return {Version(*row) for row in self.cursor.fetchall()}

    def sessions_in(self, table: str) -> set[str]:
        self.cursor.execute(f"SELECT SESSION_ID FROM {table}")
        return {row[0] for row in self.cursor.fetchall()}


@pytest.mark.parametrize("by", ["created", "expiry"])
def test_sessions(any_url: str, admin: Callable[[str], Connection], by: str) -> None:
    now_ns = time.time_ns()
    versions = random_versions(now_ns)
    store = Store(any_url, admin(any_url))
    store.fill(versions)
    left = expected(versions, now_ns, by)
    alive_before = {key for key, v in visible(set(versions)).items() if is_alive(v, now_ns, by)}

    def nobody_changes_sides(_: dict[str, Any]) -> None:
        now_visible = visible(store.versions())
        assert {key for key, v in now_visible.items() if is_alive(v, now_ns, by)} == alive_before

    (policy,) = pk.load_policies("wso2-is/sessions", params={"by": by})
    with pk.connect(any_url) as db:
        plan = db.plan(policy)
        report = db.run(plan, limits=pk.Limits(chunk_ms=1, max_rows_per_s=5_000), on_progress=nobody_changes_sides)
    assert store.versions() == left
    assert report.exit_code == 0
    assert plan.rows_purgeable == len(versions) - len(left) == report.policies[0]["rows_deleted"]
    assert len(left) > 20
    with_session = {v.session for v in left}
    for table in SIDES:
        assert store.sessions_in(table) == with_session | {"orphan"}
