"""Archives of somebody else's making: rows move into a table that is there, column by column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from purgekit._core import ArchiveMapping, ArchivePart
from purgekit.errors import PolicyError
from purgekit.text import did_you_mean, printable

FORMS = ("now", "run_id", "default", "value")
OPTIONS = ("unit", "timezone")


def move_to(table: str, *, columns: Mapping[str, str | Mapping[str, Any]] | None = None) -> ArchiveMapping:
    """``Policy(archive=pk.move_to("AUDIT", columns={"INVALIDATED_TIME": {"now": True}}))``.

    A deleted row goes into ``table`` in the transaction that deletes it. The table is there already, such as a
    product's own audit table, and is neither made nor altered. Columns of the same name need no word; a column that
    numbers itself or is computed is left to the database.

    Args:
        table: the table that takes the rows.
        columns: for some of its columns what goes into them: the name of a column of the purged table,
            ``{"now": True}`` (the database's clock when the run began; with ``timezone`` as that zone's wall clock, in
            a number with ``unit``), ``{"run_id": True}``, ``{"value": …}``, or ``{"default": True}`` for its own
            default although there is a column of its name.
    """
    return ArchiveMapping(table, {target: _part(target, given) for target, given in (columns or {}).items()})


def _part(target: str, given: object) -> ArchivePart:
    if isinstance(given, str):
        return ArchivePart.column(given)
    where = f"column '{printable(target)}' of the archive"
    if not isinstance(given, Mapping):
        raise PolicyError(f"{where} needs a column's name, or one of {', '.join(FORMS)} in braces")
    for key in given:
        if key not in FORMS + OPTIONS:
            raise PolicyError(f"{where}: unknown key '{printable(key)}'{did_you_mean(str(key), FORMS + OPTIONS)}")
    forms = [key for key in FORMS if key in given]
    if len(forms) != 1:
        raise PolicyError(f"{where} needs one of {', '.join(FORMS)}")
    (form,) = forms
    if form != "value" and given[form] is not True:
        raise PolicyError(f"{where}: write {form} = true")
    options = {key: given[key] for key in OPTIONS if key in given}
    if options and form != "now":
        raise PolicyError(f"{where}: unit and timezone go with now only")
    for key, value in options.items():
        if not isinstance(value, str):
            raise PolicyError(f"{where}: {key} must be text")
    if form == "now":
        return ArchivePart.now(**options)
    if form == "value":
        return ArchivePart.value(given["value"])
    return ArchivePart.run_id() if form == "run_id" else ArchivePart.default()
