"""Tokens in every state and span of validity, with all that hangs on them, and which of them go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.wso2_tables import GRACE_S, HOUR_S, Row, Tables, at

TOKEN = "IDN_OAUTH2_ACCESS_TOKEN"
ENDLESS_MS = 99_999_999_999_990
SIDES = {
    "IDN_OAUTH2_ACCESS_TOKEN_SCOPE": "TOKEN_ID",
    "IDN_OAUTH2_TOKEN_BINDING": "TOKEN_ID",
    "IDN_OIDC_REQ_OBJECT_REFERENCE": "TOKEN_ID",
    "IDN_OIDC_REQ_OBJECT_CLAIMS": "CLAIM_ATTRIBUTE",
    "IDN_OIDC_REQ_OBJ_CLAIM_VALUES": "CLAIM_VALUES",
}
HOUR_MS = HOUR_S * 1_000
BOUNDARY = -GRACE_S - HOUR_S
# Creation, in seconds from now, and validity in ms: each branch of the rule, and both sides of its boundary.
SPANS = [
    (BOUNDARY, HOUR_MS),
    (BOUNDARY - 1, HOUR_MS),
    (BOUNDARY + 1, HOUR_MS),
    (-400 * 86_400, 300 * 86_400_000),
    (-400 * 86_400, 500 * 86_400_000),
    (None, HOUR_MS),
    (BOUNDARY - 9, None),
    (BOUNDARY - 9, 0),
    (BOUNDARY - 9, -1),
    (BOUNDARY - 9, ENDLESS_MS),
    (BOUNDARY - 9, 2**63 - 1),
]
DEAD_AT = [-GRACE_S, -GRACE_S - 1, -GRACE_S + 1, None, 60]


def token(number: int, state: str, access: tuple[Any, Any], refresh: tuple[Any, Any]) -> dict[str, Any]:
    return {
        "TOKEN_ID": f"t{number:04}",
        "REFRESH_TOKEN": None if number % 5 == 0 else f"r{number}",
        "TIME_CREATED": access[0],
        "VALIDITY_PERIOD": access[1],
        "REFRESH_TOKEN_TIME_CREATED": refresh[0],
        "REFRESH_TOKEN_VALIDITY_PERIOD": refresh[1],
        "TOKEN_STATE": state,
    }


def all_tokens() -> list[dict[str, Any]]:
    """Times are seconds from now; ``stored`` makes them what stands in the table."""
    wanted = [(state, a, r) for state in ("ACTIVE", "GRACEFULLY_ROTATED") for a in SPANS for r in SPANS]
    wanted += [
        (state, (created, -1), (None, None)) for state in ("INACTIVE", "REVOKED", "EXPIRED") for created in DEAD_AT
    ]
    wanted += [("PAUSED", (BOUNDARY - 9, HOUR_MS), (BOUNDARY - 9, HOUR_MS))]
    return [token(number, *one) for number, one in enumerate(wanted)]


def stored(row: Row) -> dict[str, Any]:
    times = {column: at(row[column]) for column in ("TIME_CREATED", "REFRESH_TOKEN_TIME_CREATED")}
    return {**row, **times}


def is_over(created_s: int | None, validity_ms: int | None, params: Mapping[str, str]) -> bool:
    if created_s is None:
        return False
    kind = "null" if validity_ms is None else "zero" if validity_ms == 0 else "negative" if validity_ms < 0 else ""
    if kind:
        return params.get(kind) == "purge" and created_s + GRACE_S < 0
    assert validity_ms is not None
    return validity_ms < ENDLESS_MS and created_s * 1_000 + validity_ms + GRACE_S * 1_000 < 0


def goes(row: Row, params: Mapping[str, str]) -> bool:
    if row["TOKEN_STATE"] in ("INACTIVE", "REVOKED", "EXPIRED"):
        return row["TIME_CREATED"] is not None and row["TIME_CREATED"] + GRACE_S < 0
    if row["TOKEN_STATE"] not in ("ACTIVE", "GRACEFULLY_ROTATED"):
        return False
    refresh = is_over(row["REFRESH_TOKEN_TIME_CREATED"], row["REFRESH_TOKEN_VALIDITY_PERIOD"], params)
    if params.get("without_refresh") == "purge":
        refresh = refresh or row["REFRESH_TOKEN"] is None
    return is_over(row["TIME_CREATED"], row["VALIDITY_PERIOD"], params) and refresh


def sides(ids: Sequence[str], first_id: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Each token: two scopes, a binding, a request object with a claim and its value; one request object of none."""
    owners: list[str | None] = [*ids, None]
    numbered = list(enumerate(owners, first_id))
    return {
        "IDN_OAUTH2_ACCESS_TOKEN_SCOPE": [{"TOKEN_ID": i, "TOKEN_SCOPE": s} for i in ids for s in ("openid", "email")],
        "IDN_OAUTH2_TOKEN_BINDING": [{"TOKEN_ID": id_, "TOKEN_BINDING_TYPE": "cookie"} for id_ in ids],
        "IDN_OIDC_REQ_OBJECT_REFERENCE": [{"ID": n, "TOKEN_ID": owner} for n, owner in numbered],
        "IDN_OIDC_REQ_OBJECT_CLAIMS": [
            {"ID": n, "REQ_OBJECT_ID": n, "CLAIM_ATTRIBUTE": owner or "of none"} for n, owner in numbered
        ],
        "IDN_OIDC_REQ_OBJ_CLAIM_VALUES": [
            {"ID": n, "REQ_OBJECT_CLAIMS_ID": n, "CLAIM_VALUES": owner or "of none"} for n, owner in numbered
        ],
    }


def fill_sides(tables: Tables, rows: list[dict[str, Any]]) -> None:
    for table, side_rows in sides([row["TOKEN_ID"] for row in rows]).items():
        tables.fill(table, side_rows)
