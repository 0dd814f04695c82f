"""PostgreSQL: one data folder that is kept, with a template database for each shape."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from bench import data
from bench.place import Settings
from bench.place_server import DATABASE, ServerPlace
from servers import Connection, PostgreSql, connect

SETTLE_S = 0.5


class Postgresql(ServerPlace):
    backend: ClassVar[str] = "postgresql"
    starts_cold: ClassVar[bool] = True

    def __init__(self, keep: Path, work: Path, settings: Settings) -> None:
        super().__init__(keep, work, settings)
        self.server = PostgreSql(
            work,
            {
                "shared_buffers": f"{settings.pool_mb}MB",
                "max_wal_size": "8GB",
                "min_wal_size": "2GB",
                "checkpoint_timeout": "15min",
                "autovacuum": "on" if settings.autovacuum else "off",
            },
        )

    def start(self) -> None:
        self.server.start()
        self.server.stop()
        kept = self.keep / "data"
        if kept.exists():
            shutil.rmtree(self.server.data_dir)
        else:
            self.server.data_dir.rename(kept)
        self.server.data_dir.symlink_to(kept)
        # What somebody tried by ALTER SYSTEM would go into all later figures.
        (kept / "postgresql.auto.conf").write_text("")
        self.server.start()

    def stop(self) -> None:
        if self.server.running:
            self.server.drop_database(DATABASE)
        super().stop()

    def has(self, shape: data.Shape) -> bool:
        return bool(self.server.admin_sql("SELECT 1 FROM pg_database WHERE datname = %s", parameters=[shape.name]))

    def make(self, shape: data.Shape) -> None:
        half_made = f"building_{shape.name}"
        self.server.drop_database(half_made)
        with contextlib.closing(connect(self.server.create_database(half_made))) as connection:
            cursor: Any = connection.cursor()
            cursor.execute("CREATE EXTENSION pg_prewarm")
            self.fill(cursor, shape)
            cursor.execute(f"VACUUM (ANALYZE) {', '.join(self.tables)}")
        self.server.admin_sql(f'ALTER DATABASE "{half_made}" RENAME TO "{shape.name}"')

    def fill(self, cursor: Any, shape: data.Shape) -> None:
        """Create and load the tables."""
        cursor.execute(data.create_table("BYTEA"))
        source = _Lines(data.lines(shape, "\\\\x"))
        cursor.copy_expert(f"COPY {data.TABLE} ({', '.join(data.COLUMNS)}) FROM STDIN", source, 1 << 16)
        # Deletes leave PostgreSQL's indexes alone: how full their pages are hardly matters, and this is quicker.
        for statement in data.create_indexes(shape):
            cursor.execute(statement)

    def fresh(self, shape: data.Shape) -> str:
        self.server.drop_database(DATABASE)
        how = " STRATEGY file_copy" if int(self.server.version().split(".")[0]) >= 15 else ""
        self.server.admin_sql(f'CREATE DATABASE {DATABASE} TEMPLATE "{shape.name}"{how}')
        self.warm()
        self.server.admin_sql("CHECKPOINT")
        os.sync()
        time.sleep(SETTLE_S)
        return self.server.url(DATABASE)

    def warm(self) -> None:
        for relation in map(str.lower, self.tables):
            self.server.admin_sql(
                f"SELECT sum(pg_prewarm(oid)) FROM (SELECT '{relation}'::regclass AS oid UNION ALL "
                f"SELECT indexrelid FROM pg_index WHERE indrelid = '{relation}'::regclass) AS all_of_it",
                DATABASE,
            )

    def log_bytes(self) -> int | None:
        return int(self.scalar("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"))

    def facts(self) -> dict[str, str]:
        names = (
            "shared_buffers",
            "max_wal_size",
            "min_wal_size",
            "checkpoint_timeout",
            "autovacuum",
            "fsync",
            "synchronous_commit",
            "full_page_writes",
        )
        settings = ", ".join(f"{name}={self.scalar(f'SHOW {name}')}" for name in names)
        return {"PostgreSQL": self.server.version(), "settings": settings}

    def survivors_sql(self, connection: Connection) -> str:
        digits = "('x' || substr(session_id, {}, 8))::bit(32)::bigint"
        return f"SELECT count(*), sum({digits.format(1)}), sum({digits.format(9)}) FROM {data.TABLE}"


class _Lines(io.TextIOBase):
    """What COPY reads from."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines

    def read(self, size: int | None = -1, /) -> str:
        """About ``size`` characters; nothing at the end."""
        out: list[str] = []
        length = 0
        for line in self._lines:
            out.append(line)
            length += len(line)
            if size is not None and 0 <= size <= length:
                break
        return "".join(out)
