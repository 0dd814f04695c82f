"""A plan on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from purgekit.cli.output import console, count, duration, fields, size
from purgekit.report import Plan
from purgekit.text import plural, printable

LONGEST_SHOWN = 60


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


def _window(move: dict[str, Any]) -> str:
    most = f"at most {duration(move['move_window_s'])} (move_window)"
    about = "" if move["window_s"] is None else f"about {duration(move['window_s'])}, "
    room = f"; room for {size(move['needed_bytes'])} is needed meanwhile" if move["needed_bytes"] else ""
    return f"others wait for the table: {about}{most}{room}"


def _proposal(proposal: dict[str, Any]) -> str:
    rows = "" if proposal["rows"] is None else f" about {plural(proposal['rows'], 'row')}"
    wait = "" if proposal["window_s"] is None else f", others wait for about {duration(proposal['window_s'])}"
    room = f", {size(proposal['needed_bytes'])} of room" if proposal["needed_bytes"] else ""
    return f'strategy = "{proposal["strategy"]}":{rows}{wait}{room}; {proposal["reason"]}'


def _sample(sample: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    if sample is None:
        return
    names = [f"{column['name']} ({column['type']})" for column in sample["columns"]]
    for row in sample["rows"]:
        yield "would go", ", ".join(f"{name} {_shown(value)}" for name, value in zip(names, row, strict=True))


def _shown(value: dict[str, Any] | None) -> str:
    if value is None:
        return "NULL"
    text = value.get("text")
    if text is None:
        return f"({value['length']:,} long)"
    return f"'{text[:LONGEST_SHOWN]}'" + ("…" if len(text) > LONGEST_SHOWN else "")


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
        if move := entry["move"]:
            yield "window", Text(_window(move), style="bold")
        else:
            yield "chunks", f"{plural(entry['chunk_rows'], 'row')} to begin with, then by time"
        if forecast := _forecast(entry["forecast"]):
            yield "forecast", forecast
        for proposal in entry["proposals"]:
            if proposal["problem"] is None and proposal["rows"] != 0:
                yield "or", _proposal(proposal)
        if entry.get("dependents"):
            yield "with it", ", ".join(entry["dependents"])
        if entry.get("archive"):
            yield "kept in", entry["archive"]
        yield from _sample(entry.get("sample"))
        for statement in entry["statements"]:
            yield "statement", Text(printable(" ".join(statement.split())), style="dim")
    for warning in entry["warnings"]:
        yield "warning", Text(printable(warning["message"]), style="yellow")
