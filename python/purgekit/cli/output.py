"""Where output goes: data to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from purgekit.redaction import without_passwords
from purgekit.text import printable
from purgekit.text import size as size

WIDTH_WITHOUT_TERMINAL = 120


def console(*, stderr: bool = False) -> Console:
    """A console for data, or with ``stderr`` for talk. Made when used, so that redirections count."""
    stream = sys.stderr if stderr else sys.stdout
    own_width = None if stream.isatty() or "COLUMNS" in os.environ else WIDTH_WITHOUT_TERMINAL
    return Console(stderr=stderr, width=own_width, highlight=False, soft_wrap=False, markup=False, emoji=False)


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document on standard output; escapes keep it free of control characters."""
    print(json.dumps(document, indent=2).replace("\x7f", "\\u007f"))  # the one control character that JSON lets through


def print_error(
    message: str, code: str, exit_code: int, as_json: bool, *, table: str | None = None, policy: str | None = None
) -> None:
    """One line on standard error, and with ``--json`` an error object on standard output."""
    message = without_passwords(message)
    if as_json:
        print_json(
            {
                "schema": "purgekit.error/1",
                "code": code,
                "message": message,
                "table": table,
                "policy": policy,
                "exit_code": exit_code,
            }
        )
        sys.stdout.flush()
    print(f"purgekit: {printable(message)}", file=sys.stderr)


def say(message: str) -> None:
    """A line for people on standard error."""
    print(printable(message), file=sys.stderr)


def table(title: str | None, columns: Iterable[tuple[str, str]], rows: Iterable[Iterable[object]]) -> Table:
    """A table; each column is a heading and ``left`` or ``right``. Cells may be Text; others are made printable."""
    made = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading, side in columns:
        made.add_column(
            heading, justify="right" if side == "right" else "left", no_wrap=side == "right", overflow="fold"
        )
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(printable(cell)) for cell in row))
    return made


def fields(pairs: Iterable[tuple[str, str | Text]]) -> Table:
    """Names and values below each other; long values wrap beside their name."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs:
        made.add_row(f"  {name}", value if isinstance(value, Text) else Text(printable(value)))
    return made


def count(rows: int | None, exact: bool = True) -> str:
    """``1,234``, ``about 1,234`` or ``unknown``."""
    if rows is None or rows < 0:
        return "unknown"
    return f"{rows:,}" if exact else f"about {rows:,}"


def duration(seconds: float) -> str:
    """``12.3 s``, ``4 min 05 s``, ``2 h 03 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
