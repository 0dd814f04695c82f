"""``purgekit history``."""

from __future__ import annotations

from typing import Annotated, Any, Optional

import typer

from purgekit.cli import options
from purgekit.cli.output import console, count, print_json, say, table
from purgekit.errors import PurgekitError
from purgekit.report import Report
from purgekit.text import did_you_mean, printable

COLUMNS = (
    ("run", "left"),
    ("started", "left"),
    ("status", "left"),
    ("exit", "right"),
    ("deleted", "right"),
    ("policies", "left"),
    ("database", "left"),
)


def history(
    url_or_run: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this annotation while it runs, on Python 3.10 too
        typer.Argument(metavar="[URL]", help="Read this database's ledger instead of this machine's own records."),
    ] = None,
    run_id: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="[RUN_ID]", help="Show this run only, with its report."),
    ] = None,
    ledger: options.Ledger = "purgekit_ledger",
    password_file: options.PasswordFile = None,
    json: options.AsJson = False,
) -> None:
    """List the runs so far, the newest first, or show one of them.

    Example: [bold]purgekit history postgresql://iam@db/identity[/bold]
    """
    from purgekit.logs import log_to_terminal
    from purgekit.state import RunStore

    log_to_terminal()
    url = url_or_run if url_or_run and ("://" in url_or_run or run_id) else None
    wanted = run_id if url else url_or_run
    runs = _from_ledger(url, ledger, password_file) if url else RunStore().runs()
    flight = None
    if wanted:
        runs = [_find(runs, wanted)]
        flight = RunStore().read_flight(wanted)
        # What this machine knows besides: the report. The ledger's own figures stay the ledger's.
        runs = [{**(RunStore().read(wanted) or {}), **runs[0]}]
    if json:
        document = {"schema": "purgekit.history/1", "runs": runs}
        print_json({**document, "flight_record": flight} if flight else document)
        return
    if not runs:
        say("purgekit: no run yet" + ("" if url else "; PURGEKIT_STATE names the folder that is looked in"))
        return
    console().print(table(None, COLUMNS, [_row(run) for run in runs]))
    if not wanted:
        return
    from purgekit.cli.flightview import show_flight
    from purgekit.cli.reportview import show_report
    from purgekit.cli.restore_command import show_restore
    from purgekit.restoring import RestoreReport

    if runs[0].get("report"):
        console().print()
        try:
            if runs[0]["report"].get("schema") == "purgekit.restore/1":
                show_restore(RestoreReport(runs[0]["report"]))
            else:
                show_report(Report(runs[0]["report"]))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            say("purgekit: the report of this run is damaged and can't be shown")
    if flight:
        console().print()
        show_flight(flight)


def _from_ledger(url: str, ledger: str, password_file: Any) -> list[dict[str, Any]]:
    from purgekit.database import connect

    with connect(url, password_file=password_file) as db:
        return db.history(ledger)


def _find(runs: list[dict[str, Any]], run_id: str) -> dict[str, Any]:
    for run in runs:
        if run["run_id"] == run_id:
            return run
    hint = did_you_mean(run_id, [str(run["run_id"]) for run in runs[:20]])
    raise PurgekitError(f"no run '{printable(run_id)}'{hint or '; there is none yet'}", code="not_found")


def _row(run: dict[str, Any]) -> tuple[object, ...]:
    code = run.get("exit_code")
    return (
        run["run_id"],
        run.get("started_utc") or "",
        run.get("status") or "",
        "" if code is None else code,
        count(run.get("rows_deleted")),
        ", ".join(map(str, run.get("policies") or ())) + _restored(run),
        run.get("database") or "",
    )


def _restored(run: dict[str, Any]) -> str:
    rows = run.get("rows_restored")
    return f" ({count(rows)} rows)" if run.get("kind") == "restore" and isinstance(rows, int) else ""
