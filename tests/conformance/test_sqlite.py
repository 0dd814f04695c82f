"""SQLite passes the shipped suite; and what only a database with a write-ahead log in a file can get wrong."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import purgekit as pk
from purgekit.testing import ConformanceSuite, Quirks

ONE_WRITER = "SQLite locks the whole file, so a writer blocks everything"
MB = 1024 * 1024
POLICY = pk.Policy("old", table="T", where=pk.expired("ENDS", unit="s"))
NO_LIMITS = pk.Limits(chunk_ms=60_000, max_fraction=1)


class TestSqlite(ConformanceSuite):
    @pytest.fixture
    def declared_quirks(self, sqlite_url: str) -> Quirks:
        path = sqlite_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA journal_mode = WAL")
        return Quirks(
            url=sqlite_url,
            admin=lambda: sqlite3.connect(path, timeout=10, isolation_level=None),
            unsupported={"locked_rows": ONE_WRITER},
        )


@pytest.fixture
def other(sqlite_url: str) -> Iterator[sqlite3.Connection]:
    """Another program's connection to a file in WAL mode, that leaves copying to others."""
    with closing(sqlite3.connect(path_of(sqlite_url), isolation_level=None, check_same_thread=False)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        yield db


def path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def log_bytes(url: str) -> int:
    log = Path(f"{path_of(url)}-wal")
    return log.stat().st_size if log.exists() else 0


def fill(db: sqlite3.Connection, rows: int, bytes_each: int) -> None:
    """Expired but for every tenth, with an index in random order."""
    db.execute("CREATE TABLE T (ID INTEGER PRIMARY KEY, ENDS INTEGER, TOKEN TEXT UNIQUE, BODY BLOB)")
    db.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
        "INSERT INTO T SELECT i, iif(i % 10 = 0, ?, 1), hex(randomblob(32)), zeroblob(?) FROM n",
        (rows, int(time.time()) + 86_400, bytes_each),
    )
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def state_of_process() -> tuple[int, int]:
    """Threads and open files."""
    return len([*Path("/proc/self/task").iterdir()]), len([*Path("/proc/self/fd").iterdir()])


def test_the_log_stays_below_64_mb_whatever_the_chunk_time(sqlite_url: str, other: sqlite3.Connection) -> None:
    """One chunk of all these rows would write 120 MB."""
    fill(other, 1_200, 100_000)
    largest = 0

    def look(_: dict[str, object]) -> None:
        nonlocal largest
        largest = max(largest, log_bytes(sqlite_url))

    with pk.connect(f"{sqlite_url}?secure_delete=on") as db:
        report = db.run(POLICY, limits=NO_LIMITS, on_progress=look)
    assert report.rows_deleted == 1_080
    assert 4 * MB < largest < 64 * MB
    assert other.execute("SELECT count(*) FROM T").fetchone() == (120,)
    assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_sparse_rows_do_not_make_small_chunks(sqlite_url: str, other: sqlite3.Connection) -> None:
    """A chunk ends by what it writes, not by what it looks at."""
    fill(other, 20_000, 10)
    other.execute("UPDATE T SET ENDS = ? WHERE ID % 50 <> 0", (int(time.time()) + 86_400,))
    other.execute("UPDATE T SET ENDS = 1 WHERE ID % 50 = 0")
    with pk.connect(sqlite_url) as db:
        report = db.run(POLICY, limits=NO_LIMITS)
    assert report.rows_deleted == 400
    assert report.policies[0]["chunks"] <= 12


def test_a_reader_keeps_its_view_while_all_goes(sqlite_url: str, other: sqlite3.Connection) -> None:
    """Its place in the log can't be copied over: nobody waits for it, and nothing is lost."""
    fill(other, 2_000, 20_000)
    other.execute("BEGIN")
    assert other.execute("SELECT count(*) FROM T").fetchone() == (2_000,)
    with pk.connect(f"{sqlite_url}?secure_delete=on") as db:
        report = db.run(POLICY, limits=pk.Limits(chunk_ms=20, max_fraction=1))
    assert report.rows_deleted == 1_800
    assert other.execute("SELECT count(*), sum(length(BODY)) FROM T").fetchone() == (2_000, 2_000 * 20_000)
    other.execute("COMMIT")
    assert other.execute("SELECT count(*) FROM T").fetchone() == (200,)


def test_another_program_writes_meanwhile(sqlite_url: str, other: sqlite3.Connection) -> None:
    """Between chunks it commits, and copies the log itself as any program does: both get all they wrote."""
    fill(other, 1_500, 20_000)
    other.execute("CREATE TABLE SEEN (N INTEGER PRIMARY KEY)")
    other.execute("PRAGMA wal_autocheckpoint = 1")
    written = 0

    def write(_: dict[str, object]) -> None:
        nonlocal written
        written += 1
        other.execute("INSERT INTO SEEN VALUES (?)", (written,))

    with pk.connect(f"{sqlite_url}?secure_delete=on") as db:
        report = db.run(POLICY, limits=pk.Limits(chunk_ms=10, max_fraction=1), on_progress=write)
    assert report.rows_deleted == 1_350
    assert written > 3
    assert other.execute("SELECT count(*) FROM SEEN").fetchone() == (written,)
    assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_nothing_is_left_of_the_copying_afterwards(sqlite_url: str, other: sqlite3.Connection) -> None:
    """SQLite keeps descriptors for its next opening while the file is open elsewhere: those of one run are enough."""
    after: list[tuple[int, int]] = []
    most_files = 0

    def look(_: dict[str, object]) -> None:
        nonlocal most_files
        most_files = max(most_files, state_of_process()[1])

    before = state_of_process()
    for _ in range(2):
        fill(other, 1_000, 20_000)
        with pk.connect(f"{sqlite_url}?secure_delete=on") as db:
            db.run(POLICY, limits=pk.Limits(chunk_ms=10, max_fraction=1), on_progress=look)
        after.append(state_of_process())
        other.execute("DROP TABLE T")
    assert most_files > before[1] + 3, "the log was never copied by a connection of its own"
    assert after[0][0] == before[0], "a thread stayed"
    assert after[1] == after[0]
    assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0), "somebody still holds the file"


def test_a_fork_after_the_copying_began_harms_nobody(sqlite_url: str, other: sqlite3.Connection) -> None:
    """The child has the objects and not the thread: it must neither wait for it nor touch the file."""
    fill(other, 1_000, 20_000)
    code = (
        "import os, sys, purgekit as pk\n"
        "from conformance.test_sqlite import POLICY\n"
        "db = pk.connect(sys.argv[1] + '?secure_delete=on')\n"
        "db.run(POLICY, limits=pk.Limits(chunk_ms=10, max_fraction=1, max_rows=600))\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    db.close()\n"
        "    os._exit(7)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
        "print(db.run(POLICY, limits=pk.Limits(max_fraction=1)).rows_deleted)\n"
        "db.close()\n"
    )
    tests = Path(__file__).resolve().parents[1]
    path = os.pathsep.join([str(tests), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", code, sqlite_url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.stdout.split() == ["300"], done.stdout + done.stderr
    assert other.execute("SELECT count(*) FROM T").fetchone() == (100,)
    assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
