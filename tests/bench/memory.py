"""Memory and processor time of a purge of a 10-million-row table on PostgreSQL.

    .venv/bin/python tests/bench/memory.py [--rows 10000000]

The table is narrow (two numbers a row), so that the rows count and not the bytes; about 86 % of it goes. Prints the
largest resident memory and the processor time of the command line tool; the memory must not grow with the rows.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers import PostgreSql, connect, make_base_dir

POLICY = '[[policy]]\nname = "t"\ntable = "t"\nexpired = { column = "e", unit = "s" }\n'


def main() -> int:
    """Make the table, purge it by the command line tool, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    args = parser.parse_args()
    folder = make_base_dir()
    try:
        with PostgreSql(folder, {"shared_buffers": "1GB", "max_wal_size": "8GB"}) as server:
            url = server.create_database("big")
            cursor = connect(url).cursor()
            cursor.execute(
                "CREATE TABLE t AS SELECT i::bigint AS id, %s + (random() * 1000000)::bigint AS e "
                "FROM generate_series(1, %s) i",
                (int(time.time()) - 864_000, args.rows),
            )
            cursor.execute("ALTER TABLE t ADD PRIMARY KEY (id)")
            cursor.execute("ANALYZE t")
            policy = folder / "policy.toml"
            policy.write_text(POLICY)
            command = [str(Path(sys.executable).with_name("purgekit")), "run", url, str(policy), "--yes", "--json"]
            environment = {**os.environ, "PURGEKIT_STATE": str(folder / "state")}
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            report = json.loads(done.stdout)
            cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            # The largest of all children so far: the servers' tools stay below the purge.
            print(
                f"{report['rows_deleted']:,} of {args.rows:,} rows in {report['elapsed_s']} s, "
                f"at most {after.ru_maxrss / 1024:.0f} MB resident, {cpu_s:.2f} s of processor time"
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
