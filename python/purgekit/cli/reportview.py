"""A run's report on a terminal."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from purgekit.care import care_line, space_line
from purgekit.cli.output import console, count, duration, table
from purgekit.report import Report
from purgekit.text import plural, printable

COLUMNS = (
    ("policy", "left"),
    ("table", "left"),
    ("deleted", "right"),
    ("left", "right"),
    ("chunks", "right"),
    ("chunk ms p50 / p99 / max", "right"),
    ("rows/s", "right"),
    ("time", "right"),
)
LEAST_WAIT_S = 0.5
STYLES = {"completed": "bold green", "stopped": "bold yellow", "failed": "bold red"}


def show_report(report: Report) -> None:
    """Print a report: a line for each policy, dependents below it, then what was blocked."""
    out = console()
    rows: list[tuple[object, ...]] = []
    for entry in report.policies:
        ms = entry["chunk_ms"]
        times = f"{ms['p50']:.0f} / {ms['p99']:.0f} / {ms['max']:.0f}" if entry["chunks"] else "-"
        rows.append(
            (
                entry["policy"],
                entry["table"],
                count(entry["rows_deleted"]),
                count(entry["rows_left"]),
                count(entry["chunks"]),
                times,
                f"{entry['rows_per_s']:,.0f}",
                duration(entry["elapsed_s"]),
            )
        )
        for child in entry["tables"]:
            if child["table"] != entry["table"]:
                rows.append(("", f"  {child['table']}", count(child["rows_deleted"]), "", "", "", "", ""))
    out.print(table(None, COLUMNS, rows))
    for entry in report.policies:
        if waits := _waits(entry):
            waited = duration(entry["throttled_s"])
            out.print(Text(f"{printable(entry['policy'])} waited {waited}: {waits}", style="dim"))
        for blocked in entry["blocked"]:
            out.print(Text(f"blocked: {_blocked(blocked)}", style="yellow"))
        if held := _held(entry):
            out.print(Text(held, style="yellow"))
        if space := space_line(entry):
            out.print(Text(printable(f"space: {entry['table']}: {space}"), style="dim"))
        for file in entry.get("archive_files", []):
            until = "" if file["finished"] else " (goes on with the next run)"
            kept = f"kept: {plural(file['rows'], 'row')} of {file['table']} in {file['path']}{until}"
            out.print(Text(printable(kept), style="dim"))
        if care := care_line(entry):
            out.print(Text(printable(f"care: {care}"), style="yellow" if entry["care"]["warning"] else "dim"))
    why = f" by {report.stop_reason}" if report.status == "stopped" else ""
    out.print()
    out.print(
        Text.assemble(
            (f"{report.status}{printable(why)}", STYLES.get(report.status, "bold")),
            f": {report.rows_deleted:,} rows deleted in {duration(report.elapsed_s)}  ",
            (f"run {printable(report.run_id)}", "dim"),
            (f", continues {printable(report.continues)}" if report.continues else "", "dim"),
        )
    )
    if report.evidence:
        out.print(Text(f"evidence {report.evidence['root']}", style="dim"))


def _waits(entry: dict[str, Any]) -> str:
    """The longest first; what no one would notice is left out."""
    waits = sorted(entry.get("waits", {}).items(), key=lambda item: -item[1])
    return ", ".join(f"{printable(name)} {duration(seconds)}" for name, seconds in waits if seconds >= LEAST_WAIT_S)


def _held(entry: dict[str, Any]) -> str:
    rows = entry.get("rows_held")
    ids = ", ".join(entry.get("holds") or ()) or "the policy's own hold"
    return printable(f"held: {count(rows)} rows of {entry['table']} stay: {ids}") if rows else ""


def _blocked(entry: dict[str, object]) -> str:
    by = f" ({entry['constraint']})" if entry.get("constraint") else ""
    sample = f", for example {entry['sample_key']}" if entry.get("sample_key") else ""
    return printable(f"{entry['rows']} rows of {entry['table']}: {entry['reason']}{by}{sample}")
