"""The table at the end: schedules by kind and backend, and what was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faults.suite import Result


def table(results: Sequence[Result]) -> str:
    backends = list(dict.fromkeys(result.backend for result in results))
    kinds = list(dict.fromkeys(result.kind for result in sorted(results, key=lambda result: result.number)))
    lines = [f"{'schedules (fault met a running purge)':44}" + "".join(f"{backend:>20}" for backend in backends)]
    for kind in kinds:
        line = f"{kind:44}"
        for backend in backends:
            mine = [result for result in results if result.backend == backend and result.kind == kind]
            text = f"{len(mine)} ({sum(result.fired for result in mine)})" if mine else "-"
            line += f"{text:>20}"
        lines.append(line)
    figures = (
        ("schedules", lambda mine: len(mine)),
        ("purges", lambda mine: sum(result.purges for result in mine)),
        ("foreground writes", lambda mine: sum(result.writes for result in mine)),
        ("rows purged", lambda mine: sum(result.verdict.rows_purged for result in mine)),
        ("live rows lost", lambda mine: sum(result.verdict.live_lost for result in mine)),
        ("archived rows lost or doubled", lambda mine: sum(result.verdict.archive_wrong for result in mine)),
        ("wrong counts", lambda mine: sum(result.verdict.counts_wrong for result in mine)),
        ("hangs", lambda mine: sum(result.hung for result in mine)),
        ("server lost: shows nothing", lambda mine: sum(bool(result.server_lost) for result in mine)),
        ("failed schedules", lambda mine: sum(result.failed for result in mine)),
        ("seconds a schedule", lambda mine: round(sum(result.elapsed_s for result in mine) / len(mine), 2)),
        ("longest schedule, s", lambda mine: round(max(result.elapsed_s for result in mine), 1)),
    )
    lines.append("")
    for name, figure in figures:
        line = f"{name:44}"
        for backend in backends:
            line += f"{figure([result for result in results if result.backend == backend]):>20}"
        lines.append(line)
    codes = Counter(code for result in results for code in result.codes)
    lines.append("exit codes: " + ", ".join(f"{code}: {count}" for code, count in sorted(codes.items())))
    return "\n".join(lines)
