"""Two SQLite libraries in one process with one file open break its locks: purgekit sees it and refuses.

Closing a file in one library drops the locks the other holds, so a purge could write while somebody else does. The
second library here has its own copy of SQLite inside, as many wheels do.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from engine.tables import HOUR_S, make_sessions, now_s, survivors
from servers import Connection

PROGRAM = """
import sys
import pysqlite3
import purgekit as pk
path = sys.argv[1]
policy = pk.Policy("s", table="SESSIONS", where=pk.expired("EXPIRES", unit="s"))
other = pysqlite3.connect(path)
other.execute("SELECT COUNT(*) FROM SESSIONS").fetchone()
try:
    with pk.connect("sqlite:///" + path) as db:
        db.run(policy, limits=pk.Limits(max_fraction=1))
except pk.PurgekitError as error:
    print(str(error))
other.close()
with pk.connect("sqlite:///" + path) as db:
    print(db.run(policy, limits=pk.Limits(max_fraction=1)).rows_deleted)
"""


def test_a_file_open_in_another_library_is_refused(sqlite_url: str, admin: Callable[[str], Connection]) -> None:
    connection = admin(sqlite_url)
    make_sessions(connection, sqlite_url, [now_s() - 5 * HOUR_S] * 10)
    connection.close()
    path = sqlite_url.removeprefix("sqlite:///")
    done = subprocess.run([sys.executable, "-c", PROGRAM, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    refusal, deleted = done.stdout.splitlines()
    assert "library" in refusal
    assert "process" in refusal
    assert deleted == "10"


def test_pythons_own_sqlite_is_no_stranger(sqlite_url: str, admin: Callable[[str], Connection]) -> None:
    """Debian's Python uses the very library that the backend uses."""
    connection = admin(sqlite_url)
    make_sessions(connection, sqlite_url, [now_s() - 5 * HOUR_S] * 10)
    program = PROGRAM.replace("import pysqlite3\n", "import sqlite3 as pysqlite3\n")
    path = sqlite_url.removeprefix("sqlite:///")
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["0"], done.stdout + done.stderr
    assert survivors(connection) == set()
