"""Deleted rows that are kept in a table, in the transaction that deletes them."""

# ruff: noqa: D102 - the names of tests say what they test

from __future__ import annotations

from typing import Any

import pytest

from purgekit import Policy, PurgekitError, PurgeRefused, _core, col, dependent
from purgekit.testing.bench import Bench

NOW_NS = 1_714_979_289_123_456_000
TABLE, CHILD = "conf_kept", "conf_kept_child"
ABSENT, PRESENT, UNFIT = 0, 1, 2
MARKS = ("purgekit_run_id", "purgekit_chunk", "purgekit_archived_utc")


def archive_of(table: str) -> str:
    """Its default name."""
    return f"purgekit_archive_{table}"


def _make(bench: Bench) -> Policy:
    q = bench.quirks
    rows: list[dict[str, Any]] = [
        {"ID": i, "STATE": "gone" if i % 2 else "kept", "NOTE": None if i % 3 else f"größe '{i}' \\ %s"}
        for i in range(1, 41)
    ]
    bench.make(TABLE, {"ID": f"{q.bigint} PRIMARY KEY", "STATE": q.text, "NOTE": q.text}, rows)
    children = [{"ID": i, "PARENT": i % 50} for i in range(1, 101)]
    bench.make(CHILD, {"ID": f"{q.bigint} PRIMARY KEY", "PARENT": q.bigint}, children)
    for table in (TABLE, CHILD):
        bench.drop(archive_of(table))
        bench.adopt(archive_of(table))
    child = dependent(CHILD, on={"PARENT": "ID"}, unless_referenced=False)
    return Policy("kept", table=TABLE, where=col("STATE") == "gone", dependents=[child])


def _targets(session: _core.Session) -> list[tuple[str, str]]:
    return [(session.describe(table)["schema"], archive_of(table)) for table in (TABLE, CHILD)]


def _rows(bench: Bench, table: str, columns: str = "ID, STATE, NOTE") -> list[tuple[Any, ...]]:
    q = bench.quirks.quoted
    names = ", ".join(q(name) for name in columns.split(", "))
    return bench.sql(f"SELECT {names} FROM {q(table)} ORDER BY 1")


class Archives:
    """``archive_find``, ``archive_create``, and what ``delete_range`` and ``delete_children`` do with them."""

    def test_archive_tables_are_made_once(self, bench: Bench) -> None:
        bench.needs("archives")
        policy = _make(bench)
        with bench.session() as session:
            targets = _targets(session)
            found = session.archive_find(policy, targets)
            assert [entry["state"] for entry in found] == [ABSENT, ABSENT]
            assert all(entry["can_create"] and "CREATE TABLE" in entry["ddl"] for entry in found)
            session.archive_create(policy, targets)
            session.archive_create(policy, targets)
            assert [entry["state"] for entry in session.archive_find(policy, targets)] == [PRESENT, PRESENT]
            made = session.describe(archive_of(TABLE))
        # Some backends walk by a column that is not declared, and keep that too.
        expected = ["ID", "STATE", "NOTE", *MARKS]
        assert [column["name"] for column in made["columns"] if column["name"] in expected] == expected
        assert not any(index["unique"] for index in made["indexes"])

    def test_what_is_kept_is_what_was_deleted(self, bench: Bench) -> None:
        bench.needs("archives")
        policy = _make(bench)
        before, children = _rows(bench, TABLE), _rows(bench, CHILD, "ID, PARENT")
        with bench.session() as session:
            targets = _targets(session)
            session.archive_create(policy, targets)
            session.prepare(policy, NOW_NS, session.propose(policy, NOW_NS)[0]["id"], targets, "run-1")
            session.begin()
            assert session.delete_range("", 1_000, chunk=7)["rows_deleted"] == 20
            assert session.delete_children(0) == 40
            session.commit()
        gone = [row for row in before if row[1] == "gone"]
        assert _rows(bench, archive_of(TABLE)) == gone
        assert _rows(bench, TABLE) == [row for row in before if row[1] == "kept"]
        ids = {row[0] for row in gone}
        assert _rows(bench, archive_of(CHILD), "ID, PARENT") == [row for row in children if row[1] in ids]
        for table in (TABLE, CHILD):
            marks = {tuple(row[1:3]) for row in _rows(bench, archive_of(table), ", ".join(("ID", *MARKS)))}
            assert marks == {("run-1", 7)}

    def test_nothing_is_kept_of_a_chunk_rolled_back(self, bench: Bench) -> None:
        bench.needs("archives")
        policy = _make(bench)
        with bench.session() as session:
            targets = _targets(session)
            session.archive_create(policy, targets)
            session.prepare(policy, NOW_NS, session.propose(policy, NOW_NS)[0]["id"], targets, "run-1")
            session.begin()
            session.delete_range("", 1_000)
            session.delete_children(0)
            session.rollback()
        assert len(bench.column(TABLE)) == 40
        assert bench.column(archive_of(TABLE)) == bench.column(archive_of(CHILD)) == []

    def test_every_walk_keeps_its_rows(self, bench: Bench) -> None:
        bench.needs("archives")
        policy = Policy("kept", table=TABLE, where=(col("STATE") == "gone") & (col("ID") < 1_000))
        _make(bench)
        with bench.session() as session:
            walks = [walk["id"] for walk in session.propose(policy, NOW_NS)]
        for walk in walks:
            _make(bench)
            with bench.session() as session:
                targets = _targets(session)[:1]
                session.archive_create(policy, targets)
                session.prepare(policy, NOW_NS, walk, targets, "run")
                session.begin()
                cursor, done = "", False
                while not done:
                    chunk = session.delete_range(cursor, 7)
                    cursor, done = chunk["cursor"], chunk["done"]
                session.commit()
            assert bench.column(archive_of(TABLE)) == list(range(1, 41, 2)), walk
            assert bench.column(TABLE) == list(range(2, 41, 2)), walk

    def test_a_table_that_rows_do_not_fit_into_is_refused(self, bench: Bench) -> None:
        bench.needs("archives")
        policy = _make(bench)
        q = bench.quirks
        bench.make(archive_of(TABLE), {"ID": q.bigint, "STATE": q.text})
        with bench.session() as session:
            first = session.archive_find(policy, _targets(session))[0]
        assert first["state"] == UNFIT
        assert "NOTE" in first["problem"]
        with bench.database() as db, pytest.raises(PurgeRefused) as caught:
            db.plan(policy, archive="table")
        assert caught.value.code == "archive_unfit"
        assert len(bench.column(TABLE)) == 40

    def test_an_archive_that_would_refuse_a_row_is_refused(self, bench: Bench) -> None:
        bench.needs("archives")
        policy = _make(bench)
        with bench.session() as session:
            targets = _targets(session)
            session.archive_create(policy, targets)
        q = bench.quirks.quoted
        bench.sql(f"CREATE UNIQUE INDEX conf_kept_once ON {q(archive_of(TABLE))} ({q('ID')})")
        with bench.session() as session:
            first = session.archive_find(policy, _targets(session))[0]
        assert first["state"] == UNFIT
        assert "conf_kept_once" in first["problem"]

    def test_a_run_counts_what_it_kept(self, bench: Bench) -> None:
        bench.needs("archives")
        policy = _make(bench)
        with bench.database() as db:
            plan = db.plan(policy, exact=True, max_fraction=1.0, archive="table")
            report = db.run(plan).to_dict()
            history = db.history()
        assert report["rows_deleted"] == report["rows_archived"] == 60
        assert [run["rows_archived"] for run in history] == [60]
        assert len(bench.column(archive_of(TABLE))) == 20
        assert len(bench.column(archive_of(CHILD))) == 40

    def test_an_archive_is_not_archived(self, bench: Bench) -> None:
        bench.needs("archives")
        policy = _make(bench)
        with bench.database() as db:
            db.run(db.plan(policy, exact=True, max_fraction=1.0, archive="table"))
            again = Policy("old-archive", table=archive_of(TABLE), where=col("STATE") == "gone", max_fraction=1.0)
            with pytest.raises(PurgekitError, match="archive itself"):
                db.plan(again, archive="table")
