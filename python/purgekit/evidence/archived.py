"""Whether archive files hold what evidence says went into them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from purgekit.archives import ArchiveFile, find_archives
from purgekit.errors import ArchiveError
from purgekit.evidence.links import Json
from purgekit.text import plural, printable


@dataclass(frozen=True)
class Comparison:
    """How many rows of files were looked for; ``problem`` is empty when all of them are there."""

    rows: int
    problem: str


def compare(links: Iterable[Json], place: Path) -> Comparison:
    """Look for each chunk of files: same table, same number, same content. What else the files hold does not matter."""
    wanted: Counter[tuple[str, int, str]] = Counter()
    rows = 0
    tables: list[str] = []
    for link in links:
        if link["kind"] == "start":
            tables = link["tables"]
        for file in link.get("files", ()):
            wanted[tables[file["table"]], link["chunk"], file["sha256"]] += 1
            rows += file["rows"]
    if not wanted:
        return Comparison(0, "")
    for path in find_archives(place):
        try:
            _take_off(wanted, path)
        except ArchiveError as error:
            return Comparison(rows, f"the archive is damaged: {error.message}")
    for (table, number, _), times in wanted.items():
        if times > 0:
            chunks = plural(sum(wanted.values()), "chunk")
            what = f"chunk {number} of {printable(table)} is not in the archive at {printable(place)}"
            return Comparison(rows, f"{what}, as it was deleted ({chunks} of {rows:,} archived rows are missing)")
    return Comparison(rows, "")


def _take_off(wanted: Counter[tuple[str, int, str]], path: Path) -> None:
    with ArchiveFile(path) as archive:
        for chunk in archive.chunks():
            found = (archive.header.table, chunk.record.number, chunk.record.sha256)
            if wanted[found] > 0:
                archive.check(chunk)
                wanted[found] -= 1
