"""Legal holds: rows that stay whatever a policy says. Kept in the ledger, obeyed by every run that uses it."""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from purgekit._core import Connection, Predicate
from purgekit.errors import PolicyError
from purgekit.predicates import referenced_by

Json = dict[str, Any]


@dataclass(frozen=True)
class Hold:
    """One hold. ``rule`` is None when it can't be read; ``problem`` says why, and runs are refused because of it."""

    id: str
    table: str
    form: str
    rule: Predicate | None
    reason: str
    by: str
    created_utc: str
    problem: str | None = None
    added: bool | None = None
    rows_held: int | None = None

    @classmethod
    def from_json(cls, document: Json) -> Hold:
        """From what the native engine says of it."""
        rule = document.get("rule")
        return cls(
            id=str(document["id"]),
            table=str(document["table"]),
            form=str(document["form"]),
            rule=None if rule is None else Predicate.from_json(json.dumps(rule)),
            reason=str(document["reason"]),
            by=str(document["by"]),
            created_utc=str(document["created_utc"]),
            problem=document.get("problem"),
            added=document.get("added"),
            rows_held=document.get("rows_held"),
        )

    def to_dict(self) -> Json:
        """As ``--json`` prints it."""
        return {
            "id": self.id,
            "table": self.table,
            "form": self.form,
            "rule": None if self.rule is None else json.loads(self.rule.to_json()),
            "rule_text": "" if self.rule is None else str(self.rule),
            "reason": self.reason,
            "by": self.by,
            "created_utc": self.created_utc,
            "problem": self.problem,
            "rows_held": self.rows_held,
        }


def add(
    connection: Connection,
    held_table: str,
    *,
    where: Predicate | None,
    keys: Sequence[object] | None,
    column: str | Sequence[str] | None,
    table: str | None,
    on: Mapping[str, str] | None,
    reason: str,
    by: str | None,
    ledger: str,
    wait_s: float,
    typed_as_text: bool = False,
) -> Hold:
    """Check which of the three forms is meant, and have it kept."""
    columns = [column] if isinstance(column, str) else list(column or ())
    if keys is not None:
        if where is not None or table is not None:
            raise PolicyError("a hold is by a rule, by keys, or by a table of keys; give one of them")
        rows = [_key(key, len(columns)) for key in keys]
        if not rows:
            raise PolicyError("keys is empty, so that nothing would be held")
        rule = None
    else:
        if columns:
            raise PolicyError("column belongs to keys; name the columns of a table of keys by on")
        rows, rule = [], _rule(where, table, on)
    document = connection.hold_add(
        held_table,
        rule=rule,
        keys=rows,
        key_columns=columns,
        typed_as_text=typed_as_text,
        reason=reason,
        by=by if by is not None else _login(),
        ledger=ledger,
        wait_s=wait_s,
    )
    return Hold.from_json(json.loads(document))


def listed(connection: Connection, ledger: str) -> list[Hold]:
    """All holds of a ledger, the oldest first."""
    found = [Hold.from_json(document) for document in json.loads(connection.hold_list(ledger))["holds"]]
    # Fractions have no trailing zeros, so that the Z would sort ".5Z" behind ".501Z".
    return sorted(found, key=lambda hold: (hold.created_utc.removesuffix("Z"), hold.id))


def release(connection: Connection, ledger: str, hold_id: str) -> Hold:
    """Let go of one."""
    return Hold.from_json(json.loads(connection.hold_release(ledger, hold_id)))


def _rule(where: Predicate | None, table: str | None, on: Mapping[str, str] | None) -> Predicate:
    if table is None and on:
        raise PolicyError("on belongs to a table of keys; name it by table")
    if table is None and where is None:
        raise PolicyError("a hold needs where, keys, or a table of keys; without one it would hold every row")
    if table is None:
        assert where is not None
        return where
    if not on:
        raise PolicyError(f"the table of keys '{table}' needs on={{ITS_COLUMN: HELD_COLUMN}}")
    return referenced_by(table, on=on, where=where)


def _key(key: object, columns: int) -> list[object]:
    """Values of the key columns; a single one needs no brackets."""
    if isinstance(key, (tuple, list)):
        return list(key)
    if columns > 1:
        raise PolicyError(f"each key needs {columns} values, one for each column")
    return [key]


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name
        return ""
