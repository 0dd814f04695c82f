"""``purgekit demo``."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from purgekit.cli.output import console, duration, size, table
from purgekit.errors import PurgeRefused
from purgekit.limits import Limits
from purgekit.report import Report
from purgekit.text import printable

MIN_ROWS, MAX_ROWS = 1_000, 50_000_000
POLICY = "wso2-is/sessions"
# Nobody else writes to the sample, so its chunks may be longer than the default: SQLite writes fewer pages twice.
CHUNK_MS = 250


def demo(
    rows: Annotated[int, typer.Option(help="Rows of the sample's session store.")] = 1_000_000,
    folder: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation while it runs, on Python 3.10 too
        typer.Option("--dir", metavar="DIR", help="Make and keep the sample here. Else in a temporary folder."),
    ] = None,
) -> int:
    """Make a sample identity database, plan, purge and report. Touches nothing else.

    Example: [bold]purgekit demo --rows 100000 --dir /tmp/sample[/bold]
    """
    from purgekit.logs import log_to_terminal

    log_to_terminal()
    if not MIN_ROWS <= rows <= MAX_ROWS:
        raise PurgeRefused(f"--rows must lie between {MIN_ROWS:,} and {MAX_ROWS:,}, not {rows:,}", code="limit")
    if folder is not None:
        return _demo(folder / "purgekit-demo.db", rows, keep=True)
    with tempfile.TemporaryDirectory(prefix="purgekit-demo-") as temporary:
        return _demo(Path(temporary) / "purgekit-demo.db", rows, keep=False)


def _demo(path: Path, rows: int, keep: bool) -> int:
    from purgekit.sample.build import count_rows

    out = console()
    started = time.monotonic()
    title = Text.assemble(
        ("purgekit demo", "bold"), "\nAn identity server wrote sessions for 70 days. What is older than 14 goes."
    )
    out.print(Panel(title, border_style="cyan", expand=False))
    _build(out, path, rows)
    before, before_bytes = count_rows(path), path.stat().st_size
    report = _purge(out, path)
    after = count_rows(path)
    _show_outcome(out, before, after, report)
    _show_space(out, path, before_bytes)
    out.print(Text(f"\nAll of it took {duration(time.monotonic() - started)}."))
    if keep:
        out.print(Text.assemble("The sample is kept: ", (printable(f"sqlite:///{path}"), "cyan")))
    _show_next(out)
    return report.exit_code


def _build(out: Console, path: Path, rows: int) -> None:
    from purgekit.sample.build import build_sample

    _step(out, 1, f"Making a sample database of {rows:,} session rows")
    started = time.monotonic()
    talk = console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %"),
    )
    with Progress(*columns, console=talk, transient=True, disable=not talk.is_terminal) as progress:
        task = progress.add_task("", total=rows)
        build_sample(path, rows, lambda what, done: progress.update(task, description=what, completed=done))
    out.print(
        f"  {size(path.stat().st_size)} in {duration(time.monotonic() - started)}: several versions of each session,"
    )
    out.print("  logout markers, four side tables, the indexes that the product has")


def _purge(out: Console, path: Path) -> Report:
    from purgekit.cli.planview import show_plan
    from purgekit.cli.progress import Watcher
    from purgekit.database import connect
    from purgekit.policies import load_policies

    with connect(f"sqlite:///{path.absolute()}") as db:
        _step(out, 2, f"Planning {POLICY} (changes nothing)")
        plan = db.plan(load_policies(POLICY))
        show_plan(plan, out)
        _step(out, 3, f"Purging in short transactions of about {CHUNK_MS} ms")
        with Watcher(console(stderr=True).is_terminal) as watcher:
            return db.run(plan, limits=Limits(chunk_ms=CHUNK_MS), on_progress=watcher.update)


def _show_outcome(out: Console, before: dict[str, int], after: dict[str, int], report: Report) -> None:
    _step(out, 4, "Before and after, counted independently by Python's own SQLite")
    rows = [(name, f"{before[name]:,}", f"{after[name]:,}", f"{before[name] - after[name]:,}") for name in before]
    columns = (("table", "left"), ("rows before", "right"), ("after", "right"), ("purged", "right"))
    out.print(table(None, columns, rows))
    entry = report.policies[0]
    ms = entry["chunk_ms"]
    speed = report.rows_deleted / report.elapsed_s if report.elapsed_s else 0.0
    out.print()
    out.print(
        Text.assemble(
            ("Purged ", ""),
            (f"{report.rows_deleted:,} rows in {duration(report.elapsed_s)}", "bold green"),
            f" ({speed:,.0f} rows/s) in {entry['chunks']:,} transactions;\n",
            f"half of them took less than {ms['p50']:.0f} ms, 99 % less than {ms['p99']:.0f} ms, ",
            f"none more than {ms['max']:.0f} ms.",
        )
    )
    if report.status != "completed":
        out.print(Text(f"Ended early: {report.stop_reason}. The same command would go on.", style="yellow"))


def _show_space(out: Console, path: Path, before_bytes: int) -> None:
    from purgekit.sample.build import free_bytes

    free = free_bytes(path)
    out.print(
        f"The file had {size(before_bytes)}; {size(free)} of it are free for new rows now. "
        "VACUUM would give them back to the disk."
    )


def _show_next(out: Console) -> None:
    out.print()
    out.print(Text("Next, on a database of yours:", style="bold"))
    for line in (
        "purgekit packs wso2-is --notes",
        "purgekit plan postgresql://user@host/db wso2-is/sessions",
        "purgekit run  postgresql://user@host/db wso2-is/sessions --max-run-s 600",
    ):
        out.print(Text(f"  {line}", style="cyan"))


def _step(out: Console, number: int, what: str) -> None:
    out.print()
    out.print(Text.assemble((f"{number} ", "bold cyan"), (what, "bold")))
