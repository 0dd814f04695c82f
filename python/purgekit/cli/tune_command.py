"""``purgekit tune``."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from purgekit.cli.output import say
from purgekit.errors import PurgeRefused
from purgekit.text import printable


def tune(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="As history shows it.")],
    chunk_ms: Annotated[
        Optional[int],  # noqa: UP045 - typer reads this annotation while it runs, on Python 3.10 too
        typer.Option(help="Target time of one transaction from now on."),
    ] = None,
    pause: Annotated[bool, typer.Option("--pause", help="Begin no chunk until resumed.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on.")] = False,
) -> None:
    """Change the pace of a run in progress on this machine. It heeds that within a second, after the chunk in hand.

    Example: [bold]purgekit tune 20261121T101112345Z-3f9a2c --chunk-ms 50[/bold]
    """
    from purgekit.tune import tune as change

    if pause and resume:
        raise PurgeRefused("--pause and --resume exclude each other", code="limit")
    paused = True if pause else False if resume else None
    now = change(run_id, chunk_ms=chunk_ms, paused=paused)
    parts = [f"chunks of {now['chunk_ms']} ms"] if "chunk_ms" in now else []
    parts += ["paused" if now["paused"] else "going on"] if "paused" in now else []
    say(f"purgekit: run {printable(run_id)} is told: {', '.join(parts)}")
