"""A few of the kills that ``python -m engine.kill_runs`` does by the hundred."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
NEEDS_SERVER = pytest.mark.needs_server


@pytest.mark.parametrize(
    ("backend", "kills"),
    [
        ("sqlite", 8),
        *(pytest.param(name, 6, marks=NEEDS_SERVER) for name in ("postgresql", "mariadb")),
        pytest.param("mysql56", 4, marks=NEEDS_SERVER),
    ],
)
def test_what_is_kept_is_what_went(backend: str, kills: int) -> None:
    seed = random.randrange(2**32)
    done = subprocess.run(
        [*(sys.executable, "-m", "engine.kill_runs", "--backend", backend), "--kills", str(kills), "--seed", str(seed)],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tallies = [json.loads(line) for line in done.stdout.splitlines()[1:]]
    assert [tally["archive"] for tally in tallies] == ["files", "move"]
    assert all(tally.get("client", 0) + tally.get("server", 0) >= kills for tally in tallies)
