"""Measure: one table of results for each name given."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import fcntl
import hashlib
import importlib.util
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import impact, machine, regular, report, tables
from bench.contestants import purgekit
from bench.data import Rule, Shape
from bench.place import BenchFailed, Settings
from bench.throughput import compare, opened
from bench.tokens import TokenRule, Tokens
from servers import ServerFailed, ServerMissing

LONGEST_KEEP = 65
LOAD = ("rate", "clients", "idle_s", "after_s", "renew_expired")
RESULTS = Path(__file__).with_name("RESULTS.md")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.list:
        for name, table in tables.TABLES.items():
            print(f"{name:22} {table.title}")
        return 0
    if not given.table:
        parser.error("name a table; --list shows them")
    if unknown := [name for name in given.table if name not in tables.TABLES]:
        parser.error(f"no table is called {unknown[0]}; --list shows them")
    chosen = {name: _options(given, tables.TABLES[name]) for name in given.table}
    for options in chosen.values():
        if wrong := tables.refuse(options):
            parser.error(wrong)
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))  # so that servers are stopped
    try:
        with _folders(given.keep) as (keep, work):
            for name, options in chosen.items():
                _measure(tables.TABLES[name], name, options, given, keep, work)
    except (BenchFailed, ServerMissing, ServerFailed) as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tests/bench/run",
        description=__doc__,
        epilog="Where several values are given, all combinations are measured.",
    )
    parser.add_argument("table", nargs="*", metavar="TABLE")
    parser.add_argument("--list", action="store_true", help="show the tables and end")
    data = parser.add_argument_group("data, instead of the table's own")
    data.add_argument("--backend", nargs="+", choices=tables.ALL)
    data.add_argument("--rows", nargs="+", type=int)
    data.add_argument("--share", nargs="+", type=int, help="per cent purgeable")
    data.add_argument("--row-bytes", nargs="+", type=int, help="with the primary key's entry; 300 is without an object")
    data.add_argument("--indexes", nargs="+", type=int, help="secondary indexes, 0 to 4")
    data.add_argument("--order", nargs="+", choices=("time", "shuffled"), help="in which rows were written")
    data.add_argument("--by", choices=("created", "expiry"), help="the rule's column")
    who = parser.add_argument_group("contestants")
    who.add_argument("--contestants", nargs="+", choices=tables.CONTESTANTS)
    who.add_argument("--pace", nargs="+", choices=("gentle", "fast"))
    who.add_argument("--chunk-ms", nargs="+", type=int)
    who.add_argument("--workers", nargs="+", type=int)
    how = parser.add_argument_group("how")
    how.add_argument("--repeats", type=int, help="rounds; default 3, 1 for impact")
    how.add_argument("--pool-mb", type=int, help="the server's buffer pool; default 2048")
    how.add_argument("--log-mb", type=int, help="InnoDB's redo log; default 1024")
    how.add_argument(
        "--keep",
        type=Path,
        default=_default_keep(),
        help="where built tables stay, to be removed by hand (%(default)s)",
    )
    how.add_argument("--json", type=Path, help="add every run's figures to this file, one JSON object a line")
    how.add_argument("--save", action="store_true", help=f"put the table into {RESULTS.name}")
    load = parser.add_argument_group("impact")
    load.add_argument("--rate", type=float, help="foreground transactions a second; default 300")
    load.add_argument("--clients", type=int, help="default 8")
    load.add_argument("--idle-s", type=float, help="foreground alone, before; default 20")
    load.add_argument("--after-s", type=float, help="foreground alone, after; default 30")
    load.add_argument("--renew-expired", type=float, help="share of renewals that hit purgeable rows")
    return parser


def _default_keep() -> Path:
    return Path(tempfile.gettempdir()) / f"purgekit-bench-{os.getuid()}"


def _options(given: argparse.Namespace, table: tables.Table) -> dict[str, Any]:
    options = {**tables.DEFAULTS, **table.options}
    by_hand = {name: value for name, value in vars(given).items() if name in options and value is not None}
    if not table.impact and "contestants" in by_hand:
        by_hand["contestants"] = ["delete", *by_hand["contestants"]]  # what all figures are compared with
    return options | by_hand


@contextlib.contextmanager
def _folders(keep: Path) -> Iterator[tuple[Path, Path]]:
    """The one that stays, locked against a second bench, and one that is gone at the end."""
    keep = keep.resolve()
    if len(str(keep)) > LONGEST_KEEP:
        raise BenchFailed(f"{keep} is too long for the servers' socket names; choose another folder with --keep")
    keep.mkdir(parents=True, exist_ok=True)
    if keep.stat().st_uid != os.getuid():
        raise BenchFailed(f"{keep} belongs to somebody else; choose another folder with --keep")
    keep.chmod(0o755)  # the servers' accounts have to get through
    with (keep / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BenchFailed(f"another bench is running with {keep}: figures of both would be wrong") from None
        # Beside what is kept: on the disk that was chosen to be measured, and where a template is a rename away.
        work = keep / "run"
        shutil.rmtree(work, ignore_errors=True)  # of a bench that was killed
        work.mkdir()
        try:
            yield keep, work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _measure(
    table: tables.Table, name: str, options: dict[str, Any], given: argparse.Namespace, keep: Path, work: Path
) -> None:
    command = shlex.join(["tests/bench/run", name, *_without_tables(given)])
    facts = {"command": f"`{command}`", **machine.facts(keep), **_purgekit_facts(work)}
    parts: list[str] = []
    all_records: list[dict[str, Any]] = []
    rule = TokenRule() if options["tokens"] else Rule(options["by"])
    for backend in options["backend"]:
        settings = Settings(options["pool_mb"], options["log_mb"], autovacuum=table.impact)
        with opened(backend, keep, work, settings, tokens=options["tokens"]) as place:
            facts |= {(key if key != "settings" else f"{backend} settings"): v for key, v in place.facts().items()}
            if table.regular:
                text, records = regular.measure(table.regular, place, options, LOAD, _say)
                all_records += records
                parts.append(f"{backend}:\n\n{text}")
                print("\n" + parts[-1], flush=True)
                _append(given.json, name, records)
                continue
            contestants = tables.contestants(options, backend)
            for shape in tables.shapes(options, Tokens if options["tokens"] else Shape):
                if table.impact:
                    load = impact.Load(**{name: options[name] for name in LOAD})
                    records = impact.compare(place, shape, rule, contestants, options["repeats"], load, _say)
                    text = impact.table(records)
                else:
                    records = compare(place, shape, rule, contestants, options["repeats"], _say)
                    text = report.throughput(records)
                all_records += records
                parts.append(f"{backend}: {shape}\n\n{text}{report.trust(records)}")
                print("\n" + parts[-1], flush=True)
                _append(given.json, name, records)
    text = report.facts(facts) + "\n" + "\n".join(parts)
    print(f"\n{report.facts(facts)}", flush=True)
    if given.save:
        if table.impact:
            from bench.plot import draw  # matplotlib takes its time to load

            draw(RESULTS.with_name(f"{name}.svg"), table.title, all_records)
            text += f"\n![p99 over time]({name}.svg)\n"
        report.save(RESULTS, table.title, text)


def _append(path: Path | None, name: str, records: Sequence[Any]) -> None:
    if path is None:
        return
    with path.open("a") as file:
        for record in records:
            file.write(json.dumps({"table": name, **record}) + "\n")


def _without_tables(given: argparse.Namespace) -> list[str]:
    """The options as they were given, for the record."""
    return [word for word in sys.argv[1:] if word not in given.table and word != "--save"]


def _purgekit_facts(work: Path) -> dict[str, str]:
    ended = purgekit(["--version"], work)
    if ended.code != 0:
        raise BenchFailed(f"purgekit does not run: {ended.err.strip()}")
    where = importlib.util.find_spec("purgekit")
    assert where is not None and where.origin is not None
    return {
        "purgekit": f"{ended.out.strip()}; {ended.cpu_s:.2f} s of processor time to start",
        "build": _build_id(Path(where.origin).parent),
    }


def _build_id(package: Path) -> str:
    """Which binaries were measured: their newest time and a checksum."""
    binaries = sorted(package.rglob("*.so"))
    checksum = hashlib.sha256(b"".join(path.read_bytes() for path in binaries)).hexdigest()[:12]
    newest = max(path.stat().st_mtime for path in binaries)
    return f"{checksum}, {datetime.datetime.fromtimestamp(newest, datetime.timezone.utc):%Y-%m-%d %H:%M} UTC"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
