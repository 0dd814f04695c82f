"""A schedule: everything chosen, from (seed, backend, number) alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from faults.kinds import KINDS, Kind
from faults.shapes import SHAPES, Shape


@dataclass(frozen=True)
class Schedule:
    seed: int
    backend: str
    number: int
    kind: Kind  # what it is counted under
    more: tuple[Kind, ...]  # done after it, in the same database
    shape: Shape
    rows: int
    doomed_share: float
    text_keys: bool
    indexed: bool
    keyed: bool
    stored_as: str  # the expiry
    journal: str  # SQLite only
    archived: bool
    chunk_ms: int
    chunk_rows: int  # most rows a chunk visits; 0: as the engine chooses
    lock_wait_ms: int
    writers: int
    writer_pause_s: float
    own_interpreter: bool  # the last run starts as people start it
    workers: int

    @property
    def name(self) -> str:
        return f"{self.backend}-{self.seed}-{self.number}"

    def random(self, purpose: str) -> random.Random:
        return random.Random(f"{self.name}/{purpose}")


def make(seed: int, backend: str, number: int, kinds: Sequence[str] = ()) -> Schedule:
    """The same arguments always make the same schedule. Kinds come in turn, so that each gets its share."""
    rng = random.Random(f"{seed}/{backend}/{number}")
    possible = [kind for kind in KINDS.values() if kind.serves(backend)]
    offered = [kind for kind in possible if not kinds or kind.name in kinds]
    if not offered:
        raise SystemExit(f"none of {', '.join(kinds)} is done to {backend}")
    kind = offered[number % len(offered)]
    shape = SHAPES[rng.choice(kind.shapes or ("plain", "plain", "unused", "latest", "dependents", "guard", "trigger"))]
    rows = rng.choice((300, 600, 1_000, 1_500)) if backend == "mysql56" else rng.choice((300, 800, 1_500, 3_000))
    addable = [other for other in possible if other.addable]
    more = tuple(rng.choice(addable) for _ in range(rng.choice((0, 0, 0, 1, 2)))) if kind.addable and not kinds else ()
    archived = rng.random() < 0.5
    keyless = shape.name == "plain" and rng.random() < 0.15 and not (archived and backend in ("mariadb", "mysql56"))
    return Schedule(
        seed=seed,
        backend=backend,
        number=number,
        kind=kind,
        more=more,
        shape=shape,
        rows=rows,
        doomed_share=rng.choice((0.03, 0.4, 0.7, 0.9)),
        text_keys=rng.random() < 0.3,
        indexed=rng.random() < 0.3,
        keyed=not keyless,
        stored_as=rng.choice(kind.stored_as or ("seconds", "seconds", "wall", "zoned")),
        journal=rng.choice(("WAL", "DELETE", "TRUNCATE", "PERSIST")),
        archived=archived,
        chunk_ms=rng.choice((10, 20, 50, 100)),
        chunk_rows=rng.choice((0, max(5, rows // 30), max(5, rows // 8), rows // 3)),
        lock_wait_ms=rng.choice((50, 200, 1_000)),
        writers=0 if kind.quiet else rng.choice((0, 1, 2, 3)),
        writer_pause_s=rng.choice((0.005, 0.02, 0.05)),
        own_interpreter=rng.random() < 0.04,
        workers=1 if backend == "sqlite" or kind.quiet else rng.choice((1, 1, 2, 3)),
    )
