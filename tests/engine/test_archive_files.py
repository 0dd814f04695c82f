"""``archive = "path/"``: what is in the files is exactly what was deleted, through any crash."""

from __future__ import annotations

import base64
import json
import math
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk
from engine.archived import archive_files, check_manifests, header, kept, lines
from engine.chains import counted, whole_chain
from engine.tables import HOUR_S, TABLE, make_sessions, now_s, sessions_policy, survivors
from servers import Connection

OLD = 1_000_000_000  # a time in 2001


def execute(connection: Connection, statement: str) -> None:
    connection.cursor().execute(statement)


def every(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    cursor.execute(statement)
    return [tuple(row) for row in cursor.fetchall()]


def test_files_hold_what_was_deleted(sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    db_ = admin(sqlite_url)
    make_sessions(db_, sqlite_url, [now_s() + (HOUR_S if n % 4 == 0 else -5 * HOUR_S) for n in range(20_000)])
    before = {row[0]: row for row in every(db_, f"SELECT ID, EXPIRES, NOTE FROM {TABLE}")}
    folder = tmp_path / "kept"
    with pk.connect(sqlite_url) as db:
        plan = db.plan(sessions_policy(), archive=f"{folder}/")
        assert plan.to_dict()["policies"][0]["archive"] == str(folder)
        assert "RETURNING" in plan.to_dict()["policies"][0]["statements"][0]
        assert not folder.exists(), "a plan makes nothing"
        report = db.run(plan, limits=pk.Limits(chunk_ms=5))
        history = db.history()
    assert report.rows_deleted == report.rows_archived == 15_000
    assert check_manifests(folder) == 15_000
    (path,) = archive_files(folder)
    assert header(path)["run_id"] == report.run_id
    assert header(path)["columns"] == [
        {"name": "ID", "type": "BIGINT", "kind": 1},
        {"name": "EXPIRES", "type": "BIGINT", "kind": 1},
        {"name": "NOTE", "type": "VARCHAR(200)", "kind": 6},
    ]
    found = {row["ID"]: (row["ID"], row["EXPIRES"], row["NOTE"]) for row in lines(path)}
    left = survivors(db_)
    assert found == {key: row for key, row in before.items() if key not in left}
    document = report.to_dict()
    (file,) = document["policies"][0]["archive_files"]
    assert (file["path"], file["rows"], file["finished"]) == (str(path), 15_000, True)
    assert document["archived_bytes"] == file["bytes"] == path.stat().st_size
    assert document["policies"][0]["chunks"] > 3
    assert [(run["rows_deleted"], run["rows_archived"]) for run in history] == [(15_000, 15_000)]


def test_a_path_object_and_a_policy_file(sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    db_ = admin(sqlite_url)
    make_sessions(db_, sqlite_url, [OLD] * 10)
    with pk.connect(sqlite_url) as db:
        assert db.run(sessions_policy(max_fraction=1.0), archive=tmp_path / "one").rows_archived == 10
        execute(db_, f"INSERT INTO {TABLE} (ID, EXPIRES) VALUES (1, {OLD}), (2, {OLD})")
        path = tmp_path / "p.toml"
        path.write_text(
            f'[[policy]]\nname = "s"\ntable = "SESSIONS"\nmax_fraction = 1.0\narchive = "{tmp_path}/two/"\n'
            'expired = { column = "EXPIRES", unit = "s" }\n'
        )
        assert db.run(pk.load_policies(path)).rows_archived == 2
    assert sorted(kept(tmp_path / "one", TABLE)) == list(range(1, 11))
    assert sorted(kept(tmp_path / "two", TABLE)) == [1, 2]


@pytest.mark.parametrize("unless_referenced", [True, False])
def test_dependents_and_several_policies(
    sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path, unless_referenced: bool
) -> None:
    db_ = admin(sqlite_url)
    make_sessions(db_, sqlite_url, [now_s() + (HOUR_S if n % 2 == 0 else -5 * HOUR_S) for n in range(40)])
    execute(db_, "CREATE TABLE APPS (N INTEGER PRIMARY KEY, SESSION_ID BIGINT, C VARCHAR(9))")
    execute(db_, "INSERT INTO APPS VALUES " + ", ".join(f"({n}, {n // 3}, 'x')" for n in range(90)))
    execute(db_, "CREATE TABLE OTHER (ID INTEGER PRIMARY KEY, E BIGINT)")
    execute(db_, "INSERT INTO OTHER VALUES " + ", ".join(f"({n}, {OLD})" for n in range(30)))
    policy = sessions_policy(
        dependents=[pk.dependent("APPS", on={"SESSION_ID": "ID"}, unless_referenced=unless_referenced)]
    )
    other = pk.Policy("other", table="OTHER", where=pk.expired("E", unit="s"), max_fraction=1.0)
    again = pk.Policy("again", table="OTHER", where=pk.expired("E", unit="s"), max_fraction=1.0)
    with pk.connect(sqlite_url) as db:
        report = db.run([policy, other, again], archive=tmp_path / "kept")
    gone = {n for n in range(90) if (n // 3) % 2 == 0 and 1 <= n // 3 <= 40}
    assert sorted(kept(tmp_path / "kept", "APPS", "N")) == sorted(gone)
    assert {row[0] for row in every(db_, "SELECT N FROM APPS")} == set(range(90)) - gone
    assert len(kept(tmp_path / "kept", "OTHER")) == 30
    assert check_manifests(tmp_path / "kept") == report.rows_archived == report.rows_deleted == 50 + len(gone)
    assert [entry["rows_archived"] for entry in report.to_dict()["policies"][0]["tables"]] == [20, len(gone)]


def test_a_table_that_is_a_dependent_twice(sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    db_ = admin(sqlite_url)
    make_sessions(db_, sqlite_url, [OLD] * 5)
    execute(db_, "CREATE TABLE PAIRS (N INTEGER PRIMARY KEY, A BIGINT, B BIGINT)")
    execute(db_, "INSERT INTO PAIRS VALUES (1, 1, 99), (2, 99, 2), (3, 3, 3), (4, 99, 99)")
    policy = sessions_policy(
        max_fraction=1.0, dependents=[pk.dependent("PAIRS", on={"A": "ID"}), pk.dependent("PAIRS", on={"B": "ID"})]
    )
    with pk.connect(sqlite_url) as db:
        report = db.run(policy, archive=tmp_path / "kept")
    assert sorted(kept(tmp_path / "kept", "PAIRS", "N")) == [1, 2, 3]
    assert check_manifests(tmp_path / "kept") == report.rows_archived == 8


VALUES: list[tuple[str, Any, Any]] = [
    # declared type, SQL, what stands in the file
    ("INTEGER", "-9223372036854775808", -(2**63)),
    ("BIGINT", "9223372036854775807", 2**63 - 1),
    ("BIGINT", "'text'", {"$text": "text"}),
    ("BIGINT", "1.5", {"$real": 1.5}),
    ("BIGINT", "NULL", None),
    ("REAL", "0.1", 0.1),
    ("REAL", "5", 5.0),
    ("REAL", "9e999", {"$real": "inf"}),
    ("REAL", "-9e999", {"$real": "-inf"}),
    ("REAL", "4.9e-324", 5e-324),
    ("DOUBLE", "1.7976931348623157e308", 1.7976931348623157e308),
    ("BOOLEAN", "1", True),
    ("BOOLEAN", "0", False),
    ("BOOLEAN", "7", {"$int": 7}),
    ("TEXT", "'plain'", "plain"),
    ("TEXT", "CAST(x'ff4100' AS TEXT)", {"$text64": base64.b64encode(b"\xff\x41\x00").decode()}),
    ("TEXT", "CAST(x'6100620a22' AS TEXT)", 'a\x00b\n"'),
    ("TEXT", "'\U0001f600 é \u2028'", "\U0001f600 é \u2028"),
    ("TEXT", "x'00ff'", {"$bytes": "AP8="}),
    ("TEXT", "''", ""),
    ("BLOB", "x'00ff'", "AP8="),
    ("BLOB", "x''", ""),
    ("BLOB", "'text'", {"$text": "text"}),
    ("BLOB", "zeroblob(100000)", base64.b64encode(bytes(100_000)).decode()),
    ("DECIMAL(10,2)", "1.25", {"$real": 1.25}),
    ("DECIMAL(10,2)", "'1.50x'", "1.50x"),
    ("DECIMAL(10,2)", "3", {"$int": 3}),
    ("DATETIME", "'2020-01-01 00:00:00'", "2020-01-01 00:00:00"),
    ("DATETIME", "5", {"$int": 5}),
    ("", "5", 5),
    ("", "5.0", 5.0),
    ("", "'5'", "5"),
    ("", "x'35'", {"$bytes": "NQ=="}),
    ("", "NULL", None),
]


def test_every_class_of_value_comes_back(sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    """One table with all types, a row for each value: so the same column holds several classes in one batch."""
    db_ = admin(sqlite_url)
    types = list(dict.fromkeys(kind for kind, _, _ in VALUES))
    columns = ", ".join(f'"c {number}" {kind}' for number, kind in enumerate(types))
    execute(db_, f"CREATE TABLE ODD (ID INTEGER PRIMARY KEY, E BIGINT, {columns})")
    for number, (kind, sql, _) in enumerate(VALUES):
        execute(db_, f'INSERT INTO ODD (ID, E, "c {types.index(kind)}") VALUES ({number}, {OLD}, {sql})')
    policy = pk.Policy("odd", table="ODD", where=pk.expired("E", unit="s"), max_fraction=1.0)
    exact = ", ".join(f'typeof("c {n}"), hex("c {n}"), hex(quote("c {n}"))' for n in range(len(types)))
    before = every(db_, f"SELECT ID, {exact} FROM ODD ORDER BY ID")
    with pk.connect(sqlite_url) as db:
        run_id = db.run(policy, archive=tmp_path / "kept").run_id
        assert db.restore(run_id, hold=False).rows_restored == len(VALUES)
    assert every(db_, f"SELECT ID, {exact} FROM ODD ORDER BY ID") == before
    (path,) = archive_files(tmp_path / "kept")
    rows = {row["ID"]: row for row in lines(path)}
    assert len(rows) == len(VALUES)
    for number, (kind, sql, expected) in enumerate(VALUES):
        found = rows[number][f"c {types.index(kind)}"]
        assert (found, type(found)) == (expected, type(expected)), (kind, sql)
        if isinstance(expected, float):
            assert math.copysign(1, found) == math.copysign(1, expected)
    assert list(rows[0]) == ["ID", "E", *(f"c {number}" for number in range(len(types)))], "columns in order"


def test_jq_reads_it(sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    db_ = admin(sqlite_url)
    make_sessions(db_, sqlite_url, [OLD] * 100)
    with pk.connect(sqlite_url) as db:
        db.run(sessions_policy(max_fraction=1.0), archive=tmp_path / "kept")
    (path,) = archive_files(tmp_path / "kept")
    done = subprocess.run(f"zstdcat '{path}' | jq -s 'map(.ID) | add'", shell=True, capture_output=True, check=True)
    assert int(done.stdout) == 5_050


def test_large_rows(sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    """More than a batch in one row, and several batches in a chunk."""
    db_ = admin(sqlite_url)
    execute(db_, "CREATE TABLE LARGE (ID INTEGER PRIMARY KEY, E BIGINT, B BLOB)")
    execute(db_, f"INSERT INTO LARGE VALUES (1, {OLD}, randomblob(9000000)), (2, {OLD}, zeroblob(20000000))")
    for number in range(3, 30):
        execute(db_, f"INSERT INTO LARGE VALUES ({number}, {OLD}, randomblob(500000))")
    before = dict(every(db_, "SELECT ID, B FROM LARGE"))
    policy = pk.Policy("large", table="LARGE", where=pk.expired("E", unit="s"), max_fraction=1.0)
    with pk.connect(sqlite_url) as db:
        run_id = db.run(policy, archive=tmp_path / "kept").run_id
        assert every(db_, "SELECT * FROM LARGE") == []
        db.restore(run_id)
    assert dict(every(db_, "SELECT ID, B FROM LARGE")) == before
    (path,) = archive_files(tmp_path / "kept")
    assert {row["ID"]: base64.b64decode(row["B"]) for row in lines(path)} == before


def test_a_row_that_a_trigger_keeps_is_not_archived(
    sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path
) -> None:
    db_ = admin(sqlite_url)
    make_sessions(db_, sqlite_url, [OLD] * 50)
    execute(db_, f"CREATE TRIGGER KEEP BEFORE DELETE ON {TABLE} WHEN OLD.ID = 7 BEGIN SELECT RAISE(IGNORE); END")
    with pk.connect(sqlite_url) as db:
        report = db.run(sessions_policy(max_fraction=1.0), archive=tmp_path / "kept")
    assert survivors(db_) == {7}
    assert report.exit_code == 4
    assert sorted(kept(tmp_path / "kept", TABLE)) == sorted(set(range(1, 51)) - {7})


def test_walks_by_key_and_by_index(sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    db_ = admin(sqlite_url)
    execute(db_, "CREATE TABLE KEYED (A TEXT, B INT, E BIGINT, PRIMARY KEY (A, B)) WITHOUT ROWID")
    execute(db_, "INSERT INTO KEYED VALUES " + ", ".join(f"('k{n % 7}', {n}, {OLD})" for n in range(500)))
    execute(db_, "CREATE TABLE SPARSE (B INTEGER PRIMARY KEY, E BIGINT, FILLER TEXT)")
    execute(
        db_,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) "
        f"INSERT INTO SPARSE SELECT i, CASE i % 100 WHEN 0 THEN {OLD} ELSE 4000000000 END, hex(zeroblob(50)) FROM n",
    )
    execute(db_, "CREATE INDEX SPARSE_E ON SPARSE (E)")
    policies = [
        pk.Policy(name.lower(), table=name, where=pk.expired("E", unit="s"), max_fraction=1.0)
        for name in ("KEYED", "SPARSE")
    ]
    with pk.connect(sqlite_url) as db:
        report = db.run(policies, archive=tmp_path / "kept", limits=pk.Limits(chunk_ms=1))
    assert [entry["strategy"] for entry in report.policies] == ["key-range", "index-range"]
    assert len(kept(tmp_path / "kept", "KEYED", "B")) == 500
    assert sorted(kept(tmp_path / "kept", "SPARSE", "B")) == list(range(100, 30_001, 100))


def test_refusals(sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    db_ = admin(sqlite_url)
    make_sessions(db_, sqlite_url, [OLD, OLD])
    (tmp_path / "file").write_text("x")
    policy = sessions_policy(max_fraction=1.0)
    with pk.connect(sqlite_url) as db:
        for archive, ledger, code, text in (
            (f"{tmp_path}/file", "purgekit_ledger", "archive_unfit", "not a folder"),
            (f"{tmp_path}/file/below/", "purgekit_ledger", "archive_unfit", "can't be"),
            ("/proc/purgekit/", "purgekit_ledger", "archive_unfit", "can't be written"),
            (f"{tmp_path}/kept/", "none", "archive_ledger", "needs the ledger"),
            ("kept", "purgekit_ledger", "archive_not_offered", "kept/"),
        ):
            with pytest.raises(pk.PurgeRefused, match=text) as refused:
                db.run(policy, archive=archive, ledger=ledger)
            assert refused.value.code == code
        for strategy in ("swap", "truncate"):
            with pytest.raises(pk.PurgeRefused, match="keep the rows"):
                db.plan(sessions_policy(max_fraction=1.0, strategy=strategy), archive=tmp_path / "kept")
    assert len(survivors(db_)) == 2
    assert not (tmp_path / "kept").exists()


def command(url: str, folder: Path, *options: str) -> list[str]:
    policy = folder.parent / "policy.toml"
    policy.write_text(
        '[[policy]]\nname = "sessions"\ntable = "SESSIONS"\nexpired = { column = "EXPIRES", unit = "s" }\n'
    )
    return [
        *(sys.executable, "-m", "purgekit", "run", url, str(policy), "--yes", "--json", "--max-fraction", "1"),
        *("--archive", f"{folder}/", *options),
    ]


def test_a_stopped_run_goes_on_in_its_file(sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    db_ = admin(sqlite_url)
    make_sessions(db_, sqlite_url, [OLD] * 3_000)
    folder = tmp_path / "kept"
    first = subprocess.run(
        command(sqlite_url, folder, "--max-rows", "1000"), capture_output=True, text=True, check=False
    )
    assert first.returncode == 3, first.stderr
    assert sorted(kept(folder, TABLE, finished=False)) == sorted(set(range(1, 3_001)) - survivors(db_))
    (part,) = archive_files(folder, finished=False)
    right = part.read_bytes()

    part.write_bytes(right[:-1])
    short = subprocess.run(command(sqlite_url, folder), capture_output=True, text=True, check=False)
    assert short.returncode == 1
    assert json.loads(short.stdout)["error"]["code"] == "corrupt"
    assert str(part) in short.stderr + short.stdout
    part.unlink()
    gone = subprocess.run(command(sqlite_url, folder), capture_output=True, text=True, check=False)
    assert (gone.returncode, json.loads(gone.stdout)["error"]["code"]) == (1, "corrupt")
    assert len(survivors(db_)) == 2_000, "nothing more is deleted"

    part.write_bytes(right + b"half a frame that was never committed")
    done = subprocess.run(command(sqlite_url, folder), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert check_manifests(folder) == 3_000
    assert not archive_files(folder, finished=False)
    assert sorted(kept(folder, TABLE)) == list(range(1, 3_001))


def test_another_folder_goes_on_without_what_is_lost(
    sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path
) -> None:
    db_ = admin(sqlite_url)
    make_sessions(db_, sqlite_url, [OLD] * 3_000)
    one, two = tmp_path / "one", tmp_path / "two"
    subprocess.run(command(sqlite_url, one, "--max-rows", "1000"), capture_output=True, check=False)
    done = subprocess.run(command(sqlite_url, two), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(kept(two, TABLE)) == 2_000
    # The first folder's file is closed by the next run that goes there.
    execute(db_, f"INSERT INTO {TABLE} (ID, EXPIRES) VALUES (9999, {OLD})")
    done = subprocess.run(command(sqlite_url, one), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert check_manifests(one) == 1_001
    assert not archive_files(one, finished=False)


def test_a_full_disk(sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    """A file system of its own, too small at first. Only this test's processes see it."""
    db_ = admin(sqlite_url)
    make_sessions(db_, sqlite_url, [OLD] * 5_000)
    execute(db_, f"UPDATE {TABLE} SET NOTE = hex(randomblob(100))")
    folder, out = tmp_path / "kept", tmp_path / "out"
    folder.mkdir()
    run = " ".join(f"'{word}'" for word in command(sqlite_url, folder, "--chunk-ms", "5"))
    script = (
        f"mount -t tmpfs -o size=128k none '{folder}' || exit 99; "
        f"{run} > '{tmp_path}/full.json'; code=$?; cp -r '{folder}' '{out}'; [ $code = 1 ] || exit 98; "
        f"cp '{tmp_path}/test.db' '{tmp_path}/then.db'; mount -o remount,size=16m '{folder}' || exit 97; "
        f"{run} > '{tmp_path}/done.json'; code=$?; cp -r '{folder}/.' '{out}.done'; exit $code"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True, text=True, check=False, cwd=Path.cwd(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    full = json.loads((tmp_path / "full.json").read_text())
    assert full["error"]["code"] == "archive_full"
    assert "No space left" in full["error"]["message"]
    assert 0 < full["rows_deleted"] < 5_000
    with sqlite3.connect(tmp_path / "then.db") as then:
        left = {row[0] for row in then.execute(f"SELECT ID FROM {TABLE}")}
    assert sorted(kept(out, TABLE, finished=False)) == sorted(set(range(1, 5_001)) - left)
    assert not survivors(db_)
    assert check_manifests(Path(f"{out}.done")) == 5_000


KILLED = """
import os, random, signal, sqlite3, sys, time
import purgekit as pk
url, folder, wanted, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
random_ = random.Random(seed)
policy = pk.Policy("sessions", table="SESSIONS", where=pk.expired("EXPIRES", unit="s"), max_fraction=1.0,
                   dependents=[pk.dependent("APPS", on={"SESSION_ID": "ID"})])
made = 0

def fill():
    global made
    pid = os.fork()
    if pid == 0:
        with sqlite3.connect(url[len("sqlite:///"):], timeout=60) as db:
            ids = range(made, made + 20000)
            db.executemany("INSERT INTO SESSIONS VALUES (?, 1000000000, ?)", ((n, os.urandom(40).hex()) for n in ids))
            db.executemany("INSERT INTO APPS VALUES (?, ?)", ((n, n // 2 * 2) for n in ids))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    made += 20000

def purge(tell=lambda event: None):
    with pk.connect(url) as db:
        db.run(policy, archive=folder, limits=pk.Limits(chunk_ms=1, pace="fast"), on_progress=tell)

fill()
kills = finished = 0
while kills < wanted:
    there, here = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            purge(lambda event: event["rows_deleted"] and os.write(here, b"."))
            code = 0
        finally:
            os._exit(code)
    os.close(here)
    if random_.random() < 0.9:
        os.read(there, 1)  # a chunk is done, or the run is over
    time.sleep(random_.uniform(0, 0.03))
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    os.close(there)
    if os.WIFSIGNALED(status):
        kills += 1
    else:
        assert status == 0, status
        finished += 1
        fill()
purge()
print(made, kills, finished)
"""


@pytest.mark.long
def test_killed_at_any_moment(sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    db_ = admin(sqlite_url)
    execute(db_, "PRAGMA journal_mode = WAL")
    make_sessions(db_, sqlite_url, [])
    execute(db_, "ALTER TABLE SESSIONS DROP COLUMN NOTE")
    execute(db_, "ALTER TABLE SESSIONS ADD COLUMN NOTE TEXT")
    execute(db_, "CREATE TABLE APPS (N INTEGER PRIMARY KEY, SESSION_ID BIGINT)")
    execute(db_, "CREATE INDEX APPS_S ON APPS (SESSION_ID)")
    db_.close()
    folder = tmp_path / "kept"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, sqlite_url, str(folder), "200", str(random.randrange(2**32))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made, killed, finished = map(int, done.stdout.split())
    print(f"{killed} kills, {finished} runs to their end, {made} sessions")
    checker = admin(sqlite_url)
    for table, key in ((TABLE, "ID"), ("APPS", "N")):
        left = {row[0] for row in every(checker, f"SELECT {key} FROM {table}")}
        assert sorted(kept(folder, table, key)) == sorted(set(range(made)) - left)
    assert not survivors(checker)
    assert not archive_files(folder, finished=False)
    with pk.connect(sqlite_url) as db:
        runs = db.history()
        links = whole_chain(db)
    assert len([run for run in runs if run["rows_deleted"]]) > killed // 2
    assert counted(links) == sum(run["rows_deleted"] for run in runs), "each committed chunk has its link, and no other"
    assert (
        check_manifests(folder) == sum(run["rows_archived"] for run in runs) == sum(run["rows_deleted"] for run in runs)
    )


def test_ctrl_c_leaves_a_file_to_go_on_with(
    sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path
) -> None:
    db_ = admin(sqlite_url)
    make_sessions(db_, sqlite_url, [OLD] * 6_000)
    folder = tmp_path / "kept"
    purge = subprocess.Popen(
        command(sqlite_url, folder, "--chunk-ms", "2", "--max-rows-per-s", "1000"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 30
    while len(survivors(db_)) == 6_000 and time.monotonic() < deadline:
        time.sleep(0.01)
    second = subprocess.run(command(sqlite_url, folder), capture_output=True, text=True, check=False)
    assert json.loads(second.stdout)["stop_reason"] == "another_run"
    purge.send_signal(signal.SIGINT)
    out, err = purge.communicate(timeout=60)
    assert purge.returncode == 3, err
    assert json.loads(out)["policies"][0]["archive_files"][0]["finished"] is False
    assert sorted(kept(folder, TABLE, finished=False)) == sorted(set(range(1, 6_001)) - survivors(db_))
