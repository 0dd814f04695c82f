"""Evidence of what was deleted: one chain for each table, through takeovers, kills, doubt, holds and workers."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import purgekit as pk
from command import purgekit
from engine.chains import counted, whole_chain
from engine.tables import HOUR_S, TABLE, make_sessions, mark, now_s, sessions_policy, survivors, through
from engine.test_doubt import AtChunkCommit
from purgekit.evidence import Verdict
from servers import Action, Connection, TcpProxy

ROWS = 2_000
LIVE = set(range(1, ROWS + 1, 4))
LEDGER = "purgekit_ledger"
SMALL = pk.Limits(chunk_ms=1, max_fraction=1, pace="fast")
MARKER = "Zaphod4711"
KILLED = """
import os, sys, purgekit as pk

def die(event):
    if event["rows_deleted"] > 20:
        os.kill(os.getpid(), 9)

policy = pk.Policy("sessions", table="SESSIONS", where=pk.expired("EXPIRES", unit="s"))
limits = pk.Limits(chunk_ms=1, max_fraction=1, max_rows_per_s=400)
pk.connect(sys.argv[1]).run(policy, limits=limits, on_progress=die)
"""


@pytest.fixture
def checker(any_url: str, admin: Callable[[str], Connection]) -> Connection:
    return filled(admin(any_url), any_url)


def filled(connection: Connection, url: str) -> Connection:
    make_sessions(connection, url, [now_s() + (HOUR_S if n in LIVE else -5 * HOUR_S) for n in range(1, ROWS + 1)])
    return connection


def again(connection: Connection, ids: range) -> None:
    """More rows that may go."""
    values = ", ".join(f"({n}, {now_s() - 5 * HOUR_S}, 'x')" for n in ids)
    connection.cursor().execute(f"INSERT INTO {TABLE} (ID, EXPIRES, NOTE) VALUES {values}")


def saved(url: str, run_id: str, folder: Path) -> Path:
    path = folder / f"{run_id}.evidence"
    with pk.connect(url) as db:
        db.evidence(run_id).save(path)
    return path


def proven(url: str, report: pk.Report, folder: Path, **more: Any) -> Verdict:
    """The evidence of a run, verified, and in agreement with its report, the ledger and the key."""
    evidence = report.evidence
    assert evidence is not None
    key = Path(folder, "state", "evidence.key")
    keyed = {"key": key} if key.exists() else {}
    verdict = pk.evidence.verify(saved(url, report.run_id, folder), root=evidence["root"], **keyed, **more)
    assert verdict.is_intact, verdict.problem
    assert (verdict.rows_deleted, verdict.rows_archived) == (report.rows_deleted, report.rows_archived)
    assert verdict.links == evidence["links"] == sum(policy["links"] for policy in evidence["policies"])
    assert [policy["head"] for policy in verdict.policies] == [policy["head"] for policy in evidence["policies"]]
    with pk.connect(url) as db:
        (run,) = [run for run in db.history() if run["run_id"] == report.run_id]
    assert run["evidence_root"] == evidence["root"]
    return verdict


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PURGEKIT_STATE", str(tmp_path / "state"))


def test_runs_of_a_table_make_one_chain(
    any_url: str, checker: Connection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "purgekit")
    with pk.connect(any_url) as db:
        first = db.run(sessions_policy(), limits=SMALL)
        again(checker, range(5_001, 5_051))
        second = db.run(sessions_policy(), limits=SMALL)
        third = db.run(sessions_policy(), limits=SMALL)
    assert survivors(checker) == LIVE
    assert first.evidence
    assert f"evidence root of run {first.run_id} is {first.evidence['root']}" in caplog.text
    one = proven(any_url, first, tmp_path)
    assert one.links > 4, "several chunks"
    assert one.policies[0]["status"] == "completed"
    two = proven(any_url, second, tmp_path, before=one.path)
    assert (two.policies[0]["after"], two.policies[0]["prev"]) == (first.run_id, one.policies[0]["head"])
    assert "goes on from the last link" in "; ".join(two.checked)
    three = proven(any_url, third, tmp_path)
    assert (three.links, three.rows_deleted) == (2, 0), "a run that deletes nothing has a start and an end"
    assert "--before" in "; ".join(three.unchecked)
    assert (tmp_path / "state" / "evidence.key").stat().st_mode & 0o777 == 0o600


def test_dependents_several_policies_and_archive_tables(any_url: str, checker: Connection, tmp_path: Path) -> None:
    suffix = " ENGINE=InnoDB" if any_url.startswith(("mysql", "mariadb")) else ""
    cursor = checker.cursor()
    cursor.execute(f"CREATE TABLE APPS (N BIGINT PRIMARY KEY, SESSION_ID BIGINT){suffix}")
    cursor.execute("INSERT INTO APPS (N, SESSION_ID) VALUES " + ", ".join(f"({n}, {n // 2})" for n in range(1, 900)))
    policies = [
        sessions_policy(dependents=[pk.dependent("APPS", on={"SESSION_ID": "ID"})], archive="table"),
        pk.Policy("again", table=TABLE, where=pk.expired("EXPIRES", unit="s"), archive="table"),
    ]
    with pk.connect(any_url) as db:
        report = db.run(policies, limits=SMALL)
    verdict = proven(any_url, report, tmp_path)
    (own, child), (other,) = (policy["tables"] for policy in verdict.policies)
    assert (own["rows_deleted"], own["rows_archived"]) == (ROWS - len(LIVE), ROWS - len(LIVE))
    assert child["rows_deleted"] == child["rows_archived"] > 0
    assert other["rows_deleted"] == 0
    assert verdict.policies[1]["joined"], "the second policy goes on with the chain of the same table"


@pytest.mark.needs_server
def test_several_workers(server_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    checker = filled(admin(server_url), server_url)
    limits = pk.Limits(workers=2, chunk_ms=1, max_fraction=1, pace="fast")
    with pk.connect(server_url) as db:
        report = db.run(sessions_policy(), limits=limits, archive=tmp_path / "kept")
    assert report.policies[0]["workers"] == 2
    assert survivors(checker) == LIVE
    proven(server_url, report, tmp_path, archive=tmp_path / "kept")


def test_archive_files_are_compared(sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    checker = filled(admin(sqlite_url), sqlite_url)
    folder = tmp_path / "kept"
    with pk.connect(sqlite_url) as db:
        stopped = db.run(sessions_policy(), limits=pk.Limits(max_rows=300, chunk_ms=1), archive=folder)
        done = db.run(sessions_policy(), limits=SMALL, archive=folder)
    assert (stopped.status, done.continues) == ("stopped", stopped.run_id)
    assert survivors(checker) == LIVE
    for report in (stopped, done):
        path = saved(sqlite_url, report.run_id, tmp_path)
        verdict = pk.evidence.verify(path, archive=folder)
        assert verdict.is_intact, verdict.problem
        assert f"that {report.rows_archived:,} archived rows are in the files" in "; ".join(verdict.checked)
    (file,) = folder.rglob("*.jsonl.zst")
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "archive" in pk.evidence.verify(path, archive=folder).problem
    file.rename(tmp_path / "elsewhere")
    assert "is not in the archive" in pk.evidence.verify(path, archive=folder).problem


def test_a_killed_run_has_links_for_what_it_deleted(any_url: str, checker: Connection, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, any_url], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    gone = ROWS - len(survivors(checker))
    with pk.connect(any_url) as db:
        (killed,) = db.history()
        report = db.run(sessions_policy(), limits=SMALL)
    verdict = pk.evidence.verify(saved(any_url, killed["run_id"], tmp_path), key=tmp_path / "state" / "evidence.key")
    assert verdict.is_intact, verdict.problem
    assert verdict.rows_deleted == gone > 0
    assert verdict.policies[0]["status"] is None
    assert "has no end" in "; ".join(verdict.unchecked)
    after = proven(any_url, report, tmp_path, before=verdict.path)
    assert after.policies[0]["joined"], "the next run goes on with the chain of the killed one"
    with pk.connect(any_url) as db:
        roots = {run["run_id"]: run["evidence_root"] for run in db.history()}
        assert counted(whole_chain(db)) == ROWS - len(LIVE)
    assert roots[killed["run_id"]] == verdict.root, "the takeover has written it down"


@pytest.mark.needs_server
@pytest.mark.parametrize("action", [Action.CUT_BEFORE, Action.CUT_AFTER_REPLY])
def test_a_commit_without_an_answer(
    server_url: str, admin: Callable[[str], Connection], tmp_path: Path, action: Action
) -> None:
    checker = filled(admin(server_url), server_url)
    port = urlsplit(server_url).port
    assert port is not None
    with TcpProxy("127.0.0.1", port) as proxy, pk.connect(through(server_url, proxy.port)) as db:
        plan = db.plan(sessions_policy())
        proxy.on_client_bytes = AtChunkCommit(action, 1)
        report = db.run(plan, limits=SMALL)
        assert proxy.fired.is_set(), "the cut never happened"
    assert report.rows_deleted == ROWS - len(LIVE) == ROWS - len(survivors(checker))
    proven(server_url, report, tmp_path)


def test_a_hold_while_it_runs(any_url: str, checker: Connection, tmp_path: Path) -> None:
    held: list[int] = []

    def hold(event: dict[str, Any]) -> None:
        if not held and event["rows_deleted"]:
            held.append(max(survivors(checker) - LIVE))
            with pk.connect(any_url) as other:
                other.hold(TABLE, keys=held)

    with pk.connect(any_url) as db:
        report = db.run(sessions_policy(), limits=SMALL, on_progress=hold)
    assert survivors(checker) == LIVE | set(held)
    verdict = proven(any_url, report, tmp_path)
    with pk.connect(any_url) as db:
        links = db.evidence(report.run_id).links
    assert (links[0]["holds"], links[-1]["holds"]) == (0, 1)
    assert verdict.policies[0]["status"] == "completed"


def test_a_table_emptied_at_a_stroke(any_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    make_sessions(admin(any_url), any_url, [now_s() - 5 * HOUR_S] * 500)
    with pk.connect(any_url) as db:
        report = db.run(sessions_policy(strategy="truncate", max_fraction=1.0))
    assert report.rows_deleted == 500
    assert proven(any_url, report, tmp_path).links == 3


def test_a_file_whose_survivors_are_copied_aside(
    sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path
) -> None:
    """The copy has the ledger in it, and takes the place of the file that the purge began with."""
    checker = filled(admin(sqlite_url), sqlite_url)
    with pk.connect(sqlite_url) as db:
        report = db.run(sessions_policy(strategy="swap"))
    assert report.rows_deleted > 0
    assert survivors(checker) == LIVE
    assert proven(sqlite_url, report, tmp_path).links == 3


def test_links_deleted_in_the_database_are_missed(
    sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path
) -> None:
    checker = filled(admin(sqlite_url), sqlite_url)
    with pk.connect(sqlite_url) as db:
        first = db.run(sessions_policy(), limits=SMALL)
        second = db.run(sessions_policy(), limits=SMALL)
    kept = saved(sqlite_url, first.run_id, tmp_path)
    cursor = checker.cursor()
    one = pk.evidence.verify(kept).policies[0]["links"] // 2
    cursor.execute(f"DELETE FROM {LEDGER} WHERE kind = 'link' AND id LIKE '{first.run_id}/000/%{one:03}'")
    with pk.connect(sqlite_url) as db:
        broken = db.evidence(first.run_id)
        broken.save(tmp_path / "broken")
    verdict = pk.evidence.verify(tmp_path / "broken")
    assert f"(link {one + 1}) does not follow link {one - 1}" in verdict.problem
    cursor.execute(f"DELETE FROM {LEDGER} WHERE kind = 'link' AND id LIKE '{first.run_id}/%'")
    with pk.connect(sqlite_url) as db, pytest.raises(pk.PurgeRefused, match="without purgekit having deleted them"):
        db.evidence(first.run_id)
    after = pk.evidence.verify(saved(sqlite_url, second.run_id, tmp_path))
    assert after.policies[0]["after"] == first.run_id, "what goes on from it still names it"
    assert first.run_id in "; ".join(after.unchecked)
    # Made up again, without the key and with other counts.
    lines = kept.read_text().splitlines()
    assert after.policies[0]["prev"] == json.loads(lines[-1])["hash"]


def test_a_link_changed_in_the_database(sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    checker = filled(admin(sqlite_url), sqlite_url)
    with pk.connect(sqlite_url) as db:
        report = db.run(sessions_policy(), limits=SMALL)
    cursor = checker.cursor()
    where = f"kind = 'link' AND id = '{report.run_id}/000/000000002'"
    change = f"UPDATE {LEDGER} SET document = {mark(sqlite_url)} WHERE {where}"
    with pk.connect(sqlite_url) as db:
        link = db.evidence(report.run_id).links[1]
    texts = ("not JSON", "[" * 50_000, json.dumps(link), json.dumps({**link, "pass": 1e300}), '{"kind":"chunk"}')
    for number, text in enumerate(texts):
        cursor.execute(change, [text])
        with pk.connect(sqlite_url) as db:
            db.evidence(report.run_id).save(tmp_path / f"{number}")
        verdict = pk.evidence.verify(tmp_path / f"{number}")
        assert verdict.problem.startswith("line 3 "), verdict.problem
    changed = {**link, "rows_deleted": [link["rows_deleted"][0] - 1]}
    cursor.execute(change, [json.dumps(changed, sort_keys=True, separators=(",", ":"))])
    with pk.connect(sqlite_url) as db:
        db.evidence(report.run_id).save(tmp_path / "counts")
    assert "does not name the link before it" in pk.evidence.verify(tmp_path / "counts").problem


def test_nothing_of_a_row_gets_into_it(any_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    checker = admin(any_url)
    suffix = " ENGINE=InnoDB" if any_url.startswith(("mysql", "mariadb")) else ""
    checker.cursor().execute(f"CREATE TABLE PEOPLE (NAME VARCHAR(60) PRIMARY KEY, WHO VARCHAR(60)){suffix}")
    values = ", ".join(f"('{MARKER}{n:04}', '{MARKER}')" for n in range(2500))
    checker.cursor().execute(f"INSERT INTO PEOPLE VALUES {values}")
    policy = pk.Policy("people", table="PEOPLE", where=pk.col("WHO") == MARKER, max_fraction=1.0)

    def stop(_: dict[str, Any]) -> None:
        raise RuntimeError(f"about {MARKER}")

    with pk.connect(any_url) as db:
        db.hold("PEOPLE", keys=[f"{MARKER}2499"], reason=MARKER, by=MARKER)
        stopped = db.run(policy, limits=pk.Limits(chunk_ms=1, max_fraction=1), archive=tmp_path / MARKER, pacer=stop)
        done = db.run(policy, limits=SMALL, archive=tmp_path / MARKER)
        assert MARKER in str(stopped.stop_reason)
        assert done.rows_deleted + stopped.rows_deleted == 2499
        for report in (stopped, done):
            text = "\n".join(db.evidence(report.run_id).lines()) + json.dumps(report.evidence)
            assert MARKER.lower() not in text.lower()
            assert any("range_hmac" in link for link in db.evidence(report.run_id).links)
    cursor = checker.cursor()
    cursor.execute(f"SELECT id, document FROM {LEDGER} WHERE kind = 'link'")
    rows = cursor.fetchall()
    assert len(rows) > 5
    assert MARKER.lower() not in str([tuple(row) for row in rows]).lower()


def test_the_command_line_on_another_machine(
    sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path
) -> None:
    filled(admin(sqlite_url), sqlite_url)
    policy = tmp_path / "p.toml"
    policy.write_text(f'[[policy]]\nname = "s"\ntable = "{TABLE}"\nexpired = {{ column = "EXPIRES", unit = "s" }}\n')
    run = purgekit("run", sqlite_url, str(policy), "--yes", "--max-fraction", "1")
    assert run.returncode == 0, run.stderr
    with pk.connect(sqlite_url) as db:
        (entry,) = db.history()
    assert f"evidence {entry['evidence_root']}" in run.stdout
    file = tmp_path / "run.evidence"
    unknown = purgekit("evidence", "export", sqlite_url, "20200101T000000000Z-aaaaaa", "--out", str(file))
    assert (unknown.returncode, file.exists()) == (2, False)
    assert "knows no such run" in unknown.stderr
    made = purgekit("evidence", "export", sqlite_url, entry["run_id"], "--out", str(file))
    assert made.returncode == 0, made.stderr
    printed = purgekit("evidence", "export", sqlite_url, entry["run_id"]).stdout
    assert printed.splitlines()[1:] == file.read_text().splitlines()[1:]
    elsewhere = {"PURGEKIT_STATE": str(tmp_path / "elsewhere")}
    good = purgekit("evidence", "verify", str(file), "--root", entry["evidence_root"], **elsewhere)
    assert good.returncode == 0, good.stderr
    assert "not checked: whether its maker had the run's key" in good.stdout
    assert not (tmp_path / "elsewhere").exists(), "nothing is written there"
    other_root = purgekit("evidence", "verify", str(file), "--root", "0" * 64, "--json", **elsewhere)
    assert (other_root.returncode, json.loads(other_root.stdout)["ok"]) == (1, False)
    file.write_bytes(file.read_bytes().replace(b'"pass":1', b'"pass":2', 1))
    bad = purgekit("evidence", "verify", str(file), **elsewhere)
    assert bad.returncode == 1
    assert "line 3 (link 2) is not what was written" in bad.stderr
    assert purgekit("evidence", "verify", str(policy), **elsewhere).returncode == 2


def test_evidence_is_kept_for_as_long_as_it_was_promised(any_url: str, checker: Connection, tmp_path: Path) -> None:
    with pk.connect(any_url) as db:
        for_ever = db.run(sessions_policy(), limits=SMALL)
        for_an_hour = db.run(sessions_policy(evidence_retention="1h"), limits=SMALL)
        again(checker, range(6_001, 6_020))
        short = db.run(sessions_policy(evidence_retention="1ms"), limits=SMALL)
        time.sleep(1.5)  # a promise counts in whole seconds
        last = db.run(sessions_policy(evidence_retention="1ms"), limits=SMALL)
        for report in (for_ever, for_an_hour, last):
            assert db.evidence(report.run_id).links[0]["kind"] == "start", "no later policy makes a promise shorter"
        with pytest.raises(pk.PurgeRefused, match="kept for as long as promised, and deleted at 20") as gone:
            db.evidence(short.run_id)
        assert gone.value.code == "not_found"
        roots = {run["run_id"]: run["evidence_root"] for run in db.history()}
    assert short.evidence
    assert roots[short.run_id] == short.evidence["root"], "what it came down to is still known"
    verdict = pk.evidence.verify(saved(any_url, last.run_id, tmp_path))
    assert (verdict.policies[0]["after"], verdict.is_intact) == (short.run_id, True)


def test_without_a_ledger_there_is_none(sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    checker = filled(admin(sqlite_url), sqlite_url)
    with pk.connect(sqlite_url) as db:
        report = db.run(sessions_policy(), limits=SMALL, ledger="none")
        assert report.evidence is None
        assert report.policies[0]["evidence"] is None
        with pytest.raises(pk.PurgeRefused, match="no ledger"):
            db.evidence(report.run_id)
    assert not (tmp_path / "state" / "evidence.key").exists()
    assert survivors(checker) == LIVE
