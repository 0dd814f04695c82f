"""The machine under the figures: what it is, and what else it was doing."""

from __future__ import annotations

import datetime
import os
import platform
import resource
import time
from pathlib import Path

from bench.place import Place

SYNCS = 200
REAPED_WITHIN_S = 0.3  # a server counts what a session used once it has collected the session's process


def facts(folder: Path) -> dict[str, str]:
    """Processor, memory, disk, system, day."""
    memory_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    p50, p99 = _fdatasync_ms(folder)
    return {
        "date": datetime.date.today().isoformat(),
        "processors": f"{os.cpu_count()} x {_processor()}",
        "memory": f"{memory_gb:.0f} GiB",
        "disk": f"fdatasync of 4 KiB p50 {p50:.2f} ms, p99 {p99:.2f} ms",
        "system": f"Linux {platform.release()}, Python {platform.python_version()}",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _fdatasync_ms(folder: Path) -> tuple[float, float]:
    """Of overwriting a block that is there, as a log does."""
    path = folder / "fdatasync"
    times = []
    with path.open("w+b", buffering=0) as file:
        file.write(bytes(4096))
        os.fsync(file.fileno())
        for _ in range(SYNCS):
            os.pwrite(file.fileno(), os.urandom(4096), 0)
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - started) * 1_000)
    path.unlink()
    times.sort()
    return times[SYNCS // 2], times[SYNCS * 99 // 100]


class Work:
    """Processor time from when this was made: the server's, and what others used, the first suspect for odd figures."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._started = time.monotonic()
        self._busy_s, self._server_s, self._ours_s = _busy_s(), place.cpu_s(), _own_s()

    def figures(self) -> dict[str, float | None]:
        """``server_cpu_s``: None where there is no server. ``other_processors``: kept busy by others on average.

        What the kernel does on our behalf, such as writing pages out, counts as others'.
        """
        busy_s = _busy_s() - self._busy_s
        elapsed_s = time.monotonic() - self._started
        time.sleep(REAPED_WITHIN_S)
        server_s = self._place.cpu_s() - self._server_s
        others_s = busy_s - server_s - (_own_s() - self._ours_s)
        return {"server_cpu_s": server_s or None, "other_processors": max(0.0, others_s / elapsed_s)}


def _own_s() -> float:
    """Of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _busy_s() -> float:
    """All processors' time that was neither idle nor waiting; what the host took away counts as busy."""
    user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = Path("/proc/stat").read_text().split()[1:]
    return sum(map(int, (user, nice, system, irq, softirq, steal))) / os.sysconf("SC_CLK_TCK")
