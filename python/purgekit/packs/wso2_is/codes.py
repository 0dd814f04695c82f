"""What OAuth 2 flows leave behind before there is a token: codes, CIBA and device requests, pushed requests."""

from __future__ import annotations

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
from purgekit.packs.model import Built, PackPolicy
from purgekit.packs.wso2_is.tokens import DEAD, TOKEN, request_objects
from purgekit.packs.wso2_is.validity import ENDLESS, validity_over
from purgekit.predicates import col, created, dependent, expired, not_referenced_by

CODE = "IDN_OAUTH2_AUTHORIZATION_CODE"
CIBA = "IDN_OAUTH2_CIBA_AUTH_CODE"
DEVICE = "IDN_OAUTH2_DEVICE_FLOW"
PAR = "IDN_OAUTH_PAR"
CODE_STATES = ("ACTIVE", *DEAD)
CIBA_OPEN = ("REQUESTED", "AUTHENTICATED")
CIBA_DEAD = ("TOKEN_ISSUED", "EXPIRED", "FAILED", "CONSENT_DENIED")
DEVICE_DONE = ("EXPIRED", "USED")

CODE_NOTE = """\
A code stays as long as the token that it was exchanged for: by it a token is revoked when the code is used twice. \
The vendor's procedures take INACTIVE codes at once and never those that are REVOKED or EXPIRED with a validity \
which is no time span; here all three dead states go after dead_grace. One of them (DB2) deletes codes whether or \
not their token is still there. Scope, actor and request object rows go in the same transaction."""
CIBA_NOTE = """\
The vendor's procedures do not know CONSENT_DENIED, so refused requests whose validity is no time span stay for \
ever, and take finished ones without any grace."""
DEVICE_NOTE = """\
STATUS becomes EXPIRED only when the device asks once more after its code has run out. The vendor's procedures for \
PostgreSQL go by that status alone, so flows that were abandoned stay PENDING for ever; for MySQL, Oracle and DB2 \
there is none. Here a flow goes when its EXPIRY_TIME is past, whatever its status."""
PAR_NOTE = """\
SCHEDULED_EXPIRY is in milliseconds. The product's own cleaner compares it with nanoseconds, which is true of every \
request, of live ones too: switch it off."""


def _codes(values: Values) -> Built:
    table = table_in(values, CODE)
    is_dead = col("STATE").isin(DEAD) & aged("TIME_CREATED", "0s", values, grace=values["dead_grace"])
    is_over = (col("STATE") == "ACTIVE") & validity_over("TIME_CREATED", "VALIDITY_PERIOD", values)
    token_gone = not_referenced_by(table_in(values, TOKEN), on={"TOKEN_ID": "TOKEN_ID"})
    children = [
        dependent(table_in(values, name), on={"CODE_ID": "CODE_ID"}, unless_referenced=False, optional=True)
        for name in ("IDN_OAUTH2_AUTHZ_CODE_SCOPE", "IDN_OAUTH2_AUTHZ_CODE_ACTOR")
    ]
    policy = optional_policy(
        "authorization-codes",
        table=table,
        where=(is_dead | is_over) & token_gone,
        grace=values["grace"],
        dependents=[*children, *request_objects(values, "CODE_ID")],
    )
    return Built(policy, [unknown_states("STATE", CODE_STATES, table)])


def _ciba(values: Values) -> Built:
    table = table_in(values, CIBA)
    is_dead = col("AUTH_REQ_STATUS").isin(CIBA_DEAD) & aged("ISSUED_TIME", "0s", values, grace=values["dead_grace"])
    is_over = col("AUTH_REQ_STATUS").isin(CIBA_OPEN + CIBA_DEAD) & created(
        "ISSUED_TIME", unit="timestamp", lifetime=col("EXPIRES_IN"), lifetime_unit="s", **clock(values)
    )
    policy = optional_policy(
        "ciba-codes",
        table=table,
        where=is_dead | is_over,
        grace=values["grace"],
        dependents=[
            dependent(
                table_in(values, "IDN_OAUTH2_CIBA_REQUEST_SCOPES"),
                on={"AUTH_CODE_KEY": "AUTH_CODE_KEY"},
                unless_referenced=False,
                optional=True,
            )
        ],
    )
    return Built(policy, [unknown_states("AUTH_REQ_STATUS", CIBA_OPEN + CIBA_DEAD, table)])


def _device(values: Values) -> Built:
    has_no_expiry = col("EXPIRY_TIME").is_null() & col("STATUS").isin(DEVICE_DONE)
    policy = optional_policy(
        "device-codes",
        table=table_in(values, DEVICE),
        where=past("EXPIRY_TIME", values)
        | (has_no_expiry & aged("TIME_CREATED", "0s", values, grace=values["dead_grace"])),
        grace=values["grace"],
        dependents=[
            dependent(
                table_in(values, "IDN_OAUTH2_DEVICE_FLOW_SCOPES"),
                on={"SCOPE_ID": "CODE_ID"},
                unless_referenced=False,
                optional=True,
            )
        ],
    )
    return Built(policy)


def _par(values: Values) -> Built:
    return Built(
        optional_policy(
            "par-requests",
            table=table_in(values, PAR),
            where=expired("SCHEDULED_EXPIRY", unit="ms"),
            grace=values["grace"],
        )
    )


POLICIES = (
    PackPolicy(
        "authorization-codes",
        CODE,
        "Codes that are over or in a dead state, once the token they were exchanged for is gone",
        CODE_NOTE,
        _codes,
        (*COMMON, DEAD_GRACE, *ENDLESS, *CLOCK),
    ),
    PackPolicy(
        "ciba-codes",
        CIBA,
        "Backchannel authentication requests that are over or in a dead state",
        CIBA_NOTE,
        _ciba,
        (*COMMON, DEAD_GRACE, *CLOCK),
    ),
    PackPolicy(
        "device-codes",
        DEVICE,
        "Device flows past their expiry, abandoned ones (PENDING) as well",
        DEVICE_NOTE,
        _device,
        (*COMMON, DEAD_GRACE, *CLOCK),
    ),
    PackPolicy("par-requests", PAR, "Pushed authorization requests past their expiry", PAR_NOTE, _par, COMMON),
)
