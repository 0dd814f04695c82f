"""Archives, restore, holds and plan files at work on one table: what one keeps, another must not take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import purgekit as pk
from engine.restores import all_rows, marks, purged
from engine.tables import HOUR_S, TABLE, make_sessions, now_s, sessions_policy, survivors
from purgekit.archives import ArchiveFile
from servers import Connection

Admin = Callable[[str], Connection]
KEPT_KEYS = {2, 3, 4, 6}  # expired, all of them


def ids(archive: ArchiveFile) -> list[int]:
    """Column names are as the database keeps them."""
    return [int(str(value)) for row in archive.rows() for name, value in row.items() if name.upper() == "ID"]


def test_what_came_back_stays_until_its_hold_is_released(any_url: str, admin: Admin) -> None:
    connection = admin(any_url)
    run_id, before = purged(connection, any_url)
    with pk.connect(any_url) as db:
        restored = db.restore(run_id)
        held = db.run(sessions_policy(archive="table"))
        assert (held.exit_code, held.rows_deleted) == (0, 0)
        assert held.policies[0]["rows_held"] == restored.rows_restored == 45
        assert all_rows(connection) == before
        db.release(restored.tables[0]["hold"])
        again = db.run(sessions_policy(archive="table"))
    assert (again.exit_code, again.rows_deleted) == (0, 45)
    assert len(marks(connection, any_url)) == 90, "the copy that was restored, and that of the second purge"


def test_a_hold_added_after_the_plan_was_saved_refuses_it(any_url: str, admin: Admin, tmp_path: Path) -> None:
    connection = admin(any_url)
    make_sessions(connection, any_url, [now_s() + (HOUR_S if n % 4 == 0 else -5 * HOUR_S) for n in range(60)])
    with pk.connect(any_url) as db:
        file = db.plan(sessions_policy(), exact=True).save(tmp_path / "plan.json")
        db.hold(TABLE, keys=sorted(KEPT_KEYS), reason="a case")
        with pytest.raises(pk.PurgeRefused, match="hold"):
            db.run(file)
    assert len(survivors(connection)) == 60


def test_files_keep_what_goes_and_not_what_is_held(any_url: str, admin: Admin, tmp_path: Path) -> None:
    connection = admin(any_url)
    make_sessions(connection, any_url, [now_s() + (HOUR_S if n % 4 == 0 else -5 * HOUR_S) for n in range(60)])
    live = set(range(1, 61, 4))
    with pk.connect(any_url) as db:
        db.hold(TABLE, keys=sorted(KEPT_KEYS))
        report = db.run(sessions_policy(), archive=tmp_path / "kept", limits=pk.Limits(max_fraction=1))
    assert survivors(connection) == live | KEPT_KEYS
    (file,) = report.policies[0]["archive_files"]
    with ArchiveFile(file["path"]) as archive:
        kept = set(ids(archive))
    assert kept == set(range(1, 61)) - live - KEPT_KEYS
    assert report.policies[0]["rows_held"] == len(KEPT_KEYS)
    with pk.connect(any_url) as db:
        assert db.restore(report.run_id).rows_restored == len(kept)
    assert survivors(connection) == set(range(1, 61))


def test_a_hold_is_taken_up_by_a_purge_that_writes_files(any_url: str, admin: Admin, tmp_path: Path) -> None:
    """The run is fenced and goes on; its file holds each row once, and none that was held before its chunk began."""
    connection = admin(any_url)
    make_sessions(connection, any_url, [now_s() - 5 * HOUR_S] * 2_000)
    held: set[int] = set()

    def hold_the_last(event: dict[str, object]) -> None:
        if held or not event["rows_deleted"]:
            return
        held.update(sorted(survivors(connection))[-50:])
        with pk.connect(any_url) as other:
            other.hold(TABLE, keys=sorted(held))

    limits = pk.Limits(max_fraction=1, chunk_ms=2, max_rows_per_s=4_000)
    with pk.connect(any_url) as db:
        report = db.run(sessions_policy(), archive=tmp_path, limits=limits, on_progress=hold_the_last)
    assert report.exit_code == 0
    assert len(held) == 50
    assert survivors(connection) == held
    (file,) = report.policies[0]["archive_files"]
    with ArchiveFile(file["path"]) as archive:
        kept = ids(archive)
    assert len(kept) == len(set(kept)) == 1_950
    assert not held & set(kept)
