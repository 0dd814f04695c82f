"""Markdown from figures: medians, the spread that the machine's noise makes, and ratios to the one DELETE."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]
OTHERS_ALLOWED = 0.3
HEADER = (
    "contestant",
    "deleting s",
    "x DELETE",
    "command s",
    "x DELETE",
    "with background purge s",
    "x DELETE",
    "strategy",
    "chunks",
    "chunk p50 / p99 / max ms",
    "own CPU s",
    "server CPU s",
    "resident MB",
    "log MB",
    "WAL file MB",
    "others' CPUs",
)


def rows_of(records: Sequence[Record]) -> dict[str, list[Record]]:
    """By contestant, in the order of their first run."""
    out: dict[str, list[Record]] = {}
    for record in records:
        out.setdefault(record["contestant"], []).append(record)
    return out


def median(records: Sequence[Record], name: str) -> float | None:
    """Over the runs that have the figure."""
    values = [record[name] for record in records if record.get(name) is not None]
    return statistics.median(values) if values else None


def spread(records: Sequence[Record], name: str) -> str:
    """Median, and least to most."""
    values = [record[name] for record in records if record.get(name) is not None]
    if not values:
        return ""
    middle = statistics.median(values)
    return f"{middle:.2f}" + (f" ({min(values):.2f}-{max(values):.2f})" if len(values) > 1 else "")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns in which no row has anything are left out."""
    used = [at for at in range(len(header)) if at == 0 or any(row[at] for row in rows)]
    lines = [[header[at] for at in used], ["---"] * len(used), *([row[at] for at in used] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def throughput(records: Sequence[Record]) -> str:
    """One table of the runs on one shape."""
    groups = rows_of(records)
    limit = next(iter(groups.values()))  # the plain DELETE
    rows = [[name, *_cells(group, limit)] for name, group in groups.items()]
    return table(HEADER, rows)


def _cells(group: Sequence[Record], limit: Sequence[Record]) -> list[str]:
    cells = []
    for name in ("elapsed_s", "wall_s", "drained_wall_s"):
        cells += [spread(group, name), _ratio(median(group, name), median(limit, name))]
    worst = [record["chunk_ms"] for record in group if "chunk_ms" in record]
    chunk = [statistics.median(one[name] for one in worst) for name in ("p50", "p99")] if worst else []
    cells.append(", ".join(sorted({str(record["strategy"]) for record in group if "strategy" in record})))
    cells.append(_number(median(group, "chunks"), 0))
    cells.append(f"{chunk[0]:.0f} / {chunk[1]:.0f} / {max(one['max'] for one in worst):.0f}" if worst else "")
    for name, digits in (("own_cpu_s", 2), ("server_cpu_s", 2), ("max_rss_mb", 0), ("log_mb", 0), ("wal_file_mb", 0)):
        cells.append(_number(median(group, name), digits))
    cells.append(f"{max(record['other_processors'] for record in group):.2f}")
    return cells


def _ratio(value: float | None, of: float | None) -> str:
    return "" if value is None or not of else f"{value / of:.2f}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def trust(records: Sequence[Record]) -> str:
    """A line of warning when others were at work; the bench's own files make the kernel work a little too."""
    most = max(record["other_processors"] for record in records)
    if most < OTHERS_ALLOWED:
        return ""
    return f"\nNot to be trusted: other work kept up to {most:.1f} processors busy meanwhile.\n"


def facts(entries: Mapping[str, str]) -> str:
    """A list of what holds for the whole table."""
    return "".join(f"- {name}: {value}\n" for name, value in entries.items())


def save(path: Path, title: str, text: str) -> None:
    """Put ``text`` into a file of results as the section ``title``, in place of an earlier one."""
    before = path.read_text() if path.exists() else "# Results\n"
    section = f"## {title}\n\n{text.strip()}\n"
    pattern = re.compile(rf"^## {re.escape(title)}$.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if pattern.search(before):
        after = pattern.sub(lambda _match: section + "\n", before)
    else:
        after = before.rstrip() + "\n\n" + section
    path.write_text(after.rstrip() + "\n")
