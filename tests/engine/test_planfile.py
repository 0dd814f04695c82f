"""A plan file is run as it is, or refused because something it rests on has changed. On every database."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import purgekit as pk
from command import purgekit
from engine.tables import HOUR_S, TABLE, make_sessions, mark, now_s, sessions_policy, survivors
from servers import Connection, Server

ROWS = 40


def execute(connection: Connection, statement: str) -> None:
    connection.cursor().execute(statement)


def add_expired(connection: Connection, url: str, ids: range) -> None:
    one = mark(url)
    for number in ids:
        connection.cursor().execute(
            f"INSERT INTO {TABLE} (ID, EXPIRES, NOTE) VALUES ({one}, {one}, {one})", (number, now_s() - 9 * HOUR_S, "x")
        )


@pytest.fixture
def sessions(any_url: str, admin: Callable[[str], Connection]) -> Connection:
    """20 of 40 rows have expired long ago."""
    connection = admin(any_url)
    make_sessions(connection, any_url, [now_s() + (HOUR_S if n % 2 == 0 else -9 * HOUR_S) for n in range(ROWS)])
    return connection


@pytest.fixture
def saved(any_url: str, sessions: Connection, tmp_path: Path) -> pk.PlanFile:
    """A plan of those."""
    with pk.connect(any_url) as db:
        return db.plan(sessions_policy(), exact=True).save(tmp_path / "plan.json")


def refusal(url: str, file: pk.PlanFile, code: str, connection: Connection, **options: object) -> str:
    """Why a run of the plan file is refused; nothing is deleted."""
    before = survivors(connection)
    with pk.connect(url) as db, pytest.raises(pk.PurgeRefused) as refused:
        db.run(pk.load_plan(file.path), **options)  # type: ignore[arg-type]
    assert refused.value.code == code
    assert "\n" not in str(refused.value)
    assert survivors(connection) == before
    return str(refused.value)


def test_it_takes_what_was_planned_and_nothing_that_expired_since(
    any_url: str, sessions: Connection, tmp_path: Path
) -> None:
    path = tmp_path / "plan.json"
    an_hour_ago = datetime.now(timezone.utc) - timedelta(hours=1)
    with pk.connect(any_url) as db:
        file = db.plan(sessions_policy(), now=an_hour_ago, exact=True).save(path)
        execute(sessions, f"UPDATE {TABLE} SET EXPIRES = {now_s() - 2 * HOUR_S - 1_800} WHERE ID IN (1, 3)")
        assert db.plan(sessions_policy()).rows_purgeable == 22
        report = db.run(pk.load_plan(path))
        assert (report.rows_deleted, report.status) == (20, "completed")
        assert report.to_dict()["plan_file"] == {"hash": file.hash, "approved_by": None, "approved_utc": None}
        assert db.run(pk.load_plan(path)).rows_deleted == 0
    assert survivors(sessions) == set(range(1, ROWS + 1, 2))


def test_an_interrupted_run_of_it_goes_on(any_url: str, sessions: Connection, saved: pk.PlanFile) -> None:
    with pk.connect(any_url) as db:
        first = db.run(pk.load_plan(saved.path), limits=pk.Limits(max_rows=5))
        assert (first.stop_reason, first.rows_deleted) == ("max_rows", 5)
        second = db.run(pk.load_plan(saved.path))
    assert second.rows_deleted == 15
    assert len(survivors(sessions)) == 20


def test_more_rows_than_planned(any_url: str, sessions: Connection, saved: pk.PlanFile) -> None:
    add_expired(sessions, any_url, range(101, 103))
    with pk.connect(any_url) as db:
        assert db.renew(saved).rows_purgeable == 22  # 10% more
    add_expired(sessions, any_url, range(103, 104))
    message = refusal(any_url, saved, "plan_changed", sessions)
    assert "20 rows" in message
    assert "23 may go now" in message
    refusal(any_url, saved, "plan_changed", sessions, limits=pk.Limits(within="14%"))
    with pk.connect(any_url) as db:
        assert db.run(pk.load_plan(saved.path), limits=pk.Limits(within="15%")).rows_deleted == 23


def test_another_column(any_url: str, sessions: Connection, saved: pk.PlanFile) -> None:
    execute(sessions, f"ALTER TABLE {TABLE} ADD COLUMN EXTRA BIGINT")
    assert "extra" in refusal(any_url, saved, "plan_changed", sessions).lower()


def test_a_table_made_again(any_url: str, sessions: Connection, saved: pk.PlanFile) -> None:
    execute(sessions, f"DROP TABLE {TABLE}")
    execute(sessions, "CREATE TABLE BETWEEN_THEM (ID BIGINT)")
    make_sessions(sessions, any_url, [now_s() - 9 * HOUR_S] * 5, extra=", EXTRA BIGINT")
    refusal(any_url, saved, "plan_changed", sessions)


def test_a_new_reference_to_the_table(any_url: str, sessions: Connection, saved: pk.PlanFile) -> None:
    suffix = " ENGINE=InnoDB" if any_url.startswith(("mysql", "mariadb")) else ""
    execute(
        sessions,
        f"CREATE TABLE CHILD (N INTEGER PRIMARY KEY, S BIGINT, CONSTRAINT FK_S FOREIGN KEY (S) "
        f"REFERENCES {TABLE} (ID)){suffix}",
    )
    assert "child" in refusal(any_url, saved, "plan_changed", sessions).lower()


def test_a_new_trigger(sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    db_ = admin(sqlite_url)
    make_sessions(db_, sqlite_url, [now_s() - 9 * HOUR_S, now_s()])
    with pk.connect(sqlite_url) as db:
        file = db.plan(sessions_policy(), exact=True).save(tmp_path / "plan.json")
    execute(db_, f"CREATE TRIGGER TELL AFTER DELETE ON {TABLE} BEGIN SELECT 1; END")
    assert "trigger TELL" in refusal(sqlite_url, file, "plan_changed", db_)


def test_a_plan_that_is_too_old(any_url: str, sessions: Connection, saved: pk.PlanFile) -> None:
    message = refusal(any_url, saved, "plan_age", sessions, max_plan_age=timedelta(0))
    assert "max-plan-age" in message
    with pk.connect(any_url) as db:
        assert db.run(pk.load_plan(saved.path), max_plan_age="1h").rows_deleted == 20


def test_a_plan_of_a_time_to_come(any_url: str, sessions: Connection, tmp_path: Path) -> None:
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    with pk.connect(any_url) as db:
        file = db.plan(sessions_policy(max_fraction=1.0), now=tomorrow, exact=True).save(tmp_path / "plan.json")
        assert file.rows_purgeable == ROWS
    assert "lies ahead" in refusal(any_url, file, "now_ahead", sessions)


def test_another_database_of_the_same_server(
    any_server: Server, admin: Callable[[str], Connection], tmp_path: Path
) -> None:
    urls = [any_server.create_database(f"purgekit_plan_{n}") for n in range(2)]
    for url in urls:
        make_sessions(admin(url), url, [now_s() - 9 * HOUR_S, now_s()])
    with pk.connect(urls[0]) as db:
        file = db.plan(sessions_policy(), exact=True).save(tmp_path / "plan.json")
    message = refusal(urls[1], file, "plan_database", admin(urls[1]))
    assert "purgekit_plan_0" in message
    assert "purgekit_plan_1" in message


def test_another_file(tmp_path: Path, admin: Callable[[str], Connection]) -> None:
    urls = [f"sqlite:///{tmp_path / name}.db" for name in ("one", "two")]
    for url in urls:
        make_sessions(admin(url), url, [now_s() - 9 * HOUR_S, now_s()])
    with pk.connect(urls[0]) as db:
        file = db.plan(sessions_policy(), exact=True).save(tmp_path / "plan.json")
    assert "another database" in refusal(urls[1], file, "plan_database", admin(urls[1]))


def test_archive_is_part_of_it(any_url: str, sessions: Connection, tmp_path: Path) -> None:
    with pk.connect(any_url) as db:
        file = db.plan(sessions_policy(), archive="table", exact=True).save(tmp_path / "plan.json")
        with pytest.raises(pk.PolicyError, match="part of a plan"):
            db.run(file, archive="table")
        report = db.run(pk.load_plan(file.path))
    assert report.rows_archived == report.rows_deleted == 20


def test_estimates_make_no_plan_file(any_url: str, sessions: Connection, tmp_path: Path) -> None:
    with pk.connect(any_url) as db:
        plan = db.plan(sessions_policy())
        plan._json["policies"][0]["exact"] = False
        with pytest.raises(pk.PurgeRefused, match="exact") as refused:
            plan.save(tmp_path / "plan.json")
    assert refused.value.code == "estimated"
    assert not (tmp_path / "plan.json").exists()


def test_approved_by_somebody_and_run(any_url: str, sessions: Connection, tmp_path: Path) -> None:
    """All of it on the command line."""
    toml, out = tmp_path / "p.toml", tmp_path / "plan.json"
    toml.write_text(
        f'[[policy]]\nname = "s"\ntable = "{TABLE}"\napproval = "required"\n'
        'expired = { column = "EXPIRES", unit = "s" }\n'
    )
    unapproved = purgekit("run", any_url, str(toml), "--yes")
    assert (unapproved.returncode, unapproved.stderr.count("\n")) == (2, 1)
    assert "--approve" in unapproved.stderr
    planned = purgekit("plan", any_url, str(toml), "--out", str(out))
    assert planned.returncode == 0, planned.stderr
    assert purgekit("run", any_url, "--plan", str(out), "--yes").returncode == 2
    approved = purgekit("plan", "--approve", str(out), "--by", "Ada Lovelace")
    assert approved.returncode == 0, approved.stderr
    assert "20 rows" in approved.stdout
    assert len(survivors(sessions)) == ROWS
    done = purgekit("run", any_url, "--plan", str(out), "--yes", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["rows_deleted"] == 20
    assert report["plan_file"]["approved_by"] == "Ada Lovelace"
    (recorded,) = json.loads(purgekit("history", "--json").stdout)["runs"]
    assert recorded["status"] == "completed"
    assert len(survivors(sessions)) == 20
