"""Products whose own tables the packs are tested on.

Each has an environment of its own, made by the first test that needs it and kept in the checkout's cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache" / "products"
INSTALL_TIMEOUT_S = 400
COMMAND_TIMEOUT_S = 120


class ProductFailed(RuntimeError):
    """A product could not be installed, or its command failed; with what it said."""


def python_of(product: str) -> Path:
    """The interpreter of an environment with just what ``PRODUCT.txt`` beside this file names."""
    requirements = HERE / f"{product}.txt"
    wanted = requirements.read_text() + sys.version
    folder = CACHE / f"{product}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    python = folder / "bin/python"
    done = folder / "complete"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{product}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run of the tests may be at it
        if not done.exists():
            venv.create(folder, clear=True, with_pip=True)
            install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            run([*install, "--only-binary=:all:", "--requirement", str(requirements)], {}, INSTALL_TIMEOUT_S)
            done.touch()
    return python


def run(command: Sequence[str], env: Mapping[str, str], timeout_s: float = COMMAND_TIMEOUT_S) -> str:
    """What the command prints. ProductFailed with the end of it when it fails."""
    # Nothing of the tests' own environment gets in, but what installing needs: indexes, certificates, proxies.
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(("PYTHON", "AIRFLOW", "DJANGO"))}
    done = subprocess.run(
        command, env={**inherited, **env}, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-4000:]
        raise ProductFailed(f"{' '.join(command[:4])} ended with {done.returncode}:\n{said}")
    return done.stdout

