"""Tokens of django-oauth-toolkit, in the order in which each makes room for the next."""

from __future__ import annotations

from purgekit._core import Predicate
from purgekit.packs.common import CLOCK, COMMON, Values, aged, optional_policy, past, table_in
from purgekit.packs.model import Built, PackPolicy, Parameter
from purgekit.predicates import col, not_referenced_by, referenced_by

REFRESH = "oauth2_provider_refreshtoken"
ACCESS = "oauth2_provider_accesstoken"
ID = "oauth2_provider_idtoken"
GRANT = "oauth2_provider_grant"

REFRESH_LIFETIME = Parameter(
    "refresh_lifetime", "", "REFRESH_TOKEN_EXPIRE_SECONDS, as a duration; without it a refresh token in use never ends"
)
REVOKED_LIFETIME = Parameter(
    "revoked_lifetime", "0s", "time since a refresh token was revoked; see the note for reuse protection"
)

REFRESH_NOTE = """\
Revoked refresh tokens, those whose access token is gone, and, with refresh_lifetime, those whose access token \
expired longer ago than that: the same as manage.py cleartokens, which loads the ids of each batch first and deletes \
by them without asking again. A revoked token that a newer access token was made from is still named there \
(source_refresh_token_id): cleartokens sets that to NULL, here such a token waits until the newer one is gone. With \
REFRESH_TOKEN_REUSE_PROTECTION a revoked token is what reuse is noticed by: give revoked_lifetime the value of \
refresh_lifetime."""
ACCESS_NOTE = """\
Past expires and without a refresh token, as manage.py cleartokens has it: one with a refresh token is what that \
token's own end is counted from, so it goes after it, in the same run."""
ID_NOTE = """\
Past expires and without an access token, as manage.py cleartokens has it. Its foreign key is Django's, without a \
cascade: the access token goes first, in the same run."""
GRANT_NOTE = """\
Authorization codes past expires, as manage.py cleartokens has it; a code that was exchanged is deleted by the \
toolkit itself, so what is here was never used."""


def _policy(name: str, table: str, where: Predicate, values: Values) -> Built:
    return Built(optional_policy(name, table=table_in(values, table), where=where, grace=values["grace"]))


def _refresh(values: Values) -> Built:
    access = table_in(values, ACCESS)
    in_use = col("revoked").is_null()
    is_orphan = in_use & col("access_token_id").is_null() & past("created", values)
    where = aged("revoked", values["revoked_lifetime"], values) | is_orphan
    if values["refresh_lifetime"]:
        is_over = aged("expires", values["refresh_lifetime"], values)
        where |= in_use & referenced_by(access, on={"id": "access_token_id"}, where=is_over)
    is_source = referenced_by(access, on={"source_refresh_token_id": "id"})
    return _policy("oauth-refresh-tokens", REFRESH, where & ~is_source, values)


def _access(values: Values) -> Built:
    is_alone = not_referenced_by(table_in(values, REFRESH), on={"access_token_id": "id"})
    return _policy("oauth-access-tokens", ACCESS, past("expires", values) & is_alone, values)


def _id(values: Values) -> Built:
    is_alone = not_referenced_by(table_in(values, ACCESS), on={"id_token_id": "id"})
    return _policy("oauth-id-tokens", ID, past("expires", values) & is_alone, values)


def _grants(values: Values) -> Built:
    return _policy("oauth-grants", GRANT, past("expires", values), values)


PARAMETERS = (*COMMON, *CLOCK)
POLICIES = (
    PackPolicy(
        "oauth-refresh-tokens",
        REFRESH,
        "Refresh tokens of django-oauth-toolkit that are revoked, left over or over",
        REFRESH_NOTE,
        _refresh,
        (*COMMON, REFRESH_LIFETIME, REVOKED_LIFETIME, *CLOCK),
    ),
    PackPolicy("oauth-access-tokens", ACCESS, "Its access tokens past their expiry", ACCESS_NOTE, _access, PARAMETERS),
    PackPolicy("oauth-id-tokens", ID, "Its id tokens past their expiry", ID_NOTE, _id, PARAMETERS),
    PackPolicy("oauth-grants", GRANT, "Its authorization codes past their expiry", GRANT_NOTE, _grants, PARAMETERS),
)
