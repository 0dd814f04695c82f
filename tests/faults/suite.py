"""Runs schedules, two at a time, and tells what came of them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from faults.checker import Verdict
from faults.parent import die_with_parent
from faults.schedule import Schedule, make
from faults.station import Station, build
from faults.world import World
from servers import ServerFailed, make_base_dir

WORKERS = 2
MOST_LOST_SHARE = 0.005  # of the schedules of a backend; one is always allowed


@dataclass
class Result:
    backend: str
    number: int
    kind: str
    shape: str
    verdict: Verdict
    fired: bool
    hung: bool
    purges: int
    writes: int
    elapsed_s: float
    server_lost: str = ""  # why its server could not be had again: the schedule has shown nothing
    kept: str = ""  # folder with everything, of a schedule that failed or lost its server
    codes: list[int] = field(default_factory=list)
    stages_s: dict[str, float] = field(default_factory=dict)

    @property
    def longest_stages(self) -> str:
        longest = sorted(self.stages_s.items(), key=lambda stage: -stage[1])[:3]
        return ", ".join(f"{name} {elapsed_s:.1f} s" for name, elapsed_s in longest)

    @property
    def failed(self) -> bool:
        return bool(self.verdict.complaints)


@dataclass(frozen=True)
class Order:
    """What to run: the same for every worker."""

    seed: int
    kinds: tuple[str, ...]
    keep: Path  # failing schedules leave their folder here


def too_many_lost(results: Sequence[Result]) -> list[str]:
    """Backends whose servers could not be had again so often that the figures say little."""
    schedules = Counter(result.backend for result in results)
    lost = Counter(result.backend for result in results if result.server_lost)
    return [backend for backend, count in lost.items() if count > max(1, schedules[backend] * MOST_LOST_SHARE)]


def run_one(schedule: Schedule, station: Station, keep: Path) -> Result:
    start_s = time.monotonic()
    folder = station.folder / schedule.name
    verdict, hung, lost, world = Verdict(), False, "", None
    stages_s: dict[str, float] = {}
    try:
        with _timed(stages_s, "setting up"):
            world = World(schedule, station, folder)
        world.writers.start()
        for fault in (schedule.kind, *schedule.more):
            with _timed(stages_s, fault.name):
                fault.harm(world, schedule.random(f"harm/{fault.name}"))
        with _timed(stages_s, "closing down"):
            world.close_down()
        with _timed(stages_s, "checking"):
            verdict = world.verdict()
    except ServerFailed as error:
        lost = str(error)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        hung = type(error).__name__ == "Hung"
        verdict.complain(str(error) if hung else _told(error))
    kept = ""
    if lost:
        kept = str(_parted(schedule, station, world, keep / schedule.name, lost))
    elif world is None:
        station.give_up(schedule.backend)  # who knows what state it is in
    else:
        with _noted(verdict):
            world.close()
        if verdict.complaints:
            kept = str(_kept(world, folder, keep, verdict))
        try:
            with _timed(stages_s, "clearing away"):
                world.place.drop()
        except Exception as error:
            verdict.complain(_told(error))
            station.give_up(schedule.backend)
    shutil.rmtree(folder, ignore_errors=True)
    purges = world.purges if world else []
    stages_s |= {purge.folder.name: purge.lasted_s for purge in purges}
    return Result(
        schedule.backend,
        schedule.number,
        schedule.kind.name,
        schedule.shape.name,
        verdict,
        bool(world and world.fired),
        hung,
        len(purges),
        world.writers.done if world else 0,
        time.monotonic() - start_s,
        lost,
        kept,
        [purge.code for purge in purges if purge.code is not None],
        stages_s,
    )


@contextlib.contextmanager
def _timed(stages_s: dict[str, float], name: str) -> Iterator[None]:
    start_s = time.monotonic()
    try:
        yield
    finally:
        stages_s[name] = stages_s.get(name, 0) + time.monotonic() - start_s


@contextlib.contextmanager
def _noted(verdict: Verdict) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        verdict.complain(_told(error))


def _told(error: BaseException) -> str:
    """What it says first: of a failure only the beginning is printed."""
    stack = "".join(traceback.format_exception(error, limit=-4))
    return f"{type(error).__name__}: {error}\n{stack}"


def _parted(schedule: Schedule, station: Station, world: World | None, target: Path, why: str) -> Path:
    """The schedule ends here, and its server goes with it: all there is of both is kept."""
    if world is not None:
        with contextlib.suppress(Exception):  # what still wanted the server
            world.close(server_lost=True)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if world is not None:
        shutil.copytree(world.folder, target / "schedule", ignore=shutil.ignore_patterns("*.go"))
    (target / "schedule.txt").write_text(f"{schedule}\n\n{why}\n")
    station.give_up(schedule.backend, target / "server")
    return target


def _kept(world: World, folder: Path, keep: Path, verdict: Verdict) -> Path:
    target = keep / folder.name
    with _noted(verdict):
        world.place.dump(folder)
        (folder / "schedule.txt").write_text(f"{world.schedule}\n\n" + "\n".join(verdict.complaints) + "\n")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder, target, ignore=shutil.ignore_patterns("*.go"))
    return target


_station: Station | None = None


def _set_up(base: Path) -> None:
    global _station
    die_with_parent()
    _station = Station(base, f"worker-{os.getpid()}")


def _tear_down() -> int:
    assert _station is not None
    _station.close()
    return os.getpid()


def _work(order: Order, backend: str, number: int) -> Result:
    assert _station is not None
    return run_one(make(order.seed, backend, number, order.kinds), _station, order.keep)


def run(
    order: Order, counts: dict[str, Sequence[int]], on_result: Callable[[Result], object], *, workers: int = WORKERS
) -> list[Result]:
    """All schedules of all backends. ``counts`` are schedule numbers by backend."""
    base = make_base_dir()
    build(base)
    results = []
    try:
        for backend, numbers in counts.items():
            size = min(workers, max(1, len(numbers)))
            with ProcessPoolExecutor(
                size,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_set_up,
                initargs=(base,),
            ) as pool:
                waiting: list[Future[Result]] = [pool.submit(_work, order, backend, number) for number in numbers]
                try:
                    for future in as_completed(waiting):
                        results.append(future.result())
                        on_result(results[-1])
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    for worker in multiprocessing.active_children():
                        worker.kill()  # its servers die with it, so that their folders can go
                        worker.join()
                    raise
                list(pool.map(_pause_and_tear_down, range(size)))
    finally:
        shutil.rmtree(base, ignore_errors=True)
    return results


def _pause_and_tear_down(_number: int) -> int:
    time.sleep(0.2)  # so that each worker takes one
    return _tear_down()
