"""The GRANT lines of README, tested with a user that has these and nothing else; and what each missing one gives."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.tables import HOUR_S, TABLE, make_sessions, now_s, survivors
from security.planted import run_all
from servers import Connection, Server
from servers.mysql_family import MySqlFamily

pytestmark = pytest.mark.needs_server
LEDGER, ARCHIVE = "purgekit_ledger", "purgekit_archive_"
CHILD, REFERRING = "CHILDREN", "REFERRING"
README = Path(__file__).resolve().parents[2] / "README.md"
PLUGINS = {"postgresql": "postgresql", "mariadb": "mysql", "mysql56": "mysql"}
POLICY = f"""
[[policy]]
name = "sessions"
table = "{TABLE}"
max_fraction = 1.0
expired = {{ column = "EXPIRES", unit = "s" }}
dependents = [{{ table = "{CHILD}", on = {{ SESSION = "ID" }}, unless_referenced = false }}]
"""


@dataclass
class Account:
    """A user without any right, and an administrator to give it some."""

    server: Server
    database: str
    connection: Connection
    name: str

    @property
    def grantee(self) -> str:
        return f"'{self.name}'@'127.0.0.1'" if isinstance(self.server, MySqlFamily) else self.name

    @property
    def url(self) -> str:
        return self.server.url(self.database, self.name, "secret")

    def execute(self, *statements: str) -> None:
        for statement in statements:
            self.connection.cursor().execute(statement)

    def grant(self, *rights: str) -> None:
        """``rights`` as ``SELECT, DELETE ON TABLE``."""
        self.execute(*(f"GRANT {right} TO {self.grantee}" for right in rights))

    def revoke(self, right: str) -> None:
        self.execute(f"REVOKE {right} FROM {self.grantee}")


@pytest.fixture(params=["postgresql", "mariadb", "mysql56"])
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    server: Server = request.getfixturevalue(f"{request.param}_server")
    server.start()
    database, name = "grants_db", "least"
    server.create_database(database)
    with contextlib.closing(server.connect(database)) as connection:
        made = Account(server, database, connection, name)
        if isinstance(server, MySqlFamily):
            made.execute(f"CREATE USER {made.grantee} IDENTIFIED BY 'secret'")
        else:
            made.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'", "REVOKE ALL ON SCHEMA public FROM PUBLIC")
        make_tables(made)
        yield made
    server.drop_database(database)
    server.admin_sql(f"DROP USER {made.grantee}" if isinstance(server, MySqlFamily) else f"DROP ROLE {name}")


def make_tables(account: Account) -> None:
    """20 expired sessions; each has a child, and one is referred to by a table that forbids its deletion."""
    make_sessions(account.connection, account.server.url("x"), [now_s() - 5 * HOUR_S] * 20)
    engine = " ENGINE=InnoDB" if isinstance(account.server, MySqlFamily) else ""
    account.execute(
        f"CREATE TABLE {CHILD} (ID BIGINT PRIMARY KEY, SESSION BIGINT){engine}",
        f"CREATE INDEX BY_SESSION ON {CHILD} (SESSION)",
        f"INSERT INTO {CHILD} SELECT ID + 100, ID FROM {TABLE}",
        f"CREATE TABLE {REFERRING} (ID BIGINT PRIMARY KEY, SESSION BIGINT, "
        f"FOREIGN KEY (SESSION) REFERENCES {TABLE} (ID)){engine}",
        f"INSERT INTO {REFERRING} VALUES (1, 7)",
    )


def documented(file: Path, server: Server) -> list[str]:
    """The GRANT lines in ``file`` for this kind of server, with this test's names put in."""
    kind = "mysql" if isinstance(server, MySqlFamily) else "postgresql"
    (block,) = re.findall(rf"^```sql\n-- least privilege: {kind}[^\n]*\n(.*?)^```$", file.read_text(), re.S | re.M)
    lines = [line.partition("--")[0].strip().rstrip(";") for line in block.splitlines()]
    return [line for line in lines if line.startswith("GRANT")]


def put_in(line: str, account: Account) -> str:
    line = re.sub(r"purge_user(@'%')?", account.grantee, line).replace("iam.*", f"{account.database}.*")
    names = {"session_child": CHILD, "session_use": REFERRING, "session": TABLE}
    # The default pattern, with the table's name as the catalogue has it.
    fold = str.lower if not isinstance(account.server, MySqlFamily) else str
    for written in ("session_child", "session"):
        archive = f"purgekit_archive_{written}"
        line = re.sub(rf"\b{archive}\b", f"{ARCHIVE}{fold(names[written])}", line)
    for written, here in names.items():
        line = re.sub(rf"\b(?:iam\.|public\.)?{written}\b", here, line)
    return re.sub(r"\biam\.", "", line)


def to_delete(lines: list[str]) -> list[str]:
    """Without what is about tables of purgekit's own, which are not there yet."""
    return [line for line in lines if LEDGER not in line and ARCHIVE not in line]


def purge(account: Account, folder: Path, *options: str) -> tuple[int, str, str]:
    """Exit code and both streams of a ``run``."""
    policy = folder / "policy.toml"
    policy.write_text(POLICY)
    command = ["run", account.url, str(policy), "--yes", "--json", *options]
    (code,), written = run_all(folder, [command], {"PURGEKIT_LOG": "warning"})
    return code, written["stdout"].decode(), written["stderr"].decode()


def do_as_told(account: Account, folder: Path, *options: str) -> None:
    """Run what the refusal tells the administrator to run."""
    code, _, told = purge(account, folder, *options)
    assert code == 2
    statements = re.search(r"an administrator can run: (CREATE TABLE .*?);?(?: or pass --ledger none)?\n", told)
    assert statements, told
    for statement in re.split(r"; *(?=GRANT )", statements[1].rstrip("; ")):
        account.execute(re.sub(r"\bTO \S+;?$", f"TO {account.grantee}", statement))


# Taken away, one at a time, and the words that the refusal must have.
MISSING = {
    "select": (f"SELECT ON {TABLE}", ["SELECT", TABLE]),
    "delete": (f"DELETE ON {TABLE}", ["DELETE", TABLE]),
    "child_select": (f"SELECT ON {CHILD}", ["SELECT", CHILD]),
    "child_delete": (f"DELETE ON {CHILD}", ["DELETE", CHILD]),
    "referring_select": (f"SELECT ON {REFERRING}", ["SELECT", REFERRING]),
    "ledger_select": (f"SELECT ON {LEDGER}", ["SELECT", LEDGER]),
    "ledger_insert": (f"INSERT ON {LEDGER}", ["INSERT", LEDGER]),
    "ledger_update": (f"UPDATE ON {LEDGER}", ["UPDATE", LEDGER]),
    "ledger_delete": (f"DELETE ON {LEDGER}", ["DELETE", LEDGER]),
}
POSTGRESQL_ONLY = {
    "usage": ("USAGE ON SCHEMA public", ["USAGE", "public"]),
    "parent_update": (f"UPDATE ON {TABLE}", ["UPDATE", TABLE]),
}


def refusal(account: Account, folder: Path, right: str, words: Sequence[str], *options: str) -> None:
    account.revoke(right)
    code, out, err = purge(account, folder, *options)
    err = "".join(line for line in err.splitlines(keepends=True) if "purgekit: warning:" not in line)
    before = f"without {right}: exit {code}, {err}"
    assert code == 2, before
    assert err.count("\n") == 1, before
    grant = err[err.find("GRANT") :]
    assert "GRANT" in err, before
    assert all(word.lower() in grant.lower() for word in words), before
    assert "DELETE" in words or REFERRING not in words or "DELETE" not in grant, "more than it needs"
    assert json.loads(out)["exit_code"] == 2
    assert len(survivors(account.connection)) == 20, before
    assert len(survivors(account.connection, CHILD)) == 20, before
    account.grant(right)


@pytest.mark.parametrize("document", ["README.md", "plugin"])
def test_the_documented_lines_are_enough(account: Account, document: str, tmp_path: Path) -> None:
    plugin = README.parent / "plugins" / PLUGINS[account.server.name] / "README.md"
    file = README if document == "README.md" else plugin
    lines = [put_in(line, account) for line in documented(file, account.server)]
    assert sum(LEDGER in line for line in lines) == 1
    account.execute(*to_delete(lines))
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    (code,), written = run_all(tmp_path, [["plan", account.url, str(policy), "--json"]], {})
    assert code == 0, written
    assert json.loads(written["stdout"])["policies"][0]["rows_purgeable"] == 20
    do_as_told(account, tmp_path)
    account.execute(*(line for line in lines if LEDGER in line))
    code, out, err = purge(account, tmp_path)
    assert code == 4, err
    assert json.loads(out)["rows_deleted"] == 19 * 2
    assert survivors(account.connection) == {7}
    assert survivors(account.connection, CHILD) == {107}
    codes, written = run_all(tmp_path, [["history", account.url, "--json"]], {})
    assert codes == [0], written
    assert json.loads(written["stdout"])["runs"][0]["rows_deleted"] == 38


def test_an_archive_table_needs_insert(account: Account, tmp_path: Path) -> None:
    lines = [put_in(line, account) for line in documented(README, account.server)]
    account.execute(*to_delete(lines))
    do_as_told(account, tmp_path)
    for _ in (TABLE, CHILD):
        do_as_told(account, tmp_path, "--archive", "table")
    archives = [line for line in lines if ARCHIVE in line]
    assert len(archives) == 2
    names = [re.findall(rf"{ARCHIVE}\w+", line)[0] for line in archives]
    for name in names:
        account.revoke(f"SELECT, INSERT ON {name}")  # what the refusal offered; less will do
    account.execute(*archives)
    for name in names:
        refusal(account, tmp_path, f"INSERT ON {name}", ["INSERT", name], "--archive", "table")
    code, out, err = purge(account, tmp_path, "--archive", "table")
    assert code == 4, err
    assert json.loads(out)["rows_archived"] == 19 * 2
    assert len(survivors(account.connection, f"{ARCHIVE}{TABLE}")) == 19


def test_a_table_that_rows_move_into_needs_insert(account: Account, tmp_path: Path) -> None:
    lines = [put_in(line, account) for line in documented(README, account.server)]
    account.execute(*to_delete(lines))
    do_as_told(account, tmp_path)
    engine = " ENGINE=InnoDB" if isinstance(account.server, MySqlFamily) else ""
    moving = POLICY.replace(
        "unless_referenced = false", 'unless_referenced = false, archive = { table = "CHILD_AUDIT" }'
    )
    moving += 'archive = { table = "AUDIT", columns = { KIND = { value = "purged" } } }\n'
    policy = tmp_path / "moving.toml"
    policy.write_text(moving)
    for table in ("AUDIT", "CHILD_AUDIT"):
        account.execute(f"CREATE TABLE {table} (ID BIGINT, KIND VARCHAR(9)){engine}")
        account.grant(f"SELECT ON {table}")
    command = ["run", account.url, str(policy), "--yes", "--json"]
    for table in ("AUDIT", "CHILD_AUDIT"):
        (code,), written = run_all(tmp_path, [command], {"PURGEKIT_LOG": "error"})
        told = json.loads(written["stdout"])
        assert (code, told["code"]) == (2, "archive_privilege")
        grant = told["message"].partition("GRANT")[2].lower()
        assert "insert" in grant and table.lower() in grant
        account.grant(f"INSERT ON {table}")
    assert len(survivors(account.connection)) == 20
    (code,), written = run_all(tmp_path, [command], {"PURGEKIT_LOG": "error"})
    assert (code, json.loads(written["stdout"])["rows_archived"]) == (4, 19 * 2)
    assert survivors(account.connection, "AUDIT") == set(range(1, 21)) - {7}
    assert survivors(account.connection, "CHILD_AUDIT") == set(range(101, 121)) - {107}


def test_history_needs_no_more_than_to_read_the_ledger(account: Account, tmp_path: Path) -> None:
    lines = [put_in(line, account) for line in documented(README, account.server)]
    account.execute(*to_delete(lines))
    do_as_told(account, tmp_path)
    assert purge(account, tmp_path)[0] == 4
    account.execute(f"UPDATE {LEDGER} SET document = REPLACE(document, 'completed', 'running') WHERE kind = 'run'")
    for line in [f"SELECT, DELETE ON {TABLE}", f"SELECT, DELETE ON {CHILD}", f"INSERT, UPDATE, DELETE ON {LEDGER}"]:
        account.revoke(line)
    codes, written = run_all(tmp_path, [["history", account.url, "--json"]], {})
    assert codes == [0], written
    assert json.loads(written["stdout"])["runs"][0]["rows_deleted"] == 38


def test_mysql_a_cascade_that_the_user_cannot_see(account: Account, tmp_path: Path) -> None:
    """Without REFERENCES the plan warns; with it the cascade is seen and refused."""
    if not isinstance(account.server, MySqlFamily):
        return  # PostgreSQL's catalogue is open to everybody
    lines = [put_in(line, account) for line in documented(README, account.server)]
    account.execute(
        *to_delete(lines),
        f"CREATE TABLE UNSEEN (ID BIGINT PRIMARY KEY, S BIGINT, FOREIGN KEY (S) REFERENCES {TABLE} (ID) "
        "ON DELETE CASCADE) ENGINE=InnoDB",
        f"INSERT INTO UNSEEN SELECT ID, ID FROM {TABLE}",
    )
    code, out, err = purge(account, tmp_path)
    assert (code, json.loads(out)["code"]) == (2, "cascade"), err
    account.revoke(f"REFERENCES ON {account.database}.*")
    policy = tmp_path / "policy.toml"
    (code,), written = run_all(tmp_path, [["plan", account.url, str(policy)]], {})
    assert code == 0
    assert b"GRANT REFERENCES" in b" ".join(written["stdout"].split())


def test_each_missing_right_is_refused_with_its_grant(account: Account, tmp_path: Path) -> None:
    lines = [put_in(line, account) for line in documented(README, account.server)]
    account.execute(*to_delete(lines))
    do_as_told(account, tmp_path)
    account.execute(*(line for line in lines if LEDGER in line))
    missing = MISSING if isinstance(account.server, MySqlFamily) else {**MISSING, **POSTGRESQL_ONLY}
    problems = []
    for right, words in missing.values():
        try:
            refusal(account, tmp_path, right, words)
        except AssertionError as problem:
            problems.append(str(problem).splitlines()[0])
            account.grant(right)
    assert not problems, "\n".join(problems)
    assert purge(account, tmp_path)[0] == 4, "with all of them it runs"
