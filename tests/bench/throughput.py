"""Contestants in turn, round after round, each on a fresh copy of the same rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import measure
from bench.contestants import Contestant
from bench.data import Rule, Shape
from bench.place import Place, Settings
from bench.place_mariadb import Mariadb
from bench.place_postgresql import Postgresql
from bench.place_sqlite import Sqlite
from bench.tokens import PLACES as TOKEN_PLACES

PLACES: dict[str, type[Place]] = {place.backend: place for place in (Sqlite, Postgresql, Mariadb)}
Say = Callable[[str], None]


def opened(backend: str, keep: Path, work: Path, settings: Settings, *, tokens: bool = False) -> Place:
    """A place of that backend, not yet started."""
    return (TOKEN_PLACES if tokens else PLACES)[backend](keep, work, settings)


def compare(
    place: Place, shape: Shape, rule: Rule, contestants: Sequence[Contestant], repeats: int, say: Say
) -> list[dict[str, Any]]:
    """All runs. Who goes first changes from round to round, so that none always follows the same other."""
    if place.build(shape):
        say(f"{place.backend}: built {shape}")
    if place.starts_cold:
        measure.one(place, shape, rule, contestants[0])
    records = []
    for number in range(repeats):
        first = number % len(contestants)
        for contestant in [*contestants[first:], *contestants[:first]]:
            record = {"backend": place.backend, "shape": shape.name, "round": number}
            record |= measure.one(place, shape, rule, contestant)
            records.append(record)
            say(f"{place.backend}: round {number + 1}, {contestant.name}: {record['elapsed_s']:.2f} s")
    return records
