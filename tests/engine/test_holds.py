"""Legal holds: rows that stay whatever a policy says, by a rule, by keys and by a table of keys, on every database."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk
from engine.tables import HOUR_S, TABLE, make_sessions, mark, now_s, sessions_policy, survivors
from purgekit.cli.app import run as cli
from servers import Connection

ROWS = 300
LIVE = {n for n in range(1, ROWS + 1) if n % 3 == 0}
ODD_GROUP = {n for n in range(1, ROWS + 1) if n % 5 == 1}
ALL = pk.Limits(max_fraction=1.0, chunk_ms=5)


def execute(connection: Connection, statement: str, *parameters: object) -> None:
    connection.cursor().execute(statement, *([parameters] if parameters else []))


def suffix(url: str) -> str:
    return " ENGINE=InnoDB" if url.startswith(("mysql", "mariadb")) else ""


@pytest.fixture
def db_(any_url: str, admin: Callable[[str], Connection]) -> Connection:
    """SESSIONS with GRP 0 to 4, NULL for ids that are multiples of 50."""
    connection = admin(any_url)
    expiries = [now_s() + (HOUR_S if n in LIVE else -5 * HOUR_S) for n in range(1, ROWS + 1)]
    make_sessions(connection, any_url, expiries, extra=", GRP BIGINT")
    execute(connection, f"UPDATE {TABLE} SET GRP = ID % 5")
    execute(connection, f"UPDATE {TABLE} SET GRP = NULL WHERE ID IN (50, 100, 200, 250)")
    return connection


UNKNOWN = {50, 100, 200, 250}  # doomed rows without a group: whether they are held can't be told


def test_a_rule_holds_and_what_it_cannot_tell_too(any_url: str, db_: Connection) -> None:
    with pk.connect(any_url) as db:
        hold = db.hold(TABLE, where=pk.col("GRP") == 1, reason="case 2026-17", by="alice")
        assert hold.added
        assert hold.form == "rule"
        assert hold.rows_held == len(ODD_GROUP | UNKNOWN)
        plan = db.plan(sessions_policy())
        entry = plan.to_dict()["policies"][0]
        report = db.run(plan, limits=ALL)
    kept = (ODD_GROUP | UNKNOWN) - LIVE
    assert entry["rows_purgeable"] == ROWS - len(LIVE) - len(kept)
    assert entry["rows_held"] == len(kept)
    assert entry["holds"] == [{"id": hold.id, "form": "rule", "reason": "case 2026-17"}]
    assert any(w["code"] == "held" and hold.id in w["message"] for w in entry["warnings"])
    assert survivors(db_) == LIVE | kept
    assert report.exit_code == 0
    assert report.policies[0]["rows_held"] == len(kept)
    assert report.policies[0]["holds"] == [hold.id]


def test_keys_hold(any_url: str, db_: Connection) -> None:
    with pk.connect(any_url) as db:
        by_key = db.hold(TABLE, keys=[1, 2, 4])
        by_column = db.hold(TABLE, keys=["3"], column="GRP", typed_as_text=True)
        by_two = db.hold(TABLE, keys=[(7, 2), (8, 4)], column=["ID", "GRP"])
        assert by_key.form == by_column.form == by_two.form == "keys"
        assert by_key.rows_held == 3
        db.run(sessions_policy(), limits=ALL)
    third_group = {n for n in range(1, ROWS + 1) if n % 5 == 3}
    # Row 8 is of group 3 and so not (8, 4); it is held as one of that group.
    assert survivors(db_) == LIVE | third_group | UNKNOWN | {1, 2, 4, 7, 8}


def test_a_table_of_keys_holds_as_it_stands(any_url: str, db_: Connection) -> None:
    execute(db_, f"CREATE TABLE LEGAL (SESSION_ID BIGINT NOT NULL, OPEN_CASE BIGINT){suffix(any_url)}")
    execute(db_, "CREATE INDEX LEGAL_I ON LEGAL (SESSION_ID)")
    execute(db_, "INSERT INTO LEGAL VALUES (1, 1), (2, 0), (4, NULL), (5, 1)")
    with pk.connect(any_url) as db:
        hold = db.hold(TABLE, table="LEGAL", on={"SESSION_ID": "ID"}, where=pk.col("OPEN_CASE") == 1)
        assert hold.form == "table"
        assert hold.rows_held == 3
        execute(db_, "INSERT INTO LEGAL VALUES (7, 1)")
        db.run(sessions_policy(), limits=ALL)
        # Row 2's case is closed; whether row 4's is can't be told.
        assert survivors(db_) == LIVE | {1, 4, 5, 7}
        execute(db_, "DELETE FROM LEGAL WHERE SESSION_ID = 5")
        db.run(sessions_policy(), limits=ALL)
        assert survivors(db_) == LIVE | {1, 4, 7}
        db.release(hold.id)
        assert db.holds() == []
        assert db.run(sessions_policy(), limits=ALL).rows_deleted == 3
    assert survivors(db_) == LIVE


def test_the_same_hold_is_kept_once_and_listed(any_url: str, db_: Connection) -> None:
    with pk.connect(any_url) as db:
        assert db.holds() == []
        first = db.hold(TABLE, where=pk.col("GRP") == 1, reason="one")
        again = db.hold(TABLE, where=pk.col("GRP") == 1, reason="two")
        other = db.hold(TABLE, where=pk.col("GRP") == 2, by="bob")
        assert first.added
        assert not again.added
        assert again.id == first.id
        found = {hold.id: hold for hold in db.holds()}
        assert set(found) == {first.id, other.id}
        assert (found[first.id].reason, found[other.id].by) == ("one", "bob")
        assert found[first.id].rule == (pk.col("GRP") == 1)
        assert found[first.id].problem is None
        with pytest.raises(pk.PurgeRefused, match=f"did you mean {other.id}"):
            db.release(other.id[:-1])
        assert db.release(other.id).id == other.id
        assert [hold.id for hold in db.holds()] == [first.id]


def test_the_oldest_comes_first(any_url: str, db_: Connection) -> None:
    with pk.connect(any_url) as db:
        ids = [db.hold(TABLE, where=pk.col("GRP") == group).id for group in (1, 2, 3)]
        cursor = db_.cursor()
        backdated = f"UPDATE purgekit_ledger SET document = {mark(any_url)} WHERE id = {mark(any_url)}"
        for hold, fraction in zip(ids, (".5", ".501", ""), strict=True):
            cursor.execute(f"SELECT document FROM purgekit_ledger WHERE id = '{hold}'")
            document = json.loads(cursor.fetchall()[0][0]) | {"created_utc": f"2026-11-22T10:00:00{fraction}Z"}
            execute(db_, backdated, json.dumps(document), hold)
        assert [hold.id for hold in db.holds()] == [ids[2], ids[0], ids[1]]


def test_several_holds_add_up(any_url: str, db_: Connection) -> None:
    with pk.connect(any_url) as db:
        for group in (1, 2):
            db.hold(TABLE, where=pk.col("GRP") == group)
        report = db.run(sessions_policy(), limits=pk.Limits(max_fraction=1.0, workers=3, chunk_ms=2))
    kept = {n for n in range(1, ROWS + 1) if n % 5 in (1, 2)} | UNKNOWN
    assert survivors(db_) == LIVE | kept
    assert report.policies[0]["rows_held"] == len(kept - LIVE)


def test_a_held_child_keeps_its_parent(any_url: str, db_: Connection) -> None:
    execute(db_, f"CREATE TABLE APPS (N INTEGER PRIMARY KEY, SESSION_ID BIGINT, OWNER VARCHAR(9)){suffix(any_url)}")
    values = ", ".join(f"({n}, {n // 2}, {'NULL' if n == 9 else repr('ab'[n % 7 == 0])})" for n in range(2, 60))
    execute(db_, f"INSERT INTO APPS (N, SESSION_ID, OWNER) VALUES {values}")
    with pk.connect(any_url) as db:
        db.hold("APPS", where=pk.col("OWNER") == "b")
        policy = sessions_policy(dependents=[pk.dependent("APPS", on={"SESSION_ID": "ID"})])
        db.run(policy, limits=ALL)
    held_children = {n for n in range(2, 60) if n % 7 == 0 or n == 9}
    parents = {n // 2 for n in held_children}
    assert survivors(db_) == LIVE | parents
    cursor = db_.cursor()
    cursor.execute("SELECT N FROM APPS")
    assert {row[0] for row in cursor.fetchall()} == {n for n in range(2, 60) if n // 2 in LIVE | parents}


def test_with_an_archive_and_keys_from_a_subquery(any_url: str, db_: Connection) -> None:
    execute(db_, f"CREATE TABLE LEGAL (GRP BIGINT NOT NULL PRIMARY KEY){suffix(any_url)}")
    execute(db_, "INSERT INTO LEGAL VALUES (1)")
    with pk.connect(any_url) as db:
        db.hold(TABLE, table="LEGAL", on={"GRP": "GRP"})
        report = db.run(sessions_policy(), limits=ALL, archive="table")
    # A session without a group can't be looked up in LEGAL.
    kept = (ODD_GROUP | UNKNOWN) - LIVE
    assert survivors(db_) == LIVE | kept
    assert report.rows_archived == report.rows_deleted == ROWS - len(LIVE) - len(kept)


def test_a_hold_added_between_two_chunks(any_url: str, db_: Connection) -> None:
    """The purge hears of it without being told, goes on, and says in its report what it obeyed."""
    added: list[pk.Hold] = []
    kept: set[int] = set()

    def add(progress: dict[str, Any]) -> None:
        if added or not progress["rows_deleted"]:
            return
        with pk.connect(any_url) as other:
            added.append(other.hold(TABLE, where=pk.col("GRP") == 1))
        kept.update(survivors(db_) & (ODD_GROUP | UNKNOWN))

    limits = pk.Limits(max_fraction=1.0, chunk_ms=1, max_rows_per_s=40)
    with pk.connect(any_url) as db:
        report = db.run(sessions_policy(), limits=limits, on_progress=add)
    assert report.status == "completed"
    assert report.policies[0]["holds"] == [added[0].id]
    assert kept - LIVE, "nothing was left to hold"
    assert survivors(db_) == LIVE | kept
    assert report.rows_deleted == ROWS - len(LIVE | kept)
    with pk.connect(any_url) as db:
        assert sum(run["rows_deleted"] for run in db.history()) == report.rows_deleted


def break_table(db_: Connection, url: str) -> None:
    execute(db_, "DROP TABLE LEGAL")


def break_column(db_: Connection, url: str) -> None:
    if url.startswith(("mysql", "mariadb")):
        execute(db_, "ALTER TABLE LEGAL CHANGE SESSION_ID OTHER BIGINT NOT NULL")
    else:
        execute(db_, "ALTER TABLE LEGAL RENAME COLUMN SESSION_ID TO OTHER")


def break_keys(db_: Connection, url: str) -> None:
    execute(db_, "DROP TABLE LEGAL")
    execute(db_, f"CREATE TABLE LEGAL (SESSION_ID BIGINT){suffix(url)}")
    execute(db_, "INSERT INTO LEGAL VALUES (NULL)")


def break_note(db_: Connection, url: str) -> None:
    execute(db_, "UPDATE purgekit_ledger SET document = '{\"schema\": 5' WHERE kind = 'hold'")


def make_newer(db_: Connection, url: str) -> None:
    execute(
        db_,
        "UPDATE purgekit_ledger SET document = REPLACE(document, 'purgekit.hold/1', 'purgekit.hold/2')"
        " WHERE kind = 'hold'",
    )


BREAKS: dict[Callable[[Connection, str], None], str] = {
    break_table: "LEGAL",
    break_column: "no column SESSION_ID",
    break_keys: "NULL",
    break_note: "is damaged",
    make_newer: "newer version",
}


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda how: how.__name__)
def test_a_hold_that_cannot_be_read_is_refused(
    any_url: str,
    db_: Connection,
    break_it: Callable[[Connection, str], None],
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    execute(db_, f"CREATE TABLE LEGAL (SESSION_ID BIGINT NOT NULL PRIMARY KEY){suffix(any_url)}")
    policy = tmp_path / "p.toml"
    policy.write_text(f'[[policy]]\nname = "s"\ntable = "{TABLE}"\nexpired = {{ column = "EXPIRES", unit = "s" }}\n')
    with pk.connect(any_url) as db:
        hold = db.hold(TABLE, table="LEGAL", on={"SESSION_ID": "ID"})
        early = db.plan(sessions_policy())
        break_it(db_, any_url)
        with pytest.raises(pk.PurgeRefused, match=hold.id) as refused:
            db.plan(sessions_policy())
        assert refused.value.code == "hold_unreadable"
        assert refused.value.policy == "sessions"
        with pytest.raises(pk.PurgeRefused, match=hold.id):
            db.run(early)
        (listed,) = db.holds()
        assert listed.problem
    assert cli(["run", any_url, str(policy), "--yes", "--json"]) == 2
    out, err = capfd.readouterr()
    assert json.loads(out)["code"] == "hold_unreadable"
    (line,) = [line for line in err.splitlines() if "hold" in line]
    assert BREAKS[break_it].lower() in line.lower()
    assert hold.id in line
    assert "purgekit hold release" in line
    assert len(survivors(db_)) == ROWS
    assert cli(["hold", "release", any_url, hold.id]) == 0
    assert cli(["run", any_url, str(policy), "--yes", "--json"]) == 0
    assert survivors(db_) == LIVE


@pytest.mark.parametrize("break_it", [break_table, break_column, break_note], ids=lambda how: how.__name__)
def test_a_hold_that_breaks_under_way_stops_the_run(
    any_url: str, db_: Connection, break_it: Callable[[Connection, str], None]
) -> None:
    execute(db_, f"CREATE TABLE LEGAL (SESSION_ID BIGINT NOT NULL PRIMARY KEY){suffix(any_url)}")
    execute(db_, f"INSERT INTO LEGAL SELECT ID FROM {TABLE} WHERE GRP = 1")
    broken = threading.Event()

    def breaking(progress: dict[str, Any]) -> None:
        if progress["rows_deleted"] and not broken.is_set():
            broken.set()
            break_it(db_, any_url)
            if break_it is break_note:
                # Read again when another hold is added.
                with pk.connect(any_url) as other:
                    other.hold(TABLE, where=pk.col("GRP") == 4)

    with pk.connect(any_url) as db:
        hold = db.hold(TABLE, table="LEGAL", on={"SESSION_ID": "ID"})
        report = db.run(sessions_policy(), limits=pk.Limits(chunk_ms=1, max_rows_per_s=40), on_progress=breaking)
        assert report.exit_code == 3, report.to_dict()
        assert report.stop_reason == "hold_unreadable"
        assert report.error is not None
        assert hold.id in report.error["message"]
        left = survivors(db_)
        assert left >= ODD_GROUP
        assert 0 < report.rows_deleted == ROWS - len(left)
        db.release(hold.id)
        again = db.run(sessions_policy(), limits=ALL)
        assert again.exit_code == 0
        assert again.continues == report.run_id


def test_without_a_ledger_only_the_policys_own_hold_counts(any_url: str, db_: Connection) -> None:
    with pk.connect(any_url) as db:
        db.hold(TABLE, where=pk.col("GRP") == 1)
        report = db.run(sessions_policy(hold=pk.col("GRP") == 2), limits=ALL, ledger="none")
    kept = {n for n in range(1, ROWS + 1) if n % 5 == 2} | UNKNOWN
    assert survivors(db_) == LIVE | kept
    assert report.policies[0]["rows_held"] == len(kept - LIVE)


def test_a_hold_in_a_policy_file(any_url: str, db_: Connection, tmp_path: Path) -> None:
    execute(db_, f"CREATE TABLE LEGAL (SESSION_ID BIGINT NOT NULL PRIMARY KEY){suffix(any_url)}")
    execute(db_, "INSERT INTO LEGAL VALUES (1), (2)")
    path = tmp_path / "p.toml"
    rule = f'table = "{TABLE}"\nexpired = {{ column = "EXPIRES", unit = "s" }}\n'
    path.write_text(
        f'[[policy]]\nname = "a"\n{rule}hold = {{ table = "LEGAL", on = {{ SESSION_ID = "ID" }} }}\n'
        f'[[policy]]\nname = "b"\n{rule}hold = {{ column = "ID", in = [1, 4] }}\n'
    )
    by_table, by_rule = pk.load_policies(path)
    assert pk.Policy.from_json(by_rule.to_json()) == by_rule
    assert by_rule.hold == pk.col("ID").isin([1, 4])
    with pk.connect(any_url) as db:
        db.run(by_table, limits=ALL)
        assert survivors(db_) == LIVE | {1, 2}
        db.run(by_rule, limits=ALL)
    assert survivors(db_) == LIVE | {1}


def test_wrong_holds_are_refused_and_nothing_is_kept(any_url: str, db_: Connection) -> None:
    execute(db_, f"CREATE TABLE LEGAL (SESSION_ID VARCHAR(20) NOT NULL, K BIGINT){suffix(any_url)}")
    execute(db_, "INSERT INTO LEGAL VALUES ('1', NULL)")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"where": pk.col("NOPE") == 1}, "NOPE"),
        ({"where": pk.col("GRP") == "x"}, "can't be compared"),
        ({"where": ~pk.sql("1 = 1) OR (1 = 1")}, "raw SQL"),
        ({"table": "NO_TABLE", "on": {"A": "ID"}}, "NO_TABLE"),
        ({"table": "LEGAL", "on": {"SESSION_ID": "ID"}}, "do not compare"),
        ({"table": "LEGAL", "on": {"K": "ID"}}, "NULL"),
        ({"table": "LEGAL"}, "needs on"),
        ({"on": {"K": "ID"}}, "name it by table"),
        ({"keys": []}, "empty"),
        ({"keys": [1], "where": pk.col("GRP") == 1}, "one of them"),
        ({"keys": [1], "column": "NOPE"}, "NOPE"),
        ({"keys": [(1, 2)]}, "a key has 2 values"),
        ({"keys": list(range(1_001))}, "more keys"),
        ({}, "needs where, keys"),
        ({"where": pk.expired("EXPIRES", unit="s") & (pk.col("GRP") == 1), "reason": "x" * 501}, "reason"),
    ]
    with pk.connect(any_url) as db:
        for arguments, message in wrong:
            with pytest.raises(pk.PurgekitError, match=message):
                db.hold(TABLE, **arguments)
        with pytest.raises(pk.PolicyError, match="did you mean"):
            db.hold(TABLE[:-1], where=pk.col("GRP") == 1)
        assert db.holds() == []
        assert db.run(sessions_policy(), limits=ALL).rows_deleted == ROWS - len(LIVE)


def test_the_command_line(any_url: str, db_: Connection, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def call(*arguments: str) -> tuple[int, str, str]:
        code = cli(["hold", *arguments])
        out, err = capfd.readouterr()
        return code, out, err

    code, out, err = call("add", any_url, TABLE, "--where", "GRP=1", "--reason", "case 1", "--json")
    assert code == 0, err
    made = json.loads(out)["holds"][0]
    assert made["rows_held"] == len(ODD_GROUP | UNKNOWN)
    keys = tmp_path / "keys.txt"
    keys.write_text("2\n4\n")
    code, out, err = call("add", any_url, TABLE, "--keys", str(keys), "--key", "5")
    assert code == 0, err
    assert "keeps 3 rows" in err
    code, _, err = call("add", any_url, TABLE, "--rule", '{ column = "ID", in = [7] }')
    assert code == 0, err
    code, _, err = call("add", any_url, TABLE, "--rule", '{ column = "ID", in = [7] }')
    assert code == 0
    assert "there already" in err
    code, listed, err = call("list", any_url)
    assert code == 0
    assert "case 1" in listed
    code, listed, err = call("list", any_url, "--json")
    assert len(json.loads(listed)["holds"]) == 3
    for wrong in (["--where", "GRP"], ["--where", "GRP=x"], ["--rule", "{"], ["--key", "x"], []):
        code, out, err = call("add", any_url, TABLE, *wrong, "--json")
        assert code == 2, wrong
        assert json.loads(out)["exit_code"] == 2
        assert err.count("\n") == 1
    code, out, err = call("release", any_url, "h-00000000", "--json")
    assert code == 2
    assert json.loads(out)["code"] == "not_found"
    assert call("release", any_url, made["id"])[0] == 0
    with pk.connect(any_url) as db:
        db.run(sessions_policy(), limits=ALL)
    assert survivors(db_) == LIVE | {2, 4, 5, 7}


def test_who_may_not_write_the_ledger_is_told(sqlite_url: str, admin: Callable[[str], Connection]) -> None:
    connection = admin(sqlite_url)
    make_sessions(connection, sqlite_url, [now_s() - HOUR_S])
    execute(connection, "CREATE TABLE purgekit_ledger (kind VARCHAR(10), balance INTEGER)")
    with pk.connect(sqlite_url) as db:
        with pytest.raises(pk.PurgeRefused, match="not a purgekit ledger"):
            db.hold(TABLE, keys=[1])
        with pytest.raises(pk.PurgeRefused, match="not a purgekit ledger"):
            db.holds()
        with pytest.raises(pk.PurgeRefused, match="kept in the ledger"):
            db.hold(TABLE, keys=[1], ledger="none")
