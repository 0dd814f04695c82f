"""Secrets that are easy to recognise, and the search for them in everything a command left behind."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import purgekit as pk

# Runs many commands in one process, as the entry point would run each, and tells their exit codes. Anything in it that
# starts a process is an error: what a child gets is out of our hands.
DRIVER = """
import json, sys
FORBIDDEN = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.system")
def watch(event, arguments):
    if event in FORBIDDEN:
        raise AssertionError(f"a process was started: {event} {arguments}")
sys.addaudithook(watch)
import logging
from purgekit.cli.app import run
codes = []
for arguments in json.load(open(sys.argv[1])):
    codes.append(run(arguments))
    logging.getLogger("purgekit").handlers.clear()
json.dump(codes, open(sys.argv[2], "w"))
"""


@dataclass
class Planted:
    """Secrets by where they were put. Each has a core of letters and digits that no escaping changes."""

    secrets: dict[str, str] = field(default_factory=dict)

    def plant(self, where: str) -> str:
        """A secret with the characters that are awkward in URLs, shells and files."""
        core = f"zq7{where}Xk9w"
        self.secrets[where] = core
        return f"{core}:p@s/w%ö'd\"{core} "

    def plain(self, where: str) -> str:
        """One of letters and digits only."""
        self.secrets[where] = f"zq7{where}Xk9w"
        return self.secrets[where]

    def found_in(self, text: bytes) -> list[str]:
        """Where the secrets come from that are in ``text``: as they are, in base64, in hexadecimal, backwards."""
        return [
            where
            for where, core in self.secrets.items()
            if any(form.encode() in text for form in (core, core[::-1], core.encode().hex(), *_base64_forms(core)))
        ]

    def check(self, places: Mapping[str, bytes]) -> None:
        """Nothing planted is in any of the places."""
        for place, content in places.items():
            found = self.found_in(content)
            lines = [line[:300] for line in content.splitlines() if self.found_in(line)]
            assert not found, f"{place} holds the secret of {found}: {lines[:3]!r}"


def _base64_forms(core: str) -> Iterable[str]:
    """What must be there whatever stands before the core: base64 takes three bytes at a time."""
    for before in range(3):
        coded = base64.b64encode(b"-" * before + core.encode()).decode()
        yield coded[4 if before else 0 : len(core) * 4 // 3 - 4]


def encoded(secret: str) -> str:
    """For a URL."""
    return quote(secret, safe="")


def run_all(
    folder: Path, commands: Sequence[Sequence[str]], env: Mapping[str, str], *, program: str = DRIVER
) -> tuple[list[int], dict[str, bytes]]:
    """Exit codes, and all that was written: both streams and every file of the state folder."""
    asked, answered, state = folder / "commands.json", folder / "codes.json", folder / "state"
    asked.write_text(json.dumps([list(command) for command in commands]))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PURGEKIT_")}
    package = str(Path(pk.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program, str(asked), str(answered)],
        env={**inherited, "PYTHONPATH": package, "PURGEKIT_STATE": str(state), "PURGEKIT_LOG": "trace", **env},
        capture_output=True,
        check=False,
        timeout=120,
    )
    written = {"stdout": done.stdout, "stderr": done.stderr}
    written |= {str(path): path.read_bytes() for path in state.rglob("*") if path.is_file()}
    codes = json.loads(answered.read_text()) if answered.exists() else [done.returncode]
    return codes, written
