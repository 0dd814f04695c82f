"""``purgekit watch``."""

from __future__ import annotations

import json as json_module
from typing import Annotated, Any, Optional

import typer

from purgekit._core import RunControl
from purgekit.cli import limit_options, options
from purgekit.cli.output import say
from purgekit.cli.run_command import STOP_SIGNALS
from purgekit.errors import PurgeFailed
from purgekit.limits import Limits
from purgekit.text import printable


def watch(
    url: options.Url,
    policy: options.PolicyNames = None,
    interval: Annotated[float, typer.Option(metavar="SECONDS", help="Time between two looks, 0.05 to 20.")] = 1.0,
    accept_scan: Annotated[
        bool,
        typer.Option(
            "--accept-scan", help="Also where no index finds what is purgeable.", rich_help_panel=options.SAFETY
        ),
    ] = False,
    param: options.Params = None,
    pace: limit_options.Pace = "gentle",
    chunk_ms: limit_options.ChunkMs = 100,
    max_rows: Annotated[
        Optional[int],  # noqa: UP045 - typer reads this annotation while it runs, on Python 3.10 too
        typer.Option(help="Stop before more rows than this are deleted.", rich_help_panel=options.LIMITS),
    ] = None,
    max_rows_per_s: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Most rows per second (default 5000).", rich_help_panel=options.LIMITS),
    ] = None,
    max_run_s: limit_options.MaxRunS = None,
    until: limit_options.Until = None,
    window: limit_options.Window = None,
    max_replica_lag_s: limit_options.MaxReplicaLagS = None,
    replica: limit_options.Replica = None,
    lag_sql: limit_options.LagSql = None,
    probe_sql: limit_options.ProbeSql = None,
    probe_limit_ms: limit_options.ProbeLimitMs = None,
    lock_wait_ms: limit_options.LockWaitMs = 1_000,
    stop_file: limit_options.StopFile = None,
    max_fraction: options.MaxFraction = None,
    archive: options.Archive = None,
    evidence_key: limit_options.EvidenceKey = None,
    ledger: options.Ledger = "purgekit_ledger",
    accept_clock: options.AcceptClock = False,
    password_file: options.PasswordFile = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON document a line: each purge, then the report.")
    ] = False,
) -> int:
    """Keep purging as rows expire, until stopped: a line for each purge that did something.

    Idle, it looks for one row by an index each interval. It waits for a server that is gone, and ends after the chunk
    in hand with Ctrl-C or SIGTERM, with exit code 3.

    Example: [bold]purgekit watch postgresql://iam@db/identity wso2-is/sessions wso2-is/tokens[/bold]
    """
    from purgekit.database import connect
    from purgekit.logs import log_to_terminal
    from purgekit.policies import load_all
    from purgekit.signals import stop_on_signals

    log_to_terminal()
    if not policy:
        raise options.usage("Missing argument 'POLICY'")
    limits = Limits(
        chunk_ms=chunk_ms,
        max_rows=max_rows,
        max_rows_per_s=max_rows_per_s,
        max_run_s=max_run_s,
        until=until,
        window=window,
        max_replica_lag_s=max_replica_lag_s,
        lock_wait_ms=lock_wait_ms,
        stop_file=stop_file,
        max_fraction=max_fraction,
        pace=pace,
        replicas=tuple(replica or ()),
        lag_sql=lag_sql,
        probe_sql=probe_sql,
        probe_limit_ms=probe_limit_ms,
    )
    policies = load_all(policy, options.parse_params(param))
    control = RunControl()
    with (
        connect(url, password_file=password_file, lock_wait_ms=lock_wait_ms) as db,
        stop_on_signals(control, STOP_SIGNALS, lambda: say("purgekit: ending after the chunk in hand")),
    ):
        try:
            report = db.watch(
                policies,
                interval_s=interval,
                limits=limits,
                on_purge=_print_json if json else _print_line,
                ledger=ledger,
                control=control,
                accept_clock=accept_clock,
                accept_scan=accept_scan,
                archive=archive,
                evidence_key=evidence_key,
            )
        except PurgeFailed as failure:
            if failure.report is None:
                raise
            report = failure.report
    if json:
        _print_json(report.to_dict())
    rows = f"{report.rows_deleted:,} rows deleted"
    if report.status == "failed":
        say(f"purgekit: {report.failure}; {rows} until then")
    else:
        say(f"purgekit: watch ended by {report.stop_reason}; {rows}")
    return report.exit_code


def _print_json(document: dict[str, Any]) -> None:
    print(json_module.dumps(document).replace("\x7f", "\\u007f"), flush=True)


def _print_line(event: dict[str, Any]) -> None:
    tables = ", ".join(f"{table['table']} {table['rows_deleted']:,}" for table in event["tables"])
    blocked = f", {event['rows_blocked']:,} blocked" if event["rows_blocked"] else ""
    line = f"{event['utc']} {event['policy']}: {tables} rows deleted{blocked} in {event['elapsed_ms']:.1f} ms"
    print(printable(line), flush=True)
