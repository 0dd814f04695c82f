"""What the tests of restoring share: a purge that keeps its rows, and looking at tables through another driver."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import purgekit as pk
from archives import writer
from engine.tables import HOUR_S, TABLE, make_sessions, now_s, sessions_policy
from purgekit.archives import ArchiveFile, find_archives
from servers import Connection

CHILD = "APPS"
KEPT = f"purgekit_archive_{TABLE}"


def rows(connection: Connection, statement: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    cursor.execute(statement, parameters)
    return [tuple(row) for row in cursor.fetchall()]


def execute(connection: Connection, statement: str) -> None:
    connection.cursor().execute(statement)


def suffix(url: str) -> str:
    return " ENGINE=InnoDB" if url.startswith(("mysql", "mariadb")) else ""


def archive_of(url: str, table: str = TABLE) -> str:
    """The archive's name in SQL: exact, after the name that the database stores."""
    name = f"purgekit_archive_{table.lower() if url.startswith('postgresql') else table}"
    return f"`{name}`" if url.startswith(("mysql", "mariadb")) else f'"{name}"'


def all_rows(connection: Connection, table: str = TABLE, columns: str = "ID, EXPIRES, NOTE") -> list[tuple[Any, ...]]:
    return rows(connection, f"SELECT {columns} FROM {table} ORDER BY 1")


def marks(connection: Connection, url: str, table: str = TABLE) -> list[int]:
    """Chunk numbers of the archived rows: negative ones are restored."""
    return [row[0] for row in rows(connection, f"SELECT purgekit_chunk FROM {archive_of(url, table)}")]


def purged(
    connection: Connection, url: str, count: int = 60, *, chunk_ms: int = 100, **changes: Any
) -> tuple[str, list[tuple[Any, ...]]]:
    """Sessions of which every fourth stays; the run's id, and the rows that were there before it."""
    make_sessions(connection, url, [now_s() + (HOUR_S if n % 4 == 0 else -5 * HOUR_S) for n in range(count)])
    before = all_rows(connection)
    with pk.connect(url) as db:
        run_id = db.run(sessions_policy(archive="table", **changes), limits=pk.Limits(chunk_ms=chunk_ms)).run_id
    return run_id, before


def purged_to_files(
    connection: Connection, url: str, folder: Path, count: int = 60, *, chunk_ms: int = 100, **changes: Any
) -> tuple[str, list[tuple[Any, ...]]]:
    """The same, kept in files below a folder."""
    make_sessions(connection, url, [now_s() + (HOUR_S if n % 4 == 0 else -5 * HOUR_S) for n in range(count)])
    before = all_rows(connection)
    with pk.connect(url) as db:
        run_id = db.run(sessions_policy(**changes), archive=folder, limits=pk.Limits(chunk_ms=chunk_ms)).run_id
    return run_id, before


def cut_up(connection: Connection, folder: Path, rows_of_chunk: int) -> dict[int, int]:
    """Cut the one archive file below a folder into small chunks, however fast this machine purged; rows by number."""
    (path,) = find_archives(folder)
    (manifest,) = folder.rglob("*.manifest.json")
    with ArchiveFile(path) as archive:
        lines = [line + b"\n" for chunk in archive.chunks() for line in archive.lines(chunk)]
    head = path.read_bytes()
    data = head[: 8 + int.from_bytes(head[4:8], "little")]
    parts = [lines[at : at + rows_of_chunk] for at in range(0, len(lines), rows_of_chunk)]
    for number, part in enumerate(parts, 1_000):
        data += writer.chunk(number, b"".join(part))
    path.write_bytes(data)
    document = json.loads(manifest.read_text())
    document["files"][0] |= {"bytes": len(data), "chunks": len(parts), "sha256": hashlib.sha256(data).hexdigest()}
    manifest.write_text(json.dumps(document))
    execute(connection, "UPDATE purgekit_ledger SET document = '{}' WHERE kind = 'slot'")  # now the manifest tells
    return {number: len(part) for number, part in enumerate(parts, 1_000)}


def notes(connection: Connection, kind: str = "hold") -> dict[str, Any]:
    """Records of one kind in the ledger, by id."""
    found = rows(connection, f"SELECT id, document FROM purgekit_ledger WHERE kind = '{kind}'")
    return {row[0]: json.loads(row[1]) for row in found}


def restore_until_killed(url: str, run_id: str, chunks: int, delay_s: float) -> None:
    """In a process of its own, which kills itself when so many chunks are committed, or a little later."""

    def on_progress(_told: dict[str, Any]) -> None:
        nonlocal chunks
        chunks -= 1
        if chunks == 0 and delay_s > 0:
            threading.Timer(delay_s, os.kill, (os.getpid(), signal.SIGKILL)).start()
        elif chunks == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    with pk.connect(url) as db:
        db.restore(run_id, on_progress=on_progress)
