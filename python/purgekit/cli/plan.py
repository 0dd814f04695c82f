"""``purgekit plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from purgekit.cli import options
from purgekit.cli.output import print_json, say
from purgekit.text import plural, printable

FILES = "Plan files"


def plan(
    url: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this annotation while it runs, on Python 3.10 too
        typer.Argument(metavar="URL", help="Database, such as postgresql://user@host/db or sqlite:///file.db."),
    ] = None,
    policy: options.PolicyNames = None,
    param: options.Params = None,
    exact: options.Exact = False,
    rehearse: options.Rehearse = False,
    chunk_ms: Annotated[
        float, typer.Option(min=1, max=60_000, help="Target time of one transaction, for the forecast.")
    ] = 100,
    sample: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=100, help="Show N rows that would go: types and lengths of their values, no values."
        ),
    ] = 0,
    unmask: Annotated[bool, typer.Option("--unmask", help="With --sample: show the values too.")] = False,
    now: options.Now = None,
    max_fraction: options.MaxFraction = None,
    archive: options.Archive = None,
    ledger: options.Ledger = "purgekit_ledger",
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="FILE",
            help="Write the plan there, with exact figures, for run --plan FILE. Holds no value of any row.",
            rich_help_panel=FILES,
        ),
    ] = None,
    approve: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="FILE",
            help="Approve of a plan file (without URL and POLICY): writes FILE.approval.json.",
            rich_help_panel=FILES,
        ),
    ] = None,
    by: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="NAME", help="With --approve: who approves.", rich_help_panel=FILES),
    ] = None,
    password_file: options.PasswordFile = None,
    json: options.AsJson = False,
) -> None:
    """Show what would be purged and how. Changes nothing.

    Example: [bold]purgekit plan postgresql://iam@db/identity wso2-is/sessions --param lifetime=30d[/bold]
    """
    from purgekit.logs import log_to_terminal

    log_to_terminal()
    if approve is not None:
        if url is not None or policy or param or out is not None or sample:
            raise options.usage("--approve FILE is about a plan that is made: leave out URL, POLICY and what makes one")
        _approve(approve, by, json)
        return
    if by is not None:
        raise options.usage("--by NAME belongs to --approve FILE")
    if url is None:
        raise options.usage("Missing argument 'URL'")
    if not policy:
        raise options.usage("Missing argument 'POLICY'")
    if unmask and not sample:
        raise options.usage("--unmask shows the values of --sample N rows: say how many")

    from purgekit.cli.planview import show_plan
    from purgekit.database import connect
    from purgekit.planfile import save_plan
    from purgekit.policies import load_all

    params = options.parse_params(param)
    policies = load_all(policy, params)
    with connect(url, password_file=password_file) as db:
        made = db.plan(
            policies,
            now=now,
            exact=exact or out is not None,
            max_fraction=max_fraction,
            archive=archive,
            rehearse=rehearse,
            chunk_ms=chunk_ms,
            ledger=ledger,
            sample=sample,
            unmask=unmask,
        )
    written = save_plan(made, out, policy, params) if out is not None else None
    if json:
        print_json(made.to_dict())
    else:
        show_plan(made)
    if written is not None:
        say(f"purgekit: plan file {written.path}: {written.hash}")


def _approve(path: Path, by: str | None, as_json: bool) -> None:
    from purgekit.approval import approval_path, approve
    from purgekit.planfile import load_plan

    file = load_plan(path)
    given = approve(file, by or "")
    if as_json:
        print_json(
            {"schema": "purgekit.approval/1", "plan": given.plan, "by": given.by, "approved_utc": given.approved_utc}
        )
        return
    policies = plural(len(file.policies), "policy")
    rows = plural(file.rows_purgeable, "row")
    database = file.database["name"]
    print(printable(f"{path}: {policies}, {rows} of {database}; approved by {given.by}: {approval_path(path)}"))
