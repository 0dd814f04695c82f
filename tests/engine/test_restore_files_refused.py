"""Archive files that are not what they were, not of this run, or do not fit any more: refused, nothing changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import purgekit as pk
from engine.archived import archive_files
from engine.restores import all_rows, archive_of, execute, marks, notes, purged_to_files, rows, suffix
from engine.tables import HOUR_S, TABLE, make_sessions, now_s, sessions_policy
from purgekit.archives.kept import kept_files
from servers import Connection

Admin = Callable[[str], Connection]


def refused(url: str, run_id: str, archive: Path | None = None) -> pk.PurgekitError:
    with pk.connect(url) as db, pytest.raises(pk.PurgekitError) as caught:
        db.restore(run_id, archive=archive)
    assert not isinstance(caught.value, pk.PurgeFailed)
    return caught.value


def nothing_changed(db_: Connection, left: int = 15) -> None:
    assert len(all_rows(db_)) == left
    assert notes(db_) == {}
    assert rows(db_, "SELECT name FROM sqlite_master WHERE name LIKE 'purgekit_archive%'") == []


@pytest.mark.parametrize("told_by", ["ledger", "manifest"])
@pytest.mark.parametrize("harm", ["byte", "cut", "longer", "gone", "manifest"])
def test_files_that_are_not_what_they_were(
    sqlite_url: str, admin: Admin, tmp_path: Path, harm: str, told_by: str
) -> None:
    db_ = admin(sqlite_url)
    run_id, before = purged_to_files(db_, sqlite_url, tmp_path / "kept")
    (path,) = archive_files(tmp_path / "kept")
    (manifest,) = (tmp_path / "kept").rglob("*.manifest.json")
    if told_by == "manifest":
        execute(db_, "UPDATE purgekit_ledger SET document = '{}' WHERE kind = 'slot'")
    whole, sealed = path.read_bytes(), manifest.read_text()
    if harm == "byte":
        path.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    elif harm == "cut":
        path.write_bytes(whole[:-1])
    elif harm == "longer":
        path.write_bytes(whole + b"x")
    elif harm == "gone":
        path.unlink()
    else:
        manifest.write_text(sealed.replace('"bytes": ', '"bytes": 1'))
        if told_by == "ledger":  # which knows better
            with pk.connect(sqlite_url) as db:
                db.restore(run_id)
            assert all_rows(db_) == before
            return
    error = refused(sqlite_url, run_id)
    assert error.code.startswith("archive_")
    assert path.name in str(error)
    nothing_changed(db_)
    path.write_bytes(whole)
    manifest.write_text(sealed)
    with pk.connect(sqlite_url) as db:
        db.restore(run_id)
    assert all_rows(db_) == before


def test_files_of_another_run(sqlite_url: str, admin: Admin, tmp_path: Path) -> None:
    db_ = admin(sqlite_url)
    run_id, before = purged_to_files(db_, sqlite_url, tmp_path / "kept")
    execute(db_, f"UPDATE {TABLE} SET EXPIRES = 1000000000 WHERE ID < 8")
    with pk.connect(sqlite_url) as db:
        other = db.run(sessions_policy(), archive=tmp_path / "other").run_id
    (path,) = archive_files(tmp_path / "kept")
    (foreign,) = archive_files(tmp_path / "other")
    assert "names files of policy" in str(refused(sqlite_url, run_id, foreign.parent))
    shutil.copy(foreign, path)
    assert "is not the file that its manifest names" in str(refused(sqlite_url, run_id))
    (manifest,) = (tmp_path / "kept").rglob("*.manifest.json")
    (forged,) = (tmp_path / "other").rglob("*.manifest.json")
    manifest.write_text(forged.read_text().replace(other, run_id))
    error = refused(sqlite_url, run_id)
    assert error.code == "archive_foreign"
    assert other in str(error)
    assert len(all_rows(db_)) < len(before)
    assert refused(sqlite_url, "20260101T000000000Z-abcdef").code == "not_found"


def test_files_of_another_database(sqlite_url: str, admin: Admin, tmp_path: Path) -> None:
    """The same run in a copy of the database, under another name."""
    db_ = admin(sqlite_url)
    run_id, _ = purged_to_files(db_, sqlite_url, tmp_path / "kept")
    execute(db_, "UPDATE purgekit_ledger SET document = json_set(document, '$.database', 'other') WHERE kind = 'run'")
    error = refused(sqlite_url, run_id)
    assert error.code == "archive_foreign"
    assert "of database" in str(error)
    nothing_changed(db_)


def test_a_run_without_files(sqlite_url: str, admin: Admin, tmp_path: Path) -> None:
    db_ = admin(sqlite_url)
    make_sessions(db_, sqlite_url, [now_s() + HOUR_S] * 10 + [1_000_000_000])
    with pk.connect(sqlite_url) as db:
        run_id = db.run(sessions_policy(archive="table")).run_id
        empty = db.run(sessions_policy(), archive=tmp_path / "kept").run_id
    assert "no rows in archive files" in str(refused(sqlite_url, run_id, tmp_path))
    assert "no row of the tables wanted" in str(refused(sqlite_url, empty))


def test_a_newer_file(sqlite_url: str, admin: Admin, tmp_path: Path) -> None:
    db_ = admin(sqlite_url)
    run_id, _ = purged_to_files(db_, sqlite_url, tmp_path / "kept")
    (path,) = archive_files(tmp_path / "kept")
    path.write_bytes(path.read_bytes().replace(b"purgekit.archive/1", b"purgekit.archive/2", 1))
    assert "use a newer purgekit" in str(refused(sqlite_url, run_id))
    nothing_changed(db_)


def test_the_table_has_changed(any_url: str, admin: Admin, tmp_path: Path) -> None:
    db_ = admin(any_url)
    run_id, _ = purged_to_files(db_, any_url, tmp_path / "kept")
    execute(db_, f"ALTER TABLE {TABLE} DROP COLUMN NOTE")
    error = refused(any_url, run_id)
    assert error.code == "schema_changed"
    assert "no column NOTE" in str(error) or "no column note" in str(error)
    execute(db_, f"ALTER TABLE {TABLE} ADD COLUMN NOTE VARCHAR(300)")
    error = refused(any_url, run_id)
    assert error.code == "schema_changed"
    assert "in the archive files it is" in str(error)
    execute(db_, f"DROP TABLE {TABLE}")
    assert "make it again" in str(refused(any_url, run_id))


def test_the_archive_table_is_another(any_url: str, admin: Admin, tmp_path: Path) -> None:
    db_ = admin(any_url)
    run_id, before = purged_to_files(db_, any_url, tmp_path / "kept")
    execute(db_, f"CREATE TABLE {archive_of(any_url)} (ID BIGINT, EXPIRES BIGINT, NOTE VARCHAR(200)){suffix(any_url)}")
    error = refused(any_url, run_id)
    assert error.code == "schema_changed"
    assert "no archive of purgekit" in str(error)
    for name, kind in (("purgekit_run_id", "VARCHAR(64)"), ("purgekit_chunk", "BIGINT")):
        execute(db_, f"ALTER TABLE {archive_of(any_url)} ADD COLUMN {name} {kind}")
    with pk.connect(any_url) as db:
        kind = {"sqlite": "TEXT", "postgresql": "timestamptz"}.get(any_url.split(":")[0].split("+")[0], "DATETIME(6)")
        execute(db_, f"ALTER TABLE {archive_of(any_url)} ADD COLUMN purgekit_archived_utc {kind}")
        places = json.loads(db._connection.archive_places(run_id))
        chunk = kept_files(places, run_id, path=None)[0]["chunks"][0]["number"]
        execute(
            db_,
            f"INSERT INTO {archive_of(any_url)} (ID, purgekit_run_id, purgekit_chunk) VALUES (1, '{run_id}', {chunk})",
        )
        execute(db_, f"CREATE UNIQUE INDEX ONCE ON {archive_of(any_url)} (ID)")
        assert "unique index" in str(refused(any_url, run_id))
        on = f" ON {archive_of(any_url)}" if any_url.startswith(("mysql", "mariadb")) else ""
        execute(db_, f"DROP INDEX ONCE{on}")
        error = refused(any_url, run_id)
        assert "holds 1 rows of chunk" in str(error)
        assert len(marks(db_, any_url)) == 1
        execute(db_, f"DELETE FROM {archive_of(any_url)}")
        db.restore(run_id)
    assert all_rows(db_) == before
