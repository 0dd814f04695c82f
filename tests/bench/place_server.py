"""What the two servers share."""

from __future__ import annotations

import contextlib
import os
from abc import abstractmethod
from pathlib import Path

from bench.place import Place
from servers import Server
from servers.process import children_of

DATABASE = "bench"


class ServerPlace(Place):
    """A private server."""

    server: Server

    def stop(self) -> None:
        self.server.stop()

    @abstractmethod
    def warm(self) -> None:
        """Read the table and its indexes into the server's memory."""

    def scalar(self, sql: str) -> str:
        """One value, as administrator."""
        return str(self.server.admin_sql(sql)[0][0])

    def cpu_s(self) -> float:
        ticks = sum(ticks_of(pid) for pid in [self.server.pid, *children_of(self.server.pid)])
        return ticks / os.sysconf("SC_CLK_TCK")


def ticks_of(pid: int) -> int:
    """Of a process and of its children that have ended."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(field) for field in fields[11:15])
    return 0  # ended just now; its parent has it
