"""Finding tables and telling what they are."""

# ruff: noqa: D102 - the names of tests say what they test

from __future__ import annotations

import time

import pytest

from purgekit import Policy, PolicyError, PurgekitError, col
from purgekit.testing.bench import Bench

TABLE_KIND, VIEW_KIND = 1, 2


class Describing:
    """``inspect``, ``describe``, ``tables``, identifiers."""

    def test_inspect(self, bench: Bench) -> None:
        with bench.session() as session:
            server = session.inspect()
        assert server["product"]
        assert server["version"]
        assert server["identity"]
        assert server["clock_utc_ns"] > 1_700_000_000 * 1_000_000_000
        assert server["read_only"] is False

    def test_table(self, bench: Bench) -> None:
        q = bench.quirks
        columns = {"ID": f"{q.bigint} NOT NULL", "STATE": q.text, "AT": f"{q.bigint} NOT NULL"}
        bench.make("conf_table", columns, rest=f"PRIMARY KEY ({q.quoted('ID')})")
        bench.sql(f"CREATE INDEX conf_index ON {q.quoted('conf_table')} ({q.quoted('AT')}, {q.quoted('STATE')})")
        with bench.session() as session:
            found = session.describe("conf_table")
            assert "conf_table" in session.tables("conf_tabel")
        assert found["name"] == "conf_table"
        assert found["kind"] == TABLE_KIND
        assert found["transactional"] is True
        assert found["can_select"] is True
        assert found["can_delete"] is True
        assert found["rows_hidden"] is False
        assert [column["name"] for column in found["columns"][:3]] == ["ID", "STATE", "AT"]
        assert [column["nullable"] for column in found["columns"][:3]] == [False, True, False]
        assert found["key"] == ["ID"]
        assert ["AT", "STATE"] in [index["columns"] for index in found["indexes"]]

    def test_composite_key_in_its_own_order(self, bench: Bench) -> None:
        bench.needs("composite_keys")
        q = bench.quirks
        columns = {"A": f"{q.bigint} NOT NULL", "B": f"{q.text} NOT NULL"}
        bench.make("conf_pair", columns, rest=f"PRIMARY KEY ({q.quoted('B')}, {q.quoted('A')})")
        with bench.session() as session:
            assert session.describe("conf_pair")["key"] == ["B", "A"]

    def test_identity_differs_between_a_table_and_its_successor(self, bench: Bench) -> None:
        q = bench.quirks
        bench.make("conf_again", {"ID": f"{q.bigint} PRIMARY KEY"})
        with bench.session() as session:
            before = session.describe("conf_again")["identity"]
        time.sleep(q.identity_resolution_s)
        bench.make("conf_again", {"ID": f"{q.bigint} PRIMARY KEY", "MORE": q.bigint})
        with bench.session() as session:
            assert session.describe("conf_again")["identity"] != before

    def test_view_is_no_table(self, bench: Bench) -> None:
        bench.needs("views")
        q = bench.quirks
        bench.make("conf_base", {"ID": f"{q.bigint} PRIMARY KEY"})
        bench.sql(f"CREATE VIEW conf_view AS SELECT * FROM {q.quoted('conf_base')}")
        try:
            with bench.session() as session:
                assert session.describe("conf_view")["kind"] == VIEW_KIND
            with bench.database() as db, pytest.raises(PurgekitError, match="view"):
                db.plan(Policy("view", table="conf_view", where=col("ID") == 1))
        finally:
            bench.sql("DROP VIEW conf_view")

    def test_unknown_table_and_column_name_the_nearest(self, bench: Bench) -> None:
        bench.make("conf_known", {"ID": f"{bench.quirks.bigint} PRIMARY KEY", "STATE": bench.quirks.text})
        with bench.database() as db:
            with pytest.raises(PolicyError, match="conf_known"):
                db.plan(Policy("p", table="conf_nown", where=col("ID") == 1))
            with pytest.raises(PolicyError, match="STATE"):
                db.plan(Policy("p", table="conf_known", where=col("STAT") == "x"))

    @pytest.mark.parametrize(
        ("name", "feature"),
        [
            ("conf_lower", ""),
            ("conf_MixedCase", ""),
            ("select", ""),
            ("conf with blank", "any_name"),
            ('conf"quote', "any_name"),
            ("conf`tick", "any_name"),
            ("conf'apostrophe", "any_name"),
            ("conf.dot", "any_name"),
            ("conf_größe_表", "unicode_names"),
        ],
    )
    def test_any_name_is_purged(self, bench: Bench, name: str, feature: str) -> None:
        bench.needs(*([feature] if feature else []))
        column = "Order" if name == "select" else f"{name} col"
        bench.make(name, {"ID": f"{bench.quirks.bigint} PRIMARY KEY", column: bench.quirks.text}, _states(column))
        written = '"' + name.replace('"', '""') + '"'
        report = bench.purge(Policy("names", table=written, where=col(column) == "gone"))
        assert report["rows_deleted"] == 2
        assert bench.column(name) == [2]

    def test_case_matters_only_when_it_must(self, bench: Bench) -> None:
        bench.make("conf_CASE", {"Id": f"{bench.quirks.bigint} PRIMARY KEY", "State": bench.quirks.text}, [])
        bench.insert("conf_CASE", [{"Id": 1, "State": "gone"}, {"Id": 2, "State": "kept"}])
        bench.purge(Policy("case", table="CONF_case", where=col("STATE") == "gone"))
        assert bench.column("conf_CASE", "Id") == [2]


def _states(column: str) -> list[dict[str, object]]:
    return [{"ID": 1, column: "gone"}, {"ID": 2, column: "kept"}, {"ID": 3, column: "gone"}]
