"""SQLite's catalogue, as ``BackendSession.describe`` gives it."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from typing import Any

from purgekit.backend_api import BackendError

ACTIONS = {
    "NO ACTION": "restrict",
    "RESTRICT": "restrict",
    "CASCADE": "cascade",
    "SET NULL": "set_null",
    "SET DEFAULT": "set_default",
}
ON_DELETE = re.compile(r"\bDELETE\s+ON\b", re.IGNORECASE)


def describe(connection: sqlite3.Connection, schema: str, name: str, name_quoted: bool) -> dict[str, Any]:
    """All about one table; BackendError ``not_found`` when there is none."""
    schema = schema or "main"
    found = _find(connection, schema, name, name_quoted)
    if found is None:
        raise BackendError("not_found", f"no table {name}")
    exact_name, kind, ddl = found
    is_table = kind == "table"
    without_rowid = is_table and bool(re.search(r"\bWITHOUT\s+ROWID\b", ddl, re.IGNORECASE))
    columns = _columns(connection, schema, exact_name)
    key = _key(connection, schema, exact_name, without_rowid)
    if is_table and not key and "rowid" not in {column["name"].lower() for column in columns}:
        # Every other table has this key, though nobody declared it.
        columns.append({"name": "rowid", "type_name": "INTEGER", "kind": "int", "nullable": False})
        key = ["rowid"]
    return {
        "schema": "" if schema == "main" else schema,
        "name": exact_name,
        "kind": kind,
        "storage": "without rowid" if without_rowid else "rowid",
        "identity": f"{exact_name}:{hashlib.sha256(ddl.encode()).hexdigest()[:16]}",
        "transactional": True,
        "columns": columns,
        "key": key,
        "indexes": _indexes(connection, schema, exact_name),
        "references": _references(connection, schema, exact_name) if is_table else [],
        "delete_triggers": _delete_triggers(connection, schema, exact_name),
        "rows_estimate": -1,
        "bytes": -1,
        "index_bytes": -1,
    }


def tables(connection: sqlite3.Connection, schema: str) -> list[str]:
    """Tables of a schema without SQLite's own."""
    rows = connection.execute(f"SELECT name FROM {_quote(schema or 'main')}.sqlite_master WHERE type = 'table'")
    return [row[0] for row in rows if not row[0].startswith("sqlite_")]


def _find(connection: sqlite3.Connection, schema: str, name: str, name_quoted: bool) -> tuple[str, str, str] | None:
    sql = (
        f"SELECT name, type, sql FROM {_quote(schema)}.sqlite_master"
        " WHERE type IN ('table', 'view') AND name NOT GLOB 'sqlite_*' AND name = ?"
    )
    try:
        row = connection.execute(sql, (name,)).fetchone()
        if row is None and not name_quoted:
            row = connection.execute(f"{sql} COLLATE NOCASE", (name,)).fetchone()
    except sqlite3.OperationalError:  # no such schema
        return None
    return None if row is None else (row[0], row[1], row[2] or "")


def _columns(connection: sqlite3.Connection, schema: str, table: str) -> list[dict[str, Any]]:
    rows = connection.execute(f"PRAGMA {_quote(schema)}.table_xinfo({_quote(table)})").fetchall()
    return [
        {"name": row[1], "type_name": row[2], "kind": _kind(row[2]), "nullable": not row[3] and not row[5]}
        for row in rows
        if row[6] != 1  # hidden columns of virtual tables
    ]


def _kind(declared: str) -> str:
    """By SQLite's rules of affinity. What holds times is text or a number, whatever it is called: each value tells."""
    name = declared.upper()
    if "INT" in name:
        return "int"
    if any(part in name for part in ("CHAR", "CLOB", "TEXT")):
        return "text"
    if "BLOB" in name:
        return "bytes"
    if any(part in name for part in ("REAL", "FLOA", "DOUB")):
        return "real"
    if "BOOL" in name:
        return "bool"
    if any(part in name for part in ("DATE", "TIME")):
        return "text"
    return "decimal" if name else "any"


def _key(connection: sqlite3.Connection, schema: str, table: str, without_rowid: bool) -> list[str]:
    """The primary key, unless SQLite lets it be NULL: rows with NULL keys would be walked past."""
    rows = connection.execute(f"PRAGMA {_quote(schema)}.table_info({_quote(table)})").fetchall()
    parts = sorted((row[5], row[1], row[2], row[3]) for row in rows if row[5])
    is_rowid = len(parts) == 1 and parts[0][2].upper() == "INTEGER"
    if is_rowid or without_rowid or all(part[3] for part in parts):
        return [part[1] for part in parts]
    return []


def _indexes(connection: sqlite3.Connection, schema: str, table: str) -> list[dict[str, Any]]:
    found = []
    for row in connection.execute(f"PRAGMA {_quote(schema)}.index_list({_quote(table)})").fetchall():
        columns = connection.execute(f"PRAGMA {_quote(schema)}.index_info({_quote(row[1])})").fetchall()
        names = [column[2] for column in columns]
        # Expressions have no name; up to them the index can be walked like any other.
        plain = names[: names.index(None)] if None in names else names
        if plain:
            found.append({"name": row[1], "columns": plain, "unique": bool(row[2]), "partial": bool(row[4])})
    return found


def _references(connection: sqlite3.Connection, schema: str, table: str) -> list[dict[str, Any]]:
    enforced = bool(connection.execute("PRAGMA foreign_keys").fetchone()[0])
    found = []
    for child in tables(connection, schema):
        keys: dict[int, dict[str, Any]] = {}
        for row in connection.execute(f"PRAGMA {_quote(schema)}.foreign_key_list({_quote(child)})").fetchall():
            number, _, parent, child_column, parent_column, _, on_delete = row[:7]
            if parent.lower() != table.lower():
                continue
            key = keys.setdefault(
                number,
                {
                    "name": f"{child}[{number}]",
                    "child_schema": "",
                    "child_table": child,
                    "child_columns": [],
                    "parent_columns": [],
                    "action": ACTIONS.get(on_delete.upper(), "restrict"),
                    "enforced": enforced,
                },
            )
            key["child_columns"].append(child_column)
            key["parent_columns"].append(parent_column)
        for key in keys.values():
            if None in key["parent_columns"]:  # declared without columns: the parent's primary key
                key["parent_columns"] = _primary_key(connection, schema, table)
            key["child_indexed"] = _is_indexed(connection, schema, child, key["child_columns"])
            found.append(key)
    return found


def _primary_key(connection: sqlite3.Connection, schema: str, table: str) -> list[str]:
    rows = connection.execute(f"PRAGMA {_quote(schema)}.table_info({_quote(table)})").fetchall()
    return [name for _, name in sorted((row[5], row[1]) for row in rows if row[5])]


def _is_indexed(connection: sqlite3.Connection, schema: str, table: str, columns: list[str]) -> bool:
    leading = [
        index["columns"][: len(columns)] for index in _indexes(connection, schema, table) if not index["partial"]
    ]
    leading.append(_primary_key(connection, schema, table)[: len(columns)])
    wanted = {column.lower() for column in columns}
    return any({column.lower() for column in names} == wanted for names in leading)


def _delete_triggers(connection: sqlite3.Connection, schema: str, table: str) -> list[str]:
    rows = connection.execute(
        f"SELECT name, sql FROM {_quote(schema)}.sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE",
        (table,),
    )
    return [name for name, ddl in rows if ON_DELETE.search(ddl or "")]


def _quote(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
