"""Runtime tables of Keycloak: sessions, logins under way, revoked tokens, events.

Lifetimes are settings of each realm. A rule can't add a realm's setting to a session's time, so they are parameters,
and sessions go only in those realms whose own settings are not longer.
"""

from __future__ import annotations

from purgekit._core import Policy, Predicate, parse_duration
from purgekit.packs.common import COMMON, Values, optional_policy, table_in
from purgekit.packs.keycloak_notes import (
    ADMIN_EVENT_NOTE,
    AUTH_NOTE,
    EVENT_NOTE,
    EXPIRE_NOTE,
    FAILURE_NOTE,
    NOTE,
    OFFLINE_NOTE,
    ORPHAN_NOTE,
    SESSION_NOTE,
)
from purgekit.packs.model import Advice, Built, Pack, PackPolicy, Parameter
from purgekit.predicates import all_of, col, created, dependent, expired, not_referenced_by, referenced_by

USER_SESSION = "OFFLINE_USER_SESSION"
CLIENT_SESSION = "OFFLINE_CLIENT_SESSION"
ROOT_AUTH = "ROOT_AUTH_SESSION"
SAME_SESSION = {"USER_SESSION_ID": "USER_SESSION_ID", "OFFLINE_FLAG": "OFFLINE_FLAG"}
ONLINE, OFFLINE = "0", "1"

REALM = Parameter("realm", "", "id of one realm (REALM.ID), where not all of them are meant")
IDLE = Parameter("sso_idle", "30m", "SSO Session Idle, and that for Remember Me if it is longer")
MAX = Parameter("sso_max", "10h", "SSO Session Max, and that for Remember Me if it is longer")
OFFLINE_IDLE = Parameter("offline_idle", "30d", "Offline Session Idle")
OFFLINE_MAX = Parameter("offline_max", "", "Offline Session Max, for realms that limit it")
LOGIN = Parameter("login_lifetime", "30m", "the longest of Login, Login Action and Client Login Timeout")
MIN_AGE = Parameter("min_age", "1d", "time since its last use before a client session without a user session may go")
RESET = Parameter("failure_reset", "12h", "Failure Reset Time of the brute force detection")
EVENT_LIFETIME = Parameter("event_lifetime", "90d", "age at which a user event may go")
ADMIN_EVENT_LIFETIME = Parameter("admin_event_lifetime", "365d", "age at which an admin event may go")


def _seconds(name: str, values: Values) -> int:
    return parse_duration(values[name]) // 10**9


def _of_realm(values: Values) -> list[Predicate]:
    return [col("REALM_ID") == values["realm"]] if values["realm"] else []


def _realm_has(values: Values, limits: dict[str, int]) -> Predicate:
    """The row's realm has none of these settings longer than so many seconds. Of a realm that is gone: no."""
    where = all_of(*(col(column) <= limit for column, limit in limits.items()))
    return referenced_by(table_in(values, "REALM"), on={"ID": "REALM_ID"}, where=where)


def _by_age(column: str, lifetime: str, unit: str = "s") -> Predicate:
    return created(column, unit=unit, lifetime=lifetime)


def _session_policy(name: str, flag: str, rule: Predicate, old: Predicate, values: Values) -> Built:
    mine = [col("OFFLINE_FLAG") == flag, *_of_realm(values)]
    policy = Policy(
        name,
        table=table_in(values, USER_SESSION),
        where=all_of(*mine, rule),
        grace=values["grace"],
        max_fraction=1.0,
        optional=True,
        dependents=[
            dependent(table_in(values, CLIENT_SESSION), on=SAME_SESSION, unless_referenced=False, optional=True)
        ],
    )
    stays = Advice(
        "longer_in_realm",
        all_of(*mine, old, ~rule),
        "{rows} sessions are past the lifetimes given, but stay because their realm's own settings are longer (or the "
        "realm is gone); give the realm's own, with --param realm=ID where realms differ",
        of_all=True,
    )
    return Built(policy, [stays])


def _sessions(values: Values) -> Built:
    idle, most = _seconds("sso_idle", values), _seconds("sso_max", values)
    is_idle = _by_age("LAST_SESSION_REFRESH", values["sso_idle"])
    is_old = _by_age("CREATED_ON", values["sso_max"])
    idle_in_realm = _realm_has(values, {"SSO_IDLE_TIMEOUT": idle, "SSO_IDLE_TIMEOUT_REMEMBER_ME": idle})
    old_in_realm = _realm_has(values, {"SSO_MAX_LIFESPAN": most, "SSO_MAX_LIFESPAN_REMEMBER_ME": most})
    rule = (is_idle & idle_in_realm) | (is_old & old_in_realm)
    return _session_policy("sessions", ONLINE, rule, is_idle | is_old, values)


def _offline_sessions(values: Values) -> Built:
    is_idle = _by_age("LAST_SESSION_REFRESH", values["offline_idle"])
    limit = {"OFFLINE_SESSION_IDLE_TIMEOUT": _seconds("offline_idle", values)}
    rule, old = is_idle & _realm_has(values, limit), is_idle
    if values["offline_max"]:
        is_old = _by_age("CREATED_ON", values["offline_max"])
        is_limited = (col("NAME") == "offlineSessionMaxLifespanEnabled") & (col("VALUE") == "true")
        attributes = table_in(values, "REALM_ATTRIBUTE")
        rule |= is_old & referenced_by(attributes, on={"REALM_ID": "REALM_ID"}, where=is_limited)
    return _session_policy("offline-sessions", OFFLINE, rule, old, values)


def _orphans(values: Values) -> Built:
    no_session = not_referenced_by(table_in(values, USER_SESSION), on=SAME_SESSION)
    return Built(
        optional_policy(
            "client-session-orphans",
            table=table_in(values, CLIENT_SESSION),
            where=no_session & _by_age("TIMESTAMP", values["min_age"]),
            grace="0s",
        )
    )


def _auth_sessions(values: Values) -> Built:
    limit = _seconds("login_lifetime", values)
    columns = ("LOGIN_LIFESPAN", "ACCESS_CODE_LIFESPAN", "USER_ACTION_LIFESPAN")
    is_over = _by_age("TIMESTAMP", values["login_lifetime"]) & _realm_has(values, dict.fromkeys(columns, limit))
    return Built(
        optional_policy(
            "auth-sessions",
            table=table_in(values, ROOT_AUTH),
            where=all_of(*_of_realm(values), is_over),
            grace=values["grace"],
            dependents=[
                dependent(
                    table_in(values, "AUTH_SESSION"),
                    on={"ROOT_AUTH_SESSION_ID": "ID"},
                    unless_referenced=False,
                    optional=True,
                )
            ],
        )
    )


def _expiring(name: str, table: str, summary: str) -> PackPolicy:
    def build(values: Values) -> Built:
        where = expired("EXPIRE", unit="s")
        return Built(optional_policy(name, table=table_in(values, table), where=where, grace=values["grace"]))

    return PackPolicy(name, table, summary, EXPIRE_NOTE, build, COMMON)


def _aged_in_ms(name: str, table: str, column: str, lifetime: Parameter, summary: str, note: str) -> PackPolicy:
    """Records that somebody may have to keep, or that lock somebody out: only when named."""

    def build(values: Values) -> Built:
        where = all_of(*_of_realm(values), _by_age(column, values[lifetime.name], "ms"))
        return Built(optional_policy(name, table=table_in(values, table), where=where, grace=values["grace"]))

    return PackPolicy(name, table, summary, note, build, (*COMMON, REALM, lifetime), by_name_only=True)


PACK = Pack(
    "keycloak",
    "Keycloak: sessions, logins under way, revoked tokens, events",
    (
        PackPolicy(
            "sessions",
            USER_SESSION,
            "Sessions (kept in the database since Keycloak 26) that were idle for too long or are too old",
            SESSION_NOTE,
            _sessions,
            (*COMMON, REALM, IDLE, MAX),
        ),
        PackPolicy(
            "offline-sessions",
            USER_SESSION,
            "Offline sessions that were idle for too long",
            OFFLINE_NOTE,
            _offline_sessions,
            (*COMMON, REALM, OFFLINE_IDLE, OFFLINE_MAX),
        ),
        PackPolicy(
            "client-session-orphans",
            CLIENT_SESSION,
            "Client sessions whose user session is gone",
            ORPHAN_NOTE,
            _orphans,
            (COMMON[1], MIN_AGE),
        ),
        PackPolicy(
            "auth-sessions",
            ROOT_AUTH,
            "Logins that were begun and not ended in time",
            AUTH_NOTE,
            _auth_sessions,
            (*COMMON, REALM, LOGIN),
        ),
        _expiring("revoked-tokens", "REVOKED_TOKEN", "Revoked tokens that have expired"),
        _expiring("single-use-objects", "SINGLE_USE_OBJECT", "Codes and action tokens that have expired"),
        _aged_in_ms(
            "login-failures",
            "LOGIN_FAILURE",
            "LAST_FAILURE",
            RESET,
            "Counters of failed logins, by the last one",
            FAILURE_NOTE,
        ),
        _aged_in_ms("events", "EVENT_ENTITY", "EVENT_TIME", EVENT_LIFETIME, "User events by age", EVENT_NOTE),
        _aged_in_ms(
            "admin-events",
            "ADMIN_EVENT_ENTITY",
            "ADMIN_EVENT_TIME",
            ADMIN_EVENT_LIFETIME,
            "Admin events by age",
            ADMIN_EVENT_NOTE,
        ),
    ),
    NOTE,
)
