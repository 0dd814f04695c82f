"""The whole pack on every database: what is left of every table, and events that wait for the longest token."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import purgekit as pk
from engine import pack_scale
from engine.wso2_cases import Case, events
from engine.wso2_tables import DAY_S, HOUR_S, NOW, Tables, keys
from engine.wso2_whole import Whole
from servers import Connection


@pytest.mark.parametrize("by", ["created", "expiry"])
def test_survivors(any_url: str, admin: Callable[[str], Connection], by: str) -> None:
    whole = Whole(Tables(any_url, admin(any_url)), by)
    whole.make()
    whole.fill(copies=2, sessions_number=150)
    gone = whole.filled.total() - sum(left.total() for left in whole.expected.values())
    with pk.connect(any_url) as db:
        report = db.run(whole.plan(db), limits=pk.Limits(chunk_ms=5))
    assert report.exit_code == 0
    assert whole.wrong() == {}
    assert report.rows_deleted == gone
    assert gone > 1_000
    assert len(whole.filled) > 30
    assert all(whole.expected[table] for table in whole.filled)


EVENTS: list[Case] = [
    events(3_600, HOUR_S),
    events(90_000, 7 * DAY_S),
    events(2**62, 400 * DAY_S, {"token_lifetime": "400d"}),
]


def test_events_wait_for_the_longest_token(any_url: str, admin: Callable[[str], Connection]) -> None:
    tables = Tables(any_url, admin(any_url))
    with pk.connect(any_url) as db:
        for case in EVENTS:
            tables.make(case.table, *case.others)
            tables.fill("IDN_OAUTH_CONSUMER_APPS", case.others["IDN_OAUTH_CONSUMER_APPS"])
            tables.fill(case.table, [{name: row[name] for name in row if name != "GOES"} for row in case.rows])
            report = db.run(db.plan(pk.load_policies("wso2-is/revoked-events", params=case.params), now=NOW))
            assert report.exit_code == 0
            left = [row for row in case.rows if not row["GOES"]]
            assert tables.column(case.table, case.key) == keys(left, case.key)
            assert 0 < len(left) < len(case.rows)
            tables.drop(case.table, *case.others)


def test_many_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """As it is run by hand on millions."""
    assert pack_scale.main(["--backend", "sqlite", "--rows", "20000"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["by"] for one in told] == ["created", "expiry"]
    assert all(one["rows_deleted"] == one["rows_expected_gone"] > 5_000 for one in told)
