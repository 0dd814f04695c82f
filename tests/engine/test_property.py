"""Random tables, policies and chunk sizes: survivors equal what an independent model leaves, on every backend."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import purgekit as pk
from engine.tables import mark
from purgekit import _core
from purgekit.plugins import find_backends
from purgekit.testing import model
from purgekit.url import parse_url
from servers import Connection

pytestmark = pytest.mark.long

NOW_S = 1_700_000_000
EPOCH = datetime(1970, 1, 1)
COLUMNS = ("ID", "GRP", "N", "S", "EXPIRES", "MADE", "LIFE", "AT")
GRACES_S = (0, 1, 7_200)

# Times lie on, beside and far from every boundary the policies below can have.
_seconds = st.builds(
    lambda grace, beside: NOW_S - grace - beside,
    st.sampled_from((*GRACES_S, 3_600, 86_400)),
    st.sampled_from((-86_400, -1, 0, 1, 2, 100_000)),
)
_rows = st.lists(
    st.fixed_dictionaries(
        {
            "GRP": st.one_of(st.none(), st.integers(0, 2)),
            "N": st.one_of(st.none(), st.integers(-2, 2)),
            "S": st.one_of(st.none(), st.sampled_from(["a", "b", "it's", 'q"', "ä", ""])),
            "EXPIRES": st.one_of(st.none(), st.sampled_from([0, -5]), _seconds),
            "MADE": st.one_of(st.none(), st.sampled_from([0, -5]), _seconds.map(lambda s: s * 1_000 + s % 3)),
            "LIFE": st.one_of(st.none(), st.sampled_from([0, -1, 1, 3_600, 10**9])),
            "AT": st.one_of(st.none(), _seconds.map(lambda s: EPOCH + timedelta(seconds=s, microseconds=s % 2))),
        }
    ),
    max_size=24,
)
_grace = st.one_of(st.none(), st.sampled_from([f"{s}s" for s in GRACES_S]))
_null = st.sampled_from(["keep", "purge"])
_leaf = st.one_of(
    st.builds(
        lambda op, v: pk.Predicate.compare("N", op, v),
        st.sampled_from(["=", "<>", "<", "<=", ">", ">="]),
        st.integers(-2, 2),
    ),
    st.builds(
        lambda v: pk.col("S").isin(v), st.lists(st.sampled_from(["a", "it's", 'q"', "ä", "zz"]), min_size=1, max_size=3)
    ),
    st.sampled_from([pk.col("GRP").is_null(), pk.col("S").not_null()]),
    st.builds(lambda g, n: pk.expired("EXPIRES", unit="s", grace=g, null=n), _grace, _null),
    st.builds(lambda g, n: pk.expired("AT", unit="timestamp", grace=g, null=n), _grace, _null),
    st.builds(
        lambda g, n, life: pk.created("MADE", unit="ms", lifetime=life, grace=g, null=n),
        _grace,
        _null,
        st.sampled_from(["0s", "1h", "1d"]),
    ),
    st.builds(
        lambda g, n: pk.created(
            "MADE", unit="ms", lifetime=pk.col("LIFE"), lifetime_unit="s", grace=g, lifetime_null=n
        ),
        _grace,
        _null,
    ),
    st.builds(
        lambda g: pk.created("AT", unit="timestamp", lifetime=pk.col("LIFE"), lifetime_unit="s", grace=g), _grace
    ),
    st.sampled_from(
        [
            pk.not_referenced_by("REFS", on={"ROW_ID": "ID"}),
            pk.referenced_by("REFS", on={"ROW_ID": "GRP"}, where=pk.col("FLAG") == 1),
        ]
    ),
)
_rule = st.recursive(
    _leaf,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a: ~a, inner),
    ),
    max_leaves=6,
)
# Not under NOT: what is newest changes as rows go, so the order of chunks would decide.
_latest = st.builds(
    lambda n, per: pk.keep_latest(n, per=per, order_by="N"),
    st.integers(1, 3),
    st.sampled_from([[], ["GRP"], ["GRP", "S"]]),
)
_where = st.one_of(_rule, _latest, st.builds(lambda a, b: a & b, _rule, _latest))


class Bench:
    """The two tables of one database, refilled for each example."""

    def __init__(self, url: str, connection: Connection) -> None:
        self.url = url
        self.cursor = connection.cursor()
        time_type = (
            "TEXT" if url.startswith("sqlite") else "TIMESTAMP" if url.startswith("postgresql") else "DATETIME(6)"
        )
        suffix = " ENGINE=InnoDB DEFAULT CHARSET=utf8 COLLATE utf8_bin" if url.startswith(("mysql", "mariadb")) else ""
        self.cursor.execute(
            "CREATE TABLE THINGS (ID BIGINT PRIMARY KEY, GRP INT, N INT, S VARCHAR(20), EXPIRES BIGINT, MADE BIGINT, "
            f"LIFE BIGINT, AT {time_type}){suffix}"
        )
        self.cursor.execute(f"CREATE TABLE REFS (ROW_ID BIGINT, FLAG INT){suffix}")
        find_backends()
        t = parse_url(url)
        self.native = _core.Connection(
            _core.backend_for(t.scheme),
            scheme=t.scheme,
            user=t.user,
            password=t.password or "",
            host=t.host,
            port=t.port,
            database=t.database,
        )
        self.runs = 0

    def fill(self, rows: list[dict[str, Any]], refs: list[dict[str, Any]]) -> None:
        m = mark(self.url)
        for table in ("THINGS", "REFS"):
            self.cursor.execute(f"DELETE FROM {table}")
        for row in rows:
            values = [row[c] if not isinstance(row[c], datetime) else str(row[c]) for c in COLUMNS]
            self.cursor.execute(f"INSERT INTO THINGS VALUES ({', '.join([m] * len(values))})", values)
        for ref in refs:
            self.cursor.execute(f"INSERT INTO REFS VALUES ({m}, {m})", (ref["ROW_ID"], ref["FLAG"]))

    def purge(self, policy: pk.Policy, chunk_rows: int) -> dict[str, Any]:
        plan = self.native.plan([policy], now_ns=NOW_S * 10**9, chunk_rows=chunk_rows, exact=True)
        self.runs += 1
        report: dict[str, Any] = json.loads(
            self.native.run(plan, run_id=f"r{self.runs}", max_fraction=1.0, accept_clock=True, chunk_ms=1)
        )
        report["planned"] = json.loads(plan.to_json())["policies"][0]["rows_purgeable"]
        return report

    def ids(self) -> set[int]:
        self.cursor.execute("SELECT ID FROM THINGS")
        return {int(row[0]) for row in self.cursor.fetchall()}


@pytest.fixture
def bench(any_url: str, admin: Callable[[str], Connection]) -> Bench:
    return Bench(any_url, admin(any_url))


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    rows=_rows,
    refs=st.lists(
        st.fixed_dictionaries({"ROW_ID": st.one_of(st.none(), st.integers(0, 9)), "FLAG": st.integers(0, 1)}),
        max_size=8,
    ),
    where=_where,
    grace=st.sampled_from(["0s", "2h"]),
    chunk_rows=st.sampled_from([1, 2, 7, 1_000]),
)
def test_survivors_equal_the_model(
    bench: Bench,
    rows: list[dict[str, Any]],
    refs: list[dict[str, Any]],
    where: pk.Predicate,
    grace: str,
    chunk_rows: int,
) -> None:
    rows = [{"ID": number, **row} for number, row in enumerate(rows, 1)]
    bench.fill(rows, refs)
    policy = pk.Policy("random", table="THINGS", where=where, grace=grace)
    assert pk.Policy.from_json(policy.to_json()) == policy
    tables = {"THINGS": rows, "REFS": refs}
    now_ns = NOW_S * 10**9
    matching = sum(model.matches(policy, row, tables, now_ns) for row in rows)
    report = bench.purge(policy, chunk_rows)
    assert report["planned"] == matching
    expected = {row["ID"] for row in model.survivors(policy, tables, now_ns)}
    assert bench.ids() == expected
    assert report["exit_code"] == 0, report
    assert report["rows_deleted"] == len(rows) - len(expected)
