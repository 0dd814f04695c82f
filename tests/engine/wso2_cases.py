"""Rows for each of the smaller policies of the pack: both sides of its boundary, NULLs, states, and who goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.wso2_tables import DAY_S, GRACE_S, HOUR_S, NOW_S, at

AROUND = [-GRACE_S, -GRACE_S - 1, -GRACE_S + 1, -400 * DAY_S, 3 * HOUR_S, None]  # the second and the fourth are over
OVER = {-GRACE_S - 1, -400 * DAY_S}


class Case(NamedTuple):
    """A policy with rows; ``GOES`` tells of each row whether it goes and never reaches the database."""

    policy: str
    table: str
    key: str
    rows: Sequence[dict[str, Any]]
    others: Mapping[str, Sequence[dict[str, Any]]] = {}
    left_with_key: dict[str, str] = {}  # noqa: RUF012
    params: dict[str, str] = {}  # noqa: RUF012


def by_expiry(policy: str, table: str, key: str, column: str, **more: Any) -> Case:
    """A table whose rows have a time at which they expire."""
    rows = [{key: str(n), column: at(s), "GOES": s in OVER, **more} for n, s in enumerate(AROUND)]
    if key == "ID" and table != "IDN_FLOW_CONTEXT_STORE":
        rows = [{**row, key: int(str(row[key]))} for row in rows]
    return Case(policy, table, key, rows)


def aged(policy: str, table: str, key: str, column: str, lifetime_s: int, **more: Any) -> Case:
    rows = [
        {key: str(n), column: None if s is None else at(s - lifetime_s), "GOES": s in OVER, **more}
        for n, s in enumerate(AROUND)
    ]
    return Case(policy, table, key, rows)


def codes() -> Case:
    """Code n; those with a token that is still there stay."""
    spans: list[tuple[int | None, int | None, bool]] = [
        (-HOUR_S + s if s is not None else None, 3_600_000, s in OVER) for s in AROUND
    ]
    spans += [(-DAY_S, validity, False) for validity in (None, 0, -1, 99_999_999_999_990, 2**63 - 1)]
    rows: list[dict[str, Any]] = [
        {
            "TIME_CREATED": at(made),
            "VALIDITY_PERIOD": validity,
            "STATE": "ACTIVE",
            "TOKEN_ID": token,
            "GOES": over and not kept,
        }
        for made, validity, over in spans
        for token, kept in ((None, False), ("gone", False), ("there", True))
    ]
    for state in ("INACTIVE", "REVOKED", "EXPIRED", "PAUSED"):
        rows += [
            {
                "TIME_CREATED": at(s),
                "VALIDITY_PERIOD": -1,
                "STATE": state,
                "TOKEN_ID": "gone",
                "GOES": s in OVER and state != "PAUSED",
            }
            for s in AROUND
        ]
    rows = [{"CODE_ID": f"c{number:03}", **row} for number, row in enumerate(rows)]
    scopes = [{"CODE_ID": row["CODE_ID"], "SCOPE": "openid"} for row in rows]
    references = [{"ID": number, "CODE_ID": row["CODE_ID"]} for number, row in enumerate(rows)]
    return Case(
        "authorization-codes",
        "IDN_OAUTH2_AUTHORIZATION_CODE",
        "CODE_ID",
        rows,
        {
            "IDN_OAUTH2_ACCESS_TOKEN": [{"TOKEN_ID": "there"}],
            "IDN_OAUTH2_AUTHZ_CODE_SCOPE": scopes,
            "IDN_OIDC_REQ_OBJECT_REFERENCE": references,
        },
        {"IDN_OAUTH2_AUTHZ_CODE_SCOPE": "CODE_ID", "IDN_OIDC_REQ_OBJECT_REFERENCE": "CODE_ID"},
    )


def ciba() -> Case:
    rows: list[dict[str, Any]] = []
    for status in ("REQUESTED", "AUTHENTICATED", "TOKEN_ISSUED", "EXPIRED", "FAILED", "CONSENT_DENIED", "ODD"):
        dead = status in ("TOKEN_ISSUED", "EXPIRED", "FAILED", "CONSENT_DENIED")
        for s in AROUND:
            rows.append({"ISSUED_TIME": at(s), "EXPIRES_IN": 0, "AUTH_REQ_STATUS": status, "GOES": dead and s in OVER})
            made = None if s is None else s - 120
            over = s in OVER or (dead and made is not None and made < -GRACE_S)
            rows.append(
                {
                    "ISSUED_TIME": at(made),
                    "EXPIRES_IN": 120,
                    "AUTH_REQ_STATUS": status,
                    "GOES": over and status != "ODD",
                }
            )
    rows = [{"AUTH_CODE_KEY": f"{number:036}", **row} for number, row in enumerate(rows)]
    scopes = [{"AUTH_CODE_KEY": row["AUTH_CODE_KEY"], "SCOPE": "openid"} for row in rows]
    side = "IDN_OAUTH2_CIBA_REQUEST_SCOPES"
    return Case(
        "ciba-codes", "IDN_OAUTH2_CIBA_AUTH_CODE", "AUTH_CODE_KEY", rows, {side: scopes}, {side: "AUTH_CODE_KEY"}
    )


def device() -> Case:
    """Abandoned flows stay PENDING for ever."""
    rows: list[dict[str, Any]] = [
        {"EXPIRY_TIME": at(s), "TIME_CREATED": at(-DAY_S), "STATUS": status, "GOES": s in OVER}
        for status in ("PENDING", "AUTHORIZED", "USED", "EXPIRED")
        for s in AROUND
        if s is not None
    ]
    rows += [
        {"EXPIRY_TIME": None, "TIME_CREATED": at(-DAY_S), "STATUS": status, "GOES": status in ("USED", "EXPIRED")}
        for status in ("PENDING", "USED", "EXPIRED")
    ]
    rows = [{"DEVICE_CODE": f"d{number}", "CODE_ID": f"c{number}", **row} for number, row in enumerate(rows)]
    side = "IDN_OAUTH2_DEVICE_FLOW_SCOPES"
    scopes = [{"ID": number, "SCOPE_ID": row["CODE_ID"]} for number, row in enumerate(rows)]
    return Case("device-codes", "IDN_OAUTH2_DEVICE_FLOW", "CODE_ID", rows, {side: scopes}, {side: "SCOPE_ID"})


def par() -> Case:
    """Milliseconds; 0, negative and NULL never expire."""
    moments = [(NOW_S + s) * 1_000 for s in AROUND if s is not None] + [0, -5, None, (NOW_S - GRACE_S) * 1_000 - 1]
    rows = [
        {
            "REQ_URI_REF": str(number),
            "SCHEDULED_EXPIRY": moment,
            "GOES": bool(moment and moment > 0 and moment < (NOW_S - GRACE_S) * 1_000),
        }
        for number, moment in enumerate(moments)
    ]
    return Case("par-requests", "IDN_OAUTH_PAR", "REQ_URI_REF", rows)


def refresh() -> Case:
    rows: list[dict[str, Any]] = []
    for state in ("ACTIVE", "INACTIVE", "REVOKED", "EXPIRED", "ODD"):
        for s in AROUND:
            made = None if s is None else s - HOUR_S
            dead = state in ("INACTIVE", "REVOKED", "EXPIRED") and made is not None and made < -GRACE_S
            rows.append(
                {"made": made, "validity": 3_600_000, "state": state, "GOES": dead or (state == "ACTIVE" and s in OVER)}
            )
            rows.append({"made": made, "validity": -1, "state": state, "GOES": dead})
    rows = [
        {
            "REFRESH_TOKEN_ID": f"r{number}",
            "REFRESH_TOKEN_TIME_CREATED": at(row["made"]),
            "REFRESH_TOKEN_VALIDITY_PERIOD": row["validity"],
            "TOKEN_STATE": row["state"],
            "GOES": row["GOES"],
        }
        for number, row in enumerate(rows)
    ]
    side = "IDN_OAUTH2_REFRESH_TOKEN_SCOPE"
    scopes = [{"REFRESH_TOKEN_ID": row["REFRESH_TOKEN_ID"], "TOKEN_SCOPE": "x"} for row in rows]
    return Case(
        "refresh-tokens",
        "IDN_OAUTH2_REFRESH_TOKEN",
        "REFRESH_TOKEN_ID",
        rows,
        {side: scopes},
        {side: "REFRESH_TOKEN_ID"},
    )


def events(longest_s: int, needed_s: int, params: dict[str, str] | None = None) -> Case:
    """An event waits for as long as the longest token may live, in the steps that the pack knows."""
    rows = [
        {"EVENT_ID": f"{n:036}", "TIME_REVOKED": None if s is None else at(s - needed_s), "GOES": s in OVER}
        for n, s in enumerate(AROUND)
    ]
    apps: list[dict[str, Any]] = [
        {"ID": 1, "USER_ACCESS_TOKEN_EXPIRE_TIME": 3600, "APP_ACCESS_TOKEN_EXPIRE_TIME": longest_s},
        {"ID": 2, "USER_ACCESS_TOKEN_EXPIRE_TIME": None, "APP_ACCESS_TOKEN_EXPIRE_TIME": None},
    ]
    table = "IDN_SUBJECT_ENTITY_REVOKED_EVENT"
    return Case("revoked-events", table, "EVENT_ID", rows, {"IDN_OAUTH_CONSUMER_APPS": apps}, {}, params or {})


def audit() -> Case:
    """Rows whose INVALIDATED_TIME was never written go by their creation; Berlin is two hours ahead in May."""
    lifetime_s = 90 * DAY_S
    rows: list[dict[str, Any]] = [
        {"INVALIDATED_TIME": at(s - lifetime_s + HOUR_S), "TIME_CREATED": None, "GOES": s in OVER}
        for s in AROUND
        if s is not None
    ]
    rows += [
        {"INVALIDATED_TIME": None, "TIME_CREATED": None if s is None else at(s - lifetime_s), "GOES": s in OVER}
        for s in AROUND
    ]
    rows = [{"ID": number, **row} for number, row in enumerate(rows)]
    # In February, 90 days ago, Berlin was one hour ahead.
    params = {"audit_timezone": "Europe/Berlin"}
    return Case("token-audit", "IDN_OAUTH2_ACCESS_TOKEN_AUDIT", "ID", rows, {}, {}, params)


def recovery_flows() -> Case:
    flows = [{"RECOVERY_FLOW_ID": f"f{n}", "TIME_CREATED": at(-40 * DAY_S), "GOES": n != 0} for n in range(3)]
    data = {"USER_DOMAIN": "P", "TENANT_ID": 1, "SCENARIO": "S", "STEP": "1", "TIME_CREATED": at(-DAY_S)}
    codes = [{"USER_NAME": "u", "CODE": "c", "RECOVERY_FLOW_ID": "f0", **data}]
    return Case("recovery-flows", "IDN_RECOVERY_FLOW_DATA", "RECOVERY_FLOW_ID", flows, {"IDN_RECOVERY_DATA": codes})


def recovery_data() -> Case:
    case = aged("recovery-data", "IDN_RECOVERY_DATA", "CODE", "TIME_CREATED", 30 * DAY_S)
    data = {"USER_DOMAIN": "P", "TENANT_ID": 1, "SCENARIO": "S", "STEP": "1"}
    rows = [{**row, **data, "USER_NAME": row["CODE"]} for row in case.rows]
    return case._replace(rows=rows, others={"IDN_RECOVERY_FLOW_DATA": []})


def workflows() -> Case:
    states = ("APPROVED", "REJECTED", "FAILED", "DELETED", "ABORTED", "PENDING", "ODD")
    rows: list[dict[str, Any]] = [
        {"STATUS": state, "UPDATED_AT": None if s is None else at(s - 60 * DAY_S), "GOES": s in OVER and n < 5}
        for n, state in enumerate(states)
        for s in AROUND
    ]
    rows = [{"UUID": f"w{number}", **row} for number, row in enumerate(rows)]
    entities = [{"REQUEST_ID": row["UUID"], "ENTITY_NAME": "user"} for row in rows]
    relations = [{"RELATIONSHIP_ID": row["UUID"], "REQUEST_ID": row["UUID"]} for row in rows]
    sides = {"WF_REQUEST_ENTITY_RELATIONSHIP": entities, "WF_WORKFLOW_REQUEST_RELATION": relations}
    return Case("workflow-requests", "WF_REQUEST", "UUID", rows, sides, dict.fromkeys(sides, "REQUEST_ID"))


def actions() -> Case:
    """A NULL among the properties hides nothing."""
    rows = [
        {"UUID": f"{n:036}", "TYPE": kind, "GOES": kind == "AUTHENTICATION" and n != 0}
        for n, kind in enumerate(["AUTHENTICATION", "AUTHENTICATION", "PRE_ISSUE_ACCESS_TOKEN", "AUTHENTICATION"])
    ]
    properties = [
        {"ID": 1, "PROPERTY_KEY": "actionId", "PROPERTY_VALUE": rows[0]["UUID"]},
        {"ID": 2, "PROPERTY_KEY": "actionId", "PROPERTY_VALUE": None},
        {"ID": 3, "PROPERTY_KEY": "other", "PROPERTY_VALUE": rows[1]["UUID"]},
    ]
    return Case("actions", "IDN_ACTION", "UUID", rows, {"IDP_AUTHENTICATOR_PROPERTY": properties})


def assertions() -> Case:
    rows = [
        {"ID": n, "SAML2_ISSUER": issuer, "SAML2_SUBJECT": subject, "GOES": n < 4}
        for n, (issuer, subject) in enumerate([("i", "a")] * 6 + [("i", "b"), ("i", None), ("j", "a")])
    ]
    return Case("saml-assertions", "IDN_SAML2_ASSERTION_STORE", "ID", rows, {}, {}, {"keep_assertions": "2"})


def presentations() -> Case:
    moments = [(NOW_S + s) * 1_000 for s in AROUND if s is not None] + [None, 0]
    rows = [
        {"SESSION_ID": f"s{n}", "EXPIRES_AT": m, "GOES": bool(m and m < (NOW_S - GRACE_S) * 1_000)}
        for n, m in enumerate(moments)
    ]
    return Case("vp-sessions", "IDN_VP_SESSION_STORE", "SESSION_ID", rows)


CASES = [
    codes(),
    ciba(),
    device(),
    par(),
    refresh(),
    by_expiry("revoked-tokens", "IDN_OAUTH2_REVOKED_TOKENS", "UUID", "EXPIRY_TIMESTAMP"),
    events(3_600, HOUR_S),
    audit(),
    by_expiry("jti", "IDN_OIDC_JTI", "JWT_ID", "EXP_TIME"),
    by_expiry("vc-nonces", "IDN_VC_NONCE", "NONCE_VALUE", "EXPIRY_TIME"),
    recovery_data(),
    recovery_flows(),
    by_expiry("flow-contexts", "IDN_FLOW_CONTEXT_STORE", "ID", "EXPIRES_AT"),
    workflows(),
    actions(),
    assertions(),
    by_expiry("saml-artifacts", "IDN_SAML2_ARTIFACT_STORE", "ID", "EXP_TIMESTAMP"),
    by_expiry("sts-store", "IDN_STS_STORE", "ID", "EXPIRE_DATE"),
    by_expiry("wait-status", "IDN_AUTH_WAIT_STATUS", "ID", "EXPIRE_TIME"),
    presentations(),
]
