"""``purgekit archive``: look into archive files, prove them, bring them into other forms."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from purgekit.cli import options
from purgekit.cli.output import console, count, print_json, say, size, table
from purgekit.errors import PurgekitError
from purgekit.text import plural, printable

DONE, BAD, OPEN = 0, 1, 4

app = typer.Typer(
    help="Archive files that a run with --archive PATH/ wrote: list, verify, export them.", no_args_is_help=True
)
Place = Annotated[
    Path, typer.Argument(metavar="PATH", help="An archive file, or a folder of them.", show_default=False)
]


@app.command("list")
def list_(path: Place, json: options.AsJson = False) -> None:
    """List archive files with their tables, runs and numbers of rows, as the files tell them.

    Example: [bold]purgekit archive list kept/[/bold]
    """
    from purgekit.archives import ArchiveError, ArchiveFile, find_archives

    documents = []
    for found in find_archives(path):
        document: dict[str, Any] = {"path": str(found), "problem": None}
        try:
            with ArchiveFile(found) as archive:
                header = archive.header
                document |= {"table": header.table, "database": header.database, "run_id": header.run_id}
                document |= {
                    "policy": header.policy,
                    "started_utc": header.started_utc,
                    "finished": archive.is_finished,
                }
                document |= {
                    "columns": [{"name": c.name, "type": c.type} for c in archive.columns],
                    "rows": 0,
                    "chunks": 0,
                }
                document["bytes"] = found.stat().st_size
                for chunk in archive.chunks():
                    document["rows"] += chunk.record.rows
                    document["chunks"] += 1
        except ArchiveError as error:
            document["problem"] = error.message
        documents.append(document)
    if json:
        print_json({"schema": "purgekit.archives/1", "files": documents})
    else:
        _show_list(documents)
    if any(document["problem"] for document in documents):
        raise typer.Exit(BAD)


def _show_list(documents: list[dict[str, Any]]) -> None:
    columns = (
        ("file", "left"),
        ("table", "left"),
        ("rows", "right"),
        ("size", "right"),
        ("chunks", "right"),
        ("run", "left"),
    )
    rows = [
        (
            d["path"],
            d.get("table", ""),
            count(d.get("rows")),
            size(d.get("bytes")),
            count(d.get("chunks")),
            d.get("run_id", ""),
        )
        for d in documents
    ]
    console().print(table(None, columns, rows))
    for document in documents:
        if document["problem"]:
            say(f"purgekit: {document['problem']}")
        elif not document["finished"]:
            say(f"{document['path']} is unfinished: its run has not ended, and its last chunk may yet be rolled back")


@app.command("verify")
def verify_(path: Place, json: options.AsJson = False) -> None:
    """Read archive files from end to end and tell whether they are what was archived.

    Each chunk is compared with its hash and each file with its run's manifest. Exit code 0: all intact; 1: something is
    damaged or missing; 4: nothing is, but of some file no manifest tells whether it is whole.

    Example: [bold]purgekit archive verify kept/[/bold]
    """
    from purgekit.archives import verify

    verdicts = verify(path)
    bad = [verdict for verdict in verdicts if verdict.is_bad]
    is_open = any(verdict.state != "intact" for verdict in verdicts)
    if json:
        files = [
            {
                "path": str(verdict.path),
                "state": verdict.state,
                "rows": verdict.rows,
                "chunks": verdict.chunks,
                "bytes": verdict.bytes,
                "table": verdict.table,
                "run_id": verdict.run_id,
                "problem": verdict.problem or None,
            }
            for verdict in verdicts
        ]
        print_json({"schema": "purgekit.archive-verify/1", "ok": not is_open, "files": files})
    else:
        columns = (("file", "left"), ("state", "left"), ("table", "left"), ("rows", "right"), ("size", "right"))
        rows = [(v.path, v.state, v.table or "", count(v.rows), size(v.bytes)) for v in verdicts]
        console().print(table(None, columns, rows))
    for verdict in bad:
        say(f"purgekit: {printable(verdict.path) + ': ' if verdict.state == 'missing' else ''}{verdict.problem}")
    if bad or is_open:
        raise typer.Exit(BAD if bad else OPEN)


@app.command("export")
def export_(
    path: Place,
    to: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation while it runs, on Python 3.10 too
        typer.Option(metavar="PATH", help="File, or for a folder of archives a folder. Default: standard output."),
    ] = None,
    format: Annotated[str, typer.Option(metavar="csv|json|parquet", help="Parquet needs purgekit\\[parquet].")] = "csv",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """Write archived rows as CSV (RFC 4180), JSON or Parquet, after their files were verified.

    Example: [bold]purgekit archive export kept/ --to csv/[/bold]
    """
    from purgekit.archives import export, export_to

    if to is None:
        if path.is_dir() or format == "parquet":
            raise PurgekitError("--to PATH tells where a folder or Parquet is to go", code="usage")
        export_to(path, sys.stdout.buffer, format=format)
        return
    written = export(path, to, format=format, overwrite=overwrite)
    for place, rows in written.items():
        say(f"{place}: {plural(rows, 'row')}")
    if not written:
        say(f"there is no finished archive file in {path}")
