"""Archive files: what ``--archive PATH/`` keeps of deleted rows, read back without a database.

from purgekit.archives import ArchiveFile, export, verify

for verdict in verify("kept/"):
    print(verdict.path, verdict.state, verdict.problem)
with ArchiveFile("kept/iam/SESSIONS/….jsonl.zst") as archive:
    rows = list(archive.rows())
export("kept/", "csv/", format="csv")

A file is JSON Lines in zstd frames, one for each chunk, so ``zstdcat``, jq, pandas and DuckDB read it too.
"""

from __future__ import annotations

from purgekit.archives.export import FORMATS, export, export_to
from purgekit.archives.find import find_archives
from purgekit.archives.reader import ArchiveFile, Chunk
from purgekit.archives.records import ChunkRecord, Column, Header, Kind
from purgekit.archives.values import RawText, Value
from purgekit.archives.verify import Verdict, verify
from purgekit.errors import ArchiveError

__all__ = [
    "FORMATS",
    "ArchiveError",
    "ArchiveFile",
    "Chunk",
    "ChunkRecord",
    "Column",
    "Header",
    "Kind",
    "RawText",
    "Value",
    "Verdict",
    "export",
    "export_to",
    "find_archives",
    "verify",
]
