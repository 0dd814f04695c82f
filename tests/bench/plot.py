"""The foreground's p99 over time, a line for each contestant, as an SVG file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.impact import STALL_MS
from bench.place import BenchFailed

BEFORE_S = 10  # of the load alone that is shown


def draw(path: Path, title: str, records: Sequence[Mapping[str, Any]]) -> None:
    """Runs of one table; the first of each contestant is drawn."""
    try:
        import matplotlib
    except ImportError as error:
        raise BenchFailed("matplotlib, which draws the plot, is missing: pip install matplotlib") from error
    matplotlib.use("svg")
    # Letters stay letters, and the same figures give the same file.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "purgekit", "font.size": 9})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(11, 4))
    drawn: set[str] = set()
    for record in records:
        name = record["contestant"]
        if name in drawn:
            continue
        drawn.add(name)
        points = [(second, ms) for second, ms in record["series"] if second >= -BEFORE_S]
        (line,) = axes.plot(
            [second for second, _ in points],
            [ms for _, ms in points],
            linewidth=2 if name.startswith("purgekit") else 1,
            label=f"{name}: {record['window_s']:.0f} s",
        )
        axes.axvline(record["window_s"], color=line.get_color(), linewidth=0.7, linestyle=":")
    axes.axhline(STALL_MS, color="grey", linewidth=0.5)
    axes.axvline(0, color="grey", linewidth=0.5)
    axes.set_yscale("log")
    axes.set_xlabel("seconds since the purge began; dotted: it ended")
    axes.set_ylabel("login latency, p99 in each second, ms")
    axes.set_title(title)
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.tight_layout()
    figure.savefig(path, facecolor="white", metadata={"Date": None})
    pyplot.close(figure)
