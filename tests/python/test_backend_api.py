"""DbapiBackend around a driver that it knows nothing about."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import purgekit as pk
from purgekit import sqlite3_catalog
from purgekit.backend_api import BackendError, Classified, DbapiSession


def driver(name: str) -> ModuleType:
    """sqlite3 under another name, so that nothing of what is built in is used."""
    module = ModuleType(name)
    for attribute in ("paramstyle", "Error", "InterfaceError", "DataError", "IntegrityError", "OperationalError"):
        setattr(module, attribute, getattr(sqlite3, attribute))
    return module


def opened(params: Mapping[str, Any]) -> sqlite3.Connection:
    if not Path(params["database"]).is_file():
        raise BackendError("connect_failed", f"no file {params['database']}")
    return sqlite3.connect(params["database"], check_same_thread=False)


def classified(error: BaseException) -> Classified:
    return ("not_found" if "no such table" in str(error) else "internal"), str(error), "", 0, ""


def described(
    connection: sqlite3.Connection, schema: str, name: str, _schema_quoted: bool, quoted: bool
) -> dict[str, Any]:
    return sqlite3_catalog.describe(connection, schema, name, quoted)


def test_unknown_driver(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, expires INTEGER)")
        db.executemany("INSERT INTO things VALUES (?, ?)", [(i, i % 3 * 10**12) for i in range(1, 301)])
        db.commit()
    dialect = {"quote": "`", "for_update": "", "insert_or_ignore": ("INSERT OR IGNORE INTO ", "")}
    backend = pk.DbapiBackend(
        driver("other"), schemes=["otherdb"], connect=opened, describe=described, classify=classified, dialect=dialect
    )
    pk.register_backend(backend)
    assert "other" in [found["name"] for found in pk.backends()]
    policy = pk.Policy("old", table="things", where=pk.expired("expires", unit="ms"))
    with pk.connect(f"otherdb:///{path}") as db:
        report = db.run(db.plan(policy, exact=True))
    assert (report.status, report.rows_deleted) == ("completed", 100)
    with pytest.raises(pk.ConnectionFailed, match="no file"):
        pk.connect(f"otherdb:///{path}x")


def test_what_a_driver_must_bring() -> None:
    with pytest.raises(pk.PurgekitError, match="connect="):
        pk.DbapiBackend(driver("other"))
    module = driver("odd")
    module.paramstyle = "named"  # type: ignore[attr-defined]
    with pytest.raises(pk.PurgekitError, match="named"):
        pk.DbapiBackend(module, connect=opened, describe=described)


def test_percent_signs_of_format_drivers() -> None:
    seen: list[tuple[str, tuple[Any, ...]]] = []

    class Cursor:
        rowcount = 1

        def execute(self, sql: str, params: tuple[Any, ...]) -> None:
            seen.append((sql, params))

        def close(self) -> None:
            pass

    class Connection:
        def cursor(self) -> Cursor:
            return Cursor()

        def commit(self) -> None:
            pass

        def close(self) -> None:
            pass

    module = ModuleType("fake")
    module.paramstyle = "format"  # type: ignore[attr-defined]
    session = DbapiSession(module, lambda _params: Connection(), described)
    session.connect({"database": "x"})
    session.execute("DELETE FROM t WHERE a LIKE 'x%' AND b = %s", [1])
    assert seen == [("DELETE FROM t WHERE a LIKE 'x%%' AND b = %s", (1,))]
    with pytest.raises(BackendError, match="%s"):
        session.execute("DELETE FROM `t%s` WHERE b = %s", [1])
