"""Others at work on the same rows, and the errors that come of it."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING

from faults.kinds.registry import ALL, CHUNK_VERBS, kind
from faults.shapes import MAIN

if TYPE_CHECKING:
    from faults.world import World

DEADLOCK, SERIALIZATION, LOCK_TIMEOUT, STATEMENT_TIMEOUT, RESOURCES = 11, 12, 10, 13, 17
CONNECTION_LOST, IN_DOUBT = 8, 9


@kind("errors of the database")
def database_errors(world: World, rng: random.Random) -> None:
    """Deadlocks, serialization failures, timeouts, lack of resources, as the database would report them."""
    steps = []
    for _ in range(rng.choice((1, 2, 4))):
        code = rng.choice((DEADLOCK, SERIALIZATION, LOCK_TIMEOUT, STATEMENT_TIMEOUT, RESOURCES))
        verb = rng.choice(CHUNK_VERBS[:3])
        steps.append(f"{rng.choice(('before', 'after'))}:{verb}:{rng.randint(1, 6)}=fail:{code}")
    world.end(world.start(";".join(steps)))


@kind("lost lines, in doubt")
def lost_in_doubt(world: World, rng: random.Random) -> None:
    """COMMIT does its work or not, and no answer comes; other verbs lose the line."""
    steps = []
    for _ in range(rng.choice((1, 2, 3))):
        when = rng.choice(("before", "after"))
        number = rng.randint(1, 6)
        if rng.random() < 0.6:
            steps.append(f"{when}:commit:{number}=fail:{IN_DOUBT}")
        else:
            verb = rng.choice((*CHUNK_VERBS, "run_write", "slot_lock", "count"))
            steps.append(f"{when}:{verb}:{number}=fail:{CONNECTION_LOST}")
    world.end(world.start(";".join(steps)))


@kind("rows locked", backends=ALL)
def rows_locked(world: World, rng: random.Random) -> None:
    """A transaction holds some rows (SQLite: the file) for a while."""
    q = world.place.quoted
    with world.place.admin() as holder:
        cursor = holder.cursor()
        if world.server is None:
            cursor.execute("BEGIN IMMEDIATE")
        else:
            cursor.execute("BEGIN")
            keys = [row[0] for row in world.place.query(f"SELECT {q('ID')} FROM {q(MAIN)} ORDER BY {q('ID')}")]
            for key in rng.sample(keys, min(len(keys), rng.choice((1, 3, 10)))):
                cursor.execute(f"SELECT 1 FROM {q(MAIN)} WHERE {q('ID')} = %s FOR UPDATE", (key,))
                cursor.fetchall()
        purge = world.start()
        purge.ended.wait(rng.choice((0.05, 0.3, 1.0, 2.5)))
        world.fired += 1
        with contextlib.suppress(Exception):
            cursor.execute("ROLLBACK")
    world.end(purge)


@kind("serializable by default", backends=("postgresql", "mariadb", "mysql56"))
def serializable(world: World, rng: random.Random) -> None:
    """The server gives every session the strictest isolation unless it asks for another."""
    world.strict_isolation(True)
    world.fired += 1
    world.end(world.start())
    world.strict_isolation(False)


@kind("foreground writers only")
def writers_only(world: World, rng: random.Random) -> None:
    world.fired += 1
    world.end(world.start())
    world.end(world.start("after:delete_range:0=sleep:1"))
