"""What pydantic finds wrong with a policy table, as one line for somebody who looks at the file."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ValidationError

from purgekit import policyschema as schema
from purgekit.text import did_you_mean, printable

MODELS: dict[str, type[BaseModel]] = {
    "expired": schema.Time,
    "created": schema.Created,
    "lifetime": schema.LifetimeColumn,
    "not_referenced_by": schema.Reference,
    "referenced_by": schema.Reference,
    "keep_latest": schema.KeepLatest,
    "sql": schema.RawSql,
    "dependents": schema.Child,
    "all": schema.Rule,
    "any": schema.Rule,
    "not": schema.Rule,
    "where": schema.Rule,
    "held_while": schema.Rule,
    "hold": schema.Hold,
    "archive": schema.Move,
}
COMPLAINTS = {
    "string_type": "must be text in quotes",
    "list_type": "must be a list: [ … ]",
    "dict_type": "must be a table: { … }",
    "model_type": "must be a table: { … }",
    "model_attributes_type": "must be a table: { … }",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "literal_error": 'must be "keep" or "purge"',
    "greater_than_equal": "is too small",
    "less_than_equal": "is too large",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}
VALUE_COMPLAINT = "must be text, a number, true, false, a date, or a date with a time"

Path = list[str | int]


def first_fault(error: ValidationError, top: type[BaseModel] = schema.PolicyTable) -> str:
    """The first fault that tells most: an unknown key, then a missing one, then a wrong value."""
    faults = error.errors(include_url=False, include_context=False)
    rank = {"extra_forbidden": 0, "missing": 1}
    fault = min(faults, key=lambda found: rank.get(found["type"], 2))
    path, is_value = _path(fault["loc"])
    if not path:
        return f"it {COMPLAINTS['model_type']}"
    key = printable(path[-1])
    inside = f" in {_place(path[:-1])}" if len(path) > 1 else ""
    if fault["type"] == "extra_forbidden":
        return f"unknown key '{key}'{inside}{did_you_mean(key, _keys(path[:-1], top))}"
    if fault["type"] == "missing":
        return f"'{key}'{inside} is missing"
    complaint = COMPLAINTS.get(fault["type"], fault["msg"])
    return f"'{_place(path)}' {VALUE_COMPLAINT if is_value and fault['type'] != 'too_short' else complaint}"


def _path(loc: tuple[int | str, ...]) -> tuple[Path, bool]:
    """Keys and list positions down to the fault, without pydantic's names for the members of a union.

    Second: whether it is a free value (of a condition or a parameter).
    """
    path: Path = []
    for part in loc:
        before = path[-1] if path else None
        if before == "lifetime" and part in ("text", "table"):
            continue
        if part in ("archive-name", "archive-move"):
            continue
        path.append(part)
        in_list = before == "in" and isinstance(part, int)
        if part == "value" or in_list or (before == "sql" and part != "text"):
            return path, True
    return path, False


def _place(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{printable(part)}"
    return text


def _keys(path: Path, top: type[BaseModel]) -> Iterable[str]:
    """The keys that a table at ``path`` may have."""
    names = [part for part in path if isinstance(part, str)]
    model = MODELS.get(names[-1], schema.PolicyTable) if names else top
    return [field.alias or name for name, field in model.model_fields.items()]
