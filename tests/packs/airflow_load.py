"""Writes rows with Airflow's own table definitions, and so in its own types. Run by Airflow's Python.

airflow_load.py FILE: a JSON list of [table, [row, …]]. Times are ISO 8601 text.
"""

import importlib
import json
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import UUID


def main() -> None:
    settings = importlib.import_module("airflow.settings")
    importlib.import_module("airflow.models").import_all_models()
    tables = importlib.import_module("airflow.models.base").Base.metadata.tables
    settings.initialize()
    with settings.engine.begin() as connection:
        for name, rows in json.loads(Path(sys.argv[1]).read_text()):
            table = tables[name]
            connection.execute(table.insert(), [_typed(table, row) for row in rows])


# For columns that must have a value and have no default, and which the tests do not look at.
ANYTHING = {int: 0, str: "", bool: False, dict: {}, datetime: datetime.now(timezone.utc)}


def _typed(table: Any, row: dict[str, Any]) -> dict[str, Any]:
    typed: dict[str, Any] = {}
    for column in table.c:
        if column.name in row:
            typed[column.name] = _value(column.type, row[column.name])
        elif not (column.nullable or column.primary_key or column.default or column.server_default):
            typed[column.name] = ANYTHING[column.type.python_type]
    return typed


def _value(kind: Any, value: Any) -> Any:
    if value is not None and type(kind).__name__ in ("UtcDateTime", "TIMESTAMP", "DateTime"):
        return datetime.fromisoformat(value)
    if value is not None and type(kind).__name__ in ("Uuid", "UUID"):
        return UUID(value)
    return value


main()
