"""What a backend's author tells the suite: how to reach the database, its spelling, what it can't do and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

# What may be named in ``unsupported``.
FEATURES = {
    "locked_rows": "one locked row does not block the rest of the database",
    "cancel": "a statement under way can be cancelled",
    "keyless": "tables without any key can be walked",
    "any_name": "names may hold quotes, dots and blanks",
    "unicode_names": "names may hold letters beyond ASCII",
    "views": "there are views, and describe tells them from tables",
    "foreign_keys": "foreign keys are enforced and described",
    "timestamps": "there is a date and time type, or times are read from text",
    "composite_keys": "primary keys may have several columns",
    "keep_latest": "the keep_latest rule",
    "references": "rules that look at other rows",
    "archives": "deleted rows can be kept in a table",
    "replacing": "an insert can overwrite the row that has its key, as ON CONFLICT … DO UPDATE does",
    "care": "statistics and space of a table can be looked after",
    "samples": "rows that would go can be shown",
    "run_lock": "a second purge of the same table is turned away at once",
}


@dataclass(frozen=True)
class Quirks:
    """How one database differs.

    Attributes:
        url: of a database for the suite alone.
        admin: a new PEP 249 connection in autocommit, of a driver that is not the backend under test.
        quote: what stands around names.
        placeholder: of the driver behind ``admin``.
        bigint: type of whole numbers of 64 bits.
        text: type of short texts that can be a key.
        timestamp: type that keeps a wall clock with microseconds.
        table_suffix: behind each CREATE TABLE.
        identity_resolution_s: a table made again later than this has another identity.
        unsupported: features that are missing, each with the reason; see ``FEATURES``.
    """

    url: str
    admin: Callable[[], Any]
    quote: str = '"'
    placeholder: str = "?"
    bigint: str = "BIGINT"
    text: str = "VARCHAR(60)"
    timestamp: str = "TIMESTAMP"
    table_suffix: str = ""
    identity_resolution_s: float = 0.0
    unsupported: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for feature, reason in self.unsupported.items():
            if feature not in FEATURES:
                raise ValueError(f"unknown feature {feature!r}; known: {', '.join(FEATURES)}")
            if not reason:
                raise ValueError(f"say why {feature!r} is unsupported")

    def quoted(self, name: str) -> str:
        """``name`` as the database wants it in SQL."""
        return self.quote + name.replace(self.quote, self.quote * 2) + self.quote
