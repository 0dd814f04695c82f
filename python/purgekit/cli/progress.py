"""Live progress of a run, on a terminal only."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from purgekit.cli.output import console, duration
from purgekit.text import printable


class Watcher:
    """Give ``update`` to ``run``: one line for each policy, with share, rows, speed, chunk time, time left, waiting."""

    def __init__(self, is_terminal: bool) -> None:
        self._tasks: dict[str, TaskID] = {}
        self._progress: Progress | None = None
        if is_terminal:
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("[bold]{task.fields[policy]}", table_column=None),
                BarColumn(bar_width=24),
                TextColumn("{task.percentage:>5.1f} %"),
                TextColumn("{task.fields[figures]}"),
                TextColumn("[yellow]{task.fields[waiting]}"),
                console=console(stderr=True),
            )

    def __enter__(self) -> Watcher:
        if self._progress:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress:
            self._progress.stop()

    def update(self, event: dict[str, Any]) -> None:
        """Show one progress event."""
        if self._progress is None:
            return
        name = event["policy"]
        if name not in self._tasks:
            for task in self._tasks.values():
                self._progress.update(task, completed=1.0, waiting="")
            self._tasks[name] = self._progress.add_task("", total=1.0, policy=_markup(name), figures="", waiting="")
        self._progress.update(
            self._tasks[name], completed=_share(event), figures=_figures(event), waiting=_markup(event["waiting"])
        )

    def finish(self) -> None:
        """Show every line as complete."""
        if self._progress:
            for task in self._tasks.values():
                self._progress.update(task, completed=1.0, waiting="")


def _share(event: dict[str, Any]) -> float:
    share = event["share_done"]
    if share is None or share < 0:
        purgeable = event["rows_purgeable"] or 0
        share = event["rows_deleted"] / purgeable if purgeable > 0 else 0.0
    return float(min(max(share, 0.0), 1.0))


def _figures(event: dict[str, Any]) -> str:
    parts = [
        f"{event['rows_deleted']:,} rows",
        f"{event['rows_per_s']:,.0f} rows/s",
        f"chunk {event['chunk_ms']:.0f} ms",
    ]
    if event["eta_s"] is not None and event["eta_s"] >= 0:
        parts.append(f"{duration(event['eta_s'])} left")
    if event["pass"] > 1:
        parts.append(f"pass {event['pass']}")
    return ", ".join(parts)


def _markup(text: str) -> str:
    from rich.markup import escape

    return escape(printable(text))
