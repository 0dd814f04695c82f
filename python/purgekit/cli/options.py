"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer

from purgekit.errors import PolicyError, PurgeRefused
from purgekit.text import printable

LIMITS = "Limits"
SAFETY = "Safety"

Url = Annotated[
    str, typer.Argument(metavar="URL", help="Database, such as postgresql://user@host/db or sqlite:///file.db.")
]
PolicyNames = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads this annotation while it runs, on Python 3.10 too
    typer.Argument(metavar="POLICY", help="pack/name, pack, file.toml, file.toml#name or file.py:variable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Params = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads this annotation while it runs, on Python 3.10 too
    typer.Option("--param", metavar="KEY=VALUE", help="A pack's parameter, such as lifetime=30d. May be repeated."),
]
PasswordFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(metavar="PATH", help="Its first line is the password. Else PURGEKIT_PASSWORD, ~/.pgpass, ~/.my.cnf."),
]
Now = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        metavar="INSTANT", help="ISO instant (UTC) instead of the database's clock. Only plan may look ahead."
    ),
]
Rehearse = Annotated[
    bool, typer.Option("--rehearse", help="Delete one chunk of each policy and roll it back, to measure.")
]
Exact = Annotated[bool, typer.Option("--exact", help="Count to the end, however long it takes.")]
AcceptClock = Annotated[
    bool,
    typer.Option("--accept-clock", help="Times outside the years 1990 to 2200 are right.", rich_help_panel=SAFETY),
]
MaxFraction = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(
        metavar="SHARE",
        help="Refuse when more than this share of a table may go (default 0.98, or the policy's; 1 allows all).",
        rich_help_panel=SAFETY,
    ),
]
Archive = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        metavar="table[:NAME]|PATH/",
        help="Keep what is deleted: in a table, purgekit_archive_{table} or NAME, or in files under the folder PATH/.",
        rich_help_panel=SAFETY,
    ),
]
Ledger = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Table that makes runs resumable: [SCHEMA.]NAME, or none.",
        rich_help_panel=SAFETY,
    ),
]


def usage(message: str) -> PurgeRefused:
    """Words that don't go together on a command line."""
    return PurgeRefused(f"{message}; see purgekit --help", code="usage")


def parse_params(params: Sequence[str] | None) -> dict[str, str]:
    """``["key=value", …]`` as a dict."""
    values: dict[str, str] = {}
    for number, text in enumerate(params or (), 1):
        key, mark, value = text.partition("=")
        if not mark or not key.strip():
            # Not quoted: without a key it may be anything, a password put in the wrong place too.
            raise PolicyError(f"--param number {number} must be KEY=VALUE, such as lifetime=30d")
        if key.strip() in values:
            raise PolicyError(f"--param {printable(key.strip())} is given twice")
        values[key.strip()] = value.strip()
    return values
