"""With the widest umask, what a run and a failed one leave on disk is its owner's alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from engine.tables import HOUR_S, TABLE, make_sessions, now_s
from security.planted import DRIVER, run_all
from servers import Connection

POLICY = f"""
[[policy]]
name = "s"
table = "{TABLE}"
expired = {{ column = "EXPIRES", unit = "s" }}
max_fraction = 1.0
"""
WIDEST = "import os; os.umask(0)\n" + DRIVER


def test_state_under_umask_000(sqlite_url: str, admin: Callable[[str], Connection], tmp_path: Path) -> None:
    connection = admin(sqlite_url)
    make_sessions(connection, sqlite_url, [now_s() - 5 * HOUR_S] * 50)
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    run = ["run", sqlite_url, str(policy), "--yes"]
    commands = [[*run, "--max-rows", "5"], ["history"], ["plan", sqlite_url, "absent.toml"]]
    codes, written = run_all(tmp_path, commands, {}, program=WIDEST)
    assert codes == [3, 0, 2], written
    # A slot that nobody believes makes the next run fail in its middle.
    connection.cursor().execute("UPDATE purgekit_ledger SET epoch = 9223372036854775807 WHERE kind = 'slot'")
    codes, written = run_all(tmp_path, [run], {}, program=WIDEST)
    assert codes == [1], written
    state = tmp_path / "state"
    found = [state, *state.rglob("*")]
    assert len([path for path in found if path.is_file()]) >= 2
    for path in found:
        mode, wanted = stat.S_IMODE(path.stat().st_mode), 0o700 if path.is_dir() else 0o600
        assert mode == wanted, f"{path.relative_to(tmp_path)} has mode {mode:o}"
        assert path.stat().st_uid == os.geteuid()
