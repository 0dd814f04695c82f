"""Harm to the purge's own process."""

from __future__ import annotations

import random
import signal
import time
from typing import TYPE_CHECKING

from faults.kinds.registry import any_step, chunk_start, kind, moment_s

if TYPE_CHECKING:
    from faults.world import World


@kind("kill -9 at a step")
def kill_at_step(world: World, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 2, 3))):
        world.end(world.start(any_step(world, rng) + "=kill"))


@kind("kill -9 at any instant")
def kill_at_random(world: World, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 2))):
        purge = world.start()
        purge.ended.wait(moment_s(rng))
        world.fired += not purge.ended.is_set()
        purge.kill()


@kind("frozen, taken over")
def frozen(world: World, rng: random.Random) -> None:
    """SIGSTOP while it holds a chunk or none; its session ends, another purge takes over, then it thaws."""
    step = any_step(world, rng, chunks_only=True) if rng.random() < 0.7 else chunk_start(rng)
    first = world.start(step + "=pause:here")
    if not first.reached("here"):
        return world.end(first)
    first.freeze()
    if world.server is not None:
        for session in world.sessions():
            world.end_session(session)
        time.sleep(0.05)
    world.end(world.start())
    first.go("here")
    world.end(first)
    return None


@kind("frozen, fence alone")
def fenced(world: World, rng: random.Random) -> None:
    """No run lock: two purges of one table, the first standing still between chunks while the second does its work."""
    no_lock = "before:lock_run:0=fail:3;"
    first = world.start(no_lock + chunk_start(rng) + "=pause:here")
    if not first.reached("here"):
        return world.end(first)
    first.freeze()
    second = world.start(no_lock)
    world.end(second)
    first.go("here")
    world.end(first)
    if second.code not in (0, 4):
        return None  # locks of the foreground were in its way: it may not have got as far as the takeover
    reasons = {policy.get("stop_reason") for policy in (first.document or {}).get("policies", [])}
    if first.code != 3 or reasons != {"fenced"}:
        world.complaints.append(f"the frozen purge was not fenced out: exit {first.code}, {reasons}")
    return None


@kind("two purges")
def two_purges(world: World, rng: random.Random) -> None:
    purges = []
    for _ in range(rng.choice((2, 2, 3))):
        steps = "before:lock_run:0=fail:3" if rng.random() < 0.5 else ""
        purges.append(world.start(steps))
        time.sleep(rng.choice((0, 0, 0.01, 0.05)))
    world.fired += 1
    world.end(*purges)


@kind("signals")
def signals(world: World, rng: random.Random) -> None:
    purge = world.start(f"{any_step(world, rng, chunks_only=True)}=sleep:{rng.choice((20, 100))}")
    purge.ended.wait(moment_s(rng))
    for number in rng.choice(([signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGINT])):
        purge.send(number)
        time.sleep(rng.choice((0, 0.02)))
    purge.harmed = True  # in its first milliseconds it has no handler yet, and just dies
    world.end(purge)


@kind("out of memory")
def out_of_memory(world: World, rng: random.Random) -> None:
    more_bytes = rng.choice((0, 1 << 16, 1 << 20, 4 << 20, 16 << 20))
    if rng.random() < 0.5:
        purge = world.start(memory_bytes=more_bytes)
        world.fired += 1
    else:
        purge = world.start(f"{any_step(world, rng)}=starve:{more_bytes}")
    world.end(purge)
