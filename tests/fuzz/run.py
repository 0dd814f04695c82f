"""Builds the fuzz targets with Clang, runs each, and says how far it came.

Exit code 0: nothing found; 1: a finding, with the input that shows it; 2: it could not be built or run.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / ".build" / "fuzz"
COMPILERS = ("clang++-14", "clang++-19", "clang++-18", "clang++-17", "clang++-16", "clang++-15", "clang++")
DICTIONARIES = {
    **dict.fromkeys(("cursor", "duration", "table_name"), "text"),
    **dict.fromkeys(("ledger", "policy_json", "predicate_json", "render"), "json"),
}
LAST_LINE = re.compile(r"#(\d+)\s+(?:DONE|INITED|NEW|REDUCE|pulse|RELOAD).* cov: (\d+) ft: (\d+) corp: (\d+)/(\w+)")
FINDING = re.compile(r"FINDING: .*|ERROR: .*|runtime error: .*|what\(\): .*")
WRITTEN = re.compile(r"Test unit written to (\S+)")
# A slow machine must not make a finding: this is how long one input may take, thousands of times what it does.
ONE_INPUT_S = 60


@dataclass(frozen=True)
class Result:
    """What one target's run came to."""

    target: str
    executions: int
    edges: int
    inputs: int
    finding: str = ""
    reproducer: str = ""


def main() -> int:
    """Run the command line."""
    arguments = _arguments()
    targets = sorted(path.stem for path in HERE.glob("*.cpp"))
    if unknown := set(arguments.target) - set(targets):
        print(f"no fuzz target {', '.join(sorted(unknown))}; there are {', '.join(targets)}", file=sys.stderr)
        return 2
    targets = arguments.target or targets
    if not _build(targets):
        return 2
    with ThreadPoolExecutor(arguments.jobs) as pool:
        results = list(pool.map(lambda target: _run(target, arguments.seconds, arguments.seed), targets))
    print(f"{'target':<16}{'executions':>12}{'edges':>8}{'corpus':>8}")
    for result in results:
        print(f"{result.target:<16}{result.executions:>12,}{result.edges:>8,}{result.inputs:>8,}")
    print(f"{'all':<16}{sum(result.executions for result in results):>12,}")
    found = [result for result in results if result.finding]
    for result in found:
        print(f"FOUND by {result.target}: {result.finding}")
        print(f"  again with: {BUILD / f'fuzz_{result.target}'} {result.reproducer}")
    if not found and arguments.keep:
        for target in targets:
            _keep(target)
    return 1 if found else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/fuzz/run", description=__doc__)
    parser.add_argument("target", nargs="*", help="run these only")
    parser.add_argument("--seconds", type=int, default=60, help="how long each target runs (60)")
    parser.add_argument("--seed", type=int, default=0, help="of the random inputs; 0: another each time (0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at a time (one a processor)")
    parser.add_argument("--keep", action="store_true", help="take inputs that reach new code into tests/fuzz/corpus")
    return parser.parse_args()


def _build(targets: list[str]) -> bool:
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        print("the fuzz targets need Clang: apt-get install clang-14 libclang-rt-14-dev llvm-14", file=sys.stderr)
        return False
    configure = ["cmake", "-S", str(HERE), "-B", str(BUILD), "-G", "Ninja", f"-DCMAKE_CXX_COMPILER={compiler}"]
    build = ["cmake", "--build", str(BUILD), "--target", *(f"fuzz_{target}" for target in targets)]
    for command in (configure, build):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            print(done.stdout, file=sys.stderr)
            return False
    return True


def _run(target: str, seconds: int, seed: int) -> Result:
    own = BUILD / "corpus" / target
    findings = BUILD / "findings"
    for folder in (own, findings):
        folder.mkdir(parents=True, exist_ok=True)
    command = [
        str(BUILD / f"fuzz_{target}"),
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        "-max_len=2048",
        f"-timeout={ONE_INPUT_S}",
        "-rss_limit_mb=4096",
        *([f"-dict={HERE / 'dict' / DICTIONARIES[target]}.dict"] if target in DICTIONARIES else []),
        f"-artifact_prefix={findings}/{target}-",
        str(own),
        str(HERE / "corpus" / target),
    ]
    environment = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1"}
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            timeout=seconds + 10 * ONE_INPUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Result(target, 0, 0, 0, "it did not end", "")
    executions = edges = inputs = 0
    for found in LAST_LINE.finditer(done.stdout):
        executions, edges, inputs = int(found[1]), int(found[2]), int(found[4])
    if done.returncode == 0:
        return Result(target, executions, edges, inputs)
    (findings / f"{target}.log").write_text(done.stdout)
    finding = FINDING.search(done.stdout)
    written = WRITTEN.search(done.stdout)
    return Result(
        target,
        executions,
        edges,
        inputs,
        finding[0] if finding else f"exit code {done.returncode}, see {findings / target}.log",
        written[1] if written else "",
    )


def _keep(target: str) -> None:
    """The fewest of all inputs that together reach every edge any of them reaches."""
    kept, corpus = BUILD / "kept" / target, HERE / "corpus" / target
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    merge = [str(BUILD / f"fuzz_{target}"), "-set_cover_merge=1", "-use_counters=0", "-max_len=2048", str(kept)]
    subprocess.run([*merge, str(corpus), str(BUILD / "corpus" / target)], capture_output=True, check=True)
    shutil.rmtree(corpus)
    shutil.copytree(kept, corpus)


if __name__ == "__main__":
    sys.exit(main())
