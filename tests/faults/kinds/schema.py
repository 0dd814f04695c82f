"""The table and the policy change while a purge is at work."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from faults.checker import ARCHIVE
from faults.kinds.registry import any_step, chunk_start, kind
from faults.shapes import MAIN, policy_text

if TYPE_CHECKING:
    from faults.world import World


@kind("policy edited", addable=False)
def policy_edited(world: World, rng: random.Random) -> None:
    """Killed under one policy, started again under another: the new one alone decides from there on."""
    other = world.folder / "other.toml"
    grace = rng.choice(("3d", "30m", "6d"))
    world.terms.other_grace_s = {"3d": 259_200, "30m": 1_800, "6d": 518_400}[grace]
    other.write_text(policy_text(world.shape, world.schedule.stored_as, grace=grace))
    world.end(world.start(any_step(world, rng, chunks_only=True) + "=kill", policy=other))
    if rng.random() < 0.5:
        world.end(world.start(any_step(world, rng, chunks_only=True) + "=kill"))
        world.end(world.start(policy=other))


@kind("column added", addable=False, quiet=True, shapes=("plain", "unused", "latest", "trigger"))
def column_added(world: World, rng: random.Random) -> None:
    purge = world.start(chunk_start(rng) + "=pause:here")
    if purge.reached("here"):
        q = world.place.quoted
        world.place.run(f"ALTER TABLE {q(MAIN)} ADD COLUMN {q('ADDED')} BIGINT")
        if rng.random() < 0.5:
            for session in world.sessions():
                world.end_session(session)
        purge.go("here")
        if world.terms.archived:
            # The archive table lacks the column: a run may refuse until an administrator adds it.
            world.after_refusal = f"ALTER TABLE {q(ARCHIVE + MAIN)} ADD COLUMN {q('ADDED')} BIGINT"
    world.end(purge)


@kind("table renamed", addable=False, quiet=True, shapes=("plain", "unused", "latest"))
def table_renamed(world: World, rng: random.Random) -> None:
    """Away, so that statements fail, and back."""
    purge = world.start(chunk_start(rng) + "=pause:here")
    if purge.reached("here"):
        q = world.place.quoted
        world.place.run(f"ALTER TABLE {q(MAIN)} RENAME TO {q('ELSEWHERE')}")
        purge.go("here")
        world.end(purge)
        gone = world.start()
        world.end(gone)
        world.place.run(f"ALTER TABLE {q('ELSEWHERE')} RENAME TO {q(MAIN)}")
        if purge.code != 1:
            world.complaints.append(f"the table was gone, yet the run ended with {purge.code}")
        if gone.code != 2:
            world.complaints.append(f"the table was gone, yet a new run ended with {gone.code} instead of 2")
    world.end(purge)


@kind("table dropped and made again", addable=False, quiet=True, shapes=("plain", "latest"))
def table_dropped(world: World, rng: random.Random) -> None:
    """The new table of that name holds other rows, some of them expired: only those may go, and by the policy."""
    purge = world.start(chunk_start(rng) + "=pause:here")
    if purge.reached("here"):
        world.note_rows_taken_away()
        world.place.run(f"DROP TABLE {world.place.quoted(MAIN)}")
        if rng.random() < 0.5:
            for session in world.sessions():
                world.end_session(session)
        world.make_main_again(rng)
        purge.go("here")
    world.end(purge)


@kind("table truncated", addable=False, quiet=True, shapes=("plain", "latest", "trigger"))
def table_truncated(world: World, rng: random.Random) -> None:
    purge = world.start(chunk_start(rng) + "=pause:here")
    if purge.reached("here"):
        world.note_rows_taken_away()
        q = world.place.quoted
        if world.server is None:
            world.place.run("DROP TRIGGER IF EXISTS pinned", f"DELETE FROM {q(MAIN)}")
        else:
            world.place.run(f"TRUNCATE TABLE {q(MAIN)}")
        purge.go("here")
    world.end(purge)
