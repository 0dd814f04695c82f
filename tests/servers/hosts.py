"""Other computers, played by network namespaces of this machine: each has one cable to us that can be pulled.

    with Network() as network:
        host = network.add_host()
        subprocess.run(host.command(["ping", "-c1", network.server_address]))
        host.pull_cable()        # packets vanish both ways: no FIN, no RST, no ICMP
        host.plug_cable()

Needs root and ``ip`` (Debian package iproute2).
"""

from __future__ import annotations

import contextlib
import random
import subprocess
from collections.abc import Sequence
from ipaddress import IPv4Network

# Set aside for measurements between devices (RFC 2544): no real host has such an address.
NETWORKS = IPv4Network("198.18.0.0/15")


class Network:
    """A small network with this machine in it. Everything of it is gone after ``with``."""

    def __init__(self) -> None:
        self.subnet = random.SystemRandom().choice(list(NETWORKS.subnets(new_prefix=24)))
        self.server_address = str(self.subnet[1])
        self._undo = contextlib.ExitStack()
        self._count = 0

    def __enter__(self) -> Network:
        # On the loopback device, where no pulled cable takes it away.
        _ip("address", "add", f"{self.server_address}/32", "dev", "lo")
        self._undo.callback(_ip, "address", "del", f"{self.server_address}/32", "dev", "lo")
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._undo.close()

    def add_host(self) -> Host:
        """A new host that reaches this machine under ``server_address``, and nothing else."""
        self._count += 1
        number = self.subnet.network_address.packed[1:3].hex()
        host = Host(f"pk{number}-{self._count}", str(self.subnet[10 + self._count]))
        _ip("netns", "add", host.name)
        self._undo.callback(_ip, "netns", "del", host.name)  # takes the cable along
        _ip("link", "add", host.name, "type", "veth", "peer", "name", "cable", "netns", host.name)
        host.ip("address", "add", host.address, "peer", self.server_address, "dev", "cable")
        host.ip("link", "set", "lo", "up")
        host.plug_cable()
        _ip("link", "set", host.name, "up")
        _ip("route", "add", f"{host.address}/32", "dev", host.name, "src", self.server_address)
        return host


class Host:
    """One computer beside this one."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address

    def command(self, command: Sequence[str]) -> list[str]:
        """``command`` run there. ``nsenter`` execs, so the process id is the command's own."""
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *command]

    def pull_cable(self) -> None:
        """From now on packets vanish both ways, and neither side is told."""
        self.ip("link", "set", "cable", "down")

    def plug_cable(self) -> None:
        """Packets pass (again)."""
        self.ip("link", "set", "cable", "up")

    def ip(self, *arguments: str) -> None:
        _ip("-n", self.name, *arguments)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()} (this test needs root and iproute2)")
