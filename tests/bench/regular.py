"""Cleaning up in small portions: by keys, and by watching. On a fresh, small database each."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bench import keys, watching
from bench.impact import Load
from bench.place import BenchFailed, Place
from bench.place_server import ServerPlace


def measure(
    kind: str, place: Place, options: Mapping[str, Any], load: Sequence[str], say: Callable[[str], None]
) -> tuple[str, list[dict[str, Any]]]:
    """The table as text, and its records. ``rows`` are tokens."""
    (rows,) = options["rows"]
    if kind == "keys":
        with _empty_database(place) as url:
            records = keys.compare(url, place.backend, rows, options["repeats"], say)
        return keys.table(records), records
    if not isinstance(place, ServerPlace):
        raise BenchFailed(
            "SQLite has one writer at a time, so that its clients would wait for each other; name a server"
        )
    records = watching.compare(place, rows, options["repeats"], Load(**{name: options[name] for name in load}), say)
    return watching.table(records), records


@contextlib.contextmanager
def _empty_database(place: Place) -> Iterator[str]:
    if isinstance(place, ServerPlace):
        yield place.server.create_database("keys")
        place.server.drop_database("keys")
        return
    file = place.work / "keys.db"
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    yield f"sqlite:///{file}"
