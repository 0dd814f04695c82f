"""``purgekit evidence export | verify``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from purgekit.cli import options
from purgekit.cli.output import count, print_json, say
from purgekit.text import plural, printable

NOT_INTACT = 1

app = typer.Typer(
    help="Evidence of what runs deleted: take it out of a ledger, verify it without a database.", no_args_is_help=True
)


@app.command("export")
def export(
    url: options.Url,
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="As history shows it.")],
    out: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation while it runs, on Python 3.10 too
        typer.Option(metavar="FILE", help="A file that is not there yet. Default: standard output."),
    ] = None,
    ledger: options.Ledger = "purgekit_ledger",
    password_file: options.PasswordFile = None,
) -> None:
    """Write a run's evidence: one line of JSON for each link, with its hash.

    Example: [bold]purgekit evidence export postgresql://iam@db/identity 20261121T101112345Z-3f9a2c --out run.evidence
    [/bold]
    """
    from purgekit.database import connect
    from purgekit.logs import log_to_terminal

    log_to_terminal()
    with connect(url, password_file=password_file) as db:
        evidence = db.evidence(run_id, ledger=ledger)
    if out is None:
        for line in evidence.lines():
            sys.stdout.write(f"{line}\n")
        return
    evidence.save(out)
    say(f"purgekit: evidence of run {run_id} is in {out}; its root is {evidence.root}")


@app.command("verify")
def verify_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What evidence export wrote.", show_default=False)],
    root: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="HEX", help="The root that the run's log or report shows."),
    ] = None,
    key: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="The key that the run used."),
    ] = None,
    archive: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="PATH", help="Archive file that the run wrote, or the folder of them."),
    ] = None,
    before: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Evidence of the run before, which this one goes on from."),
    ] = None,
    json: options.AsJson = False,
) -> None:
    """Tell whether a run's evidence is what the run wrote. Needs no database.

    Exit code 0: intact, as far as it says that it was checked; 1: not intact, and where; 2: it can't be read.

    Example: [bold]purgekit evidence verify run.evidence --root ROOT_IN_THE_LOG --archive kept/[/bold]
    """
    from purgekit.evidence import verify

    verdict = verify(file, root=root, key=key, archive=archive, before=before)
    if json:
        print_json(verdict.to_dict())
    if not verdict.is_intact:
        say(f"purgekit: {printable(file)} is not intact: {verdict.problem}")
        raise typer.Exit(NOT_INTACT)
    if json:
        return
    print(f"intact: run {printable(verdict.run_id)}, {plural(verdict.links, 'link')}, root {verdict.root}")
    for policy in verdict.policies:
        for table in policy["tables"]:
            rows, kept = count(table["rows_deleted"]), count(table["rows_archived"])
            print(printable(f"  {policy['policy']}: {rows} rows deleted from {table['table']}, {kept} of them kept"))
    for text in verdict.checked:
        print(printable(f"checked: {text}"))
    for text in verdict.unchecked:
        print(printable(f"not checked: {text}"))
