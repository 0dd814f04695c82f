"""``archive = { table = …, columns = … }``: rows move into the product's own audit table, each exactly once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import purgekit as pk
from engine.restores import execute, rows
from engine.tables import HOUR_S, make_sessions, now_s, sessions_policy, survivors
from engine.token_tables import AUDIT, LOST, NOW, TOKENS, make_tokens, token_policy, tokens_in
from servers import Connection

UTC = timezone.utc
Admin = Callable[[str], Connection]
SECONDS = timedelta(seconds=1)
OLD_S = 1_000_000_000  # a time in 2001


def moved() -> pk.Policy:
    return token_policy(pk.move_to(AUDIT, columns=NOW))


def as_time(value: object) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))


@pytest.mark.parametrize("newer", [False, True])
def test_rows_go_into_the_products_own_table(any_url: str, admin: Admin, newer: bool) -> None:
    db_ = admin(any_url)
    make_tokens(db_, any_url, 600, newer=newer)
    before = tokens_in(db_, TOKENS)
    with pk.connect(any_url) as db:
        plan = db.plan(moved())
        begun = datetime.now(UTC)
        report = db.run(plan, limits=pk.Limits(chunk_ms=5))
        (entry,) = db.history()[0]["entries"]
    told = plan.to_dict()["policies"][0]
    assert told["archive"].lower().endswith(AUDIT.lower())
    (lost,) = [w["message"] for w in told["warnings"] if w["code"] == "archive_columns_lost"]
    assert all(name in lost.upper() for name in LOST)
    assert "INVALIDATED" not in lost
    audit = tokens_in(db_, AUDIT)
    assert sorted(audit + tokens_in(db_, TOKENS)) == sorted(before), "source and audit together are what was there"
    assert len(audit) == report.rows_archived == report.rows_deleted == 400
    ((first, last, times),) = rows(
        db_, f"SELECT MIN(INVALIDATED_TIME), MAX(INVALIDATED_TIME), COUNT(INVALIDATED_TIME) FROM {AUDIT}"
    )
    assert first == last, "one instant for all rows of a run"
    assert times == 400
    assert begun - 2 * SECONDS <= as_time(first).replace(tzinfo=UTC) <= datetime.now(UTC) + SECONDS
    assert (entry["archive_kind"], entry["kind"]) == ("move", "purge")
    if newer:
        assert len({row[0] for row in rows(db_, f"SELECT ID FROM {AUDIT}")}) == 400


def test_what_a_column_can_be_given(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    make_sessions(db_, any_url, [OLD_S, now_s() + HOUR_S])
    time = "DATETIME" if any_url.startswith(("mysql", "mariadb")) else "TIMESTAMP"
    suffix = " ENGINE=InnoDB" if any_url.startswith(("mysql", "mariadb")) else ""
    execute(
        db_,
        f"CREATE TABLE TAKEN (SESSION_ID BIGINT, NOTE VARCHAR(200) DEFAULT 'own', EXPIRES DECIMAL(20), BERLIN {time}, "
        f"MS BIGINT, DAY DATE, SAID VARCHAR(64), RUN VARCHAR(64), KIND VARCHAR(6), N SMALLINT){suffix}",
    )
    policy = sessions_policy(
        archive=pk.move_to(
            "taken",
            columns={
                "Session_id": "id",
                "NOTE": {"default": True},
                "BERLIN": {"now": True, "timezone": "Europe/Berlin"},
                "MS": {"now": True, "unit": "ms"},
                "DAY": {"now": True},
                "SAID": {"now": True},
                "RUN": {"run_id": True},
                "KIND": {"value": "purged"},
                "N": {"value": 7},
            },
        )
    )
    assert pk.Policy.from_json(policy.to_json()) == policy
    with pk.connect(any_url) as db:
        report = db.run(policy)
    (row,) = rows(db_, "SELECT SESSION_ID, NOTE, EXPIRES, BERLIN, MS, DAY, SAID, RUN, KIND, N FROM TAKEN")
    at = datetime.fromtimestamp(row[4] / 1000, UTC)
    assert abs(at - datetime.now(UTC)) < 60 * SECONDS
    assert (row[0], row[1], int(row[2]), *row[7:]) == (1, "own", OLD_S, report.run_id, "purged", 7)
    berlin = at.astimezone(ZoneInfo("Europe/Berlin")).replace(tzinfo=None)
    assert timedelta(0) <= berlin - as_time(row[3]) < SECONDS, "cut to what the column keeps, not rounded"
    assert as_time(str(row[5])[:10]).date() == at.date()
    assert as_time(row[6]) == at.replace(tzinfo=None)
    assert survivors(db_) == {2}


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("", {}, "archive_unfit", "is not there: make it as its product does"),
    ("ID BIGINT, MUST VARCHAR(9) NOT NULL", {}, "archive_unfit", r"(?i)column must .* nothing goes into it: say what"),
    ("ID BIGINT, NOTE VARCHAR(199)", {}, "archive_unfit", r"(?i)can't hold all that column note .*default = true"),
    ("ID BIGINT, EXPIRES INTEGER", {}, "archive_unfit", r"(?i)can't hold all that column expires"),
    ("ID VARCHAR(90)", {}, "archive_unfit", r"(?i)can't hold all that column id"),
    ("OTHER BIGINT", {}, "archive_unfit", "is named like one of"),
    ("ID BIGINT", {"NOTES": "NOTE"}, "policy", r"(?i)no column notes in table"),
    ("ID BIGINT, B BIGINT", {"B": "NOTES"}, "policy", "(?i)no column notes .*did you mean note"),
    ("ID BIGINT, B BIGINT", {"B": {"value": "x"}}, "policy", "can't take the value"),
    ("ID BIGINT, B BIGINT", {"B": {"now": True}}, "policy", "without its unit"),
    ("ID BIGINT, B DATE", {"B": {"now": True, "unit": "ms"}}, "policy", "a number of ms"),
    ("ID BIGINT, B BIGINT", {"B": {"run_id": True}}, "policy", "run's id, which is text"),
    ("ID BIGINT, B VARCHAR(9)", {"B": {"run_id": True}}, "archive_unfit", "too short for what the policy puts"),
    ("ID BIGINT, B VARCHAR(3)", {"b": {"value": "x"}, "B": {"value": "y"}}, "policy", "in the mapping twice"),
]
WITHOUT_LENGTHS = ("VARCHAR(199)", "EXPIRES INTEGER")  # in SQLite, which keeps what comes


def test_what_does_not_fit_is_refused(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    make_sessions(db_, any_url, [OLD_S] * 3)
    suffix = " ENGINE=InnoDB" if any_url.startswith(("mysql", "mariadb")) else ""
    with pk.connect(any_url) as db:
        for columns, mapping, code, text in REFUSED:
            if any_url.startswith("sqlite") and any(word in columns for word in WITHOUT_LENGTHS):
                continue
            if columns:
                execute(db_, f"CREATE TABLE T ({columns}){suffix}")
            with pytest.raises(pk.PurgekitError, match=text) as refused:
                db.run(sessions_policy(archive=pk.move_to("T", columns=mapping), max_fraction=1.0))
            assert refused.value.code == code, (columns, str(refused.value))
            if columns:
                execute(db_, "DROP TABLE T")
        execute(db_, "CREATE VIEW V AS SELECT ID, EXPIRES, NOTE FROM SESSIONS")
        for target, text in (("V", "not an ordinary table"), ("SESSIONS", "its own archive")):
            with pytest.raises(pk.PurgeRefused, match=text):
                db.run(sessions_policy(archive=pk.move_to(target), max_fraction=1.0))
    assert len(survivors(db_)) == 3


def test_what_the_database_fills_in_is_left_to_it(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    make_sessions(db_, any_url, [OLD_S] * 3)
    computed = "BIGINT GENERATED ALWAYS AS (EXPIRES + 1) STORED" if "mysql" not in any_url else "BIGINT DEFAULT 5"
    if any_url.startswith("postgresql"):
        ids = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    else:
        ids = "INTEGER PRIMARY KEY" if any_url.startswith("sqlite") else "BIGINT PRIMARY KEY AUTO_INCREMENT"
    execute(db_, f"CREATE TABLE T (ID {ids}, EXPIRES BIGINT, NOTE VARCHAR(200), C {computed}, O BIGINT)")
    with pk.connect(any_url) as db:
        db.run(sessions_policy(archive=pk.move_to("T", columns={"O": "ID"}), max_fraction=1.0))
        assert sorted(rows(db_, "SELECT ID, O FROM T")) == [(1, 1), (2, 2), (3, 3)]
        one = ", ".join(["1001", str(OLD_S), "'x'"])
        execute(db_, f"INSERT INTO SESSIONS (ID, EXPIRES, NOTE) VALUES ({one})")
        db.run(sessions_policy(archive=pk.move_to("T", columns={"ID": "ID"}), max_fraction=1.0))
    assert rows(db_, "SELECT ID FROM T WHERE O IS NULL") == [(1001,)], "named, it is given"


def test_a_row_that_the_table_refuses_stays(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    make_tokens(db_, any_url, 300)
    execute(db_, f"CREATE UNIQUE INDEX AUDIT_ONCE ON {AUDIT} (TOKEN_ID)")
    shared = "TOKEN_ID, TOKEN_STATE, IDP_ID"
    execute(
        db_, f"INSERT INTO {AUDIT} ({shared}) SELECT {shared} FROM {TOKENS} WHERE TOKEN_ID IN ('t000100', 't000200')"
    )
    execute(db_, f"UPDATE {TOKENS} SET AUTHZ_USER = 'renewed' WHERE TOKEN_ID = 't000200'")
    with pk.connect(any_url) as db:
        report = db.run(moved())
    left = {row[0] for row in tokens_in(db_, TOKENS) if row[14] != "ACTIVE"}
    assert left == {"t000100", "t000200"}
    assert report.exit_code == 4
    assert report.rows_archived == report.rows_deleted == 198
    assert len(tokens_in(db_, AUDIT)) == 200
    (blocked,) = report.policies[0]["blocked"]
    assert (blocked["reason"], blocked["rows"]) == ("archive", 2)
    assert AUDIT.lower() in blocked["message"].lower()
    expected = "TOKEN_ID" if any_url.startswith("sqlite") else "AUDIT_ONCE"
    assert expected.lower() in blocked["constraint"].lower()


def test_by_keys_and_with_workers(any_url: str, admin: Admin) -> None:
    """A condition on other rows goes by locked keys on MySQL; several workers share the clock."""
    db_ = admin(any_url)
    make_tokens(db_, any_url, 900)
    before = tokens_in(db_, TOKENS)
    where = pk.col("TOKEN_STATE").isin(["REVOKED"]) & pk.keep_latest(60, per=["AUTHZ_USER"], order_by="TIME_CREATED")
    policy = pk.Policy("latest", table=TOKENS, where=where, archive=pk.move_to(AUDIT, columns=NOW))
    with pk.connect(any_url) as db:
        first = db.run(policy)
        second = db.run(moved(), limits=pk.Limits(workers=1 if any_url.startswith("sqlite") else 3, chunk_ms=2))
    audit = tokens_in(db_, AUDIT)
    assert 0 < first.rows_archived < 300
    assert first.rows_archived + second.rows_archived == len(audit) == 600
    assert sorted(audit + tokens_in(db_, TOKENS)) == sorted(before)
    assert len({row[0] for row in rows(db_, f"SELECT INVALIDATED_TIME FROM {AUDIT}")}) in (1, 2)


def test_dependents(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    make_tokens(db_, any_url, 30)
    suffix = " ENGINE=InnoDB" if any_url.startswith(("mysql", "mariadb")) else ""
    for table in ("SCOPES", "BINDINGS", "SCOPES_AUDIT"):
        execute(db_, f"CREATE TABLE {table} (TOKEN_ID VARCHAR(255), TOKEN_SCOPE VARCHAR(60)){suffix}")
    for table in ("SCOPES", "BINDINGS"):
        execute(db_, f"INSERT INTO {table} SELECT TOKEN_ID, 'openid' FROM {TOKENS}")
    on = {"TOKEN_ID": "TOKEN_ID"}
    children = [
        pk.dependent("SCOPES", on=on, archive=pk.move_to("SCOPES_AUDIT")),
        pk.dependent("BINDINGS", on=on),
    ]
    into_itself = [pk.dependent(AUDIT, on=on)]
    with pk.connect(any_url) as db:
        with pytest.raises(pk.PurgeRefused, match="one of its dependents"):
            db.plan(token_policy(pk.move_to(AUDIT, columns=NOW), dependents=into_itself))
        report = db.run(token_policy(pk.move_to(AUDIT, columns=NOW), dependents=children))
    kept = "purgekit_archive_bindings" if any_url.startswith("postgresql") else "purgekit_archive_BINDINGS"
    assert report.rows_archived == report.rows_deleted == 60
    for table in (AUDIT, "SCOPES_AUDIT", kept):
        assert len(rows(db_, f"SELECT TOKEN_ID FROM {table}")) == 20
    with pytest.raises(pk.PolicyError, match="its parents need that too"):
        token_policy("table", dependents=children)


def test_what_an_archive_of_ours_can_is_refused(any_url: str, admin: Admin) -> None:
    db_ = admin(any_url)
    make_tokens(db_, any_url, 30)
    with pk.connect(any_url) as db:
        report = db.run(moved())
        with pytest.raises(pk.PurgeRefused, match=r"(?i)by hand, with INSERT INTO .*SELECT TOKEN_ID, .* FROM") as no:
            db.restore(report.run_id)
        assert no.value.code == "not_archived"
    assert "invalidated" not in str(no.value).lower()
    with pytest.raises(pk.PolicyError, match="INVALIDATED_TIME"):
        pk.archive_retention(moved(), "365d")


def test_a_plan_file_and_a_table_that_changed(any_url: str, admin: Admin, tmp_path: Path) -> None:
    db_ = admin(any_url)
    make_tokens(db_, any_url, 90)
    with pk.connect(any_url) as db:
        file = db.plan(moved(), exact=True).save(tmp_path / "plan.json")
        execute(
            db_,
            f"ALTER TABLE {AUDIT} RENAME COLUMN INVALIDATED_TIME TO GONE_AT"
            if "mysql" not in any_url
            else f"ALTER TABLE {AUDIT} CHANGE INVALIDATED_TIME GONE_AT TIMESTAMP NULL",
        )
        with pytest.raises(pk.PurgekitError, match=r"(?i)invalidated_time"):
            db.run(pk.load_plan(file.path))
        assert len(tokens_in(db_, TOKENS)) == 90
        execute(
            db_,
            f"ALTER TABLE {AUDIT} RENAME COLUMN GONE_AT TO INVALIDATED_TIME"
            if "mysql" not in any_url
            else f"ALTER TABLE {AUDIT} CHANGE GONE_AT INVALIDATED_TIME TIMESTAMP NULL",
        )
        assert db.run(pk.load_plan(file.path)).rows_archived == 60
    assert len(tokens_in(db_, AUDIT)) == 60


def test_a_table_in_another_schema(postgresql_url: str, admin: Admin) -> None:
    db_ = admin(postgresql_url)
    make_tokens(db_, postgresql_url, 30)
    execute(db_, 'CREATE SCHEMA "old.er"')
    execute(db_, f'CREATE TABLE "old.er"."Kept" AS SELECT * FROM {AUDIT}')
    archive = pk.move_to('"old.er".kept', columns=NOW)
    with pk.connect(postgresql_url) as db:
        assert db.run(token_policy(archive)).rows_archived == 20
    assert len(tokens_in(db_, '"old.er"."Kept"')) == 20


def test_holds_limits_and_the_command_line(any_url: str, admin: Admin, tmp_path: Path) -> None:
    """A stopped run goes on; what is held stays; --archive goes before what the policy says."""
    db_ = admin(any_url)
    make_tokens(db_, any_url, 300)
    path = tmp_path / "policy.toml"
    path.write_text(
        f'[[policy]]\nname = "tokens"\ntable = "{TOKENS}"\n'
        'all = [ { column = "TOKEN_STATE", in = ["REVOKED", "EXPIRED"] } ]\n'
        f'[policy.archive]\ntable = "{AUDIT}"\n'
        'columns = { INVALIDATED_TIME = { now = true, timezone = "Asia/Tokyo" } }\n'
    )
    with pk.connect(any_url) as db:
        db.hold(TOKENS, where=pk.col("AUTHZ_USER") == "user3", reason="a case")

    def run(*options: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "purgekit", "run", any_url, str(path), "--yes", "--json", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 3), done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    first = run("--max-rows", "50")
    assert (first["exit_code"], first["rows_archived"]) == (3, 50)
    assert len(tokens_in(db_, AUDIT)) == 50
    second = run()
    held = sum(n % 3 != 0 and n % 7 == 3 for n in range(300))
    assert second["rows_archived"] == 150 - held
    assert len(tokens_in(db_, AUDIT)) == 200 - held
    if any_url.startswith(("sqlite", "postgresql")):
        ((last,),) = rows(db_, f"SELECT MAX(INVALIDATED_TIME) FROM {AUDIT}")
        tokyo = datetime.now(timezone(timedelta(hours=9))).replace(tzinfo=None)
        assert timedelta(0) <= tokyo - as_time(last) < 60 * SECONDS
    (policy,) = pk.load_policies(path)
    with pk.connect(any_url) as db:
        assert not db.plan(policy, archive="table").to_dict()["policies"][0]["archive"].upper().endswith("_AUDIT")


@pytest.mark.parametrize(
    ("archive", "text"),
    [
        ("{ columns = {} }", "'table' in archive is missing"),
        ('{ table = "T", colums = {} }', "unknown key 'colums'.*did you mean"),
        ('{ table = "T", columns = { A = { nov = true } } }', "'A' of the archive: unknown key 'nov'"),
        ('{ table = "T", columns = { A = { now = false } } }', "write now = true"),
        ('{ table = "T", columns = { A = { now = true, value = 1 } } }', "needs one of"),
        ('{ table = "T", columns = { A = {} } }', "needs one of"),
        ('{ table = "T", columns = { A = 1 } }', "needs a column's name"),
        ('{ table = "T", columns = { A = "" } }', "names no column"),
        ('{ table = "T", columns = { A = { value = 1, unit = "s" } } }', "go with now only"),
        (
            '{ table = "T", columns = { A = { now = true, unit = "s", timezone = "Asia/Tokyo" } } }',
            "timezone goes with",
        ),
        ('{ table = "T" }\narchive_retention = "1d"', "purgekit's own archive tables"),
        ("5", "archive"),
    ],
)
def test_policy_files_with_faults(tmp_path: Path, archive: str, text: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(
        f'[[policy]]\nname = "p"\ntable = "S"\nexpired = {{ column = "E", unit = "s" }}\narchive = {archive}\n'
    )
    with pytest.raises(pk.PolicyError, match=text) as refused:
        pk.load_policies(path)
    assert "policy 'p'" in str(refused.value)
