"""What a worker keeps from schedule to schedule: servers, the zygote, the pages that shift clocks and fill disks."""

from __future__ import annotations

import contextlib
import mmap
import shutil
import struct
import subprocess
from pathlib import Path

from faults.places import SERVERS
from faults.purges import Zygote
from servers import Server

HERE = Path(__file__).resolve().parent
HEADERS = HERE.parents[1] / "cpp" / "include"
GATED = ("sqlite", "postgresql", "mysql")
PAGE_BYTES = 4096
HEAD = struct.Struct("=qqqq512s64s")
DISK_WHOLE, DISK_FULL, DISK_SYNC_FAILS = 0, 1, 2


class Page:
    """Shared with every process that runs under the shim: see native/shim.c."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(PAGE_BYTES))
        path.chmod(0o666)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), PAGE_BYTES)
        self.path = path

    def clock(self, offset_s: int) -> None:
        self._map[0:8] = struct.pack("=q", offset_s * 1_000_000_000)

    def disk(self, state: int, prefix: Path | str = "", *, suffix: str = "", budget_bytes: int = 0) -> None:
        self._map[8:16] = struct.pack("=q", DISK_WHOLE)
        rest = struct.pack("=qq512s64s", budget_bytes, 0, str(prefix).encode(), suffix.encode())
        self._map[16 : 16 + len(rest)] = rest
        self._map[8:16] = struct.pack("=q", state)

    @property
    def refusals(self) -> int:
        return int(struct.unpack("=q", self._map[24:32])[0])


def build(folder: Path) -> None:
    """Compile the gate, once for each plugin it stands before, and the shim."""
    (folder / "gates").mkdir(parents=True)
    gate = folder / "gates" / f"purgekit_backend_{GATED[0]}.so"
    warnings = ["-Wall", "-Wextra", "-Werror", "-O1", "-g", "-shared", "-fPIC"]
    _compiled(
        ["c++", "-std=c++20", "-fvisibility=hidden", *warnings, f"-I{HEADERS}", str(HERE / "native/gate.cpp")], gate
    )
    for other in GATED[1:]:
        shutil.copy(gate, folder / "gates" / f"purgekit_backend_{other}.so")  # a link would count as the same plugin
    _compiled(["cc", *warnings, str(HERE / "native/shim.c")], folder / "shim.so")


def _compiled(command: list[str], target: Path) -> None:
    done = subprocess.run([*command, "-o", str(target)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"cannot compile {target.name}:\n{done.stderr}")


class Station:
    """One for each worker. ``base`` is shared and holds what ``build`` made."""

    def __init__(self, base: Path, name: str) -> None:
        self.base = base
        self.gates = base / "gates"
        self.folder = base / name
        self.folder.mkdir()
        self.folder.chmod(0o755)
        self.client = Page(self.folder / "client-page")
        self._server_pages: dict[str, Page] = {}
        self._servers: dict[str, Server] = {}
        self._zygote: Zygote | None = None

    def shimmed(self, page: Page) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.base / "shim.so"), "FAULT_PAGE": str(page.path)}

    @property
    def zygote(self) -> Zygote:
        if self._zygote is None:
            self._zygote = Zygote(self.shimmed(self.client))
        return self._zygote

    def server(self, backend: str) -> Server | None:
        if backend not in SERVERS:
            return None
        if backend not in self._servers:
            page = self._server_pages[backend] = Page(self.folder / f"{backend}-page")
            server = self._servers[backend] = SERVERS[backend](self.folder)
            server.environment = self.shimmed(page)
            server.start()
        return self._servers[backend]

    def give_up(self, backend: str, target: Path | None = None) -> None:
        """Part with a server that can't be relied on any more: whoever asks next gets a fresh one.

        ``target``: where what is left of it goes, for whoever looks into it.
        """
        server = self._servers.pop(backend, None)
        if server is None:
            return
        server.kill9()
        if target is None:
            shutil.rmtree(server.folder)
        else:
            for path in server.folder.iterdir():
                if path.is_socket():  # can't be copied to another file system
                    path.unlink()
            shutil.move(server.folder, target)

    def server_page(self, backend: str) -> Page:
        return self._server_pages[backend]

    def calm(self) -> None:
        """Clocks right and disks whole again."""
        for page in (self.client, *self._server_pages.values()):
            page.clock(0)
            page.disk(DISK_WHOLE)

    def close(self) -> None:
        if self._zygote is not None:
            self._zygote.close()
        for server in self._servers.values():
            with contextlib.suppress(Exception):
                server.kill9()
