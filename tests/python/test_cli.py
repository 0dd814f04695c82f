"""The command line, as a process: output, exit codes, errors."""

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from command import purgekit

NOW_MS = 1_714_979_289_000
POLICY = """
[[policy]]
name = "old"
table = "things"
expired = { column = "expires", unit = "ms" }
"""


def run_json(*arguments: str) -> Any:
    return json.loads(purgekit(*arguments, "--json").stdout)


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, expires INTEGER)")
        db.executemany("INSERT INTO things VALUES (?, ?)", [(i, NOW_MS if i % 4 else 2**42) for i in range(1, 2001)])
        db.commit()
    return f"sqlite:///{path}"


@pytest.fixture
def policy(tmp_path: Path) -> str:
    path = tmp_path / "policies.toml"
    path.write_text(POLICY)
    return str(path)


def left(url: str) -> int:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as db:
        return int(db.execute("SELECT count(*) FROM things").fetchone()[0])


def test_plan_run_history(database: str, policy: str) -> None:
    plan = run_json("plan", database, policy)
    assert plan["schema"] == "purgekit.plan/1"
    entry = plan["policies"][0]
    assert (entry["rows_total"], entry["rows_purgeable"], entry["exact"]) == (2000, 1500, True)
    assert {"policy", "table", "cutoff_utc", "strategy", "index", "chunk_rows", "statements", "warnings"} <= set(entry)
    assert left(database) == 2000

    done = purgekit("run", database, policy, "--yes", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == report["exit_code"] == 0
    assert (report["schema"], report["status"], report["rows_deleted"]) == ("purgekit.run/1", "completed", 1500)
    assert left(database) == 500

    for history in (run_json("history"), run_json("history", database), run_json("history", report["run_id"])):
        assert history["schema"] == "purgekit.history/1"
        (recorded,) = history["runs"]
        assert (recorded["run_id"], recorded["status"], recorded["rows_deleted"]) == (
            report["run_id"],
            "completed",
            1500,
        )
    assert purgekit("history", "20000101T000000000Z-000000").returncode == 2


def test_text_output_goes_to_stdout_and_is_plain(database: str, policy: str) -> None:
    for arguments in (
        ("plan", database, policy),
        ("run", database, policy, "--yes"),
        ("history",),
        ("packs",),
        ("backends",),
    ):
        done = purgekit(*arguments)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
        assert "\x1b" not in done.stdout + done.stderr
    assert "purgeable" in purgekit("plan", database, policy).stdout


REFUSED = [
    (["plan", "{db}"], "POLICY"),
    (["pln"], "plan"),
    (["plan", "{db}", "{policy}", "--exct"], "--exact"),
    (["run", "{db}", "{policy}"], "--yes"),
    (["run", "{db}", "{policy}", "--yes", "--chunk-ms", "soon"], "--chunk-ms"),
    (["run", "{db}", "{policy}", "--yes", "--pace", "gentel"], "gentle"),
    (["run", "{db}", "{policy}", "--yes", "--workers", "0"], "workers"),
    (["run", "{db}", "{policy}", "--yes", "--param", "lifetime"], "KEY=VALUE"),
    (["run", "{db}", "{policy}", "--yes", "--param", "lifetime=1d"], "packs only"),
    (["run", "{db}", "{policy}", "--yes", "--now", "2199-01-01T00:00:00Z"], "ahead"),
    (["run", "{db}", "{policy}", "--yes", "--max-fraction", "0.5"], "max-fraction"),
    (["plan", "{db}", "{policy}", "--now", "yesterday"], "yesterday"),
    (["plan", "{db}", "{policy}#odl"], "old"),
    (["plan", "{db}", "wso2-si"], "wso2-is"),
    (["plan", "{db}", "wso2-is"], "IDN_AUTH_SESSION_STORE"),
    (["plan", "{db}x", "{policy}"], "app.dbx"),
    (["plan", "sqlit:///x.db", "{policy}"], "sqlite"),
    (["plan", "app.db", "{policy}"], "sqlite:///app.db"),
    (["plan", "{db}", "{policy}", "--password-file", "/nonexistent"], "/nonexistent"),
    (["packs", "wso2"], "wso2-is"),
    (["history", "nosuchrun"], "nosuchrun"),
    (["demo", "--rows", "1"], "--rows"),
]


@pytest.mark.parametrize(("arguments", "part"), REFUSED, ids=[" ".join(a)[:40] for a, _ in REFUSED])
def test_refusal_is_one_line_and_exit_2(database: str, policy: str, arguments: list[str], part: str) -> None:
    filled = [a.replace("{db}", database).replace("{policy}", policy) for a in arguments]
    done = purgekit(*filled)
    assert done.returncode == 2
    assert part in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert left(database) == 2000
    if arguments[0] != "demo":
        error = json.loads(purgekit(*filled, "--json").stdout)
        assert (error["schema"], error["exit_code"]) == ("purgekit.error/1", 2)
        assert set(error) == {"schema", "code", "message", "table", "policy", "exit_code"}
        assert part in error["message"]


def test_all_policies_are_checked_before_the_first_delete(database: str, policy: str, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(POLICY.replace('"things"', '"thinks"').replace('"old"', '"typo"'))
    done = purgekit("run", database, policy, str(other), "--yes", "--json")
    error = json.loads(done.stdout)
    assert (done.returncode, error["policy"], error["table"]) == (2, "typo", "thinks")
    assert "things" in error["message"]
    assert left(database) == 2000


def test_limits_end_with_3_and_the_same_command_goes_on(database: str, policy: str, tmp_path: Path) -> None:
    report = run_json("run", database, policy, "--yes", "--max-rows", "600")
    assert (report["exit_code"], report["stop_reason"], report["rows_deleted"]) == (3, "max_rows", 600)
    stop = tmp_path / "stop"
    stop.write_text("")
    report = run_json("run", database, policy, "--yes", "--stop-file", str(stop))
    assert (report["exit_code"], report["stop_reason"], report["rows_deleted"]) == (3, "stop_file", 0)
    hour = time.gmtime(time.time() + 2 * 3600).tm_hour
    report = run_json("run", database, policy, "--yes", "--window", f"{hour:02d}:00-{(hour + 1) % 24:02d}:00 UTC")
    assert (report["exit_code"], report["stop_reason"], report["rows_deleted"]) == (3, "window", 0)
    assert report["policies"][0]["stop_reason"] == "window"
    assert left(database) == 1400
    report = run_json("run", database, policy, "--yes")
    assert (report["exit_code"], report["rows_deleted"], left(database)) == (0, 900, 500)


def test_first_signal_ends_after_the_chunk_in_hand(database: str, policy: str) -> None:
    command = [sys.executable, "-m", "purgekit", "run", database, policy, "--yes", "--json", "--max-rows-per-s", "200"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while left(database) == 2000:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, talk = process.communicate(timeout=60)
    report = json.loads(out)
    assert (process.returncode, report["status"], report["stop_reason"]) == (3, "stopped", "signal")
    assert report["rows_deleted"] == 2000 - left(database) < 1500
    assert "run again" in talk


def on_terminal(answer: str, *arguments: str) -> tuple[int, str]:
    """Run with a terminal for input and talk; exit code and what the terminal showed."""
    outer, inner = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "purgekit", *arguments], stdin=inner, stdout=subprocess.DEVNULL, stderr=inner
    )
    os.close(inner)
    os.write(outer, answer.encode())
    shown = b""
    try:
        while part := os.read(outer, 4096):
            shown += part
    except OSError:  # the other end is closed: the process has ended
        pass
    finally:
        os.close(outer)
    return process.wait(60), shown.decode(errors="replace")


def test_terminal_is_asked(database: str, policy: str) -> None:
    code, shown = on_terminal("n\n", "run", database, policy)
    assert (code, left(database)) == (2, 2000)
    assert "1,500" in shown
    assert "[y/N]" in shown
    code, shown = on_terminal("y\n", "run", database, policy)
    assert (code, left(database)) == (0, 500)


def test_names_from_the_database_cannot_steer_the_terminal(tmp_path: Path, policy: str) -> None:
    path, name = tmp_path / "evil.db", "things\x1b[2J"
    with closing(sqlite3.connect(path)) as db:
        db.execute(f'CREATE TABLE "{name}" (id INTEGER PRIMARY KEY, "expires\x1b" INTEGER)')
        db.execute(f'INSERT INTO "{name}" VALUES (1, 5000000000000)')
        db.commit()
    toml = tmp_path / "evil.toml"
    toml.write_text(POLICY.replace('"things"', '"things\\u001b[2J"').replace('"expires"', '"expires\\u001b"'))
    for arguments in (("plan",), ("plan", "--json"), ("run", "--yes"), ("run", "--yes", "--json")):
        done = purgekit(arguments[0], f"sqlite:///{path}", str(toml), *arguments[1:])
        assert "\x1b" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_backends_and_packs() -> None:
    backends = run_json("backends")
    assert backends["schema"] == "purgekit.backends/1"
    sqlite = next(b for b in backends["backends"] if b["name"] == "sqlite")
    assert set(sqlite) == {"name", "version", "abi", "source", "schemes", "status"}
    assert (sqlite["status"], sqlite["schemes"]) == ("ok", ["sqlite"])
    packs = run_json("packs", "wso2-is")
    assert packs["packs"][0]["policies"][0]["policy"] == "wso2-is/sessions"
    assert "logout marker" in purgekit("packs", "wso2-is", "--notes").stdout


@pytest.mark.parametrize("command", ["", "demo", "plan", "run", "history", "packs", "backends"])
def test_help_teaches(command: str) -> None:
    done = purgekit(*([command] if command else []), "--help")
    assert done.returncode == 0
    assert "purgekit demo" in done.stdout if not command else "Example" in done.stdout
    assert purgekit().returncode == 2


def test_output_into_a_closed_pipe(database: str, policy: str) -> None:
    done = subprocess.run(
        f"{sys.executable} -m purgekit packs wso2-is --notes | true",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr


def test_demo(tmp_path: Path) -> None:
    done = purgekit("demo", "--rows", "3000", "--dir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    for part in ("before", "after", "rows/s", "IDN_FED_AUTH_SESSION_MAPPING"):
        assert part in done.stdout
    again = purgekit("demo", "--rows", "1000", "--dir", str(tmp_path))
    assert again.returncode == 0, again.stderr
    foreign = tmp_path / "other" / "purgekit-demo.db"
    foreign.parent.mkdir()
    foreign.write_text("mine")
    refused = purgekit("demo", "--rows", "1000", "--dir", str(foreign.parent))
    assert (refused.returncode, foreign.read_text()) == (2, "mine")
    assert "--dir" in refused.stderr
