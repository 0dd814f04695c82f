"""Refresh tokens kept by themselves, what was revoked, and what is kept for auditing."""

from __future__ import annotations

from purgekit._core import Predicate
from purgekit.packs.common import (
    CLOCK,
    COMMON,
    DEAD_GRACE,
    Values,
    aged,
    clock,
    optional_policy,
    past,
    table_in,
    unknown_states,
)
from purgekit.packs.model import Built, PackPolicy, Parameter
from purgekit.packs.wso2_is.tokens import DEAD, LIVE
from purgekit.packs.wso2_is.validity import ENDLESS, validity_over
from purgekit.predicates import col, created, dependent, duration_ns, sql

REFRESH = "IDN_OAUTH2_REFRESH_TOKEN"
REVOKED = "IDN_OAUTH2_REVOKED_TOKENS"
EVENT = "IDN_SUBJECT_ENTITY_REVOKED_EVENT"
AUDIT = "IDN_OAUTH2_ACCESS_TOKEN_AUDIT"
JTI = "IDN_OIDC_JTI"
APPS = "IDN_OAUTH_CONSUMER_APPS"
# An event must outlive every token that it revokes. Which of these an event waits for is read from the applications.
LIFETIMES = ("1h", "6h", "1d", "7d", "30d", "365d")

TOKEN_LIFETIME = Parameter(
    "token_lifetime", "data", "longest life of an access token: read from the applications' settings, or such as 1d"
)
AUDIT_LIFETIME = Parameter("audit_lifetime", "90d", "how long invalidated tokens are kept for auditing")
AUDIT_TIMEZONE = Parameter(
    "audit_timezone", "UTC", "of INVALIDATED_TIME, which the product writes in its server's own zone: Europe/Berlin"
)

REFRESH_NOTE = """\
Kept in this table when access tokens are not persisted. The vendor's procedure takes dead states at once and \
repeats itself; on PostgreSQL and SQL Server there is none. Here dead states have dead_grace, and validities that \
are no time span are kept as for tokens."""
REVOKED_NOTE = """\
An entry is needed until the token that it revokes would have run out anyway: EXPIRY_TIMESTAMP. The vendor has a \
procedure for MySQL and Oracle only."""
EVENT_NOTE = """\
An event revokes all tokens of a user or application made before it, so it must stay as long as such a token could \
be alive. The vendor's procedure reads the longest life of a token from the applications only when its log level is \
DEBUG or TRACE, and takes an hour otherwise: the log level decides which revocations are forgotten. It collects \
event ids and deletes by them later, although the product renews TIME_REVOKED in place. Here the applications' \
settings are part of the deleting statement, in steps of 1h, 6h, 1d, 7d, 30d and 365d."""
AUDIT_NOTE = """\
No procedure ever purges this table; it grows for ever once the product keeps old tokens for auditing. \
INVALIDATED_TIME is in the server's local time, all other times are UTC: say which zone with audit_timezone."""
JTI_NOTE = """\
Ids of JWTs that were seen, against replay. There is a procedure for SQL Server only, which compares days and reads \
the whole table to do so."""


def _refresh(values: Values) -> Built:
    table = table_in(values, REFRESH)
    is_dead = col("TOKEN_STATE").isin(DEAD)
    is_dead &= aged("REFRESH_TOKEN_TIME_CREATED", "0s", values, grace=values["dead_grace"])
    is_over = col("TOKEN_STATE").isin(LIVE) & validity_over(
        "REFRESH_TOKEN_TIME_CREATED", "REFRESH_TOKEN_VALIDITY_PERIOD", values
    )
    policy = optional_policy(
        "refresh-tokens",
        table=table,
        where=is_dead | is_over,
        grace=values["grace"],
        dependents=[
            dependent(
                table_in(values, f"{REFRESH}_{child}"),
                on={"REFRESH_TOKEN_ID": "REFRESH_TOKEN_ID"},
                unless_referenced=False,
                optional=True,
            )
            for child in ("SCOPE", "BINDING")
        ],
    )
    return Built(policy, [unknown_states("TOKEN_STATE", DEAD + LIVE, table)])


def _revoked(values: Values) -> Built:
    where = past("EXPIRY_TIMESTAMP", values)
    return Built(optional_policy("revoked-tokens", table=table_in(values, REVOKED), where=where, grace=values["grace"]))


def _outlived_all_tokens(values: Values) -> Predicate:
    if values["token_lifetime"] != "data":
        return aged("TIME_REVOKED", values["token_lifetime"], values)
    steps = []
    for lifetime in LIFETIMES:
        seconds = (duration_ns(lifetime, "token_lifetime") or 0) // 10**9
        none_lives_longer = sql(
            f"NOT EXISTS (SELECT 1 FROM {table_in(values, APPS)} WHERE USER_ACCESS_TOKEN_EXPIRE_TIME > :seconds"
            " OR APP_ACCESS_TOKEN_EXPIRE_TIME > :seconds)",
            seconds=seconds,
        )
        steps.append(aged("TIME_REVOKED", lifetime, values) & none_lives_longer)
    return Predicate.any_of(steps)


def _events(values: Values) -> Built:
    where = _outlived_all_tokens(values)
    return Built(optional_policy("revoked-events", table=table_in(values, EVENT), where=where, grace=values["grace"]))


def _audit(values: Values) -> Built:
    lifetime = values["audit_lifetime"]
    invalidated = created(
        "INVALIDATED_TIME",
        unit="timestamp",
        lifetime=lifetime,
        **{**clock(values), "timezone": values["audit_timezone"]},
    )
    never_noted = col("INVALIDATED_TIME").is_null() & aged("TIME_CREATED", lifetime, values)
    where = invalidated | never_noted
    return Built(optional_policy("token-audit", table=table_in(values, AUDIT), where=where, grace=values["grace"]))


def _jti(values: Values) -> Built:
    where = past("EXP_TIME", values)
    return Built(optional_policy("jti", table=table_in(values, JTI), where=where, grace=values["grace"]))


POLICIES = (
    PackPolicy(
        "refresh-tokens",
        REFRESH,
        "Refresh tokens that are over or in a dead state, kept by themselves where access tokens are not persisted",
        REFRESH_NOTE,
        _refresh,
        (*COMMON, DEAD_GRACE, *ENDLESS, *CLOCK),
    ),
    PackPolicy(
        "revoked-tokens", REVOKED, "Revocations of tokens that have run out", REVOKED_NOTE, _revoked, (*COMMON, *CLOCK)
    ),
    PackPolicy(
        "revoked-events",
        EVENT,
        "Revocations of users and applications that no living token can be older than",
        EVENT_NOTE,
        _events,
        (*COMMON, TOKEN_LIFETIME, *CLOCK),
    ),
    PackPolicy(
        "token-audit",
        AUDIT,
        "Copies of invalidated tokens, by an age of their own",
        AUDIT_NOTE,
        _audit,
        (*COMMON, AUDIT_LIFETIME, AUDIT_TIMEZONE, *CLOCK),
    ),
    PackPolicy("jti", JTI, "Ids of JWTs past their expiry", JTI_NOTE, _jti, (*COMMON, *CLOCK)),
)
