"""Options by which a purge is kept in bounds, for the commands that purge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from purgekit.cli import options

Pace = Annotated[
    str,
    typer.Option(
        metavar="gentle|fast", help="gentle yields to pressure on the database.", rich_help_panel=options.LIMITS
    ),
]
ChunkMs = Annotated[int, typer.Option(help="Target time of one transaction.", rich_help_panel=options.LIMITS)]
MaxRunS = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(help="Stop after this time.", rich_help_panel=options.LIMITS),
]
Until = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        metavar="HH:MM",
        help='Stop at this time of day; "06:00 Europe/Berlin" names a zone.',
        rich_help_panel=options.LIMITS,
    ),
]
Window = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="HH:MM-HH:MM", help="Work only then; may cross midnight.", rich_help_panel=options.LIMITS),
]
MaxReplicaLagS = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(help="Wait while a replica is further behind.", rich_help_panel=options.LIMITS),
]
Replica = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        metavar="URL",
        help="Replica to ask for its lag (MySQL, MariaDB). May be repeated.",
        rich_help_panel=options.LIMITS,
    ),
]
LagSql = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        metavar="SELECT",
        help="Asked of the replicas, or of the database itself, for the lag in seconds.",
        rich_help_panel=options.LIMITS,
    ),
]
ProbeSql = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="SELECT", help="A query of your own, run twice a second.", rich_help_panel=options.LIMITS),
]
ProbeLimitMs = Annotated[
    Optional[float],  # noqa: UP045
    typer.Option(help="Wait while that query takes longer.", rich_help_panel=options.LIMITS),
]
LockWaitMs = Annotated[int, typer.Option(help="Longest wait for a locked row.", rich_help_panel=options.LIMITS)]
StopFile = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(metavar="PATH", help="Stop when this file is there.", rich_help_panel=options.LIMITS),
]
EvidenceKey = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        metavar="FILE",
        help="Key of the evidence's keyed hashes; else PURGEKIT_EVIDENCE_KEY_FILE, or one made for this machine.",
        rich_help_panel=options.SAFETY,
    ),
]
