"""``within``: a run that would take much more or less than the last one of its policy is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import purgekit as pk
from engine.tables import HOUR_S, TABLE, make_sessions, mark, now_s, sessions_policy, survivors
from servers import Connection


class Table:
    """A table whose expired rows are added as a test goes."""

    def __init__(self, connection: Connection, url: str) -> None:
        self.connection = connection
        self.url = url
        self.next_id = 1_000
        make_sessions(connection, url, [now_s() + HOUR_S] * 5)

    def expire(self, rows: int) -> None:
        """Add so many rows that may go."""
        one = mark(self.url)
        for _ in range(rows):
            self.next_id += 1
            self.connection.cursor().execute(
                f"INSERT INTO {TABLE} (ID, EXPIRES, NOTE) VALUES ({one}, {one}, {one})",
                (self.next_id, now_s() - 9 * HOUR_S, "x"),
            )

    def run(self, within: str | None = None, **limits: object) -> pk.Report:
        """Purge, the policy itself demanding it to be within 50% of the last run."""
        policy = sessions_policy(max_fraction=1.0, within="50%")
        with pk.connect(self.url) as db:
            return db.run(policy, limits=pk.Limits(within=within, **limits))  # type: ignore[arg-type]

    def refused(self, within: str | None = None) -> str:
        """Why."""
        before = survivors(self.connection)
        with pytest.raises(pk.PurgeRefused) as caught:
            self.run(within)
        assert (caught.value.code, caught.value.policy) == ("within", "sessions")
        assert survivors(self.connection) == before
        return str(caught.value)


@pytest.fixture
def table(any_url: str, admin: Callable[[str], Connection]) -> Table:
    return Table(admin(any_url), any_url)


def test_much_more_and_much_less_is_refused(table: Table) -> None:
    table.expire(20)
    assert table.run().rows_deleted == 20  # the first has nothing to be compared with
    table.expire(31)
    message = table.refused()
    assert "31 rows may go" in message
    assert "for the last run it was 20" in message
    assert table.run("60%").rows_deleted == 31
    table.expire(15)
    assert "not within 50%" in table.refused()
    table.expire(1)
    assert table.run().rows_deleted == 16
    table.expire(17)
    assert "not within 5%" in table.refused("5%")
    assert table.run("7").rows_deleted == 17
    assert table.run().rows_deleted == 0  # nothing to delete is no harm
    table.expire(20)
    assert table.run().rows_deleted == 20  # and says nothing about what is usual


def test_a_run_that_goes_on_with_another_counts_with_it(table: Table) -> None:
    table.expire(20)
    assert table.run().rows_deleted == 20
    table.expire(20)
    for _ in range(2):
        stopped = table.run(max_rows=8)
        assert (stopped.stop_reason, stopped.rows_deleted) == ("max_rows", 8)
    assert table.run().rows_deleted == 4
    table.expire(20)
    assert table.run().rows_deleted == 20


def test_rows_of_dependents_are_not_counted(any_url: str, admin: Callable[[str], Connection]) -> None:
    connection = admin(any_url)
    table = Table(connection, any_url)
    suffix = " ENGINE=InnoDB" if any_url.startswith(("mysql", "mariadb")) else ""
    connection.cursor().execute(f"CREATE TABLE APPS (N INTEGER PRIMARY KEY, SESSION_ID BIGINT){suffix}")
    policy = sessions_policy(max_fraction=1.0, within="10%", dependents=[pk.dependent("APPS", on={"SESSION_ID": "ID"})])
    for day in range(3):
        table.expire(10)
        rows = ", ".join(f"({day * 100 + n}, {table.next_id - n % 10})" for n in range(1, 31))
        connection.cursor().execute(f"INSERT INTO APPS (N, SESSION_ID) VALUES {rows}")
        with pk.connect(any_url) as db:
            assert db.run(policy, limits=pk.Limits(max_rows=20)).stop_reason == "max_rows"
            assert db.run(policy).status == "completed"
    with pk.connect(any_url) as db:
        newest = db.history()[0]["entries"]
    assert [(entry["policy"], entry["kind"], entry["status"]) for entry in newest] == [
        ("sessions", "purge", "completed")
    ]


def test_another_policy_and_another_ledger_tell_nothing(table: Table) -> None:
    table.expire(20)
    table.run()
    table.expire(100)
    other = pk.Policy("other", table=TABLE, where=pk.expired("EXPIRES", unit="s"), max_fraction=1.0, within="1%")
    with pk.connect(table.url) as db:
        assert db.run(other).rows_deleted == 100
        table.expire(300)
        assert db.run(sessions_policy(max_fraction=1.0, within="1%"), ledger="second_ledger").rows_deleted == 300


def test_it_needs_a_ledger_and_exact_figures(table: Table) -> None:
    table.expire(20)
    policy = sessions_policy(max_fraction=1.0)
    with pk.connect(table.url) as db:
        with pytest.raises(pk.PurgeRefused, match="only a ledger knows"):
            db.run(policy, limits=pk.Limits(within="5%"), ledger="none")
        plan = db.plan(policy)
        plan._json["policies"][0]["exact"] = False
        with pytest.raises(pk.PurgeRefused, match="exact figures"):
            db.run(plan, limits=pk.Limits(within="5%"))
    assert len(survivors(table.connection)) == 25


def test_a_plan_file_is_compared_with_the_last_run_too(table: Table, tmp_path: object) -> None:
    table.expire(20)
    table.run()
    table.expire(100)
    policy = sessions_policy(max_fraction=1.0, within="50%")
    with pk.connect(table.url) as db:
        file = db.plan(policy).save(f"{tmp_path}/plan.json")
        with pytest.raises(pk.PurgeRefused, match="for the last run it was 20"):
            db.run(pk.load_plan(file.path))
        assert db.run(pk.load_plan(file.path), limits=pk.Limits(within="0%")).rows_deleted == 100
