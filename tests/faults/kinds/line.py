"""Harm to the line between purge and server, by a proxy."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from faults.kinds.registry import ON_SERVERS, any_step, kind, moment_s
from servers import Action

if TYPE_CHECKING:
    from faults.world import World


class AtCommit:
    """Acts on one COMMIT: the first is the takeover's, the others are chunks'."""

    def __init__(self, action: Action, number: int) -> None:
        self.action, self.number, self.seen = action, number, 0

    def __call__(self, content: bytes) -> Action:
        if b"COMMIT" not in content.upper():
            return Action.PASS
        self.seen += 1
        return self.action if self.seen == self.number else Action.PASS


@kind("cut at COMMIT", backends=ON_SERVERS)
def cut_at_commit(world: World, rng: random.Random) -> None:
    world.proxied()
    assert world.proxy is not None
    world.proxy.on_client_bytes = AtCommit(
        rng.choice((Action.CUT_BEFORE, Action.CUT_AFTER_REPLY)), rng.choice((1, 2, 3, 4, 5))
    )
    world.proxy.fired.clear()
    world.end(world.start(through_proxy=True))
    world.fired += world.proxy.fired.is_set()
    world.proxy.on_client_bytes = None


@kind("black hole at COMMIT", backends=ON_SERVERS)
def black_hole_at_commit(world: World, rng: random.Random) -> None:
    world.proxied()
    assert world.proxy is not None
    world.proxy.on_client_bytes = AtCommit(
        rng.choice((Action.STALL_BEFORE, Action.STALL_AFTER)), rng.choice((1, 2, 3, 4))
    )
    world.proxy.fired.clear()
    purge = world.start(through_proxy=True)
    while not purge.ended.wait(0.01) and not world.proxy.fired.is_set():
        pass
    world.proxy.on_client_bytes = None
    world.fired += world.proxy.fired.is_set()
    time.sleep(rng.uniform(0, 0.5))
    rng.choice((world.proxy.resume, world.proxy.cut, purge.kill))()
    world.proxy.resume()
    world.end(purge)


@kind("cut anywhere", backends=ON_SERVERS)
def cut_anywhere(world: World, rng: random.Random) -> None:
    world.proxied()
    assert world.proxy is not None
    if rng.random() < 0.5:
        purge = world.start(through_proxy=True)
        for _ in range(rng.choice((1, 2, 3))):
            purge.ended.wait(moment_s(rng))
            world.fired += not purge.ended.is_set()
            world.proxy.cut()
    else:
        purge = world.start(any_step(world, rng) + "=pause:here", through_proxy=True)
        if purge.reached("here"):
            world.proxy.cut()
            world.proxy.refusing = rng.random() < 0.3
            purge.go("here")
            purge.ended.wait(rng.uniform(0, 0.4))
            world.proxy.refusing = False
    world.end(purge)


@kind("black hole anywhere", backends=ON_SERVERS)
def black_hole_anywhere(world: World, rng: random.Random) -> None:
    world.proxied()
    assert world.proxy is not None
    purge = world.start(any_step(world, rng) + "=pause:here", through_proxy=True)
    if purge.reached("here"):
        world.proxy.blackhole()
        purge.go("here")
        purge.ended.wait(rng.uniform(0.05, 0.6))
        rng.choice((world.proxy.resume, world.proxy.cut, purge.kill))()
        world.proxy.resume()
    world.end(purge)


@kind("slow line", backends=ON_SERVERS)
def slow_line(world: World, rng: random.Random) -> None:
    world.proxied()
    assert world.proxy is not None
    world.proxy.delay_s = rng.choice((0.001, 0.003, 0.01))
    world.fired += 1
    purge = world.start(through_proxy=True)
    purge.ended.wait(1.5)
    world.proxy.delay_s = 0.0
    world.end(purge)


@kind("half-closed", backends=ON_SERVERS)
def half_closed(world: World, rng: random.Random) -> None:
    world.proxied()
    assert world.proxy is not None
    purge = world.start(any_step(world, rng, chunks_only=True) + "=pause:here", through_proxy=True)
    if purge.reached("here"):
        world.proxy.half_close(towards_client=rng.random() < 0.5)
        purge.go("here")
    world.end(purge)
