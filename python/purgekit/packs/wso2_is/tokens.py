"""OAuth 2 access tokens, with all that hangs on them."""

from __future__ import annotations

import re

from purgekit._core import Dependent, Policy, Predicate
from purgekit.errors import PolicyError
from purgekit.packs.common import CLOCK, COMMON, DEAD_GRACE, Values, aged, table_in, unknown_states
from purgekit.packs.model import Advice, Built, PackPolicy, Parameter
from purgekit.packs.wso2_is.validity import ENDLESS, KEEP_OR_PURGE, validity_over
from purgekit.predicates import col, dependent
from purgekit.text import printable

TOKEN = "IDN_OAUTH2_ACCESS_TOKEN"
DEAD = ("INACTIVE", "REVOKED", "EXPIRED")
# A token that was rotated gracefully stays valid for a while, so only its validities tell when it is over.
LIVE = ("ACTIVE", "GRACEFULLY_ROTATED")

PARTITION = Parameter("partition", "", "suffix of one user store's table of tokens: A for IDN_OAUTH2_ACCESS_TOKEN_A")
WITHOUT_REFRESH = Parameter(
    "without_refresh",
    "keep",
    "ACTIVE rows that never had a refresh token: purge lets them go by their access validity alone",
    KEEP_OR_PURGE,
)

NOTE = """\
The vendor's procedures delete tokens in a dead state at once, so a token that was revoked a second ago is gone \
before anybody looked; here such rows have a grace of their own (dead_grace). On MySQL they compare UTC times with \
the local clock, on DB2 they add the safe period instead of taking it away: tokens that are still valid go. They \
freeze ids in a helper table and delete by them later without asking again; here every row is judged in the \
statement that deletes it. They leave up to 99 rows of each table for ever and copy whole tables first; here nothing \
is left, and --archive keeps what goes and nothing else. Side tables go in the same transaction and are counted, \
whether or not a foreign key cascades. GRACEFULLY_ROTATED, which no procedure knows, goes when both validities are \
over. A validity of 0, below 0, NULL, or of endless_ms and more never expires, on every database alike; parameters \
change that one by one."""


def request_objects(values: Values, column: str) -> list[Dependent]:
    """The OpenID Connect request object of a token or code, three tables deep. ``column``: TOKEN_ID or CODE_ID."""
    reference = table_in(values, "IDN_OIDC_REQ_OBJECT_REFERENCE")
    claims = table_in(values, "IDN_OIDC_REQ_OBJECT_CLAIMS")
    return [
        dependent(reference, on={column: column}, unless_referenced=False, optional=True),
        dependent(claims, on={"REQ_OBJECT_ID": "ID"}, unless_referenced=False, optional=True, of=reference),
        dependent(
            table_in(values, "IDN_OIDC_REQ_OBJ_CLAIM_VALUES"),
            on={"REQ_OBJECT_CLAIMS_ID": "ID"},
            unless_referenced=False,
            optional=True,
            of=claims,
        ),
    ]


def _side_tables(values: Values, suffix: str) -> list[Dependent]:
    names = (f"{TOKEN}_SCOPE{suffix}", "IDN_OAUTH2_TOKEN_BINDING", f"{TOKEN}_ATTRIBUTES")
    return [
        *(
            dependent(table_in(values, name), on={"TOKEN_ID": "TOKEN_ID"}, unless_referenced=False, optional=True)
            for name in names
        ),
        *request_objects(values, "TOKEN_ID"),
    ]


def _suffix(values: Values) -> str:
    partition = values["partition"]
    if partition and not re.fullmatch(r"[A-Za-z0-9_]{1,32}", partition):
        raise PolicyError(f"parameter partition is the suffix of a table, such as A, not '{printable(partition)}'")
    return f"_{partition}" if partition else ""


def _rule(values: Values) -> tuple[Predicate, Predicate]:
    """The rule, and which of the rows that it keeps wait for a refresh token which they do not have."""
    is_dead = col("TOKEN_STATE").isin(DEAD) & aged("TIME_CREATED", "0s", values, grace=values["dead_grace"])
    access_over = validity_over("TIME_CREATED", "VALIDITY_PERIOD", values)
    refresh_over = validity_over("REFRESH_TOKEN_TIME_CREATED", "REFRESH_TOKEN_VALIDITY_PERIOD", values)
    has_none = col("REFRESH_TOKEN").is_null() | (col("REFRESH_TOKEN") == "")
    waits = refresh_over if values["without_refresh"] == "keep" else refresh_over | has_none
    lives = col("TOKEN_STATE").isin(LIVE)
    never = col("REFRESH_TOKEN_VALIDITY_PERIOD").is_null() | (col("REFRESH_TOKEN_VALIDITY_PERIOD") <= 0)
    return is_dead | (lives & access_over & waits), lives & access_over & has_none & never


def _build(values: Values) -> Built:
    suffix = _suffix(values)
    table = table_in(values, TOKEN + suffix)
    where, waits_for_none = _rule(values)
    policy = Policy("tokens", table=table, where=where, grace=values["grace"], dependents=_side_tables(values, suffix))
    advice = [unknown_states("TOKEN_STATE", DEAD + LIVE, table)]
    if values["without_refresh"] == "keep":
        advice.append(
            Advice(
                "no_refresh_token",
                waits_for_none,
                "{rows} ACTIVE tokens are past their access validity and have no refresh token, but stay because a "
                "refresh validity that is no time span never ends; --param without_refresh=purge takes them too",
                of_all=True,
            )
        )
    return Built(policy, advice)


TOKENS = PackPolicy(
    "tokens",
    TOKEN,
    "Tokens in a dead state, and active ones whose access and refresh validity are both over, with their side tables",
    NOTE,
    _build,
    (*COMMON, DEAD_GRACE, *ENDLESS, WITHOUT_REFRESH, PARTITION, *CLOCK),
)
