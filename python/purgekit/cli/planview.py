"""A plan on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from purgekit.cli.output import console, count, duration, fields, size
from purgekit.report import Plan
from purgekit.text import plural, printable


def show_plan(plan: Plan, to: Console | None = None) -> None:
    """Print a plan: one block for each policy."""
    out = to or console()
    database = plan.database
    server = f"{database.get('product') or database['backend']} {database['server_version']}".strip()
    skew_s = database["clock_skew_ms"] / 1000
    clock = f"clock {database['clock_utc']}" + (f", {skew_s:+.1f} s from this machine's" if abs(skew_s) >= 1 else "")
    out.print(Text(printable(f"{server}, {clock}"), style="dim"))
    for entry in plan.policies:
        out.print()
        out.print(Text.assemble((printable(entry["policy"]), "bold cyan"), "  ", (printable(entry["table"]), "bold")))
        out.print(fields(_fields(entry)))


def _forecast(forecast: dict[str, Any]) -> str:
    parts = []
    if forecast["seconds"] is not None:
        parts.append(f"about {duration(forecast['seconds'])} in {plural(forecast['transactions'], 'transaction')}")
    if forecast.get("log_bytes"):
        parts.append(f"{size(forecast['log_bytes'])} of log")
    if forecast["freed_bytes"]:
        parts.append(f"{size(forecast['freed_bytes'])} to become free for new rows")
    if rehearsal := forecast["rehearsal"]:
        rows = plural(rehearsal["rows_deleted"], "row")
        parts.append(f"rehearsed: {rows} deleted in {rehearsal['elapsed_ms']:.0f} ms and rolled back")
    return "; ".join(parts)


def _fields(entry: dict[str, Any]) -> Iterator[tuple[str, str | Text]]:
    if not entry.get("skipped"):
        exact = entry["exact"]
        total, purgeable = entry["rows_total"], entry["rows_purgeable"]
        share = f" ({purgeable / total:.1%})" if total and purgeable else ""
        yield "rule", entry.get("rule", "")
        yield "cutoff", entry["cutoff_utc"]
        yield "rows", count(total, exact)
        yield "purgeable", Text(count(purgeable, exact) + share, style="bold")
        reason = f": {entry['strategy_reason']}" if entry.get("strategy_reason") else ""
        index = f" on {entry['index']}" if entry["index"] else ""
        yield "strategy", f"{entry['strategy']}{index}{reason}"
        yield "chunks", f"{plural(entry['chunk_rows'], 'row')} to begin with, then by time"
        if forecast := _forecast(entry["forecast"]):
            yield "forecast", forecast
        if entry.get("dependents"):
            yield "with it", ", ".join(entry["dependents"])
        if entry.get("archive"):
            yield "kept in", entry["archive"]
        for statement in entry["statements"]:
            yield "statement", Text(printable(" ".join(statement.split())), style="dim")
    for warning in entry["warnings"]:
        yield "warning", Text(printable(warning["message"]), style="yellow")
