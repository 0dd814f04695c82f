"""Random tables, rules and chunk sizes: what is left equals what the independent model leaves."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import purgekit as pk
from purgekit import _core
from purgekit.plugins import find_backends
from purgekit.testing import matches

NOW_NS = 1_714_979_289_123_456_789
TIMES = [None, 0, -1, 1, NOW_NS // 10**6 - 7_200_000, NOW_NS // 10**6 - 7_200_001, NOW_NS // 10**6, 2**53]

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "A": st.none() | st.integers(0, 3),
            "S": st.none() | st.sampled_from(["x", "y", "z"]),
            "T": st.sampled_from(TIMES),
            "L": st.none() | st.integers(-1, 3) | st.just(7_200_000) | st.just(2**62),
        }
    ),
    max_size=25,
)
LEAVES = st.one_of(
    st.builds(
        lambda op, value: _core.Predicate.compare("A", op, value),
        st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
        st.integers(0, 3),
    ),
    st.builds(
        lambda values: pk.col("S").isin(values), st.lists(st.sampled_from(["x", "y", "w"]), min_size=1, max_size=2)
    ),
    st.sampled_from([pk.col("S").is_null(), pk.col("A").not_null()]),
    st.builds(
        lambda null, grace: pk.expired("T", unit="ms", null=null, grace=grace),
        st.sampled_from(["keep", "purge"]),
        st.sampled_from([None, "0s", "1h"]),
    ),
    st.builds(
        lambda null: pk.created("T", unit="ms", lifetime=pk.col("L"), lifetime_unit="ms", lifetime_null=null),
        st.sampled_from(["keep", "purge"]),
    ),
    st.builds(lambda lifetime: pk.created("T", unit="ms", lifetime=lifetime), st.sampled_from(["0s", "1h", "14d"])),
    st.builds(lambda n, by: pk.keep_latest(n, per=["S"], order_by=by), st.integers(1, 3), st.sampled_from(["A", "T"])),
    st.builds(
        lambda newer: pk.referenced_by(
            "rows", on={"S": "S"}, newer="ID" if newer else None, older=None if newer else "ID"
        ),
        st.booleans(),
    ),
)
RULES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a: ~a, inner),
    ),
    max_leaves=6,
)


def fill(path: Path, rows: list[dict[str, Any]]) -> None:
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("CREATE TABLE rows (ID INTEGER PRIMARY KEY, A INTEGER, S TEXT, T INTEGER, L INTEGER)")
        db.executemany("INSERT INTO rows VALUES (:ID, :A, :S, :T, :L)", rows)


def ids(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute("SELECT ID FROM rows ORDER BY ID")]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bare=ROWS, rule=RULES, chunk_rows=st.sampled_from([1, 2, 3, 7, 100]))
def test_survivors_equal_the_model(
    tmp_path: Path, bare: list[dict[str, Any]], rule: pk.Predicate, chunk_rows: int
) -> None:
    rows = [{"ID": number, **row} for number, row in enumerate(bare, 1)]
    policy = pk.Policy("random", table="rows", where=rule)
    path = tmp_path / "rows.db"
    fill(path, rows)
    find_backends()
    left = rows
    session = _core.Session("sqlite", scheme="sqlite", database=str(path))
    try:
        assert session.count(policy, NOW_NS) == sum(matches(policy, row, {"rows": rows}, NOW_NS) for row in rows)
        session.prepare(policy, NOW_NS, session.propose(policy, NOW_NS, len(rows), -1)[0]["id"])
        while True:  # passes, until one deletes nothing
            cursor, done, deleted = "", False, 0
            while not done:
                before = ids(path)
                session.begin()
                part = session.delete_range(cursor, chunk_rows)
                session.commit()
                gone = set(before) - set(ids(path))
                assert len(gone) == part["rows_deleted"]
                # One statement sees one state: each row that went satisfied the rule at its beginning.
                world = {"rows": left}
                assert all(matches(policy, row, world, NOW_NS) for row in left if row["ID"] in gone)
                left = [row for row in left if row["ID"] not in gone]
                cursor, done, deleted = part["cursor"], part["done"], deleted + len(gone)
            if not deleted:
                break
        assert not any(matches(policy, row, {"rows": left}, NOW_NS) for row in left)
    finally:
        session.close()
