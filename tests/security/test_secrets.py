"""No secret gets into anything that purgekit writes: both streams at trace level, state folder, ledger, server logs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from engine.tables import HOUR_S, TABLE, make_sessions, mark, now_s, survivors
from security.planted import Planted, encoded, run_all
from servers import Action, Connection, PostgreSql, Server, TcpProxy
from servers.mysql_family import MySqlFamily

Admin = Callable[[str], Connection]
ROWS = 20
TOML = f"""
[[policy]]
name = "sessions"
table = "{TABLE}"
max_fraction = 1.0
expired = {{ column = "EXPIRES", unit = "s" }}

[[policy]]
name = "casts"
table = "{TABLE}"
max_fraction = 1.0
sql = {{ text = "CAST(NOTE AS DECIMAL(10)) > 0" }}
"""
# Each quotes the value of a row in its error.
TRIGGERS = {
    "sqlite": f"CREATE TRIGGER G BEFORE DELETE ON {TABLE} BEGIN SELECT RAISE(ABORT, 'refused by G'); END",
    "postgresql": "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'no: %', OLD.NOTE; END $$; "
    f"CREATE TRIGGER G BEFORE DELETE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION g()",
    "mysql": f"CREATE TRIGGER G BEFORE DELETE ON {TABLE} FOR EACH ROW "
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = OLD.NOTE",
}


@pytest.fixture
def planted() -> Planted:
    return Planted()


@pytest.fixture
def policies(tmp_path: Path) -> str:
    path = tmp_path / "policies.toml"
    path.write_text(TOML)
    return str(path)


@pytest.fixture(scope="module")
def scram_server(servers_dir: Path) -> Iterator[PostgreSql]:
    """PostgreSQL that really asks for passwords and writes down every statement."""
    settings = {"log_statement": "all", "log_connections": "on", "log_min_messages": "debug1"}
    with PostgreSql(servers_dir, settings, auth="scram-sha-256") as server:
        yield server


NEEDS_SERVER = pytest.mark.needs_server
SERVERS = [pytest.param(name, marks=NEEDS_SERVER) for name in ("postgresql", "mariadb", "mysql56")]


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Server:
    name = "scram" if request.param == "postgresql" else request.param
    found = request.getfixturevalue(f"{name}_server")
    assert isinstance(found, Server)
    return found


@pytest.fixture
def database(server: Server, planted: Planted) -> Iterator[tuple[str, str, str]]:
    """Administrator's URL, user and password; the user may do everything in the database."""
    name, user, password = "secrets_db", "purge_user", planted.plant("password")
    url = server.create_database(name)
    if isinstance(server, MySqlFamily):
        server.admin_sql(f"CREATE USER {user}@'127.0.0.1' IDENTIFIED BY %s", parameters=(password,))
        server.admin_sql(f"GRANT ALL ON {name}.* TO {user}@'127.0.0.1'")
        server.admin_sql("SET GLOBAL general_log_file = %s", parameters=(str(server.folder / "general"),))
        server.admin_sql("SET GLOBAL general_log = ON")
    else:
        server.admin_sql(f"CREATE ROLE {user} LOGIN SUPERUSER PASSWORD %s", parameters=(password,))
        server.log.write_text("")  # what the line above left there
    yield url, user, password
    if isinstance(server, MySqlFamily):
        server.admin_sql("SET GLOBAL general_log = OFF")
    server.drop_database(name)
    server.admin_sql(f"DROP USER {user}@'127.0.0.1'" if isinstance(server, MySqlFamily) else f"DROP ROLE {user}")


def server_logs(server: Server) -> dict[str, bytes]:
    general = server.folder / "general"
    return {"server log": server.log.read_bytes(), "general log": general.read_bytes() if general.exists() else b""}


def table_contents(connection: Connection, table: str) -> bytes:
    cursor = connection.cursor()
    cursor.execute(f"SELECT * FROM {table}")
    return repr(cursor.fetchall()).encode()


def fill(connection: Connection, url: str, secret: str) -> None:
    make_sessions(connection, url, [now_s() - 5 * HOUR_S] * ROWS)
    connection.cursor().execute(f"UPDATE {TABLE} SET NOTE = {mark(url)}", [secret])


def home(folder: Path, **files: str) -> dict[str, str]:
    """An environment whose home holds these files."""
    made = folder / "home"
    made.mkdir()
    for name, content in files.items():
        path = made / f".{name.replace('_', '.')}"
        path.write_text(content)
        path.chmod(0o600)
    return {"HOME": str(made)}


def backslashed(text: str, specials: str) -> str:
    return "".join(f"\\{c}" if c in specials else c for c in text)


def test_passwords_of_every_source(
    server: Server, database: tuple[str, str, str], policies: str, planted: Planted, tmp_path: Path, admin: Admin
) -> None:
    url, user, password = database
    place = f"{urlsplit(url).scheme}://{user}@127.0.0.1:{server.port}/secrets_db"
    in_url = place.replace("@", f":{encoded(password)}@", 1)
    connection = admin(url)
    fill(connection, url, planted.plain("row"))
    file = tmp_path / "password"
    file.write_text(password + "\n")
    file.chmod(0o600)
    is_mysql = isinstance(server, MySqlFamily)
    environments: list[tuple[dict[str, str], str, list[str]]] = [
        ({}, in_url, []),
        ({"PURGEKIT_PASSWORD": password}, place, []),
        ({}, place, ["--password-file", str(file)]),
        (
            home(
                tmp_path,
                my_cnf=f"[client]\npassword='{backslashed(password, chr(39) + chr(92))}'\n",
                pgpass=f"127.0.0.1:{server.port}:*:{user}:{backslashed(password, ':' + chr(92))}\n",
            ),
            place,
            [],
        ),
    ]
    for number, (env, source, more) in enumerate(environments):
        folder = tmp_path / str(number)
        folder.mkdir()
        commands = [
            ["plan", source, f"{policies}#sessions", *more],
            ["run", source, f"{policies}#sessions", "--yes", "--max-rows", "3", "--json", *more],
            ["history", source, *more],
            ["history"],
        ]
        codes, written = run_all(folder, commands, env)
        assert codes == [0, 3, 0, 0], (number, written)
        planted.check(written)
    assert len(survivors(connection)) == ROWS - 3 * len(environments)
    planted.check({"ledger": table_contents(connection, "purgekit_ledger")})
    del planted.secrets["row"]  # the server's log has what this test itself inserted
    planted.check(server_logs(server))
    assert is_mysql == (server.folder / "general").exists()


def test_passwords_in_failures(
    server: Server, database: tuple[str, str, str], policies: str, planted: Planted, tmp_path: Path
) -> None:
    url, user, password = database
    scheme = urlsplit(url).scheme
    secret, wrong = encoded(password), encoded(planted.plant("wrong"))
    phrase = encoded(planted.plant("sslpassword"))
    good = f"{scheme}://{user}:{secret}@127.0.0.1:{server.port}/secrets_db"
    policy = f"{policies}#sessions"
    tls = "ssl_mode=required" if isinstance(server, MySqlFamily) else "sslmode=require"
    commands = [
        ["plan", good.replace(secret, wrong), policy],
        ["plan", good.replace("127.0.0.1", "nowhere.invalid"), policy, "--json"],
        ["plan", good.replace(str(server.port), "1"), policy],
        ["plan", good.replace("secrets_db", "absent_db"), policy],
        ["run", f"{good}?{tls}", policy, "--yes", "--json"],
        ["run", f"{good}?{tls}&sslpassword={phrase}&nonsense={phrase}", policy, "--yes"],
        ["plan", f"{good}?password={wrong}&sslmode=nonsense", policy],
        ["plan", f"{scheme}://{user}:{secret.replace('%40', '@')}@127.0.0.1:x/secrets_db", policy],
        ["plan", f"{scheme}://{user}:{password}@127.0.0.1/secrets_db", policy],  # nothing escaped
        ["plan", good, good],
        ["plan", policy, good],
        ["plan", good, "absent.toml"],
        ["plan", good, policy, good],
        ["plan", good, policy, "--param", planted.plant("param")],
        ["plan", good, policy, "--param", f"password={planted.plant('parameter')}"],
        ["run", good, policy],
        ["run", good, policy, "--yes", "--stop-file", str(tmp_path)],
        ["run", good, policy, "--yes", "--ledger", good],
        ["history", good, good],
        ["history", good, "--ledger", good],
        ["history", "no-such-run", good],
        ["packs", good],
        ["backends", good],
        ["backends", f"{scheme}://{user}:{password}@127.0.0.1/secrets_db"],
        [good],
        ["plan", f"--password={secret}", good, policy],
        ["plan", good, policy, "--now", good],
        ["run", good, policy, "--yes", "--until", good],
    ]
    codes, written = run_all(tmp_path, commands, {})
    assert set(codes) <= {2, 3}, codes  # the stop file is there at once
    planted.check(written | server_logs(server))


@pytest.mark.parametrize("kind", ["sqlite", *SERVERS])
def test_values_of_rows(
    kind: str, policies: str, planted: Planted, tmp_path: Path, admin: Admin, request: pytest.FixtureRequest
) -> None:
    """A trigger and a cast that fail quote the row; purgekit does not pass that on."""
    url = request.getfixturevalue(f"{kind}_url")
    connection = admin(url)
    fill(connection, url, planted.plain("row"))
    for statement in TRIGGERS[{"mariadb": "mysql", "mysql56": "mysql"}.get(kind, kind)].split("; CREATE TRIGGER"):
        connection.cursor().execute(statement if statement.startswith("CREATE") else f"CREATE TRIGGER{statement}")
    commands = [
        ["run", url, f"{policies}#sessions", "--yes", "--json"],
        ["run", url, f"{policies}#sessions", "--yes"],
        ["plan", url, f"{policies}#casts"],
        ["run", url, f"{policies}#casts", "--yes"],
        ["history", url],
        ["history", "--json"],
    ]
    codes, written = run_all(tmp_path, commands, {})
    assert codes[:2] == [4, 4], written
    assert codes[4:] == [0, 0]
    assert len(survivors(connection)) == ROWS
    planted.check(written)
    planted.check({"ledger": table_contents(connection, "purgekit_ledger")})


SCRIPT = """
import json, logging, pickle, sys
import purgekit as pk
logging.basicConfig(level=1)
url, policies, port = json.load(open(sys.argv[1]))[0]
with pk.connect(url) as db:
    plan = db.plan(pk.load_policies(policies))
    report = db.run(plan, limits=pk.Limits(max_rows=2), on_progress=print)
    for shown in (db, plan, report, plan.to_dict(), report.to_dict(), db.history(), db.server(), plan._repr_html_(),
                  report._repr_html_(), db._target, db._connection, plan.policies):
        print(repr(shown), str(shown))
for bad in (url.replace("127.0.0.1", "nowhere.invalid"), url + "?nonsense=1", url.replace(port, "1"), "x" + url):
    try:
        pk.connect(bad)
    except pk.PurgekitError as error:
        print(repr(error), error.args, vars(error), pickle.dumps(error))
        logging.exception("traceback")
try:
    pk.load_policies(url)
except pk.PurgekitError as error:
    print(repr(error), pickle.dumps(error))
json.dump([0], open(sys.argv[2], "w"))
pk.connect(url.replace(port, "1"))  # a traceback that nobody catches
"""


def test_the_api(
    server: Server, database: tuple[str, str, str], policies: str, planted: Planted, tmp_path: Path, admin: Admin
) -> None:
    url, user, password = database
    connection = admin(url)
    fill(connection, url, planted.plain("row"))
    place = f"{urlsplit(url).scheme}://{user}:{encoded(password)}@127.0.0.1:{server.port}/secrets_db"
    codes, written = run_all(tmp_path, [[place, f"{policies}#sessions", str(server.port)]], {}, program=SCRIPT)
    assert codes == [0], written
    assert b"Traceback" in written["stderr"]
    assert len(survivors(connection)) == ROWS - 2
    planted.check(written)


def test_a_line_that_is_cut(
    server: Server, database: tuple[str, str, str], policies: str, planted: Planted, tmp_path: Path, admin: Admin
) -> None:
    """A run that loses its server for good fails with its whole story at trace level, and without the password."""
    url, user, password = database
    fill(admin(url), url, planted.plain("row"))
    with TcpProxy("127.0.0.1", server.port) as proxy:

        def break_down() -> None:
            proxy.refusing = True
            proxy.cut()

        def once_it_deletes(content: bytes) -> Action:
            if b"UPDATE" in content and b"purgekit_ledger" in content and not proxy.refusing:
                threading.Timer(0.5, break_down).start()
            return Action.PASS

        proxy.on_client_bytes = once_it_deletes
        place = f"{urlsplit(url).scheme}://{user}:{encoded(password)}@127.0.0.1:{proxy.port}/secrets_db"
        slowly = ["--max-rows-per-s", "2", "--max-run-s", "3"]
        command = ["run", place, f"{policies}#sessions", "--yes", "--json", *slowly]
        codes, written = run_all(tmp_path, [command], {})
    assert codes[0] in (1, 3), written
    assert b"connecting again" in written["stderr"]
    planted.check(written)
