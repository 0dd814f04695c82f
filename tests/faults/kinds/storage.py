"""Disks that fill up or fail."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from faults.kinds.registry import any_step, kind
from faults.station import DISK_FULL, DISK_SYNC_FAILS, DISK_WHOLE

if TYPE_CHECKING:
    from faults.world import World


@kind("disk full: state folder")
def state_folder_full(world: World, rng: random.Random) -> None:
    world.terms.state_lags = True
    world.station.client.disk(DISK_FULL, world.folder / "state", budget_bytes=rng.choice((0, 100, 500)))
    world.end(world.start())
    world.fired += world.station.client.refusals
    world.station.client.disk(DISK_WHOLE)


@kind("disk full: database file", backends=("sqlite",))
def file_full(world: World, rng: random.Random) -> None:
    state = DISK_FULL if rng.random() < 0.7 else DISK_SYNC_FAILS
    purge = world.start(any_step(world, rng) + "=pause:here")
    if purge.reached("here"):
        suffix = rng.choice(("", "", "-wal", "-journal", ".db"))
        world.station.client.disk(state, world.place.file, suffix=suffix, budget_bytes=rng.choice((0, 2_000, 30_000)))
        purge.go("here")
        purge.ended.wait(rng.choice((0.1, 0.1, 1.0, 1.0, 1.0, 3.0, 3.0, 15.0)))
        world.station.client.disk(DISK_WHOLE)
    world.end(purge)


@kind("disk full: server", backends=("postgresql", "mariadb", "mysql56"))
def server_disk_full(world: World, rng: random.Random) -> None:
    """Its data only or its log too: a full log ends the server itself."""
    assert world.server is not None
    world.terms.crashed = world.disk_was_full = True
    page = world.station.server_page(world.schedule.backend)
    if world.server.name == "postgresql":
        folder = rng.choice((world.server.data_dir / "base", world.server.data_dir / "pg_wal"))
    else:
        folder = rng.choice((world.server.data_dir / world.place.name, world.server.data_dir))
    purge = world.start(any_step(world, rng) + "=pause:here")
    if purge.reached("here"):
        page.disk(DISK_FULL, folder, budget_bytes=rng.choice((0, 8_192, 65_536)))
        purge.go("here")
        purge.ended.wait(rng.choice((0.1, 0.5, 1.5)))
        page.disk(DISK_WHOLE)
        world.revive()  # where the full disk ended it
    world.end(purge)
