"""kill -9 of purges that keep their rows, and of the servers below them: none is lost, none is kept twice.

    cd tests && python -m engine.kill_runs --backend postgresql --kills 200

Starts a server of its own. Prints a line of JSON for each kind of archive; exit code 1 when anything is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import purgekit as pk
from engine.archived import archive_files, check_manifests, kept
from servers import Connection, MariaDb, MySql56, PostgreSql, Server, connect, make_base_dir

SERVERS: dict[str, type[Server]] = {"postgresql": PostgreSql, "mariadb": MariaDb, "mysql56": MySql56}
BACKENDS = ("sqlite", *SERVERS)
ARCHIVES = ("files", "move")
VICTIMS = ("client", "server")
OLD = 1_000_000_000
BATCH = 2_400
LONGEST_SILENCE_S = 60.0


def apart(work: Callable[[], Any]) -> Any:
    """What ``work`` gives, in a process of its own: this one forks, and never opens a session itself."""
    there, here = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.write(here, json.dumps(work()).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(here)
    with os.fdopen(there, "rb") as stream:
        told = stream.read()
    assert os.waitpid(pid, 0)[1] == 0, "a purge that nobody harmed failed"
    return json.loads(told)


class World:
    """Sessions and their apps, which a purge moves into tables or files."""

    def __init__(self, url: str, archive: str, folder: Path) -> None:
        self.url, self.archive, self.folder = url, archive, folder
        self.made = 0
        suffix = " ENGINE=InnoDB" if url.startswith(("mysql", "mariadb")) else ""
        with self.connection() as db:
            cursor = db.cursor()
            if url.startswith("sqlite"):
                cursor.execute("PRAGMA journal_mode = WAL")
            for table, key in (("SESSIONS", " PRIMARY KEY"), ("SESSIONS_AUDIT", "")):
                own = ", CHANGED TIMESTAMP NULL, RUN VARCHAR(64)" if not key else ""
                cursor.execute(f"CREATE TABLE {table} (ID BIGINT{key}, EXPIRES BIGINT, NOTE VARCHAR(80){own}){suffix}")
            cursor.execute(f"CREATE TABLE APPS (N BIGINT PRIMARY KEY, SESSION_ID BIGINT){suffix}")
            cursor.execute(f"CREATE TABLE APPS_AUDIT (N BIGINT, SESSION_ID BIGINT){suffix}")
            cursor.execute("CREATE INDEX APPS_S ON APPS (SESSION_ID)")

    def connection(self) -> contextlib.closing[Connection]:
        return contextlib.closing(connect(self.url))

    def fill(self) -> None:
        mark = "?" if self.url.startswith("sqlite") else "%s"
        with self.connection() as db:
            cursor = db.cursor()
            for start in range(self.made, self.made + BATCH, 300):
                ids = range(start, min(start + 300, self.made + BATCH))
                one, two = (", ".join([f"({', '.join([mark] * width)})"] * len(ids)) for width in (3, 2))
                sessions = [value for n in ids for value in (n, OLD, f"note {n} " + "x" * (n % 40))]
                cursor.execute(f"INSERT INTO SESSIONS (ID, EXPIRES, NOTE) VALUES {one}", sessions)
                cursor.execute(
                    f"INSERT INTO APPS (N, SESSION_ID) VALUES {two}", [value for n in ids for value in (n, n // 2 * 2)]
                )
        self.made += BATCH

    def policy(self) -> pk.Policy:
        moving = self.archive == "move"
        own = {"CHANGED": {"now": True}, "RUN": {"run_id": True}}
        return pk.Policy(
            "sessions",
            table="SESSIONS",
            where=pk.expired("EXPIRES", unit="s"),
            max_fraction=1.0,
            archive=pk.move_to("SESSIONS_AUDIT", columns=own) if moving else f"{self.folder}/",
            dependents=[
                pk.dependent("APPS", on={"SESSION_ID": "ID"}, archive=pk.move_to("APPS_AUDIT") if moving else None)
            ],
        )

    def purge(self, rng: random.Random, tell: Any = lambda event: None) -> None:
        workers = 1 if self.url.startswith("sqlite") else rng.choice((1, 1, 2))
        # A file's frame is flushed to the disk in each chunk: less time than that would make chunks of one row.
        limits = pk.Limits(chunk_ms=rng.choice((20, 100)), pace="fast", workers=workers)
        with pk.connect(self.url) as db:
            db.run(self.policy(), limits=limits, on_progress=tell)

    def told(self, counts: Sequence[str]) -> list[int]:
        with pk.connect(self.url) as db:
            runs = db.history()
        return [sum(run[count] for run in runs) for count in counts]

    def kept(self, table: str, key: str) -> list[int]:
        if self.archive == "files":
            folds = self.url.startswith("postgresql")  # names that stand without quotes
            return kept(self.folder, table, key.lower() if folds else key)
        with self.connection() as db:
            cursor = db.cursor()
            cursor.execute(f"SELECT {key} FROM {table}_AUDIT")
            keys = [int(row[0]) for row in cursor.fetchall()]
        twice = [number for number, times in Counter(keys).items() if times > 1]
        assert not twice, f"{len(twice)} rows of {table} were moved twice: {twice[:5]}"
        return keys

    def check(self) -> int:
        """After the last run. How many rows are kept."""
        total = 0
        for table, key in (("SESSIONS", "ID"), ("APPS", "N")):
            with self.connection() as db:
                cursor = db.cursor()
                cursor.execute(f"SELECT {key} FROM {table}")
                left = {int(row[0]) for row in cursor.fetchall()}
            there = self.kept(table, key)
            assert sorted(there) == sorted(set(range(self.made)) - left), f"{table}: what is kept is not what went"
            assert not left, f"{table}: {len(left)} rows are left"
            total += len(there)
        if self.archive == "files":
            assert not archive_files(self.folder, finished=False), "a file was not finished"
            assert check_manifests(self.folder) == total, "the manifests count other rows"
        else:
            with self.connection() as db:
                cursor = db.cursor()
                cursor.execute("SELECT ID, NOTE FROM SESSIONS_AUDIT WHERE EXPIRES = 1000000000 AND CHANGED IS NOT NULL")
                notes = {int(row[0]): row[1] for row in cursor.fetchall()}
            assert notes == {n: f"note {n} " + "x" * (n % 40) for n in range(self.made)}, "a row was changed on its way"
        counts = ("rows_deleted", "rows_archived")
        for count, told in zip(counts, apart(lambda: self.told(counts)), strict=True):
            assert told == total, f"the ledger counts {told} as {count}, {total} are kept"
        return total


def one_life(world: World, server: Server | None, rng: random.Random, victim: str) -> bool:
    """A purge in a process of its own, killed at some moment. Whether it was still at work."""
    there, here = os.pipe()
    seed = rng.randrange(2**32)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(there)
            world.purge(random.Random(seed), lambda event: event["rows_deleted"] and os.write(here, b"."))
            code = 0
        finally:
            os._exit(code)
    os.close(here)
    if rng.random() < 0.9:
        os.read(there, 1)  # a chunk is done, or the run is over
    time.sleep(rng.uniform(0, 0.03))
    if victim == "server":
        assert server is not None
        server.kill9()
        time.sleep(rng.uniform(0, 0.2))
        server.start()
        if waited(pid, there, to_the_end=rng.random() < 0.25) is None:
            os.kill(pid, signal.SIGKILL)  # it went on: that is what was to be seen
            os.waitpid(pid, 0)
        os.close(there)
        return True
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    os.close(there)
    assert os.WIFSIGNALED(status) or status == 0, f"a purge that nobody harmed ended with {status}"
    return os.WIFSIGNALED(status)


def waited(pid: int, there: int, *, to_the_end: bool) -> int | None:
    """The exit code of a purge whose server died; None when it is at work again and that is enough.

    A chunk may take long on a busy machine; none at all for a minute is a hang.
    """
    os.set_blocking(there, False)
    with contextlib.suppress(BlockingIOError):
        os.read(there, 65_536)  # told of before
    heard = time.monotonic()
    while time.monotonic() - heard < LONGEST_SILENCE_S:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.WIFEXITED(status), f"a purge whose server died ended with {status}"
            return os.WEXITSTATUS(status)
        with contextlib.suppress(BlockingIOError):
            if os.read(there, 65_536):
                heard = time.monotonic()
                if not to_the_end:
                    return None
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError(f"a purge was silent for {LONGEST_SILENCE_S:.0f} s after its server came back")


def lives(
    world: World, server: Server | None, rng: random.Random, kills: int, victims: list[str], longest_s: float
) -> dict[str, Any]:
    tally: Counter[str] = Counter()
    started = time.monotonic()
    world.fill()
    while sum(tally[victim] for victim in victims) < kills and time.monotonic() - started < longest_s:
        victim = rng.choices(victims, [1 if kind == "server" else 2 for kind in victims])[0]
        tally[victim if one_life(world, server, rng, victim) else "ended by itself"] += 1
        with world.connection() as db:
            cursor = db.cursor()
            cursor.execute("SELECT COUNT(*) FROM SESSIONS")
            if cursor.fetchone()[0] == 0:
                world.fill()
    apart(lambda: world.purge(rng))
    rows = world.check()
    return {"archive": world.archive, **tally, "rows": rows, "elapsed_s": round(time.monotonic() - started, 1)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m engine.kill_runs", description=__doc__)
    parser.add_argument("--backend", required=True, choices=BACKENDS)
    parser.add_argument("--archive", action="append", choices=ARCHIVES, help="may be repeated; default: both")
    parser.add_argument("--victim", action="append", choices=VICTIMS, help="may be repeated; default: both")
    parser.add_argument("--kills", type=int, default=200, help="of each kind of archive")
    parser.add_argument("--max-s", type=float, default=float("inf"), help="no more kills after so many seconds of each")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    base = make_base_dir()
    os.environ["PURGEKIT_STATE"] = str(base / "state")
    print(json.dumps({"backend": options.backend, "seed": options.seed}), flush=True)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, base, ignore_errors=True)
        server = None
        if options.backend in SERVERS:
            server = stack.enter_context(SERVERS[options.backend](base))
        for archive in options.archive or ARCHIVES:
            name = f"kills_{archive}"
            url = server.create_database(name) if server else f"sqlite:///{base / name}.db"
            folder = base / name
            folder.mkdir()
            victims = options.victim or (list(VICTIMS) if server else ["client"])
            rng = random.Random(f"{options.seed}/{options.backend}/{archive}")
            try:
                world = World(url, archive, folder)
                tally = lives(world, server, rng, options.kills, victims, options.max_s)
                print(json.dumps(tally), flush=True)
            except AssertionError as error:
                print(f"{options.backend}, {archive}, seed {options.seed}: {error}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
