"""MariaDB: a kept data folder for each shape, copied for each run."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import time
from pathlib import Path
from typing import Any, ClassVar

from bench import data
from bench.place import Settings, copy_tree, memory_for_building_mb
from bench.place_server import DATABASE, ServerPlace
from servers import Connection, MariaDb, connect

ROWS_A_LOAD = 20_000
# Background purge is at rest when pages are written to less often than this, several times in a row.
POLL_S = 0.25
QUIET_WRITES = 250
QUIET_POLLS = 4
DRAINED_WITHIN_S = 1_800


class Mariadb(ServerPlace):
    backend: ClassVar[str] = "mariadb"

    def __init__(self, keep: Path, work: Path, settings: Settings) -> None:
        super().__init__(keep, work, settings)
        self.server = MariaDb(
            work,
            {"innodb-buffer-pool-size": f"{settings.pool_mb}M", "innodb-log-file-size": f"{settings.log_mb}M"},
        )

    @property
    def fixed_mb(self) -> int:
        return self.settings.log_mb + 150

    def has(self, shape: data.Shape) -> bool:
        return (self.keep / shape.name).exists()

    def make(self, shape: data.Shape) -> None:
        builder = MariaDb(
            self.work,
            {
                "innodb-buffer-pool-size": f"{memory_for_building_mb()}M",
                "innodb-log-file-size": f"{self.settings.log_mb}M",
                "innodb-flush-log-at-trx-commit": "0",
                "innodb-doublewrite": "0",
            },
        )
        with builder, contextlib.closing(connect(builder.create_database(DATABASE))) as connection:
            cursor = connection.cursor()
            self.fill(cursor, shape)
            cursor.execute(f"ANALYZE TABLE {', '.join(self.tables)}")
            cursor.execute("SET GLOBAL innodb_fast_shutdown=0")
            builder.stop()
            shutil.move(str(builder.data_dir), self.keep / shape.name)

    def fill(self, cursor: Any, shape: data.Shape) -> None:
        """Create and load the tables."""
        cursor.execute(data.create_table("LONGBLOB", " ENGINE=InnoDB DEFAULT CHARSET=latin1"))
        # The indexes are there from the start and rows come in time order, as an application writes them: pages end up
        # as full, and as scattered, as they are in life.
        for statement in data.create_indexes(shape):
            cursor.execute(statement)
        self._load(cursor, shape)

    def _load(self, cursor: Any, shape: data.Shape) -> None:
        columns = ", ".join("@object" if name == "SESSION_OBJECT" else name for name in data.COLUMNS)
        part = self.work / "part.txt"
        lines = data.lines(shape, "")
        while some := list(itertools.islice(lines, ROWS_A_LOAD)):
            part.write_text("".join(some))
            cursor.execute(
                f"LOAD DATA INFILE '{part}' INTO TABLE {data.TABLE} CHARACTER SET latin1 ({columns}) "
                "SET SESSION_OBJECT = UNHEX(@object)"
            )
        part.unlink(missing_ok=True)

    def start(self) -> None:
        self.server.start()  # sets up its folder and administrator

    def fresh(self, shape: data.Shape) -> str:
        self.server.kill9()  # what it holds is thrown away
        copy_tree(self.keep / shape.name, self.server.data_dir)
        os.sync()
        self.server.start()
        self.warm()
        self.drain()
        return self.server.url(DATABASE)

    def warm(self) -> None:
        names = self.server.admin_sql(
            "SELECT DISTINCT TABLE_NAME, INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s",
            parameters=[DATABASE],
        )
        for table, name in names:
            objects = name == "PRIMARY" and table == data.TABLE
            what = "SUM(LENGTH(SESSION_OBJECT))" if objects else "COUNT(*)"
            self.server.admin_sql(f"SELECT {what} FROM {table} FORCE INDEX ({name})", DATABASE)

    def status(self, name: str) -> int:
        """A global status variable."""
        return int(self.server.admin_sql("SHOW GLOBAL STATUS LIKE %s", parameters=[name])[0][1])

    def log_bytes(self) -> int | None:
        return self.status("Innodb_os_log_written")

    def drain(self) -> float | None:
        """Until nothing is left that writes pages: transactions to purge, change-buffer entries."""
        started = quiet_since = time.monotonic()
        quiet = 0
        writes = self.status("Innodb_buffer_pool_write_requests")
        while quiet < QUIET_POLLS and time.monotonic() - started < DRAINED_WITHIN_S:
            time.sleep(POLL_S)
            before, writes = writes, self.status("Innodb_buffer_pool_write_requests")
            if writes - before < QUIET_WRITES:
                quiet += 1
            else:
                quiet, quiet_since = 0, time.monotonic()
        return quiet_since - started

    def facts(self) -> dict[str, str]:
        names = (
            "innodb_buffer_pool_size",
            "innodb_log_file_size",
            "innodb_flush_log_at_trx_commit",
            "innodb_doublewrite",
            "innodb_flush_method",
            "innodb_io_capacity",
            "innodb_purge_threads",
            "tx_isolation",
            "log_bin",
        )
        settings = ", ".join(f"{name}={self.scalar(f'SELECT @@{name}')}" for name in names)
        return {"MariaDB": self.server.version(), "settings": settings}

    def survivors_sql(self, connection: Connection) -> str:
        digits = "CAST(CONV(SUBSTR(SESSION_ID, {}, 8), 16, 10) AS UNSIGNED)"
        return f"SELECT COUNT(*), SUM({digits.format(1)}), SUM({digits.format(9)}) FROM {data.TABLE}"
