"""``purgekit restore``."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from purgekit._core import RunControl
from purgekit.cli import options
from purgekit.cli.output import console, count, duration, print_json, say, table
from purgekit.errors import PolicyError, PurgeFailed, PurgeRefused
from purgekit.restoring import RestoreReport
from purgekit.text import printable

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
TOLD_EVERY_S = 5.0
COLUMNS = (
    ("table", "left"),
    ("restored", "right"),
    ("skipped", "right"),
    ("chunks", "right"),
    ("hold", "left"),
    ("archive", "left"),
)


def restore(
    url: options.Url,
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="The run whose rows come back, as in history.")],
    archive: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation while it runs, on Python 3.10 too
        typer.Option("--from", metavar="PATH", help="Where the run's archive files are now, if they were moved."),
    ] = None,
    policy: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="NAME", help="Only what this policy deleted. May be repeated."),
    ] = None,
    only_table: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--table", metavar="TABLE", help="Only rows of this table. May be repeated."),
    ] = None,
    where: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            metavar="COLUMN=VALUE",
            help="Only rows with this value, such as USER_ID=42, and their children. May be repeated: all must hold.",
        ),
    ] = None,
    since: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="INSTANT", help="Only what was deleted at or after this ISO instant (UTC)."),
    ] = None,
    until: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="INSTANT", help="Only what was deleted before it."),
    ] = None,
    on_conflict: Annotated[
        str,
        typer.Option(
            metavar="refuse|skip|replace",
            help="Where a row with the same key is there: stop, leave the archived row in the archive, or overwrite.",
        ),
    ] = "refuse",
    hold: Annotated[
        bool, typer.Option("--hold/--no-hold", help="Keep the next purge from taking the restored rows again.")
    ] = True,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    lock_wait_ms: Annotated[int, typer.Option(help="Longest wait for a locked row.")] = 1_000,
    ledger: options.Ledger = "purgekit_ledger",
    password_file: options.PasswordFile = None,
    json: options.AsJson = False,
) -> int:
    """Put archived rows of a run back, parents first, chunk by chunk; the archive keeps them, marked as restored.

    Each row comes back once, whatever happens meanwhile: the same command goes on where it was stopped or killed. What
    is restored is put on hold. What the run kept in files is checked and loaded into archive tables first. On a
    terminal it asks first; elsewhere only --on-conflict replace wants --yes. Exit codes: 0 done, 1 failed part-way, 2
    refused and nothing changed, 3 stopped early, 4 done but rows were skipped.

    Example: [bold]purgekit restore postgresql://iam@db/identity 20261121T101112345Z-3f9a2c --where USER_ID=42[/bold]
    """
    from purgekit.database import connect
    from purgekit.logs import log_to_terminal
    from purgekit.signals import stop_on_signals

    log_to_terminal()
    conditions = parse_conditions(where)
    _confirm(run_id, on_conflict, yes)
    control = RunControl()
    with (
        connect(url, password_file=password_file, lock_wait_ms=lock_wait_ms) as db,
        stop_on_signals(control, STOP_SIGNALS, _tell_stopping),
    ):
        try:
            report = db.restore(
                run_id,
                archive=archive,
                policy=policy,
                table=only_table,
                where=conditions,
                since=since,
                until=until,
                on_conflict=on_conflict,
                hold=hold,
                ledger=ledger,
                lock_wait_ms=lock_wait_ms,
                control=control,
                on_progress=_Teller(sys.stderr.isatty()),
            )
        except PurgeFailed as failure:
            if failure.restored is None:
                raise
            report = failure.restored
    if json:
        print_json(report.to_dict())
    else:
        show_restore(report)
    _tell_outcome(report)
    return report.exit_code


def parse_conditions(texts: Sequence[str] | None) -> dict[str, object]:
    """``["COLUMN=VALUE", …]`` as a dict."""
    values: dict[str, object] = {}
    for number, text in enumerate(texts or (), 1):
        column, mark, value = text.partition("=")
        if not mark or not column.strip():
            # Not quoted: what stands there may be about a person.
            raise PolicyError(f"--where number {number} must be COLUMN=VALUE, such as USER_ID=42")
        if column.strip() in values:
            raise PolicyError(f"--where {printable(column.strip())} is given twice")
        values[column.strip()] = value
    return values


def show_restore(report: RestoreReport) -> None:
    """Print a report: a line for each table."""
    out = console()
    rows = [
        (
            entry["table"],
            count(entry["rows_restored"]),
            count(entry["rows_skipped"]),
            count(entry["chunks"]),
            entry["hold"] or "",
            entry["archive"],
        )
        for entry in report.tables
    ]
    out.print(table(None, COLUMNS, rows))
    why = f" by {report.stop_reason}" if report.status == "stopped" else ""
    spent = duration(float(report.to_dict()["elapsed_s"]))
    out.print()
    loaded = f"{report.rows_loaded:,} rows loaded from files, " if report.rows_loaded else ""
    done = f"{loaded}{report.rows_restored:,} rows restored"
    out.print(printable(f"{report.status}{why}: {done} in {spent}  run {report.run_id}"))


def _confirm(run_id: str, on_conflict: str, yes: bool) -> None:
    if yes:
        return
    if sys.stdin.isatty() and sys.stderr.isatty():
        overwriting = ", overwriting rows that have their keys" if on_conflict == "replace" else ""
        if typer.confirm(f"Put the rows of run {printable(run_id)} back{overwriting}?", err=True):
            return
        raise PurgeRefused("not confirmed; nothing was changed", code="not_confirmed")
    if on_conflict == "replace":
        raise PurgeRefused(
            "--on-conflict replace overwrites rows and there is no terminal to ask on; add --yes", code="not_confirmed"
        )


class _Teller:
    """On a terminal: how far it is, now and then."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._told_s = time.monotonic()

    def __call__(self, event: dict[str, Any]) -> None:
        if self._wanted and time.monotonic() - self._told_s >= TOLD_EVERY_S:
            self._told_s = time.monotonic()
            loading = f"{event['rows_loaded']:,} rows loaded, " if event["rows_loaded"] else ""
            say(f"purgekit: {event['table']}: {loading}{event['rows_restored']:,} rows restored")


def _tell_stopping() -> None:
    say("purgekit: ending after the chunk in hand; once more rolls it back")


def _tell_outcome(report: RestoreReport) -> None:
    for warning in report.warnings:
        say(f"purgekit: warning: {warning['message']}")
    if report.error:
        say(f"purgekit: {report.error['message']}")
    elif report.status == "stopped":
        say(f"purgekit: stopped by {report.stop_reason} after {report.rows_restored:,} rows; run again to go on")
    elif report.exit_code == 4:
        say(f"purgekit: done, but {report.rows_skipped:,} rows stay archived: rows with their keys are there")
