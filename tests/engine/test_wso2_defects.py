"""What the vendor's procedures do wrong, in our own words, and that the packs do not: both on the same rows.

On SQLite: the statements are the same everywhere; what the packs leave on each database is tested beside this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk
from engine.wso2_tables import DAY_S, HOUR_S, NOW, NOW_S, Tables, at
from servers import Connection, connect

STORE, APP = "IDN_AUTH_SESSION_STORE", "IDN_AUTH_SESSION_APP_INFO"
TOKEN = "IDN_OAUTH2_ACCESS_TOKEN"
EVENT = "IDN_SUBJECT_ENTITY_REVOKED_EVENT"


class Twins:
    """The same tables twice: one for the vendor's statements, one for the pack."""

    def __init__(self, folder: Path) -> None:
        self.urls = [f"sqlite:///{folder / name}.db" for name in ("vendor", "pack")]
        self.connections = [connect(url) for url in self.urls]
        self.both = [Tables(url, connection) for url, connection in zip(self.urls, self.connections, strict=True)]

    def fill(self, table: str, *rows: Mapping[str, Any], others: tuple[str, ...] = ()) -> None:
        for tables in self.both:
            if table not in tables_of(tables):
                tables.make(table, *others)
            if rows:
                tables.fill(table, rows)

    def vendor(self, *statements: str) -> None:
        for statement in statements:
            self.both[0].cursor.execute(statement)

    def pack(self, spec: str, now: str | None = NOW, **params: str) -> pk.Report:
        with pk.connect(self.urls[1]) as db:
            report = db.run(db.plan(pk.load_policies(spec, params=params), now=now, max_fraction=1.0))
        assert report.exit_code == 0
        return report

    def left(self, table: str, column: str) -> tuple[list[Any], list[Any]]:
        """By the vendor's statements, and by the pack."""
        return self.both[0].column(table, column), self.both[1].column(table, column)


def tables_of(tables: Tables) -> set[str]:
    tables.cursor.execute("SELECT name FROM sqlite_master")
    return {row[0] for row in tables.cursor.fetchall()}


@pytest.fixture
def twins(tmp_path: Path) -> Twins:
    return Twins(tmp_path)


def ns(offset_s: int) -> int:
    return (NOW_S + offset_s) * 10**9


def session(id_: str, kind: str, operation: str, created_s: int, expiry_s: int | None) -> dict[str, Any]:
    return {
        "SESSION_ID": id_,
        "SESSION_TYPE": kind,
        "OPERATION": operation,
        "TIME_CREATED": ns(created_s),
        "EXPIRY_TIME": None if expiry_s is None else ns(expiry_s),
    }


def token(id_: str, state: str, created_s: int, validity_ms: int | None, refresh_ms: int | None) -> dict[str, Any]:
    return {
        "TOKEN_ID": id_,
        "TOKEN_STATE": state,
        "TIME_CREATED": at(created_s),
        "VALIDITY_PERIOD": validity_ms,
        "REFRESH_TOKEN_TIME_CREATED": at(created_s),
        "REFRESH_TOKEN_VALIDITY_PERIOD": refresh_ms,
    }


def test_1_ids_frozen_before_they_are_deleted(twins: Twins, admin: Callable[[str], Connection]) -> None:
    """An event renewed between the choice and the deletion: the product keeps its id."""
    apps = {"ID": 1, "USER_ACCESS_TOKEN_EXPIRE_TIME": 3600, "APP_ACCESS_TOKEN_EXPIRE_TIME": 3600}
    twins.fill("IDN_OAUTH_CONSUMER_APPS", apps)
    twins.fill(EVENT, *({"EVENT_ID": id_, "TIME_REVOKED": at(-DAY_S)} for id_ in ("renewed", "old")))
    renew = f"UPDATE {EVENT} SET TIME_REVOKED = '{at(0)}' WHERE EVENT_ID = 'renewed'"
    chosen = f"CREATE TABLE CHUNK AS SELECT EVENT_ID FROM {EVENT} WHERE TIME_REVOKED < '{at(-2 * HOUR_S)}'"
    twins.vendor(chosen, renew, f"DELETE FROM {EVENT} WHERE EVENT_ID IN (SELECT EVENT_ID FROM CHUNK)")
    with pk.connect(twins.urls[1]) as db:
        plan = db.plan(pk.load_policies("wso2-is/revoked-events"), now=NOW, max_fraction=1.0)
        twins.both[1].cursor.execute(renew)
        db.run(plan)
    assert twins.left(EVENT, "EVENT_ID") == ([], ["renewed"])


def test_2_and_3_a_key_too_coarse_and_side_rows_of_a_live_session(twins: Twins) -> None:
    twins.fill(STORE, session("s", "web", "STORE", -30 * DAY_S, -DAY_S), session("s", "oauth", "STORE", -60, DAY_S))
    twins.fill(APP, {"SESSION_ID": "s", "SUBJECT": "u", "APP_ID": 1})
    old = f"SELECT SESSION_ID FROM {STORE} WHERE EXPIRY_TIME < {ns(-2 * HOUR_S)}"
    twins.vendor(f"CREATE TABLE BATCH AS {old}")
    twins.vendor(*(f"DELETE FROM {table} WHERE SESSION_ID IN (SELECT SESSION_ID FROM BATCH)" for table in (STORE, APP)))
    twins.pack("wso2-is/sessions", by="expiry")
    assert twins.left(STORE, "SESSION_TYPE") == ([], ["oauth"])
    assert twins.left(APP, "SESSION_ID") == ([], ["s"])


def test_4_orphans_after_a_crash(twins: Twins) -> None:
    """The store's rows are committed, then the procedure is killed; no later run looks for what is left."""
    twins.fill(STORE, session("s", "web", "STORE", -30 * DAY_S, -DAY_S))
    twins.fill(APP, {"SESSION_ID": "s", "SUBJECT": "u", "APP_ID": 1})
    twins.fill("IDN_AUTH_SESSION_META_DATA")
    for tables in twins.both:
        tables.cursor.execute(f"DELETE FROM {STORE}")
    twins.vendor(f"DELETE FROM {APP} WHERE SESSION_ID IN (SELECT SESSION_ID FROM {STORE} WHERE EXPIRY_TIME < {ns(0)})")
    twins.pack("wso2-is/session-orphans", now=None)
    assert twins.left(APP, "SESSION_ID") == (["s"], [])


def test_5_a_session_that_comes_back_to_life(twins: Twins) -> None:
    """Oracle's takes the logout marker alone; the version below it lives for another day."""
    twins.fill(STORE, session("s", "web", "STORE", -2 * DAY_S, DAY_S), session("s", "web", "DELETE", -DAY_S, DAY_S))
    twins.vendor(f"DELETE FROM {STORE} WHERE OPERATION = 'DELETE' AND TIME_CREATED < {ns(-12 * HOUR_S)}")
    twins.pack("wso2-is/session-operations")
    assert twins.left(STORE, "OPERATION") == (["STORE"], [])


def test_6_the_clock_of_another_zone(twins: Twins) -> None:
    """A server five hours ahead of UTC compares its wall clock with times in UTC: a live token goes."""
    hour_ms = HOUR_S * 1_000
    twins.fill(TOKEN, token("live", "ACTIVE", -60, hour_ms, hour_ms), token("dead", "ACTIVE", -DAY_S, hour_ms, hour_ms))
    local_till = f"datetime('{at(5 * HOUR_S - 2 * HOUR_S)}')"
    ends = "datetime(TIME_CREATED, '+' || (VALIDITY_PERIOD / 60000) || ' minutes')"
    twins.vendor(f"DELETE FROM {TOKEN} WHERE {local_till} > {ends}")
    twins.pack("wso2-is/tokens")
    assert twins.left(TOKEN, "TOKEN_ID") == ([], ["live"])


def test_7_null_and_zero(twins: Twins) -> None:
    """Rows from before there was an EXPIRY_TIME; tokens of grants without a refresh token."""
    twins.fill(STORE, session("s", "web", "STORE", -30 * DAY_S, None))
    twins.vendor(f"DELETE FROM {STORE} WHERE EXPIRY_TIME < {ns(-2 * HOUR_S)}")
    twins.pack("wso2-is/sessions", by="expiry")
    assert twins.left(STORE, "SESSION_ID") == (["s"], [])
    twins.fill(TOKEN, *(token(f"t{n}", "ACTIVE", -DAY_S, 1, refresh) for n, refresh in enumerate((None, 0, -1))))
    twins.vendor(f"DELETE FROM {TOKEN} WHERE TOKEN_STATE = 'ACTIVE' AND REFRESH_TOKEN_VALIDITY_PERIOD > 0")
    twins.pack("wso2-is/tokens", without_refresh="purge")
    assert twins.left(TOKEN, "TOKEN_ID") == (["t0", "t1", "t2"], [])


def test_8_states_that_no_procedure_knows(twins: Twins) -> None:
    twins.fill(TOKEN, token("t", "GRACEFULLY_ROTATED", -DAY_S, 1, 1))
    twins.vendor(f"DELETE FROM {TOKEN} WHERE TOKEN_STATE IN ('INACTIVE', 'REVOKED', 'EXPIRED', 'ACTIVE')")
    twins.pack("wso2-is/tokens")
    assert twins.left(TOKEN, "TOKEN_ID") == (["t"], [])
    table = "IDN_OAUTH2_CIBA_AUTH_CODE"
    row = {"AUTH_CODE_KEY": "c", "ISSUED_TIME": at(-DAY_S), "EXPIRES_IN": 0, "AUTH_REQ_STATUS": "CONSENT_DENIED"}
    twins.fill(table, row)
    twins.vendor(
        f"DELETE FROM {table} WHERE AUTH_REQ_STATUS IN ('EXPIRED', 'TOKEN_ISSUED', 'FAILED') OR EXPIRES_IN > 0"
    )
    twins.pack("wso2-is/ciba-codes")
    assert twins.left(table, "AUTH_CODE_KEY") == (["c"], [])
    table = "IDN_OAUTH2_DEVICE_FLOW"
    twins.fill(table, {"CODE_ID": "d", "DEVICE_CODE": "d", "EXPIRY_TIME": at(-DAY_S), "STATUS": "PENDING"})
    twins.vendor(f"DELETE FROM {table} WHERE STATUS = 'EXPIRED'")
    twins.pack("wso2-is/device-codes")
    assert twins.left(table, "CODE_ID") == (["d"], [])


def test_9_a_token_revoked_a_minute_ago(twins: Twins) -> None:
    twins.fill(TOKEN, token("t", "REVOKED", -60, 1, 1))
    twins.vendor(f"DELETE FROM {TOKEN} WHERE TOKEN_STATE IN ('INACTIVE', 'REVOKED', 'EXPIRED')")
    twins.pack("wso2-is/tokens")
    assert twins.left(TOKEN, "TOKEN_ID") == ([], ["t"])


def test_10_the_log_level_decides_which_revocations_are_forgotten(twins: Twins) -> None:
    """Without DEBUG an hour is taken for the longest life of a token; one application gives a day."""
    apps = {"ID": 1, "USER_ACCESS_TOKEN_EXPIRE_TIME": DAY_S, "APP_ACCESS_TOKEN_EXPIRE_TIME": 3600}
    twins.fill("IDN_OAUTH_CONSUMER_APPS", apps)
    twins.fill(EVENT, {"EVENT_ID": "e", "TIME_REVOKED": at(-10 * HOUR_S)})
    twins.vendor(f"DELETE FROM {EVENT} WHERE TIME_REVOKED < '{at(-2 * HOUR_S - HOUR_S)}'")
    twins.pack("wso2-is/revoked-events")
    assert twins.left(EVENT, "EVENT_ID") == ([], ["e"])


def test_11_milliseconds_compared_with_nanoseconds(twins: Twins) -> None:
    twins.fill("IDN_OAUTH_PAR", {"REQ_URI_REF": "live", "SCHEDULED_EXPIRY": (NOW_S + 60) * 1_000})
    twins.vendor(f"DELETE FROM IDN_OAUTH_PAR WHERE SCHEDULED_EXPIRY < {ns(0) - 600_000}")
    twins.pack("wso2-is/par-requests")
    assert twins.left("IDN_OAUTH_PAR", "REQ_URI_REF") == ([], ["live"])


def test_12_what_the_indexer_and_the_history_need(twins: Twins) -> None:
    paths = [{"REG_LOG_ID": n, "REG_PATH": "/a", "REG_ACTION": 1, "REG_LOGGED_TIME": at(-60)} for n in (1, 2)]
    twins.fill("REG_LOG", *paths)
    twins.vendor("DELETE FROM REG_LOG WHERE REG_LOG_ID NOT IN (SELECT MAX(REG_LOG_ID) FROM REG_LOG GROUP BY REG_PATH)")
    twins.pack("wso2-apim/registry-log")
    assert twins.left("REG_LOG", "REG_LOG_ID") == ([2], [1, 2])
    twins.fill(
        "REG_PROPERTY",
        {"REG_ID": 1, "REG_NAME": "color"},
        others=("REG_PATH", "REG_CONTENT", "REG_RESOURCE", "REG_RESOURCE_HISTORY", "REG_RESOURCE_PROPERTY"),
    )
    for tables in twins.both:
        tables.make("REG_TAG", "REG_RESOURCE_TAG")
    twins.fill("REG_RESOURCE_HISTORY", {"REG_PATH_ID": 1, "REG_VERSION": 5})
    twins.fill("REG_RESOURCE_PROPERTY", {"REG_PROPERTY_ID": 1, "REG_VERSION": 5})
    twins.vendor(
        "DELETE FROM REG_RESOURCE_PROPERTY WHERE REG_VERSION NOT IN (SELECT REG_VERSION FROM REG_RESOURCE)",
        "DELETE FROM REG_PROPERTY WHERE REG_ID NOT IN (SELECT REG_PROPERTY_ID FROM REG_RESOURCE_PROPERTY)",
    )
    twins.pack("wso2-apim/registry-orphans")
    assert twins.left("REG_PROPERTY", "REG_ID") == ([], [1])


def test_25_nothing_is_left_over(twins: Twins) -> None:
    """A chunk of fewer rows than checkCount ends the procedure before it has deleted them."""
    rows = [{"JWT_ID": str(n), "EXP_TIME": at(-DAY_S)} for n in range(99)]
    twins.fill("IDN_OIDC_JTI", *rows)
    twins.vendor(
        f"DELETE FROM IDN_OIDC_JTI WHERE EXP_TIME < '{at(0)}'"
        f" AND (SELECT COUNT(*) FROM IDN_OIDC_JTI WHERE EXP_TIME < '{at(0)}') >= 100"
    )
    twins.pack("wso2-is/jti")
    assert [len(found) for found in twins.left("IDN_OIDC_JTI", "JWT_ID")] == [99, 0]


def test_not_in_and_a_null(twins: Twins) -> None:
    twins.fill("IDN_ACTION", {"UUID": "unused", "TYPE": "AUTHENTICATION"})
    twins.fill("IDP_AUTHENTICATOR_PROPERTY", {"ID": 1, "PROPERTY_KEY": "actionId", "PROPERTY_VALUE": None})
    used = "SELECT PROPERTY_VALUE FROM IDP_AUTHENTICATOR_PROPERTY WHERE PROPERTY_KEY = 'actionId'"
    twins.vendor(f"DELETE FROM IDN_ACTION WHERE TYPE = 'AUTHENTICATION' AND UUID NOT IN ({used})")
    twins.pack("wso2-is/actions")
    assert twins.left("IDN_ACTION", "UUID") == (["unused"], [])


def test_a_whole_pack_in_one_run(any_url: str, admin: Callable[[str], Connection]) -> None:
    """Sessions, a token, and then its code, which could not go before it; a second run finds nothing."""
    tables = Tables(any_url, admin(any_url))
    tables.make(STORE, APP, TOKEN, "IDN_OAUTH2_AUTHORIZATION_CODE", "IDN_OAUTH_PAR", "IDN_OAUTH2_ACCESS_TOKEN_SCOPE")
    tables.fill(STORE, [session("s", "web", "STORE", -30 * DAY_S, None), session("t", "web", "STORE", -60, None)])
    tables.fill(TOKEN, [token("t", "REVOKED", -DAY_S, 1, 1), token("live", "ACTIVE", -60, 10**9, 10**9)])
    tables.fill("IDN_OAUTH2_ACCESS_TOKEN_SCOPE", [{"TOKEN_ID": "t", "TOKEN_SCOPE": "openid"}])
    code = {"CODE_ID": "c", "TOKEN_ID": "t", "STATE": "INACTIVE", "TIME_CREATED": at(-DAY_S), "VALIDITY_PERIOD": 1}
    tables.fill("IDN_OAUTH2_AUTHORIZATION_CODE", [code])
    tables.fill("IDN_OAUTH_PAR", [{"REQ_URI_REF": "p", "SCHEDULED_EXPIRY": (NOW_S - DAY_S) * 1_000}])
    with pk.connect(any_url) as db:
        report = db.run(db.plan(pk.load_policies("wso2-is"), now=NOW))
        assert (report.exit_code, report.rows_deleted) == (0, 5)
        assert db.run(db.plan(pk.load_policies("wso2-is"), now=NOW)).rows_deleted == 0
    assert tables.column("IDN_OAUTH2_AUTHORIZATION_CODE", "CODE_ID") == []
    assert tables.column(TOKEN, "TOKEN_ID") == ["live"]
