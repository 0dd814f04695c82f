"""The list of faults. Each is a function that harms one purge or several and returns when they have ended."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faults.world import World

Harm = Callable[["World", random.Random], None]
ALL = ("sqlite", "postgresql", "mariadb", "mysql56")
ON_SERVERS = ALL[1:]

KINDS: dict[str, Kind] = {}


@dataclass(frozen=True)
class Kind:
    name: str
    harm: Harm
    backends: tuple[str, ...] = ALL
    addable: bool = True  # other faults may follow it in one schedule
    quiet: bool = False  # no foreground writers and one worker: the table is to stand still while the purge does
    shapes: tuple[str, ...] = ()  # only these; empty: all
    stored_as: tuple[str, ...] = ()  # likewise

    def serves(self, backend: str) -> bool:
        return backend in self.backends


def kind(
    name: str,
    *,
    backends: tuple[str, ...] = ALL,
    addable: bool = True,
    quiet: bool = False,
    shapes: tuple[str, ...] = (),
    stored_as: tuple[str, ...] = (),
) -> Callable[[Harm], Harm]:
    """Register a fault under its name. Order of definition is the order in which schedules take turns."""

    def register(harm: Harm) -> Harm:
        KINDS[name] = Kind(name, harm, backends, addable, quiet, shapes, stored_as)
        return harm

    return register


CHUNK_VERBS = ("begin", "delete_range", "checkpoint", "commit")
START_VERBS = (
    "connect", "inspect", "describe", "count", "propose", "prepare", "ledger_find", "ledger_create", "lock_run",
    "slot_lock", "slot_write", "run_write", "unlock_run", "rollback",
)  # fmt: skip


def any_step(world: World, rng: random.Random, *, chunks_only: bool = False) -> str:
    """A step of the run, as native/gate.cpp takes it. Most are in the chunks; the first commit is the takeover's."""
    when = rng.choice(("before", "after"))
    verbs = CHUNK_VERBS + (("delete_children",) if world.shape.name == "dependents" else ())
    if chunks_only or rng.random() < 0.7:
        verb = rng.choice(verbs)
        first = 2 if verb == "commit" else 1
        return f"{when}:{verb}:{rng.choice((first, first, first + 1, first + 2, first + 5))}"
    return f"{when}:{rng.choice(START_VERBS)}:{rng.choice((1, 1, 1, 2))}"


def chunk_start(rng: random.Random) -> str:
    """Between two chunks: nothing is open."""
    return f"before:begin:{rng.choice((1, 2, 2, 3, 4))}"


def moment_s(rng: random.Random) -> float:
    """Somewhere in a run of small tables: most often soon."""
    return rng.choice((0.0, 0.02, 0.05, 0.1, 0.3)) + rng.uniform(0, 0.05)
