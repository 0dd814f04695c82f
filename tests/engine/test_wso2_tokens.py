"""The packs' token policy on every database: survivors as worked out by hand, side tables three deep, all counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import purgekit as pk
from engine.wso2_tables import NOW, Tables, keys
from engine.wso2_tokens import SIDES, TOKEN, all_tokens, fill_sides, goes, stored
from servers import Connection


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
