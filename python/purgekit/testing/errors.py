"""What goes wrong is told by the right name, and nothing is changed."""

# ruff: noqa: D102 - the names of tests say what they test

from __future__ import annotations

import pytest

from purgekit import Policy, PurgekitError, _core, col, connect, expired, sql
from purgekit.plugins import find_backends
from purgekit.testing.bench import Bench

PARENT, CHILD = "conf_fk_parent", "conf_fk_child"


class Errors:
    """Codes of errors, and blocked rows."""

    def test_row_that_a_foreign_key_holds_is_left_and_reported(self, bench: Bench) -> None:
        bench.needs("foreign_keys")
        q = bench.quirks
        parents = [{"ID": i, "STATE": "gone"} for i in range(1, 11)]
        bench.make(PARENT, {"ID": f"{q.bigint} PRIMARY KEY", "STATE": q.text}, parents)
        reference = f"FOREIGN KEY ({q.quoted('PARENT_ID')}) REFERENCES {q.quoted(PARENT)} ({q.quoted('ID')})"
        columns = {"ID": f"{q.bigint} PRIMARY KEY", "PARENT_ID": q.bigint}
        bench.make(CHILD, columns, [{"ID": 1, "PARENT_ID": 4}, {"ID": 2, "PARENT_ID": 7}], rest=reference)
        report = bench.purge(Policy("held", table=PARENT, where=col("STATE") == "gone"))
        entry = report["policies"][0]
        assert bench.column(PARENT) == [4, 7]
        assert (report["exit_code"], entry["rows_deleted"], entry["rows_left"]) == (4, 8, 2)
        assert sum(blocked["rows"] for blocked in entry["blocked"]) == 2

    def test_cascade_is_refused(self, bench: Bench) -> None:
        bench.needs("foreign_keys")
        q = bench.quirks
        bench.make(PARENT, {"ID": f"{q.bigint} PRIMARY KEY"}, [{"ID": 1}])
        reference = (
            f"FOREIGN KEY ({q.quoted('PARENT_ID')}) REFERENCES {q.quoted(PARENT)} ({q.quoted('ID')}) ON DELETE CASCADE"
        )
        bench.make(CHILD, {"ID": f"{q.bigint} PRIMARY KEY", "PARENT_ID": q.bigint}, rest=reference)
        with pytest.raises(PurgekitError) as caught:
            bench.purge(Policy("cascade", table=PARENT, where=col("ID") == 1))
        assert caught.value.code == "cascade"
        assert bench.column(PARENT) == [1]

    def test_unknown_table(self, bench: Bench) -> None:
        with bench.session() as session, pytest.raises(PurgekitError) as caught:
            session.describe("conf_no_such_table")
        assert caught.value.code == "not_found"

    def test_wrong_raw_sql_is_refused_before_anything_is_deleted(self, bench: Bench) -> None:
        bench.make("conf_raw", {"ID": f"{bench.quirks.bigint} PRIMARY KEY"}, [{"ID": 1}])
        with pytest.raises(PurgekitError):
            bench.purge(Policy("raw", table="conf_raw", where=sql("no_such_column_at_all = 1")))
        assert bench.column("conf_raw") == [1]

    def test_type_that_does_not_fit_the_rule(self, bench: Bench) -> None:
        bench.make("conf_type", {"ID": f"{bench.quirks.bigint} PRIMARY KEY", "STATE": bench.quirks.text}, [])
        with bench.database() as db, pytest.raises(PurgekitError) as caught:
            db.plan(Policy("unit", table="conf_type", where=expired("ID")))
        assert "unit" in str(caught.value)

    def test_unknown_scheme_names_the_nearest(self, bench: Bench) -> None:
        scheme = bench.quirks.url.partition(":")[0].partition("+")[0]
        find_backends()
        assert _core.backend_for(scheme)
        with pytest.raises(PurgekitError, match=scheme):
            connect(f"{scheme}x://localhost/db")
