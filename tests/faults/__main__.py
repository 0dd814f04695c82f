"""``tests/faults/run``: the command line of the suite."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from faults import suite
from faults.kinds import KINDS
from faults.places import BACKENDS
from faults.tally import table

FULL = {"sqlite": 2_000, "postgresql": 1_000, "mariadb": 1_000, "mysql56": 1_000}
DEFAULT_SCHEDULES = 40
SLOW_S = 60.0
PROGRESS_EACH = 100
WORDS_OF_A_LOG = re.compile(r"\b(ERROR|FATAL|PANIC)\b")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/faults/run", description=__doc__)
    parser.add_argument("--full", action="store_true", help="1,000 schedules a server, 2,000 on SQLite")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--schedules", type=int, help=f"of each backend; default {DEFAULT_SCHEDULES}")
    parser.add_argument("--first", type=int, default=0, help="number of the first schedule")
    parser.add_argument("--backend", action="append", choices=BACKENDS, help="may be repeated; default: all")
    parser.add_argument(
        "--kind", action="append", choices=sorted(KINDS), metavar="KIND", help="may be repeated; --kinds lists them"
    )
    parser.add_argument("--kinds", action="store_true", help="list the kinds of faults")
    parser.add_argument("--workers", type=int, default=suite.WORKERS)
    parser.add_argument(
        "--keep", type=Path, help="where failing schedules leave their folder; default: a temporary one"
    )
    options = parser.parse_args()
    if options.kinds:
        for kind in KINDS.values():
            print(f"{kind.name:44} {' '.join(kind.backends)}")
        return 0
    keep = options.keep or Path(tempfile.mkdtemp(prefix="purgekit-faults-"))
    keep.mkdir(parents=True, exist_ok=True)
    kinds = tuple(options.kind or ())
    order = suite.Order(options.seed, kinds, keep)
    counts: dict[str, Sequence[int]] = {}
    for backend in options.backend or BACKENDS:
        count = options.schedules or (FULL[backend] if options.full else DEFAULT_SCHEDULES)
        counts[backend] = range(options.first, options.first + count)
    print(f"seed {options.seed}, {os.cpu_count()} processors, {options.workers} at a time", flush=True)

    results: list[suite.Result] = []

    def told(result: suite.Result) -> None:
        results.append(result)
        if len(results) % PROGRESS_EACH == 0:
            print(f"{len(results)} schedules, {sum(r.failed for r in results)} failed", flush=True)
        if result.elapsed_s > SLOW_S:
            name = f"{result.backend} {result.number} {result.kind}, {result.shape}"
            print(f"slow: {result.elapsed_s:.1f} s  {name}: {result.longest_stages}", flush=True)
        if not (result.failed or result.server_lost):
            return
        again = f"--seed {options.seed} --backend {result.backend} --first {result.number} --schedules 1"
        again += "".join(f' --kind "{kind}"' for kind in kinds)
        if result.server_lost:
            first, *log = result.server_lost.splitlines()
            what, why = "SERVER LOST", " ".join([first, *(line for line in log if WORDS_OF_A_LOG.search(line))])
        else:
            what, why = "FAILED", result.verdict.complaints[0]
        why = " ".join(f"{result.kind}, {result.shape}: {why}".split())[:400]
        print(f"{what}  tests/faults/run {again}  # {why}  ({result.kept})", flush=True)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stopped = False
    try:
        suite.run(order, counts, told, workers=options.workers)
    except KeyboardInterrupt:
        stopped = True
        print("stopped early")
    print(table(results))
    failed = sum(result.failed for result in results)
    if lost := suite.too_many_lost(results):
        print(f"too many servers lost: {', '.join(lost)}")
    if not any(keep.iterdir()):
        keep.rmdir()
    print(f"{len(results)} schedules, {failed} failed", flush=True)
    if stopped:
        os._exit(1)  # without waiting for the schedules in hand: the workers die with us, and their servers with them
    return 1 if failed or lost or not results else 0


if __name__ == "__main__":
    sys.exit(main())
