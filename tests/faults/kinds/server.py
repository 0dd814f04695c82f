"""Harm to the database server and to the sessions on it."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

from faults.kinds.registry import ALL, ON_SERVERS, any_step, chunk_start, kind, moment_s
from faults.levers import discard
from faults.places import USER

if TYPE_CHECKING:
    from faults.world import World


@kind("server killed", backends=ON_SERVERS)
def server_killed(world: World, rng: random.Random) -> None:
    assert world.server is not None
    world.terms.crashed = True
    purge = world.start(any_step(world, rng) + "=pause:here" if rng.random() < 0.6 else "")
    if purge.reached("here", bound_s=moment_s(rng) + 0.2):
        world.server.kill9()
        purge.go("here")
    else:
        world.fired += not purge.ended.is_set()
        world.server.kill9()
    world.revive()
    purge.go("here")
    world.end(purge)


@kind("server shut down", backends=ON_SERVERS)
def server_shut_down(world: World, rng: random.Random) -> None:
    """Cleanly, in the middle: sessions are ended with an announcement."""
    assert world.server is not None
    purge = world.start(any_step(world, rng, chunks_only=True) + "=pause:here")
    if purge.reached("here", bound_s=3):
        stopper = threading.Thread(target=world.server.restart)
        stopper.start()
        time.sleep(rng.uniform(0, 0.2))
        purge.go("here")
        stopper.join()
    world.end(purge)


@kind("session ended by an administrator", backends=ON_SERVERS)
def session_ended(world: World, rng: random.Random) -> None:
    purge = world.start(any_step(world, rng, chunks_only=True) + "=pause:here")
    if purge.reached("here"):
        for session in world.sessions():
            world.end_session(session)
        purge.go("here")
    world.end(purge)


@kind("statement cancelled by an administrator", backends=ON_SERVERS)
def statement_cancelled(world: World, rng: random.Random) -> None:
    purge = world.start()
    for _ in range(rng.choice((5, 20))):
        if purge.ended.wait(rng.uniform(0, 0.02)):
            break
        for session in world.sessions():
            world.cancel_statement(session)
            world.fired += 1
    world.end(purge)


@kind("out of connections", backends=ON_SERVERS)
def out_of_connections(world: World, rng: random.Random) -> None:
    """The line breaks and, for a while, nobody is let in again."""
    purge = world.start(any_step(world, rng) + "=pause:here")
    if purge.reached("here"):
        world.limit_connections(True)
        for session in world.sessions():
            world.end_session(session)
        purge.go("here")
        purge.ended.wait(rng.uniform(0, 0.8))
        world.limit_connections(False)
    world.end(purge)


@kind("failover to a copy that is behind", backends=ALL, addable=False, quiet=True)
def failover(world: World, rng: random.Random) -> None:
    """Copied between two chunks (or in one), replaced some chunks later, rows and ledger going back together."""
    world.terms.rolled_back = True
    late = rng.choice((2, 3, 4))
    # A file can be replaced only while nobody holds its lock; a server dies at any step.
    steps = ["before:begin", "after:commit", "before:begin"]
    step = rng.choice(steps if world.server is None else [*steps, "after:begin", "before:commit", "after:delete_range"])
    purge = world.start(f"{step}:{late - 1}=pause:copy;{step}:{late + rng.choice((0, 1, 2))}=pause:swap")
    if purge.reached("copy"):
        copy = world.copy_database()
        purge.go("copy")
        if purge.reached("swap"):
            if rng.random() < 0.5:
                purge.kill()
            world.replace_database(copy)
            purge.go("swap")
        else:
            discard(copy)
    world.end(purge)


@kind("privileges revoked", backends=ON_SERVERS)
def privileges_revoked(world: World, rng: random.Random) -> None:
    purge = world.start(chunk_start(rng) + "=pause:here")
    if purge.reached("here"):
        what = rng.choice(("DELETE", "SELECT", "ledger"))
        world.allow(what, False)
        if world.place.is_mysql:  # where a session keeps what it had
            for session in world.sessions():
                world.end_session(session)
        purge.go("here")
        world.end(purge)
        # There may be nothing left to do: a purge before has done it, or the workers that don't stand at the step.
        perhaps_done = world.schedule.workers > 1 or purge is not world.purges[0]
        good = (1, 0, 4) if what == "ledger" or perhaps_done else (1,)
        if purge.code not in good:
            world.complaints.append(f"{USER} had lost {what}, yet the run ended with {purge.code}")
        again = world.start()
        world.end(again)
        world.allow(what, True)
        if again.code != 2:
            world.complaints.append(f"without {what} a new run ended with {again.code} instead of 2")
        return
    world.end(purge)
