"""``purgekit plan``."""

from __future__ import annotations

from typing import Annotated

import typer

from purgekit.cli import options
from purgekit.cli.output import print_json


def plan(
    url: options.Url,
    policy: options.PolicyNames,
    param: options.Params = None,
    exact: options.Exact = False,
    rehearse: options.Rehearse = False,
    chunk_ms: Annotated[
        float, typer.Option(min=1, max=60_000, help="Target time of one transaction, for the forecast.")
    ] = 100,
    now: options.Now = None,
    max_fraction: options.MaxFraction = None,
    archive: options.Archive = None,
    ledger: options.Ledger = "purgekit_ledger",
    password_file: options.PasswordFile = None,
    json: options.AsJson = False,
) -> None:
    """Show what would be purged and how. Changes nothing.

    Example: [bold]purgekit plan postgresql://iam@db/identity wso2-is/sessions --param lifetime=30d[/bold]
    """
    from purgekit.cli.planview import show_plan
    from purgekit.database import connect
    from purgekit.logs import log_to_terminal
    from purgekit.policies import load_all

    log_to_terminal()
    policies = load_all(policy, options.parse_params(param))
    with connect(url, password_file=password_file) as db:
        made = db.plan(
            policies,
            now=now,
            exact=exact,
            max_fraction=max_fraction,
            archive=archive,
            rehearse=rehearse,
            chunk_ms=chunk_ms,
            ledger=ledger,
        )
    if json:
        print_json(made.to_dict())
    else:
        show_plan(made)
