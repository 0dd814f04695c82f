"""Names and values that look like SQL, markup or terminal commands come through unchanged and steer nothing."""

from __future__ import annotations

import json
import os
import pty
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import purgekit as pk
from engine.tables import mark
from purgekit.text import printable
from security.planted import run_all
from servers import Connection, connect

Admin = Callable[[str], Connection]
Json = dict[str, Any]

NAMES = {
    "quotes": "it's \"a\" `b` [c]",
    "backslash": "a\\b\\' OR 1=1 --",
    "looks_like_sql": "x; DROP TABLE kept; --",
    "newline_tab": "one\ntwo\tthree\rfour",
    "terminal": "\x1b[31mred\x1b[0m\x07\x9b2J\x1b]0;title\x07",
    "right_to_left": "user\u202egnp.exe\u2066x\u2069\u200b",
    "format": "100%s {0} %(x)s $1 :n ? [bold]b[/bold] <b>&amp;",
    "dots": "a.b.c",
    "keyword": "select",
    "blank": " leading and inner blanks",
    "other_scripts": "таблица 表 ß İ",
}
# No NUL: no database here lets one into a name. No characters above U+FFFF: MySQL and MariaDB refuse them in names.
VALUES = [*NAMES.values(), "emoji \U0001f9e8\U0001f468\u200d\U0001f469", "line\u2028separator", "'", "\\", "%", "_"]
LONG = "x'\"\\\x1b[31m\u202e" * 8_000  # more than 64 KB


def quoted(url: str, name: str) -> str:
    mark_ = "`" if url.startswith(("mysql", "mariadb")) else '"'
    return mark_ + name.replace(mark_, mark_ * 2) + mark_


def for_driver(url: str, text: str) -> str:
    """For a statement with parameters, whose marks are %s in two of the drivers."""
    return text if url.startswith("sqlite") else text.replace("%", "%%")


def in_policy(name: str) -> str:
    """A table's name as a policy writes it."""
    return '"' + name.replace('"', '""') + '"'


def storage(url: str) -> str:
    return " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin" if url.startswith(("mysql", "mariadb")) else ""


def make(connection: Connection, url: str, name: str) -> list[tuple[str, str]]:
    """A table, its columns and a child of it, all named so, with hostile keys; the rows (key, state)."""
    cursor, q = connection.cursor(), quoted
    longest = {"postgresql": "TEXT", "sqlite": "TEXT"}.get(url.partition(":")[0], "LONGTEXT")
    table, key, child = q(url, name), q(url, name + " k"), q(url, name + " c")
    cursor.execute(
        f"CREATE TABLE {table} ({key} VARCHAR(150) PRIMARY KEY, {q(url, name + ' s')} VARCHAR(150), BODY {longest})"
        + storage(url)
    )
    cursor.execute(
        f"CREATE TABLE {child} (ID INTEGER PRIMARY KEY, R VARCHAR(150), CONSTRAINT {q(url, name + ' f')} "
        f"FOREIGN KEY (R) REFERENCES {table} ({key})){storage(url)}"
    )
    rows = [(value, NAMES["looks_like_sql"] if n % 2 else value) for n, value in enumerate(VALUES)]
    one = ", ".join([mark(url)] * 3)
    for row in rows:
        cursor.execute(f"INSERT INTO {for_driver(url, table)} VALUES ({one})", (*row, LONG))
    cursor.execute(f"INSERT INTO {for_driver(url, child)} VALUES (1, {mark(url)})", (VALUES[1],))
    return rows


def keys(connection: Connection, url: str, name: str, prefix: str = "") -> set[str]:
    """Of the table, or with its prefix of its archive."""
    cursor = connection.cursor()
    cursor.execute(f"SELECT {quoted(url, name + ' k')} FROM {quoted(url, prefix + name)}")
    return {row[0] for row in cursor.fetchall()}


def policy_file(folder: Path, name: str, states: list[str], label: str = "p") -> Path:
    path = folder / f"{label}.toml"
    lines = {"name": name, "table": in_policy(name), "column": name + " s"}
    text = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in lines.items())
    path.write_text(f"[[policy]]\nmax_fraction = 1.0\n{text}in = {json.dumps(states, ensure_ascii=False)}\n")
    return path


def check_clean(written: dict[str, bytes]) -> None:
    for stream in ("stdout", "stderr"):
        for line in written[stream].decode().split("\n"):
            assert line.isprintable() or not line, f"{stream} holds control characters: {line[:300]!r}"


def test_round_trip(any_url: str, admin: Admin, tmp_path: Path) -> None:
    connection = admin(any_url)
    connection.cursor().execute(f"CREATE TABLE kept (ID INTEGER PRIMARY KEY){storage(any_url)}")
    commands, rows = [], {}
    for label, name in NAMES.items():
        rows[label] = make(connection, any_url, name)
        # One rule holds a long value: folding it for people takes the time of all the others.
        states = [NAMES["looks_like_sql"], *([LONG] if label == "quotes" else [])]
        path = str(policy_file(tmp_path, name, states, label))
        commands += [["plan", any_url, path], ["plan", any_url, path, "--json"]]
        commands += [["run", any_url, path, "--yes", "--json", "--archive", 'table:"a{table}"']]
        commands += [["run", any_url, path, "--yes"]]
    commands += [["history", any_url, "--json"], ["history", any_url], ["history"]]
    wrong = [["plan", any_url, f"{path}#{name}x"] for name in NAMES.values()]
    wrong += [["plan", f"{any_url}{quote(name)}", path] for name in NAMES.values()]
    codes, written = run_all(tmp_path, commands + wrong, {"PURGEKIT_LOG": "info"})
    assert codes == [0, 0, 4, 4] * len(NAMES) + [0] * 3 + [2] * len(wrong), written
    check_clean(written)
    *pairs, history = documents(written["stdout"].decode())
    for (label, name), plan, run in zip(NAMES.items(), pairs[::2], pairs[1::2], strict=True):
        check_outcome(connection, any_url, name, rows[label], plan, run)
    assert {entry["policies"][0] for entry in history["runs"]} == set(NAMES.values())
    connection.cursor().execute("SELECT COUNT(*) FROM kept")  # nobody dropped it


def check_outcome(
    connection: Connection, url: str, name: str, rows: list[tuple[str, str]], plan: Json, run: Json
) -> None:
    held, doomed = VALUES[1], {key for key, state in rows if state == NAMES["looks_like_sql"]}
    assert held in doomed
    assert keys(connection, url, name) == {key for key, _ in rows} - (doomed - {held})
    assert keys(connection, url, name, "a") == doomed - {held}
    assert plan["policies"][0]["policy"] == run["policies"][0]["policy"] == name
    assert plan["policies"][0]["rows_purgeable"] == len(doomed)
    assert run["policies"][0]["rows_deleted"] == len(doomed) - 1
    (blocked,) = run["policies"][0]["blocked"]
    assert blocked["reason"] == "foreign_key"
    assert blocked["constraint"]
    assert held in blocked["sample_key"] or json.dumps(held)[1:-1] in blocked["sample_key"]


def documents(text: str) -> list[Json]:
    """The JSON documents between lines for people."""
    found, decoder, at = [], json.JSONDecoder(), 0
    while (at := text.find('{\n  "', at)) >= 0:
        document, at = decoder.raw_decode(text, at)
        found.append(document)
    return found


def test_conditions_mean_what_they_say(any_url: str, admin: Admin) -> None:
    """Each value matches itself and nothing else, through every walk that a purge takes."""
    connection = admin(any_url)
    cursor = connection.cursor()
    cursor.execute(f"CREATE TABLE T (K VARCHAR(150) PRIMARY KEY, V VARCHAR(150)){storage(any_url)}")
    one = f"{mark(any_url)}, {mark(any_url)}"
    for value in VALUES:
        cursor.execute(f"INSERT INTO T VALUES ({one})", (value, value))
    left = set(VALUES)
    with pk.connect(any_url) as db:
        for value in VALUES:
            report = db.run(pk.Policy("p", table="T", where=pk.col("V") == value), limits=pk.Limits(max_fraction=1))
            left.discard(value)
            cursor.execute("SELECT K FROM T")
            assert ({row[0] for row in cursor.fetchall()}, report.rows_deleted) == (left, 1)


def test_a_nul_never_cuts_a_value_short(any_url: str, admin: Admin) -> None:
    cursor = admin(any_url).cursor()
    cursor.execute(f"CREATE TABLE T (ID INTEGER PRIMARY KEY, V VARCHAR(50)){storage(any_url)}")
    cursor.execute("INSERT INTO T VALUES (1, 'gone'), (2, 'kept')")
    with pk.connect(any_url) as db:
        for value in ("gone\0", "gone\0x", "\0"):
            policy = pk.Policy("p", table="T", where=pk.col("V") == value)
            if any_url.startswith("postgresql"):  # its text can't hold one, so that a rule with one is a mistake
                with pytest.raises(pk.PurgekitError, match="NUL"):
                    db.run(policy)
            else:
                assert db.run(policy).rows_deleted == 0
        for name in ("T\0", "T\0x"):
            with pytest.raises(pk.PurgekitError):
                db.run(pk.Policy("p", table=name, where=pk.col("V") == "gone"))
    cursor.execute("SELECT COUNT(*) FROM T")
    assert cursor.fetchone()[0] == 2


def test_names_of_64_kb(sqlite_url: str, admin: Admin, tmp_path: Path) -> None:
    """Only SQLite has such names."""
    name = "n'\"\\\x1b\u202e" * 8_000
    connection = admin(sqlite_url)
    make(connection, sqlite_url, name)
    path = policy_file(tmp_path, name, [NAMES["looks_like_sql"]])
    codes, written = run_all(
        tmp_path,
        [["plan", sqlite_url, str(path)], ["run", sqlite_url, str(path), "--yes"], ["history", sqlite_url]],
        {"PURGEKIT_LOG": "warning"},
    )
    assert codes == [0, 4, 0], {key: value[:500] for key, value in written.items()}
    check_clean(written)


def test_what_a_terminal_gets(tmp_path: Path) -> None:
    """There purgekit writes colours of its own; nothing of what came from the database is among them."""
    url = f"sqlite:///{tmp_path / 'x.db'}"
    name = NAMES["terminal"] + NAMES["right_to_left"] + NAMES["newline_tab"]
    with closing(connect(url)) as connection:
        make(connection, url, name)
        cursor = connection.cursor()
        trigger = f"CREATE TRIGGER {quoted(url, name + ' t')} BEFORE DELETE ON {quoted(url, name)} "
        cursor.execute(trigger + "WHEN OLD.BODY = 'no' BEGIN SELECT RAISE(ABORT, 'no'); END")
    path = policy_file(tmp_path, name, [NAMES["looks_like_sql"]])
    shown = b""
    for command in (["plan", url, str(path)], ["run", url, str(path), "--yes"], ["history", url], ["plan", url, name]):
        shown += on_terminal(["-m", "purgekit", *command])
    assert b"\x1b[" in shown, "it was not taken for a terminal"
    text = shown.decode()
    for evil in ("\x1b[31mred", "\x07", "\x9b", "\x1b]", "\u202e", "\u2066", "\u200b", "one\r\ntwo", "four\r"):
        assert evil not in text, repr(evil)
    assert "\\x1b[31mred" in text


def on_terminal(arguments: list[str]) -> bytes:
    written = b""

    def read(descriptor: int) -> bytes:
        nonlocal written
        piece = os.read(descriptor, 65536)
        written += piece
        return piece

    command = [sys.executable, *arguments]
    saved = os.dup(1)
    silent = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silent, 1)  # pty.spawn copies everything to its own standard output
        environment = {"TERM": "xterm", "COLUMNS": "300", "PYTHONPATH": str(Path(pk.__file__).parents[1])}
        pty.spawn(["env", *(f"{key}={value}" for key, value in environment.items()), *command], read)
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(silent)
    return written


def test_printable_leaves_nothing_that_steers() -> None:
    every = "".join(map(chr, [*range(0x3000), *range(0xE000, 0xF900), *range(0xE0000, 0xE0100)]))
    assert printable(every).isprintable()
    assert printable("a\u202eb\ud800") == "a\\u202eb\\ud800"
    assert printable(printable("\x1b[0m")) == printable("\x1b[0m")


def test_errors_and_reprs_are_clean(sqlite_url: str, admin: Admin) -> None:
    """A traceback and a notebook print them as they are."""
    name = NAMES["terminal"]
    make(admin(sqlite_url), sqlite_url, name)
    policy = pk.Policy(name, table=in_policy(name), where=pk.col(name + " s") == name)
    with pk.connect(sqlite_url) as db:
        plan = db.plan(policy)
        report = db.run(plan)
        shown = [repr(policy), repr(policy.where), str(policy.where), repr(plan), repr(report), plan._repr_html_()]
        shown += [report._repr_html_(), repr(db)]
        for wrong in (name, f"{name}x"):
            with pytest.raises(pk.PurgekitError) as caught:
                db.plan(pk.Policy(wrong, table=in_policy(wrong), where=pk.col(wrong) == 1))
            shown += [str(caught.value), *map(str, caught.value.args)]
    assert all(text.isprintable() for text in shown)
