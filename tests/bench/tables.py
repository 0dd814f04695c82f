"""Which tables of results there are. A table is a set of values for the options; what is given by hand wins."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.contestants import Contestant, Loop, PlainDelete, Purgekit
from bench.data import BARE_ROW_BYTES, INDEXES, Shape
from bench.keeping import InsertThenDelete, PtArchiverFile, PtArchiverTable, SelectThenDelete
from bench.procedure import Procedure
from bench.pt_archiver import PtArchiver
from bench.tokens import Cascading, ChildrenFirst

ALL = ("postgresql", "mariadb", "sqlite")
SERVERS = ("postgresql", "mariadb")
KEEPING = (
    "insert-delete",
    "select-delete",
    "purgekit-table",
    "purgekit-files",
    "pt-archiver-table",
    "pt-archiver-file",
)
CONTESTANTS = (
    *("delete", "delete-rc", "children-first", "purgekit", "swap", "procedure", "pt-archiver", "loop"),
    *KEEPING,
)

DEFAULTS: dict[str, Any] = {
    "backend": ALL,
    "rows": (1_000_000,),
    "share": (80,),
    "row_bytes": (900,),
    "indexes": (3,),
    "order": ("time",),
    "pace": ("fast",),
    "chunk_ms": (100,),
    "workers": (1,),
    "contestants": ("delete", "purgekit", "swap", "procedure", "pt-archiver", "loop"),
    "by": "created",
    "tokens": False,
    "repeats": 3,
    "pool_mb": 2_048,
    "log_mb": 1_024,
    "rate": 300.0,
    "clients": 8,
    "idle_s": 20.0,
    "after_s": 30.0,
    "renew_expired": 0.0,
}
DUEL = ("delete", "purgekit")
IMPACT: dict[str, Any] = {
    "repeats": 1,
    "pace": ("gentle", "fast"),
    "contestants": ("delete", "delete-rc", "purgekit", "procedure", "pt-archiver"),
}


@dataclass(frozen=True)
class Table:
    title: str
    options: Mapping[str, Any] = field(default_factory=dict)
    impact: bool = False
    regular: str = ""  # of cleaning up in small portions: "keys" or "watch"


TABLES = {
    "postgresql": Table("PostgreSQL, heap in time order", {"backend": ("postgresql",), "workers": (1, 2)}),
    "postgresql-shuffled": Table(
        "PostgreSQL, shuffled heap", {"backend": ("postgresql",), "order": ("shuffled",), "workers": (1, 2)}
    ),
    "mariadb": Table("MariaDB", {"backend": ("mariadb",), "workers": (1, 2)}),
    "sqlite": Table("SQLite", {"backend": ("sqlite",), "chunk_ms": (100, 1_000)}),
    "sparse": Table("Few of the rows go", {"share": (5,), "contestants": DUEL}),
    "shares": Table("By the share that goes", {"share": (5, 50, 80, 99), "contestants": DUEL}),
    "narrow": Table("Narrow rows", {"row_bytes": (BARE_ROW_BYTES,), "contestants": DUEL}),
    "indexes": Table("By the number of secondary indexes", {"indexes": tuple(range(5)), "contestants": DUEL}),
    "large": Table("Ten million rows beside one million", {"rows": (1_000_000, 10_000_000), "contestants": DUEL}),
    "archive": Table("What keeping the rows costs", {"contestants": (*DUEL, *KEEPING)}),
    "tokens": Table(
        "Tokens with what hangs on them",
        {"tokens": True, "contestants": ("delete", "children-first", "purgekit"), "workers": (1, 2)},
    ),
    "over-pool": Table(
        "Table larger than the buffer pool", {"backend": SERVERS, "order": ("time", "shuffled"), "pool_mb": 256}
    ),
    "impact-postgresql": Table(
        "What the foreground notices: PostgreSQL",
        {**IMPACT, "backend": ("postgresql",), "rows": (10_000_000,)},
        impact=True,
    ),
    "impact-mariadb": Table(
        "What the foreground notices: MariaDB", {**IMPACT, "backend": ("mariadb",), "rows": (3_000_000,)}, impact=True
    ),
    "load": Table(
        "Ten million sessions, 500 logins a second, expired sessions that come back",
        {
            **IMPACT,
            "backend": SERVERS,
            "rows": (10_000_000,),
            "row_bytes": (BARE_ROW_BYTES,),
            "rate": 500.0,
            "by": "expiry",
            "renew_expired": 0.1,
            "pace": ("gentle",),
            "contestants": ("purgekit",),
        },
        impact=True,
    ),
    "keys": Table("One token cleaned up by its application", {"rows": (1_000,)}, regular="keys"),
    "watch": Table(
        "A watch under token changes",
        {"backend": SERVERS, "rows": (200_000,), "idle_s": 30.0, "repeats": 1},
        regular="watch",
    ),
}


def shapes(options: Mapping[str, Any], kind: type[Shape] = Shape) -> list[Shape]:
    """Every combination of the data's dimensions."""
    names = ("rows", "share", "row_bytes", "indexes", "order")
    return [kind(*values) for values in itertools.product(*(options[name] for name in names))]


def contestants(options: Mapping[str, Any], backend: str) -> list[Contestant]:
    """Who takes part on ``backend``, the plain DELETE first."""
    variants = list(itertools.product(options["pace"], options["chunk_ms"], options["workers"]))
    makers: dict[str, list[Contestant]] = {
        "delete": [Cascading() if options["tokens"] else PlainDelete()],
        "children-first": [ChildrenFirst()],
        # Only InnoDB's default isolation locks rows that stay.
        "delete-rc": [PlainDelete("READ COMMITTED")] if backend == "mariadb" else [],
        "purgekit": [Purgekit(*variant) for variant in variants],
        # PostgreSQL deletes as fast as it copies, so it is not offered there.
        "swap": [Purgekit(strategy="swap")] if backend != "postgresql" else [],
        "procedure": [Procedure()],
        "pt-archiver": [PtArchiver()],
        "loop": [Loop()],
        "insert-delete": [InsertThenDelete()],
        "select-delete": [SelectThenDelete()],
        "purgekit-table": [Purgekit(*variant, archive="table") for variant in variants],
        "purgekit-files": [Purgekit(*variant, archive="files") for variant in variants],
        "pt-archiver-table": [PtArchiverTable()],
        "pt-archiver-file": [PtArchiverFile()],
    }
    chosen = [name for name in CONTESTANTS if name in options["contestants"]]
    return [one for name in chosen for one in makers[name] if backend in one.backends]


def refuse(options: Mapping[str, Any]) -> str | None:
    """What is wrong with the values, in words."""
    if min(options["rows"]) < 100:
        return "--rows must be 100 or more"
    if not all(0 < share < 100 for share in options["share"]):
        return "--share is in per cent, from 1 to 99"
    if min(options["row_bytes"]) < BARE_ROW_BYTES:
        return f"--row-bytes must be {BARE_ROW_BYTES} or more: keys and overhead take that much"
    if not all(0 <= count <= len(INDEXES) for count in options["indexes"]):
        return f"--indexes goes from 0 to {len(INDEXES)}"
    if options["repeats"] < 1:
        return "--repeats must be 1 or more"
    if options["renew_expired"] and options["by"] != "expiry":
        return "--renew-expired needs --by expiry: a row that goes by its age can't be renewed"
    return None
