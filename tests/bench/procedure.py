"""The stored procedures that vendors ship, in our words: a table of keys for a chunk, tables of keys for its batches.

Keys are collected once and trusted afterwards; a row that is renewed in between goes all the same. The pauses that the
originals make after each batch are left out.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import ClassVar

from bench.contestants import Contestant, Outcome, Task
from bench.data import TABLE, Rule
from servers import connect

CHUNK_ROWS = 500_000
BATCH_ROWS = {"postgresql": 10_000, "mariadb": 5_000}  # the originals' own

POSTGRESQL = """
CREATE PROCEDURE purge_in_batches() LANGUAGE plpgsql AS $$
DECLARE
    collected BIGINT;
    deleted BIGINT;
BEGIN
    LOOP
        DROP TABLE IF EXISTS bench_chunk;
        CREATE TABLE bench_chunk AS SELECT session_id FROM {table} WHERE {condition} LIMIT {chunk};
        GET DIAGNOSTICS collected = ROW_COUNT;
        COMMIT;
        EXIT WHEN collected = 0;
        CREATE INDEX bench_chunk_id ON bench_chunk (session_id);
        LOOP
            DROP TABLE IF EXISTS bench_batch;
            CREATE TABLE bench_batch AS SELECT session_id FROM bench_chunk LIMIT {batch};
            CREATE INDEX bench_batch_id ON bench_batch (session_id);
            DELETE FROM {table} WHERE session_id IN (SELECT session_id FROM bench_batch);
            GET DIAGNOSTICS deleted = ROW_COUNT;
            DELETE FROM bench_chunk WHERE session_id IN (SELECT session_id FROM bench_batch);
            COMMIT;
            EXIT WHEN deleted = 0;
        END LOOP;
    END LOOP;
    DROP TABLE IF EXISTS bench_batch;
END $$
"""

MARIADB = """
CREATE PROCEDURE purge_in_batches()
BEGIN
    DECLARE collected BIGINT;
    DECLARE deleted BIGINT;
    SET autocommit = 0;
    chunks: LOOP
        DROP TABLE IF EXISTS bench_chunk;
        CREATE TABLE bench_chunk AS SELECT SESSION_ID FROM {table} WHERE {condition} LIMIT {chunk};
        SELECT COUNT(*) INTO collected FROM bench_chunk;
        IF collected = 0 THEN LEAVE chunks; END IF;
        CREATE INDEX bench_chunk_id ON bench_chunk (SESSION_ID);
        batches: LOOP
            DROP TABLE IF EXISTS bench_batch;
            CREATE TABLE bench_batch AS SELECT SESSION_ID FROM bench_chunk LIMIT {batch};
            CREATE INDEX bench_batch_id ON bench_batch (SESSION_ID);
            DELETE s FROM {table} AS s JOIN bench_batch AS b ON s.SESSION_ID = b.SESSION_ID;
            SET deleted = ROW_COUNT();
            DELETE c FROM bench_chunk AS c JOIN bench_batch AS b ON c.SESSION_ID = b.SESSION_ID;
            COMMIT;
            IF deleted = 0 THEN LEAVE batches; END IF;
        END LOOP;
    END LOOP;
    DROP TABLE IF EXISTS bench_batch;
    DROP TABLE IF EXISTS bench_chunk;
    SET autocommit = 1;
END
"""


class Procedure(Contestant):
    backends: ClassVar = tuple(BATCH_ROWS)

    @property
    def name(self) -> str:
        return "chunk-and-batch procedure"

    def statements(self, task: Task) -> Sequence[str]:
        return [definition(task.url.split(":")[0], task.rule)]

    def run(self, task: Task) -> Outcome:
        started = time.perf_counter()
        with contextlib.closing(connect(task.url)) as connection:
            connection.cursor().execute("CALL purge_in_batches()")
            elapsed_s = time.perf_counter() - started
        return Outcome(elapsed_s, time.perf_counter() - started)


def definition(backend: str, rule: Rule) -> str:
    """CREATE PROCEDURE for this rule."""
    text = POSTGRESQL if backend == "postgresql" else MARIADB
    return text.format(table=TABLE, condition=rule.condition, chunk=CHUNK_ROWS, batch=BATCH_ROWS[backend])
