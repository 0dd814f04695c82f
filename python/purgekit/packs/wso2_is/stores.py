"""Stores that no procedure of the vendor's cleans: SAML, security tokens, wait status, verifiable presentations."""

from __future__ import annotations

from purgekit.packs.common import CLOCK, COMMON, SCHEMA, Values, optional_policy, past, table_in, whole
from purgekit.packs.model import Built, PackPolicy, Parameter
from purgekit.predicates import expired, keep_latest

ASSERTION = "IDN_SAML2_ASSERTION_STORE"
ARTIFACT = "IDN_SAML2_ARTIFACT_STORE"
STS = "IDN_STS_STORE"
WAIT = "IDN_AUTH_WAIT_STATUS"
PRESENTATION = "IDN_VP_SESSION_STORE"

KEEP = Parameter("keep_assertions", "10", "newest assertions kept of each issuer and subject")
VP_UNIT = Parameter("vp_unit", "ms", "of EXPIRES_AT in IDN_VP_SESSION_STORE", ("s", "ms", "us", "ns"))

UNCLEANED = "No procedure of the vendor's cleans this table, so it grows for as long as the product runs."
ASSERTION_NOTE = f"""\
{UNCLEANED} It has no column of time: the newest keep_assertions of each issuer and subject stay, which is what is \
asked for by assertion queries, and the rest goes."""
ARTIFACT_NOTE = f"{UNCLEANED} EXP_TIMESTAMP decides."
STS_NOTE = f"{UNCLEANED} EXPIRE_DATE decides."
WAIT_NOTE = f"{UNCLEANED} EXPIRE_TIME decides; rows stay behind when nobody comes back to a long wait."
VP_NOTE = f"{UNCLEANED} EXPIRES_AT decides; a unit mistaken (vp_unit) is noticed by the range of its values."


def _assertions(values: Values) -> Built:
    return Built(
        optional_policy(
            "saml-assertions",
            table=table_in(values, ASSERTION),
            where=keep_latest(whole(KEEP, values), per=["SAML2_ISSUER", "SAML2_SUBJECT"], order_by="ID"),
            grace="0s",
        )
    )


def _artifacts(values: Values) -> Built:
    where = past("EXP_TIMESTAMP", values)
    return Built(
        optional_policy("saml-artifacts", table=table_in(values, ARTIFACT), where=where, grace=values["grace"])
    )


def _sts(values: Values) -> Built:
    where = past("EXPIRE_DATE", values)
    return Built(optional_policy("sts-store", table=table_in(values, STS), where=where, grace=values["grace"]))


def _wait(values: Values) -> Built:
    where = past("EXPIRE_TIME", values)
    return Built(optional_policy("wait-status", table=table_in(values, WAIT), where=where, grace=values["grace"]))


def _presentations(values: Values) -> Built:
    where = expired("EXPIRES_AT", unit=values["vp_unit"])
    return Built(
        optional_policy("vp-sessions", table=table_in(values, PRESENTATION), where=where, grace=values["grace"])
    )


POLICIES = (
    PackPolicy(
        "saml-assertions",
        ASSERTION,
        "Assertions but for the newest of each issuer and subject",
        ASSERTION_NOTE,
        _assertions,
        (SCHEMA, KEEP),
    ),
    PackPolicy("saml-artifacts", ARTIFACT, "Artifacts past their expiry", ARTIFACT_NOTE, _artifacts, (*COMMON, *CLOCK)),
    PackPolicy("sts-store", STS, "Issued security tokens past their expiry", STS_NOTE, _sts, (*COMMON, *CLOCK)),
    PackPolicy("wait-status", WAIT, "Long waits that are over", WAIT_NOTE, _wait, (*COMMON, *CLOCK)),
    PackPolicy(
        "vp-sessions",
        PRESENTATION,
        "Sessions of verifiable presentations past their expiry",
        VP_NOTE,
        _presentations,
        (*COMMON, VP_UNIT),
    ),
)
