"""Purge a session table of a million rows on each backend, beside one plain DELETE of the same rows.

    .venv/bin/python tests/bench/million.py [--rows 1000000] [--backend sqlite postgresql mariadb] [--pace fast]

The table has the shape of an identity server's session store: about 900 bytes a row, a four-column text key, three
secondary indexes, 80 % expired. Each backend gets two databases with the same rows. One is purged by the command line
tool, the other by a single DELETE; survivors are compared by count and by a checksum over their keys, taken with
another client. Prints the run's JSON and the ratio of the two times. Servers are private and started here, with
durable commits.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers import MariaDb, PostgreSql, Server, connect, make_base_dir

DAY_NS = 86_400 * 10**9
COLUMNS = "SESSION_ID, SESSION_TYPE, OPERATION, SESSION_OBJECT, TIME_CREATED, TENANT_ID, EXPIRY_TIME"
POLICY = """
[[policy]]
name = "sessions"
table = "IDN_AUTH_SESSION_STORE"
created = { column = "TIME_CREATED", unit = "ns", lifetime = "7d" }
grace = "0s"
"""
SCHEMA = """
CREATE TABLE IDN_AUTH_SESSION_STORE (
  SESSION_ID VARCHAR(100) NOT NULL, SESSION_TYPE VARCHAR(100) NOT NULL, OPERATION VARCHAR(10) NOT NULL,
  SESSION_OBJECT {blob}, TIME_CREATED BIGINT NOT NULL, TENANT_ID INTEGER DEFAULT -1, EXPIRY_TIME BIGINT,
  PRIMARY KEY (SESSION_ID, SESSION_TYPE, TIME_CREATED, OPERATION)){suffix}
"""
INDEXES = {
    "IDX_TIME": "TIME_CREATED",
    "IDX_ST_OP_ID_TM": "OPERATION, SESSION_TYPE, SESSION_ID, TIME_CREATED",
    "IDX_ET_ID": "EXPIRY_TIME, SESSION_ID",
}


def rows(count: int, now_ns: int) -> list[tuple[Any, ...]]:
    """The same rows each time, in the order of their creation: 80 % created more than 7 days ago."""
    random_ = random.Random(7)
    old = [now_ns - random_.randrange(7 * DAY_NS + DAY_NS // 24, 30 * DAY_NS) for _ in range(count * 8 // 10)]
    young = [now_ns - random_.randrange(0, 6 * DAY_NS) for _ in range(count - len(old))]
    out = []
    for number, created in enumerate(sorted(old) + sorted(young)):
        key = hashlib.sha256(str(number).encode()).hexdigest()
        kind = ("AppAuthFrameworkSessionContextCache", "OAuthSessionDataCache", "SAMLSSOSessionIndexCache")[number % 3]
        out.append((key, kind, "STORE", random_.randbytes(600), created, -1234, created + 14 * 3600 * 10**9))
    return out


def fill(connection: Any, data: list[tuple[Any, ...]], blob: str, suffix: str, mark: str) -> None:
    """Make the table and its indexes as the product does: indexes first, rows in time order."""
    cursor = connection.cursor()
    cursor.execute(SCHEMA.format(blob=blob, suffix=suffix))
    for name, columns in INDEXES.items():
        cursor.execute(f"CREATE INDEX {name} ON IDN_AUTH_SESSION_STORE ({columns})")
    one = "(" + ", ".join([mark] * 7) + ")"
    if mark == "?":
        cursor.execute("BEGIN")
        cursor.executemany(f"INSERT INTO IDN_AUTH_SESSION_STORE ({COLUMNS}) VALUES {one}", data)
        cursor.execute("COMMIT")
        return
    for start in range(0, len(data), 1_000):
        part = data[start : start + 1_000]
        values = [value for row in part for value in row]
        cursor.execute(f"INSERT INTO IDN_AUTH_SESSION_STORE ({COLUMNS}) VALUES " + ", ".join([one] * len(part)), values)


def survivors(connection: Any) -> tuple[int, str]:
    """Count and checksum of the keys that are left, read by a client that is not ours."""
    cursor = connection.cursor()
    cursor.execute("SELECT SESSION_ID FROM IDN_AUTH_SESSION_STORE")
    total = 0
    mixed = 0
    for (key,) in cursor:
        total += 1
        mixed ^= int(key, 16)
    return total, f"{mixed:064x}"


def measure(
    name: str, urls: list[str], args: argparse.Namespace, now_ns: int, data: list[tuple[Any, ...]]
) -> dict[str, Any]:
    """Fill two databases, purge one and DELETE in the other."""
    blob, suffix, mark = {
        "sqlite": ("BLOB", "", "?"),
        "postgresql": ("BYTEA", "", "%s"),
        "mariadb": ("LONGBLOB", " ENGINE=InnoDB DEFAULT CHARSET=latin1", "%s"),
    }[name]
    connections = []
    for url in urls:
        if name == "sqlite":
            with sqlite3.connect(url.removeprefix("sqlite:///")) as new:
                new.execute("PRAGMA journal_mode=WAL")
            new.close()
        connection = connect(url)
        fill(connection, data, blob, suffix, mark)
        if name == "postgresql":
            connection.cursor().execute("VACUUM ANALYZE IDN_AUTH_SESSION_STORE")
            connection.cursor().execute("CHECKPOINT")
        if name == "mariadb":
            connection.cursor().execute("ANALYZE TABLE IDN_AUTH_SESSION_STORE")
        survivors(connection)  # warm
        connections.append(connection)

    policy = Path(tempfile.mkdtemp()) / "policy.toml"
    policy.write_text(POLICY)
    command = [
        str(Path(sys.executable).with_name("purgekit")),
        "run",
        urls[0],
        str(policy),
        "--yes",
        "--json",
        "--pace",
        args.pace,
    ]
    command += ["--now", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_ns // 10**9))]
    start = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PURGEKIT_STATE": str(policy.parent)}
    )
    command_s = time.perf_counter() - start
    report = json.loads(done.stdout)
    cutoff_ns = now_ns // 10**9 * 10**9 - 7 * DAY_NS
    start = time.perf_counter()
    cursor = connections[1].cursor()
    if name == "mariadb":
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    cursor.execute(f"DELETE FROM IDN_AUTH_SESSION_STORE WHERE TIME_CREATED < {mark}", (cutoff_ns,))
    plain_s = time.perf_counter() - start
    left = [survivors(connection) for connection in connections]
    for connection in connections:
        connection.close()
    return {
        "backend": name,
        "run": report,
        "exit_code": done.returncode,
        "command_s": round(command_s, 2),
        "plain_delete_s": round(plain_s, 2),
        "ratio": round(report["policies"][0]["elapsed_s"] / plain_s, 2),
        "survivors": left[0][0],
        "survivors_equal": left[0] == left[1],
    }


def main() -> int:
    """Run the chosen backends one after the other; exit 1 when survivors differ anywhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--backend", nargs="+", default=["sqlite", "postgresql", "mariadb"])
    parser.add_argument("--pace", default="fast")
    args = parser.parse_args()
    now_ns = time.time_ns()
    data = rows(args.rows, now_ns)
    good = True
    folder = make_base_dir()
    try:
        for name in args.backend:
            if name == "sqlite":
                result = measure(name, [f"sqlite:///{folder}/{x}.db" for x in ("a", "b")], args, now_ns, data)
            else:
                server: Server
                if name == "postgresql":
                    server = PostgreSql(folder, {"shared_buffers": "2GB", "max_wal_size": "8GB", "autovacuum": "off"})
                else:
                    server = MariaDb(folder, {"innodb-buffer-pool-size": "2G", "innodb-log-file-size": "1G"})
                with server:
                    result = measure(name, [server.create_database(x) for x in ("a", "b")], args, now_ns, data)
            print(json.dumps(result, indent=1), flush=True)
            good = good and result["survivors_equal"] and result["exit_code"] == 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
