"""The packs' token policy on every database: survivors as worked out by hand, side tables three deep, all counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

import purgekit as pk
from engine.wso2_tables import GRACE_S, HOUR_S, NOW, Row, Tables, at, keys
from servers import Connection

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


def fill_sides(tables: Tables, rows: list[dict[str, Any]]) -> None:
    """Each token: two scopes, a binding, a request object with a claim and its value; one request object of none."""
    ids = [row["TOKEN_ID"] for row in rows]
    scopes = [{"TOKEN_ID": id_, "TOKEN_SCOPE": scope} for id_ in ids for scope in ("openid", "email")]
    tables.fill("IDN_OAUTH2_ACCESS_TOKEN_SCOPE", scopes)
    tables.fill("IDN_OAUTH2_TOKEN_BINDING", [{"TOKEN_ID": id_, "TOKEN_BINDING_TYPE": "cookie"} for id_ in ids])
    owners: list[str | None] = [*ids, None]
    references = [{"ID": number, "TOKEN_ID": owner} for number, owner in enumerate(owners)]
    tables.fill("IDN_OIDC_REQ_OBJECT_REFERENCE", references)
    claims: list[dict[str, Any]] = [
        {"ID": 10_000 + number, "REQ_OBJECT_ID": number, "CLAIM_ATTRIBUTE": owner or "of none"}
        for number, owner in enumerate(owners)
    ]
    tables.fill("IDN_OIDC_REQ_OBJECT_CLAIMS", claims)
    values = [
        {"ID": row["ID"] + 10_000, "REQ_OBJECT_CLAIMS_ID": row["ID"], "CLAIM_VALUES": row["CLAIM_ATTRIBUTE"]}
        for row in claims
    ]
    tables.fill("IDN_OIDC_REQ_OBJ_CLAIM_VALUES", values)


def made(url: str, admin: Callable[[str], Connection], rows: list[dict[str, Any]]) -> Tables:
    tables = Tables(url, admin(url))
    tables.make(TOKEN, "IDN_OAUTH2_AUTHORIZATION_CODE", *SIDES)
    tables.fill(TOKEN, [stored(row) for row in rows])
    fill_sides(tables, rows)
    return tables


@pytest.mark.parametrize(
    "params",
    [{}, {"zero": "purge", "negative": "purge", "null": "purge"}, {"without_refresh": "purge"}],
    ids=["default", "no-time-span", "without-refresh"],
)
def test_tokens(any_url: str, admin: Callable[[str], Connection], params: dict[str, str]) -> None:
    rows = all_tokens()
    tables = made(any_url, admin, rows)
    gone = {row["TOKEN_ID"] for row in rows if goes(row, params)}
    assert 10 < len(gone) < len(rows) - 50
    with pk.connect(any_url) as db:
        plan = db.plan(pk.load_policies("wso2-is/tokens", params=params), now=NOW, exact=True)
        codes = {warning["code"] for warning in plan.warnings}
        report = db.run(plan, limits=pk.Limits(chunk_ms=5))
    assert report.exit_code == 0
    assert plan.rows_purgeable == len(gone)
    assert tables.column(TOKEN, "TOKEN_ID") == keys([r for r in rows if r["TOKEN_ID"] not in gone], "TOKEN_ID")
    left = {row["TOKEN_ID"] for row in rows} - gone
    for side, column in SIDES.items():
        assert {value for value in tables.column(side, column) if value} == left | (
            {"of none"} if side.startswith("IDN_OIDC_REQ_OBJ") and column != "TOKEN_ID" else set()
        ), side
    counted = {entry["table"].split(".")[-1].upper(): entry["rows_deleted"] for entry in report.policies[0]["tables"]}
    each: dict[str, int] = {TOKEN: 1, "IDN_OAUTH2_ACCESS_TOKEN_SCOPE": 2, **dict.fromkeys(list(SIDES)[1:], 1)}
    assert counted == {table: rows_each * len(gone) for table, rows_each in each.items()}
    assert "unknown_state" in codes
    assert ("no_refresh_token" in codes) is (params.get("without_refresh") != "purge")
    assert "dependent_absent" in codes, "there is no table of attributes here"


def test_tokens_of_one_user_store(any_url: str, admin: Callable[[str], Connection]) -> None:
    tables = Tables(any_url, admin(any_url))
    tables.make(TOKEN)
    tables.make(TOKEN, suffix="_A")
    rows = all_tokens()
    for table in (TOKEN, f"{TOKEN}_A"):
        tables.fill(table, [stored(row) for row in rows])
    with pk.connect(any_url) as db:
        report = db.run(db.plan(pk.load_policies("wso2-is/tokens", params={"partition": "A"}), now=NOW))
    assert report.exit_code == 0
    assert len(tables.column(TOKEN, "TOKEN_ID")) == len(rows)
    assert tables.column(f"{TOKEN}_A", "TOKEN_ID") == keys([r for r in rows if not goes(r, {})], "TOKEN_ID")


def test_what_went_comes_back_with_all_that_hung_on_it(any_url: str, admin: Callable[[str], Connection]) -> None:
    rows = all_tokens()
    tables = made(any_url, admin, rows)
    everything = {table: len(tables.column(table, column)) for table, column in {TOKEN: "TOKEN_ID", **SIDES}.items()}
    gone = [row["TOKEN_ID"] for row in rows if goes(row, {})]
    with pk.connect(any_url) as db:
        report = db.run(db.plan(pk.load_policies("wso2-is/tokens"), now=NOW, archive="table"))
        assert report.to_dict()["rows_archived"] == report.rows_deleted == 7 * len(gone)
        subject = db.restore(report.to_dict()["run_id"], where={"TOKEN_ID": gone[0]})
        assert subject.to_dict()["rows_restored"] == 7, "one token, and what hung on it"
        assert gone[0] in tables.column("IDN_OIDC_REQ_OBJ_CLAIM_VALUES", "CLAIM_VALUES")
        db.restore(report.to_dict()["run_id"])
    after = {table: len(tables.column(table, column)) for table, column in {TOKEN: "TOKEN_ID", **SIDES}.items()}
    assert after == everything


def test_a_hold_on_the_last_table_keeps_the_token(any_url: str, admin: Callable[[str], Connection]) -> None:
    rows = all_tokens()
    tables = made(any_url, admin, rows)
    gone = [row["TOKEN_ID"] for row in rows if goes(row, {})]
    with pk.connect(any_url) as db:
        db.hold("IDN_OIDC_REQ_OBJ_CLAIM_VALUES", where=pk.col("CLAIM_VALUES") == gone[0], reason="case 7")
        db.run(db.plan(pk.load_policies("wso2-is/tokens"), now=NOW))
    assert gone[0] in tables.column(TOKEN, "TOKEN_ID")
    assert gone[1] not in tables.column(TOKEN, "TOKEN_ID")
    assert gone[0] in tables.column("IDN_OIDC_REQ_OBJ_CLAIM_VALUES", "CLAIM_VALUES")
