"""Plans and reports in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from purgekit.care import care_line, space_line
from purgekit.text import printable


def plan_html(plan: Mapping[str, Any]) -> str:
    """A plan as a table, its warnings below."""
    rows = [
        (
            entry["policy"],
            entry["table"],
            entry["cutoff_utc"],
            _count(entry["rows_total"], entry["exact"]),
            _count(entry["rows_purgeable"], entry["exact"]),
            entry["strategy"],
        )
        for entry in plan["policies"]
    ]
    warnings = [warning["message"] for entry in plan["policies"] for warning in entry.get("warnings", [])]
    return _table(("policy", "table", "cutoff", "rows", "purgeable", "strategy"), rows) + _list(warnings)


def report_html(report: Mapping[str, Any]) -> str:
    """A report as a table, what was blocked below."""
    rows = [
        (
            entry["policy"],
            entry["table"],
            f"{entry['rows_deleted']:,}",
            "" if entry["rows_left"] is None else f"{entry['rows_left']:,}",
            f"{entry['rows_per_s']:,.0f}",
            f"{entry['chunk_ms']['p50']:.0f} / {entry['chunk_ms']['p99']:.0f} / {entry['chunk_ms']['max']:.0f}",
        )
        for entry in report["policies"]
    ]
    why = f" ({report['stop_reason']})" if report.get("stop_reason") else ""
    line = f"{report['status']}{why}: {report['rows_deleted']:,} rows deleted in {report['elapsed_s']:.1f} s"
    blocked = [
        f"{entry['rows']:,} rows of {entry['table']} could not go: {entry['reason']} {entry['constraint'] or ''}"
        for policy in report["policies"]
        for entry in policy["blocked"]
    ]
    space = [
        f"{policy['table']}: {line}"
        for policy in report["policies"]
        for line in (space_line(policy), care_line(policy))
        if line
    ]
    heads = ("policy", "table", "deleted", "left", "rows/s", "chunk ms p50 / p99 / max")
    return f"<p>{_text(line)}</p>" + _table(heads, rows) + _list(blocked + space)


def _count(rows: int | None, exact: bool) -> str:
    if rows is None:
        return "unknown"
    return f"{rows:,}" if exact else f"about {rows:,}"


def _table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = "".join(f"<th>{_text(cell)}</th>" for cell in heads)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{_text(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _text(value: object) -> str:
    return escape(printable(value))
