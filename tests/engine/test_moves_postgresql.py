"""Big moves on PostgreSQL: partitions and tables go as a whole, verified and counted under the lock, or not at all."""

from __future__ import annotations

import contextlib
import random
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk
from engine.test_killed import command
from engine.test_pace import until
from purgekit.testing.session import open_session
from servers import Connection, PostgreSql

pytestmark = pytest.mark.needs_server

DAY_S = 86_400
ROWS_A_DAY = 300
BOUND_S = 60  # against hanging


def day(back: int) -> str:
    """An instant within the day that began so many days ago."""
    return f"date_trunc('day', now()) - interval '{back} days'"


@pytest.fixture
def checker(postgresql_url: str, admin: Callable[[str], Connection]) -> Connection:
    return admin(postgresql_url)


def run(connection: Connection, *statements: str) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    return list(cursor.fetchall()) if cursor.description else []


def make_days(connection: Connection, days: range, table: str = "events") -> None:
    """A partition for each day before today, with rows over all of that day; more without rows for days to come."""
    run(
        connection,
        f"CREATE TABLE {table} (id bigint, at timestamptz NOT NULL, kind text, PRIMARY KEY (id, at))"
        " PARTITION BY RANGE (at)",
    )
    for back in days:
        low, high = run(connection, f"SELECT {day(back)}, {day(back - 1)}")[0]
        name = f"{table}_{back}" if back >= 0 else f"{table}_ahead_{-back}"
        run(connection, f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ('{low}') TO ('{high}')")
        if back > 0:
            run(
                connection,
                f"INSERT INTO {table} SELECT {back} * 1000000 + n,"
                f" timestamptz '{low}' + n * interval '{DAY_S // ROWS_A_DAY} s' - interval '1 ms', 'a'"
                f" FROM generate_series(1, {ROWS_A_DAY}) AS n",
            )
    run(connection, f"ANALYZE {table}")


def old_events(table: str = "events", days: int = 3, **changes: Any) -> pk.Policy:
    return pk.Policy("events", table=table, where=pk.expired("at", unit="timestamp", grace=f"{days}d"), **changes)


def partitions(connection: Connection, table: str = "events") -> set[str]:
    found = run(
        connection,
        "WITH RECURSIVE tree(oid) AS (SELECT to_regclass('" + table + "')::oid UNION ALL SELECT i.inhrelid FROM tree"
        " JOIN pg_inherits i ON i.inhparent = tree.oid) SELECT c.relname FROM tree JOIN pg_class c USING (oid)"
        " WHERE c.relkind = 'r'",
    )
    return {str(row[0]) for row in found}


def count(connection: Connection, table: str = "events", where: str = "true") -> int:
    return int(run(connection, f"SELECT count(*) FROM {table} WHERE {where}")[0][0])


def offered(url: str, policy: pk.Policy, rows_total: int = -1, rows_matching: int = -1) -> dict[str, dict[str, Any]]:
    with open_session(url) as opened:
        return {m["strategy"]: m for m in opened.moves(policy, time.time_ns(), rows_total, rows_matching)}


@contextlib.contextmanager
def prepared(url: str, policy: pk.Policy, move: str) -> Iterator[Any]:
    with open_session(url) as opened:
        opened.prepare(policy, time.time_ns(), f"move:{move}")
        yield opened


def strokes(opened: Any, **options: Any) -> Iterator[int]:
    """Each in a transaction of its own, as the engine makes them."""
    cursor, done = "", False
    while not done:
        opened.begin()
        try:
            stroke = opened.delete_range(cursor, 1_000, **options)
        except BaseException:
            opened.rollback()
            raise
        opened.commit()
        cursor, done = stroke["cursor"], stroke["done"]
        if stroke["rows_deleted"]:
            yield stroke["rows_deleted"]


def test_expired_partitions_go_and_others_stay(postgresql_url: str, checker: Connection) -> None:
    make_days(checker, range(6, -3, -1))
    expired = 3 * ROWS_A_DAY  # of the days 6, 5 and 4; of day 3 the cutoff spares some, whatever the hour
    move = offered(postgresql_url, old_events())["partition"]
    assert move["problem"] == ""
    assert expired * 0.9 <= move["rows"] <= expired * 1.1
    assert move["window_ms"] > 0
    assert "3 of 9 partitions would be dropped" in move["reason"]
    with prepared(postgresql_url, old_events(), "partition") as opened:
        gone = list(strokes(opened))
    assert gone == [ROWS_A_DAY] * 3, "one partition a stroke"
    kept = {"events_3", "events_2", "events_1", "events_0", "events_ahead_1", "events_ahead_2"}
    assert partitions(checker) == kept
    assert count(checker) == 3 * ROWS_A_DAY
    run(checker, "INSERT INTO events VALUES (1, now(), 'new')")


def test_a_row_that_stays_keeps_its_partition(postgresql_url: str, checker: Connection) -> None:
    make_days(checker, range(6, 3, -1))
    run(checker, f"UPDATE events SET kind = 'keep' WHERE id = 5 * 1000000 + {ROWS_A_DAY}")
    policy = pk.Policy(
        "events",
        table="events",
        where=pk.expired("at", unit="timestamp", grace="3d") & pk.col("kind").isin(["a"]),
    )
    with prepared(postgresql_url, policy, "partition") as opened:
        assert list(strokes(opened)) == [ROWS_A_DAY] * 2
    assert partitions(checker) == {"events_5"}
    assert count(checker) == ROWS_A_DAY


def test_null_is_no_reason_to_go(postgresql_url: str, checker: Connection) -> None:
    """A condition that is unknown keeps the row, and so the partition."""
    make_days(checker, range(6, 4, -1))
    run(checker, "UPDATE events_6 SET kind = NULL WHERE id = 6 * 1000000 + 1")
    policy = pk.Policy(
        "events",
        table="events",
        where=pk.expired("at", unit="timestamp", grace="3d") & ~pk.col("kind").isin(["b"]),
    )
    with prepared(postgresql_url, policy, "partition") as opened:
        assert list(strokes(opened)) == [ROWS_A_DAY]
    assert partitions(checker) == {"events_6"}


def test_a_partition_that_live_rows_could_come_into_is_emptied(postgresql_url: str, checker: Connection) -> None:
    """Dropped, an INSERT of the application would fail."""
    run(
        checker,
        "CREATE TABLE tokens (id bigint, state text, at timestamptz) PARTITION BY LIST (state)",
        "CREATE TABLE tokens_live PARTITION OF tokens FOR VALUES IN ('ACTIVE')",
        "CREATE TABLE tokens_dead PARTITION OF tokens FOR VALUES IN ('REVOKED')",
        "CREATE TABLE tokens_rest PARTITION OF tokens DEFAULT",
        f"INSERT INTO tokens SELECT n, CASE n % 3 WHEN 0 THEN 'ACTIVE' WHEN 1 THEN 'REVOKED' ELSE 'odd' END, {day(9)}"
        " FROM generate_series(1, 3000) AS n",
        "ANALYZE tokens",
    )
    policy = pk.Policy("tokens", table="tokens", where=pk.col("state").isin(["REVOKED", "odd"]))
    move = offered(postgresql_url, policy)["partition"]
    assert (move["problem"], move["rows"]) == ("", 2000)
    assert "0 of 3 partitions would be dropped and 2 emptied" in move["reason"]
    with prepared(postgresql_url, policy, "partition") as opened:
        assert list(strokes(opened)) == [1000, 1000]
    assert partitions(checker, "tokens") == {"tokens_live", "tokens_dead", "tokens_rest"}
    run(checker, "INSERT INTO tokens VALUES (1, 'REVOKED', now()), (2, 'other', now())")
    assert count(checker, "tokens") == 1002


def test_nested_partitions(postgresql_url: str, checker: Connection) -> None:
    run(
        checker,
        "CREATE TABLE logs (id bigint, at timestamptz, tenant int) PARTITION BY RANGE (at)",
        "CREATE TABLE logs_old PARTITION OF logs FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')"
        " PARTITION BY LIST (tenant)",
        "CREATE TABLE logs_old_1 PARTITION OF logs_old FOR VALUES IN (1)",
        "CREATE TABLE logs_old_2 PARTITION OF logs_old DEFAULT",
        "CREATE TABLE logs_new PARTITION OF logs FOR VALUES FROM ('2021-01-01') TO (MAXVALUE) PARTITION BY HASH (id)",
        "CREATE TABLE logs_new_0 PARTITION OF logs_new FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        "CREATE TABLE logs_new_1 PARTITION OF logs_new FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        "INSERT INTO logs SELECT n, '2020-06-01', 1 + n % 2 FROM generate_series(1, 200) AS n",
        "INSERT INTO logs SELECT n, now(), 1 FROM generate_series(1, 100) AS n",
        "ANALYZE logs",
    )
    with prepared(postgresql_url, old_events("logs"), "partition") as opened:
        assert list(strokes(opened)) == [100, 100]
    assert partitions(checker, "logs") == {"logs_old_2", "logs_new_0", "logs_new_1"}, "a default one is emptied"
    assert count(checker, "logs") == 100


def test_truncate_takes_all_or_nothing(postgresql_url: str, checker: Connection) -> None:
    make_days(checker, range(6, 3, -1))
    run(checker, "CREATE TABLE plain (LIKE events)", "INSERT INTO plain SELECT * FROM events")
    for table in ("events", "plain"):
        with prepared(postgresql_url, old_events(table), "truncate") as opened:
            assert list(strokes(opened)) == [3 * ROWS_A_DAY]
            assert list(strokes(opened)) == []
        assert count(checker, table) == 0
    assert len(partitions(checker)) == 3
    run(checker, f"INSERT INTO plain SELECT n, {day(9)}, 'a' FROM generate_series(1, 500) AS n")
    run(checker, "INSERT INTO plain VALUES (0, now(), 'a')")
    with prepared(postgresql_url, old_events("plain"), "truncate") as opened:
        assert list(strokes(opened)) == []
    assert count(checker, "plain") == 501
    truncate = offered(postgresql_url, old_events("plain"), 1000, 500)["truncate"]
    assert "500 rows of plain are to stay" in truncate["problem"]


def test_swap_is_not_offered(postgresql_url: str, checker: Connection) -> None:
    make_days(checker, range(5, 3, -1))
    assert "--reclaim space" in offered(postgresql_url, old_events())["swap"]["problem"]
    with pytest.raises(pk.PurgekitError, match="move:swap"), prepared(postgresql_url, old_events(), "swap"):
        pass


PROBLEMS = {
    "foreign key": (
        ["CREATE TABLE child (id bigint, at timestamptz, FOREIGN KEY (id, at) REFERENCES events)"],
        "foreign key .* of table child",
    ),
    "trigger": (
        [
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
            "CREATE TRIGGER noted BEFORE DELETE ON events_5 FOR EACH ROW EXECUTE FUNCTION note()",
        ],
        "noted on DELETE would not fire",
    ),
    "truncate trigger": (
        [
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "CREATE TRIGGER noted BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION note()",
        ],
        "noted is made for TRUNCATE",
    ),
    "rule": (["CREATE RULE quiet AS ON DELETE TO events DO INSTEAD NOTHING"], "rule quiet on DELETE"),
    "publication": (
        ["CREATE PUBLICATION feed FOR TABLE events WITH (publish = 'insert, update, delete')"],
        "publication feed sends deletes",
    ),
    "publication of all": (
        ["CREATE PUBLICATION feed FOR ALL TABLES WITH (publish = 'delete')"],
        "publication feed sends deletes",
    ),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_what_would_not_be_the_same_is_a_problem(problem: str, postgresql_url: str, checker: Connection) -> None:
    make_days(checker, range(6, 3, -1))
    statements, why = PROBLEMS[problem]
    before = offered(postgresql_url, old_events())
    assert before["partition"]["problem"] == before["truncate"]["problem"] == ""
    with prepared(postgresql_url, old_events(), "partition") as early:
        run(checker, *statements)
        now = offered(postgresql_url, old_events())
        for move in ("partition", "truncate"):
            assert re.search(why, now[move]["problem"]), now[move]["problem"]
            with pytest.raises(pk.PurgekitError, match=why), prepared(postgresql_url, old_events(), move):
                pass
        with pytest.raises(pk.PurgekitError):
            list(strokes(early))
    assert count(checker) == 3 * ROWS_A_DAY


def test_a_publication_that_sends_truncate_allows_it(postgresql_url: str, checker: Connection) -> None:
    make_days(checker, range(6, 3, -1))
    run(checker, "CREATE PUBLICATION feed FOR TABLE events")
    moves = offered(postgresql_url, old_events())
    assert moves["truncate"]["problem"] == ""
    assert "never a dropped partition" in moves["partition"]["problem"]


def test_no_partitions(postgresql_url: str, checker: Connection) -> None:
    run(checker, "CREATE TABLE plain (id bigint, at timestamptz)", "CREATE TABLE child () INHERITS (plain)")
    moves = offered(postgresql_url, old_events("plain"))
    assert "has no partitions" in moves["partition"]["problem"]
    assert "is no partition" in moves["truncate"]["problem"]


def test_rows_that_are_kept_or_go_with_others_are_no_business_of_moves(
    postgresql_url: str, checker: Connection
) -> None:
    make_days(checker, range(6, 3, -1))
    run(checker, "CREATE TABLE child (event bigint)")
    policy = old_events(dependents=[pk.dependent("child", on={"event": "id"})])
    why = "takes no dependents along"
    with pytest.raises(pk.PurgekitError, match=why), prepared(postgresql_url, policy, "partition"):
        pass


def test_rights_that_are_missing_are_named(
    postgresql_url: str, postgresql_server: PostgreSql, checker: Connection
) -> None:
    make_days(checker, range(6, 3, -1))
    run(checker, "DROP ROLE IF EXISTS sweeper", "CREATE ROLE sweeper LOGIN")
    tables = ", ".join(sorted(partitions(checker) | {"events"}))
    run(checker, f"GRANT SELECT, DELETE ON {tables} TO sweeper")
    url = postgresql_server.url(postgresql_url.rpartition("/")[2], user="sweeper")
    try:
        moves = offered(url, old_events())
        drop = r'partition "public"."events_\d" belongs to postgres.*GRANT postgres TO sweeper'
        assert re.search(drop, moves["partition"]["problem"])
        assert re.search(r'GRANT TRUNCATE ON "public"."events_\d" TO sweeper', moves["truncate"]["problem"])
    finally:
        run(checker, "DROP OWNED BY sweeper", "DROP ROLE sweeper")


def test_what_depends_on_a_partition_keeps_it(postgresql_url: str, checker: Connection) -> None:
    """DROP would be refused; emptied, the partition shows the view nothing, as it would after a DELETE."""
    make_days(checker, range(6, 3, -1))
    run(checker, "CREATE VIEW seen AS SELECT * FROM events_5", "CREATE TABLE holder (event events_4)")
    with prepared(postgresql_url, old_events(), "partition") as opened:
        assert list(strokes(opened)) == [ROWS_A_DAY] * 3
    assert partitions(checker) == {"events_5", "events_4"}
    assert count(checker, "seen") == 0


def in_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[BaseException]]:
    problems: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as problem:
            problems.append(problem)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    return thread, problems


def test_a_row_renewed_at_the_last_moment_stays(
    postgresql_url: str, checker: Connection, admin: Callable[[str], Connection]
) -> None:
    """By a transaction that the stroke has to wait for: too late for the first look, not for the second."""
    make_days(checker, range(5, 3, -1))
    run(checker, "ALTER TABLE events ADD renewed boolean")
    policy = pk.Policy(
        "events",
        table="events",
        where=pk.expired("at", unit="timestamp", grace="3d") & pk.col("renewed").is_null(),
    )
    writer = admin(postgresql_url)
    gone: list[int] = []
    with prepared(postgresql_url, policy, "partition") as opened:
        run(writer, "BEGIN", "UPDATE events_5 SET renewed = true WHERE id = 5000001")
        thread, problems = in_thread(lambda: gone.extend(strokes(opened, lock_wait_ms=BOUND_S * 1000)))
        until(lambda: bool(run(checker, "SELECT 1 FROM pg_locks WHERE NOT granted")))
        run(writer, "COMMIT")
        thread.join(BOUND_S)
    assert (problems, gone) == ([], [ROWS_A_DAY])
    assert partitions(checker) == {"events_5"}
    assert count(checker) == ROWS_A_DAY


@pytest.mark.parametrize("move", ["partition", "truncate"])
def test_the_wait_for_the_lock_is_bounded(
    move: str, postgresql_url: str, checker: Connection, admin: Callable[[str], Connection]
) -> None:
    make_days(checker, range(6, 3, -1))
    reader = admin(postgresql_url)
    run(reader, "BEGIN", "SELECT count(*) FROM events")
    with prepared(postgresql_url, old_events(), move) as opened:
        with pytest.raises(pk.PurgekitError) as refused:
            list(strokes(opened, lock_wait_ms=200))
        assert (refused.value.code, refused.value.retryable) == ("lock_timeout", True)
        assert count(checker) == 3 * ROWS_A_DAY, "others are not kept out for longer"
        run(reader, "COMMIT")
        assert sum(strokes(opened, lock_wait_ms=200)) == 3 * ROWS_A_DAY


def test_who_waits_to_write_is_not_made_a_deadlocks_victim(
    postgresql_url: str, checker: Connection, admin: Callable[[str], Connection]
) -> None:
    """It holds what DROP needs, and waits for what the count needs: the purge steps back."""
    make_days(checker, range(5, 4, -1))
    reader, writer = admin(postgresql_url), admin(postgresql_url)
    run(reader, "BEGIN", "UPDATE events_5 SET kind = 'b' WHERE id = 5000001")
    with prepared(postgresql_url, old_events(), "partition") as opened:
        thread, problems = in_thread(lambda: list(strokes(opened, lock_wait_ms=BOUND_S * 1000)))
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        until(lambda: run(checker, waiting)[0][0] == 1)
        run(writer, "BEGIN")
        late = in_thread(lambda: run(writer, "UPDATE events SET kind = 'c' WHERE id = 5000002"))
        until(lambda: run(checker, waiting)[0][0] == 2)
        run(reader, "COMMIT")
        thread.join(BOUND_S)
        late[0].join(BOUND_S)
        run(writer, "COMMIT")
        assert late[1] == []
        assert [problem.code for problem in problems if isinstance(problem, pk.PurgekitError)] == ["lock_timeout"]
        assert count(checker, where="kind IN ('b', 'c')") == 2
        assert list(strokes(opened)) == [ROWS_A_DAY]


@pytest.mark.parametrize("move", ["partition", "truncate"])
def test_a_window_too_short_undoes_the_stroke(move: str, postgresql_url: str, checker: Connection) -> None:
    make_days(checker, range(5, 4, -1))
    run(
        checker,
        "CREATE FUNCTION slowly(bigint) RETURNS boolean VOLATILE LANGUAGE plpgsql AS"
        " 'BEGIN IF pg_backend_pid() IN (SELECT pid FROM pg_locks WHERE mode IN"
        " (''ShareLock'', ''AccessExclusiveLock'') AND locktype = ''relation'' AND granted)"
        " THEN PERFORM pg_sleep(1); END IF; RETURN true; END'",
    )
    policy = pk.Policy(
        "events", table="events", where=pk.expired("at", unit="timestamp", grace="3d") & pk.sql("slowly(id)")
    )
    with (
        prepared(postgresql_url, policy, move) as opened,
        pytest.raises(pk.PurgekitError, match=r"300 ms that others may be kept waiting.*move_window") as refused,
    ):
        list(strokes(opened, window_ms=300))
    assert refused.value.code == "statement_timeout"
    assert count(checker) == ROWS_A_DAY


@pytest.mark.parametrize("move", ["partition", "truncate"])
def test_what_is_not_committed_is_as_before(move: str, postgresql_url: str, checker: Connection) -> None:
    make_days(checker, range(6, 3, -1))
    with prepared(postgresql_url, old_events(), move) as opened:
        opened.begin()
        assert opened.delete_range("", 1_000)["rows_deleted"] > 0
    assert count(checker) == 3 * ROWS_A_DAY
    assert len(partitions(checker)) == 3


def test_a_run_moves_what_goes_whole_and_walks_the_rest(postgresql_url: str, checker: Connection) -> None:
    make_days(checker, range(6, -1, -1))
    run(checker, "CREATE TABLE kept AS SELECT * FROM events WHERE at >= now() - interval '3 days'")
    with pk.connect(postgresql_url) as db:
        plan = db.plan(old_events(strategy="partition"))
        report = db.run(plan)
        (past,) = db.history()
    gone = 6 * ROWS_A_DAY - count(checker, "kept")
    assert plan.policies[0]["strategy"] == "partition"
    assert any(text.startswith("DROP TABLE") for text in plan.policies[0]["statements"])
    assert report.exit_code == 0
    assert report.rows_deleted == past["rows_deleted"] == gone > 3 * ROWS_A_DAY
    assert partitions(checker) == {"events_3", "events_2", "events_1", "events_0"}
    assert run(checker, "TABLE kept EXCEPT TABLE events") == run(checker, "TABLE events EXCEPT TABLE kept") == []


def test_a_run_truncates(postgresql_url: str, checker: Connection) -> None:
    make_days(checker, range(6, 3, -1))
    with pk.connect(postgresql_url) as db:
        report = db.run(old_events(strategy="truncate"), limits=pk.Limits(max_fraction=1))
        (past,) = db.history()
    assert count(checker) == 0
    assert report.rows_deleted == past["rows_deleted"] == 3 * ROWS_A_DAY
    assert report.policies[0]["chunks"] == 1


@pytest.mark.long
def test_killed_moves_are_continued(postgresql_url: str, checker: Connection, tmp_path: Path) -> None:
    days = 14
    make_days(checker, range(days, -1, -1))
    run(
        checker,
        "CREATE FUNCTION dawdle(bigint) RETURNS boolean VOLATILE LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(0.0005); RETURN true; END'",
    )
    policy = tmp_path / "events.toml"
    policy.write_text(
        '[[policy]]\nname = "events"\ntable = "events"\ngrace = "1d"\nstrategy = "partition"\n'
        'all = [{ expired = { column = "at", unit = "timestamp" } }, { sql = { text = "dawdle(id)" } }]\n'
    )
    random_ = random.Random(4)
    rows = days * ROWS_A_DAY
    for _ in range(4):
        purge = subprocess.Popen(
            command(postgresql_url, policy), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        before = len(partitions(checker))
        end = time.monotonic() + BOUND_S
        while len(partitions(checker)) == before and purge.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(random_.uniform(0, 0.3))
        purge.kill()
        purge.communicate()
        # A session whose client is gone ends its statement, at the most, and then finds nobody to go on with.
        until(lambda: not run(checker, "SELECT 1 FROM pg_locks WHERE mode IN ('ShareLock', 'AccessExclusiveLock')"))
        assert count(checker) % ROWS_A_DAY == 0, "a partition goes whole"
    done = subprocess.run(command(postgresql_url, policy), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with pk.connect(postgresql_url) as db:
        past = db.history()
    assert sum(entry["rows_deleted"] for entry in past) == rows - count(checker)
    assert count(checker, where="at < now() - interval '2 days'") == 0
    assert partitions(checker) == {"events_1", "events_0"}
