"""The keycloak pack on tables that Keycloak's own changelogs made: what Keycloak's own clean-up keeps stays.

Its clean-up is told here in our own words, from the queries of its release: no server runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk
from conftest import NEEDS_SERVER
from packs.keycloak import make_tables
from purgekit.policies import load_all
from servers import Connection

pytestmark = NEEDS_SERVER
Admin = Callable[[str], Connection]
MINUTE, HOUR, DAY = 60, 3_600, 86_400
# What the clean-up adds to every lifetime.
WINDOW = 3 * MINUTE
# Idle, max, the same for Remember Me, offline idle, offline max (None: not limited), login.
REALMS: dict[str, tuple[int, int, int, int, int, int | None, int]] = {
    "usual": (30 * MINUTE, 10 * HOUR, 0, 0, 30 * DAY, None, 30 * MINUTE),
    "long": (8 * HOUR, 48 * HOUR, 0, 0, 90 * DAY, None, 5 * HOUR),
    "remembers": (30 * MINUTE, 10 * HOUR, 7 * DAY, 30 * DAY, 30 * DAY, None, 30 * MINUTE),
    "limited": (30 * MINUTE, 10 * HOUR, 0, 0, 30 * DAY, 60 * DAY, 30 * MINUTE),
}
GONE = "gone"
LIFETIMES = (30 * MINUTE, 5 * HOUR, 8 * HOUR, 10 * HOUR, 48 * HOUR, 30 * DAY, 60 * DAY, 90 * DAY)
AGES = sorted({lifetime + WINDOW + s for lifetime in LIFETIMES for s in (-40, 40)})


class Data:
    """Rows of every table, and when they were written."""

    def __init__(self) -> None:
        self.now = int(time.time())
        self.rows: dict[str, list[dict[str, Any]]] = {"REALM": [], "REALM_ATTRIBUTE": []}
        for realm, (idle, most, idle_remember, most_remember, offline, offline_most, login) in REALMS.items():
            self.add("REALM", ID=realm, NAME=realm, SSO_IDLE_TIMEOUT=idle, SSO_MAX_LIFESPAN=most,
                     SSO_IDLE_TIMEOUT_REMEMBER_ME=idle_remember, SSO_MAX_LIFESPAN_REMEMBER_ME=most_remember,
                     OFFLINE_SESSION_IDLE_TIMEOUT=offline, LOGIN_LIFESPAN=login, ACCESS_CODE_LIFESPAN=60,
                     USER_ACTION_LIFESPAN=300, EVENTS_EXPIRATION=60 * DAY)  # fmt: skip
            for name, value in (("Enabled", str(offline_most is not None).lower()), ("", offline_most or 0)):
                self.add("REALM_ATTRIBUTE", NAME=f"offlineSessionMaxLifespan{name}", VALUE=str(value), REALM_ID=realm)
        for number, realm in enumerate([*REALMS, GONE]):
            self._realm(number, realm)

    def add(self, table: str, **row: Any) -> None:
        self.rows.setdefault(table, []).append(row)

    def _realm(self, number: int, realm: str) -> None:
        for flag in ("0", "1"):
            for n, idle in enumerate(AGES):
                for m, age in enumerate(AGES[n:], n):
                    key = f"{number}-{n}-{m}"
                    self.add("OFFLINE_USER_SESSION", USER_SESSION_ID=key, REALM_ID=realm, OFFLINE_FLAG=flag,
                             CREATED_ON=self.now - age, LAST_SESSION_REFRESH=self.now - idle, USER_ID="u",
                             REMEMBER_ME=n % 3 == 0 if flag == "0" else None)  # fmt: skip
                    self._client_session(key, flag, idle)
        for n, age in enumerate(AGES):
            # Left over: its user session is not there, or there under the other flag only.
            self._client_session(f"{number}-left-{n}", "0", age)
            key = f"{number}-{n}"
            self.add("ROOT_AUTH_SESSION", ID=key, REALM_ID=realm, TIMESTAMP=self.now - age)
            self.add("AUTH_SESSION", ROOT_AUTH_SESSION_ID=key, TAB_ID="t", TIMESTAMP=self.now - age)
            self.add("REVOKED_TOKEN", ID=key, EXPIRE=self.now - age + 10 * HOUR)
            self.add("SINGLE_USE_OBJECT", ID=key, EXPIRE=self.now - age + 10 * HOUR)
            self.add("LOGIN_FAILURE", REALM_ID=realm, USER_ID=key, LAST_FAILURE=(self.now - age) * 1_000)
            self.add("EVENT_ENTITY", ID=key, REALM_ID=realm, EVENT_TIME=(self.now - age) * 1_000)
            self.add("ADMIN_EVENT_ENTITY", ID=key, REALM_ID=realm, ADMIN_EVENT_TIME=(self.now - age) * 1_000)

    def _client_session(self, key: str, flag: str, age: int) -> None:
        self.add("OFFLINE_CLIENT_SESSION", USER_SESSION_ID=key, CLIENT_ID="c", OFFLINE_FLAG=flag,
                 TIMESTAMP=self.now - age)  # fmt: skip

    def write(self, connection: Connection) -> None:
        cursor = connection.cursor()
        for table, rows in self.rows.items():
            columns = list(rows[0])
            one = "(" + ", ".join(["%s"] * len(columns)) + ")"
            for start in range(0, len(rows), 500):
                part = rows[start : start + 500]
                cursor.execute(
                    f"INSERT INTO {table} ({', '.join(columns)}) VALUES " + ", ".join([one] * len(part)),
                    [row[column] for row in part for column in columns],
                )

    def kept_by_keycloak(self, realms: Sequence[str]) -> set[tuple[str, str]]:
        """Sessions after its clean-up of these realms."""
        return {
            (row["USER_SESSION_ID"], row["OFFLINE_FLAG"])
            for row in self.rows["OFFLINE_USER_SESSION"]
            if row["REALM_ID"] not in realms or not self._is_over(row)
        }

    def _is_over(self, row: dict[str, Any]) -> bool:
        idle, most, idle_remember, most_remember, offline, offline_most, _ = REALMS[row["REALM_ID"]]
        if row["OFFLINE_FLAG"] == "1":
            idle, limit = offline, offline_most
        else:
            idle = max(idle, idle_remember) if row["REMEMBER_ME"] else idle
            limit = max(most, most_remember) if row["REMEMBER_ME"] else most
        is_old = limit is not None and int(row["CREATED_ON"]) < self.now - limit - WINDOW
        return is_old or int(row["LAST_SESSION_REFRESH"]) < self.now - idle - WINDOW


def sessions(connection: Connection, table: str = "OFFLINE_USER_SESSION") -> set[tuple[str, str]]:
    cursor = connection.cursor()
    cursor.execute(f"SELECT USER_SESSION_ID, OFFLINE_FLAG FROM {table}")
    return {(str(key), str(flag)) for key, flag in cursor.fetchall()}


def ids(connection: Connection, table: str, column: str = "ID") -> set[str]:
    cursor = connection.cursor()
    cursor.execute(f"SELECT {column} FROM {table}")
    return {str(row[0]) for row in cursor.fetchall()}


def purge(url: str, specs: Sequence[str], **params: str) -> dict[str, str]:
    """The plan's warnings, by code."""
    with pk.connect(url) as db:
        plan = db.plan(load_all(specs, params))
        report = db.run(plan)
    assert report.exit_code == 0, report.to_dict()
    return {warning["code"]: warning["message"] for warning in plan.warnings}


@pytest.fixture(params=["postgresql", "mariadb"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


def test_same_survivors_as_keycloak(url: str, admin: Admin, tmp_path: Path) -> None:
    connection = admin(url)
    if url.startswith("mariadb"):  # as Keycloak's guide has it: its rows are too long for four bytes a character
        connection.cursor().execute(f"ALTER DATABASE {url.rpartition('/')[2]} CHARACTER SET utf8mb3")
    make_tables(url, tmp_path)
    data = Data()
    data.write(connection)

    # With the settings of "usual": its sessions as Keycloak has them. Where settings are longer, nothing goes.
    warnings = purge(url, ["keycloak/sessions", "keycloak/offline-sessions"], grace="3m", offline_max="60d")
    alike = data.kept_by_keycloak(["usual", "limited"])
    assert {one for one in sessions(connection) if one[0][0] in "03"} == {one for one in alike if one[0][0] in "03"}
    kept = sessions(connection)
    others = {one for one in alike if one[0][0] in "124"}
    assert {one for one in others if one[1] == "0"} <= kept
    assert {one for one in others if one[1] == "1" and one[0][0] in "14"} <= kept
    assert "realm's own settings are longer" in warnings["longer_in_realm"]

    # The others, each with its own.
    own = {"sso_idle": "8h", "sso_max": "48h", "offline_idle": "90d"}
    purge(url, ["keycloak/sessions", "keycloak/offline-sessions"], realm="long", grace="3m", **own)
    expected = data.kept_by_keycloak(["usual", "limited", "long"])
    assert {one for one in sessions(connection) if one[0][0] in "013"} == {o for o in expected if o[0][0] in "013"}
    purge(url, ["keycloak/sessions"], realm="remembers", grace="3m", sso_idle="7d", sso_max="30d")
    everything = data.kept_by_keycloak(list(REALMS))
    kept = sessions(connection)
    assert everything <= kept
    # Remember Me is not told apart: what stays beyond it is without, and younger than what Remember Me allows.
    more = {key for key, flag in kept - everything if key[0] != "4"}
    by_key = {row["USER_SESSION_ID"]: row for row in data.rows["OFFLINE_USER_SESSION"] if row["OFFLINE_FLAG"] == "0"}
    assert more and not any(by_key[key]["REMEMBER_ME"] for key in more)

    # Client sessions went with theirs; those left over go by their age.
    left_over = {one for one in sessions(connection, "OFFLINE_CLIENT_SESSION") if "left" in one[0]}
    assert sessions(connection, "OFFLINE_CLIENT_SESSION") - left_over == kept
    assert len(left_over) == len(AGES) * (len(REALMS) + 1)
    purge(url, ["keycloak/client-session-orphans"])
    young = {one for one in left_over if AGES[int(one[0].rpartition("-")[2])] < DAY}
    assert sessions(connection, "OFFLINE_CLIENT_SESSION") == kept | young

    the_rest(url, connection, data)


def the_rest(url: str, connection: Connection, data: Data) -> None:
    """The tables that are no sessions: what expires, logins, failures, events."""
    purge(url, ["keycloak"], grace="0s")
    live = {f"{r}-{n}" for r in range(5) for n, age in enumerate(AGES) if age <= 10 * HOUR}
    assert ids(connection, "REVOKED_TOKEN") == ids(connection, "SINGLE_USE_OBJECT") == live
    logins = {f"{r}-{n}" for r in range(5) for n, age in enumerate(AGES) if r in (1, 4) or age < 30 * MINUTE}
    assert ids(connection, "ROOT_AUTH_SESSION") == logins
    assert ids(connection, "AUTH_SESSION", "ROOT_AUTH_SESSION_ID") == logins

    # Records go only when they are named, in all realms or in one.
    everything = {f"{r}-{n}" for r in range(5) for n in range(len(AGES))}
    for table in ("EVENT_ENTITY", "ADMIN_EVENT_ENTITY"):
        assert ids(connection, table) == everything
    assert ids(connection, "LOGIN_FAILURE", "USER_ID") == everything
    purge(url, ["keycloak/events"], realm="usual", event_lifetime="60d", grace="0s")
    old = {f"0-{n}" for n, age in enumerate(AGES) if age > 60 * DAY}
    assert ids(connection, "EVENT_ENTITY") == everything - old
    named = ["keycloak/admin-events", "keycloak/login-failures"]
    purge(url, named, admin_event_lifetime="60d", failure_reset="60d", grace="0s")
    young = {f"{r}-{n}" for r in range(5) for n, age in enumerate(AGES) if age < 60 * DAY}
    assert ids(connection, "ADMIN_EVENT_ENTITY") == ids(connection, "LOGIN_FAILURE", "USER_ID") == young
