"""``purgekit run``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from purgekit._core import RunControl
from purgekit.cli import limit_options, options
from purgekit.cli.output import console, print_json, say
from purgekit.errors import PurgeFailed, PurgeRefused
from purgekit.limits import Limits, check_reclaim
from purgekit.report import Plan, Report

# What the plan warns of and the run then refuses: said once.
REFUSED_BY_RUN = ("approval_required", "implausible_clock", "max_fraction", "read_only")
HOLD_UNREADABLE = "hold_unreadable"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(
    url: options.Url,
    policy: options.PolicyNames = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    param: options.Params = None,
    pace: limit_options.Pace = "gentle",
    chunk_ms: limit_options.ChunkMs = 100,
    workers: Annotated[
        int, typer.Option(help="Connections that purge a table at a time.", rich_help_panel=options.LIMITS)
    ] = 1,
    max_rows: Annotated[
        Optional[int],  # noqa: UP045 - typer reads this annotation while it runs, on Python 3.10 too
        typer.Option(
            help="Stop before more rows than this are deleted, all tables counted.", rich_help_panel=options.LIMITS
        ),
    ] = None,
    max_rows_per_s: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Rows per second over the run.", rich_help_panel=options.LIMITS),
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
    within: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="PCT",
            help="Refuse when what may go differs by more, such as 50%, from the last run, or is as much above --plan.",
            rich_help_panel=options.SAFETY,
        ),
    ] = None,
    plan_file: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--plan",
            metavar="FILE",
            help="Run that plan (plan --out FILE) instead of POLICY, or refuse because something has changed.",
            rich_help_panel=options.SAFETY,
        ),
    ] = None,
    max_plan_age: Annotated[
        str, typer.Option(metavar="AGE", help="With --plan: how old it may be.", rich_help_panel=options.SAFETY)
    ] = "7d",
    archive: options.Archive = None,
    evidence_key: limit_options.EvidenceKey = None,
    reclaim: Annotated[
        str,
        typer.Option(
            metavar="none|statistics|space",
            help="Afterwards: ANALYZE; with space also VACUUM, an online rebuild (MySQL, MariaDB: takes room for a "
            "second copy) or incremental_vacuum.",
        ),
    ] = "none",
    ledger: options.Ledger = "purgekit_ledger",
    now: options.Now = None,
    exact: options.Exact = False,
    accept_clock: options.AcceptClock = False,
    password_file: options.PasswordFile = None,
    json: options.AsJson = False,
) -> int:
    """Purge. On a terminal it shows the plan first and asks; elsewhere it wants --yes.

    Ctrl-C ends after the chunk in hand, a second one rolls that chunk back. What is done stays done; the same command
    goes on. Exit codes: 0 done, 1 failed part-way, 2 refused and nothing changed, 3 stopped early, 4 done but some rows
    could not go.

    Example: [bold]purgekit run postgresql://iam@db/identity wso2-is/sessions --window 22:00-05:00 --yes[/bold]
    """
    from purgekit.cli.progress import Watcher
    from purgekit.cli.reportview import show_report
    from purgekit.database import connect
    from purgekit.logs import log_to_terminal
    from purgekit.planfile import load_plan
    from purgekit.policies import load_all
    from purgekit.signals import stop_on_signals

    log_to_terminal()
    check_reclaim(reclaim)
    if plan_file is not None and (policy or param or now or archive or exact):
        raise options.usage("--plan FILE says what POLICY, --param, --now, --archive and --exact would: leave them out")
    if plan_file is None and not policy:
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
        within=within,
        pace=pace,
        workers=workers,
        replicas=tuple(replica or ()),
        lag_sql=lag_sql,
        probe_sql=probe_sql,
        probe_limit_ms=probe_limit_ms,
    )
    can_ask = sys.stdin.isatty() and sys.stderr.isatty()
    if not yes and not can_ask:
        raise PurgeRefused(
            "run deletes rows and there is no terminal to ask on; add --yes, or look first with plan",
            code="not_confirmed",
        )
    file = load_plan(plan_file) if plan_file is not None else None
    policies = load_all(policy or (), options.parse_params(param))
    with connect(url, password_file=password_file, lock_wait_ms=lock_wait_ms) as db:
        if file is not None:
            plan = db.renew(file, within=within, max_plan_age=max_plan_age, ledger=ledger)
        else:
            plan = db.plan(
                policies,
                now=now,
                exact=exact or within is not None,
                max_fraction=max_fraction,
                accept_clock=accept_clock,
                archive=archive,
                ledger=ledger,
            )
        if not yes:
            _ask(plan)
        else:
            _warn(plan)
        control = RunControl()
        with (
            stop_on_signals(control, STOP_SIGNALS, _tell_stopping),
            Watcher(sys.stderr.isatty()) as watcher,
        ):
            try:
                report = db.run(
                    plan,
                    limits=limits,
                    on_progress=watcher.update,
                    ledger=ledger,
                    control=control,
                    accept_clock=accept_clock,
                    reclaim=reclaim,
                    evidence_key=evidence_key,
                )
            except PurgeFailed as failure:
                if failure.report is None:
                    raise
                report = failure.report
    if json:
        print_json(report.to_dict())
    else:
        show_report(report)
    _tell_outcome(report)
    return report.exit_code


def _ask(plan: Plan) -> None:
    from purgekit.cli.planview import show_plan

    show_plan(plan, console(stderr=True))
    about = "" if plan.exact else "about "
    if not typer.confirm(f"\nDelete {about}{plan.rows_purgeable:,} rows?", err=True):
        raise PurgeRefused("not confirmed; nothing was changed", code="not_confirmed")


def _tell_stopping() -> None:
    say("purgekit: ending after the chunk in hand; once more rolls it back")


def _warn(plan: Plan) -> None:
    for entry in plan.policies:
        for warning in entry["warnings"]:
            if warning["code"] in REFUSED_BY_RUN:
                continue
            say(f"purgekit: warning: {entry['policy']}: {warning['message']}")


def _tell_outcome(report: Report) -> None:
    if report.status == "failed":
        say(f"purgekit: {report.failure}")
    elif report.stop_reason == "fenced":
        where = f"; flight record: {report.flight}" if report.flight else ""
        say(
            f"purgekit: another purge has taken the table over and goes on; the {report.rows_deleted:,} rows that "
            f"this one deleted are committed and recorded, nothing is left to do here{where}"
        )
    elif report.stop_reason == HOLD_UNREADABLE and report.error:
        say(f"purgekit: stopped after {report.rows_deleted:,} rows: {report.error.get('message')}")
    elif report.status == "stopped":
        say(f"purgekit: stopped by {report.stop_reason} after {report.rows_deleted:,} rows; run again to go on")
    elif report.exit_code == 4:
        say("purgekit: done, but some purgeable rows could not go; the report lists what blocks them")
