"""Clocks that jump and zones that change, in the middle of a run. A run's cutoff is fixed: nothing may follow."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from faults.kinds.registry import ON_SERVERS, any_step, chunk_start, kind

if TYPE_CHECKING:
    from faults.world import World

JUMPS_S = (3_600, -3_600, 10_800, -10_800, 86_400, -86_400, 30 * 86_400, -30 * 86_400)
ZONES = ("Europe/Berlin", "America/St_Johns", "Pacific/Kiritimati", "America/Sao_Paulo", "Australia/Lord_Howe")


@kind("client's clock jumps")
def client_clock(world: World, rng: random.Random) -> None:
    purge = world.start(chunk_start(rng) + "=pause:here")
    if purge.reached("here"):
        world.station.client.clock(rng.choice(JUMPS_S))
        purge.go("here")
    world.end(purge)
    world.station.client.clock(0)


@kind("server's clock jumps", backends=ON_SERVERS)
def server_clock(world: World, rng: random.Random) -> None:
    purge = world.start(chunk_start(rng) + "=pause:here")
    if purge.reached("here"):
        world.station.server_page(world.schedule.backend).clock(rng.choice(JUMPS_S))
        purge.go("here")
    world.end(purge)
    world.station.calm()


@kind("client's clock is wrong", backends=ON_SERVERS)
def client_clock_wrong(world: World, rng: random.Random) -> None:
    """From the beginning, and the run is killed and continued under another error: now is the database's clock."""
    world.station.client.clock(rng.choice(JUMPS_S))
    world.end(world.start(any_step(world, rng, chunks_only=True) + "=kill"))
    world.station.client.clock(rng.choice(JUMPS_S))
    world.end(world.start())
    world.fired += 1
    world.station.client.clock(0)


@kind("zone changes", stored_as=("wall", "zoned"))
def zone_changes(world: World, rng: random.Random) -> None:
    """Another zone of the client for each run, and another of the server in the middle of one."""
    world.environment["TZ"] = rng.choice(ZONES)
    purge = world.start(chunk_start(rng) + "=pause:here")
    if purge.reached("here"):
        world.change_server_zone(rng)
        if rng.random() < 0.5:
            purge.kill()
        purge.go("here")
    world.end(purge)
    world.environment["TZ"] = rng.choice(ZONES)
