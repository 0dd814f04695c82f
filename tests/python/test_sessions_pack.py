"""The session store's rules: no session comes back to life, at no instant of a purge, and none that is alive goes."""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import purgekit as pk
from purgekit.testing import matches, survivors

DAY_NS = 86_400 * 10**9
NOW = "2024-05-06T07:08:09Z"
NOW_NS = 1_714_979_289 * 10**9
DDL = """
CREATE TABLE IDN_AUTH_SESSION_STORE (
    SESSION_ID VARCHAR(100) NOT NULL, SESSION_TYPE VARCHAR(100) NOT NULL, OPERATION VARCHAR(10) NOT NULL,
    TIME_CREATED BIGINT NOT NULL, EXPIRY_TIME BIGINT, PRIMARY KEY (SESSION_ID, SESSION_TYPE, TIME_CREATED, OPERATION))
"""
Row = Mapping[str, object]


def row(session: str, kind: str, operation: str, age_days: int, expiry_days: int | None) -> Row:
    """``expiry_days``: from now; None: no expiry."""
    return {
        "SESSION_ID": session,
        "SESSION_TYPE": kind,
        "OPERATION": operation,
        "TIME_CREATED": NOW_NS - age_days * DAY_NS,
        "EXPIRY_TIME": None if expiry_days is None else NOW_NS + expiry_days * DAY_NS,
    }


ROWS = st.lists(
    st.builds(
        row,
        st.sampled_from(["s1", "s2"]),
        st.sampled_from(["A", "B"]),
        st.sampled_from(["STORE", "STORE", "DELETE"]),
        st.integers(1, 40),
        st.sampled_from([None, -20, -1, 1, 20]),
    ),
    max_size=12,
    unique_by=lambda r: (r["SESSION_ID"], r["SESSION_TYPE"], r["TIME_CREATED"]),
)


def key(r: Row) -> tuple[object, object]:
    return r["SESSION_ID"], r["SESSION_TYPE"]


def is_over(r: Row, by: str) -> bool:
    age_ns = NOW_NS - int(str(r["TIME_CREATED"]))
    old = age_ns > 14 * DAY_NS + 7_200 * 10**9
    if by == "created":
        return old
    expiry = r["EXPIRY_TIME"]
    return old if expiry is None else int(str(expiry)) + 7_200 * 10**9 < NOW_NS


def alive(rows: list[Row], by: str) -> set[tuple[object, object]]:
    """Sessions whose newest row is a version that is not over."""
    newest: dict[tuple[object, object], Row] = {}
    for r in sorted(rows, key=lambda r: int(str(r["TIME_CREATED"]))):
        newest[key(r)] = r
    return {k for k, r in newest.items() if r["OPERATION"] == "STORE" and not is_over(r, by)}


@pytest.mark.parametrize("by", ["created", "expiry"])
@settings(max_examples=300, deadline=None)
@given(rows=ROWS)
def test_no_session_changes_sides_after_any_single_row(by: str, rows: list[Row]) -> None:
    """Whatever the order in which the rows go, one at a time, and wherever that is interrupted."""
    (policy,) = pk.load_policies("wso2-is/sessions", {"by": by})
    table = {policy.table: rows}
    living = alive(rows, by)
    for candidate in [r for r in rows if matches(policy, r, table, NOW_NS)]:
        rest = [r for r in rows if r is not candidate]
        assert alive(rest, by) == living
    left = survivors(policy, table, NOW_NS)
    assert alive(left, by) == living
    by_session: dict[tuple[object, object], list[Row]] = defaultdict(list)
    for r in left:
        by_session[key(r)].append(r)
    # Nothing is left of a session of which every row is over.
    assert not any(all(is_over(r, by) for r in versions) for versions in by_session.values())


def fill(path: Path, rows: list[Row]) -> str:
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as db:
        db.execute(DDL)
        db.executemany("INSERT INTO IDN_AUTH_SESSION_STORE VALUES (?, ?, ?, ?, ?)", [tuple(r.values()) for r in rows])
        db.commit()
    return f"sqlite:///{path}"


def stored(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return sorted(db.execute("SELECT * FROM IDN_AUTH_SESSION_STORE").fetchall(), key=str)


@pytest.mark.parametrize("by", ["created", "expiry"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_the_engine_leaves_what_the_model_leaves(by: str, tmp_path: Path, rows: list[Row]) -> None:
    (policy,) = pk.load_policies("wso2-is/sessions", {"by": by})
    path = tmp_path / "sessions.db"
    with pk.connect(fill(path, rows)) as db:
        report = db.run(db.plan(policy, now=NOW, max_fraction=1.0))
    assert report.exit_code == 0
    expected = [tuple(r.values()) for r in survivors(policy, {policy.table: rows}, NOW_NS)]
    assert stored(path) == sorted(expected, key=str)


def test_plan_warns_of_rows_whose_expiry_lies_ahead(tmp_path: Path) -> None:
    rows = [row("s1", "A", "STORE", 20, 5), row("s2", "A", "STORE", 20, -5), row("s3", "A", "STORE", 1, 5)]
    url = fill(tmp_path / "sessions.db", rows)
    with pk.connect(url) as db:
        warnings = {w["code"]: w["message"] for w in db.plan(pk.load_policies("wso2-is/sessions"), now=NOW).warnings}
        assert warnings["expiry_ahead"].startswith("1 of the purgeable rows")
        by_expiry = db.plan(pk.load_policies("wso2-is/sessions", {"by": "expiry"}), now=NOW)
        assert "expiry_ahead" not in {w["code"] for w in by_expiry.warnings}
    with closing(sqlite3.connect(tmp_path / "sessions.db")) as db2:
        db2.execute("ALTER TABLE IDN_AUTH_SESSION_STORE DROP COLUMN EXPIRY_TIME")
    with pk.connect(url) as db:
        plan = db.plan(pk.load_policies("wso2-is/sessions"), now=NOW)
        assert plan.rows_purgeable == 2
        assert "expiry_ahead" not in {w["code"] for w in plan.warnings}
