"""The shape of a policy file. What the words mean is said in ``policyfile``; pydantic checks the form."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StrictBool, StrictFloat, StrictInt, StrictStr, Tag

NullRule = Literal["keep", "purge"]
Columns = Annotated[dict[StrictStr, StrictStr], Field(min_length=1)]
Value = StrictBool | StrictInt | StrictFloat | StrictStr | datetime | date


class Table(BaseModel):
    """A TOML table whose keys are all known."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Time(Table):
    """How a column is read as an instant."""

    column: str
    unit: str = "timestamp"
    grace: str | None = None
    null: NullRule = "keep"
    timezone: str = "UTC"
    stored: str = ""


class LifetimeColumn(Table):
    """A lifetime that each row has for itself."""

    column: str
    unit: str
    null: NullRule = "keep"


def _text_or_table(value: object) -> str:
    return "table" if isinstance(value, (dict, LifetimeColumn)) else "text"


class Created(Time):
    """Creation time and lifetime."""

    lifetime: Annotated[
        Annotated[StrictStr, Tag("text")] | Annotated[LifetimeColumn, Tag("table")], Discriminator(_text_or_table)
    ]


class Reference(Table):
    """Rows of another table that refer to this one."""

    table: str
    on: Columns
    where: Rule | None = None
    older: str | None = None
    newer: str | None = None


class KeepLatest(Table):
    """How many of the newest of each group stay."""

    n: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1
    per: list[str]
    order_by: str


class RawSql(BaseModel):
    """A condition in SQL; all keys but ``text`` are its parameters."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, Value]

    text: str


class Rule(Table):
    """Rules that must all hold."""

    column: str | None = None
    in_: Annotated[list[Value] | None, Field(alias="in", min_length=1)] = None
    null: bool | None = None
    op: str | None = None
    value: Value | None = None
    expired: Time | None = None
    created: Created | None = None
    not_referenced_by: Reference | None = None
    referenced_by: Reference | None = None
    keep_latest: KeepLatest | None = None
    sql: RawSql | None = None
    all: Annotated[list[Rule], Field(min_length=1)] | None = None
    any: Annotated[list[Rule], Field(min_length=1)] | None = None
    not_: Annotated[Rule | None, Field(alias="not")] = None


class Move(Table):
    """A table that is there and takes the rows; ``moving`` checks what goes into which column."""

    table: Annotated[str, Field(min_length=1)]
    columns: dict[StrictStr, Any] = {}


def _name_or_move(value: object) -> str:
    return "archive-move" if isinstance(value, (dict, Move)) else "archive-name"


class Child(Table):
    """A table whose rows go with their parents."""

    table: str
    on: Columns
    unless_referenced: bool = True
    optional: bool = False
    archive: Move | None = None
    of: str = ""


class Hold(Rule):
    """Rows that stay: a rule, or a table of keys."""

    table: Annotated[str | None, Field(min_length=1)] = None
    on: Columns | None = None


class PolicyTable(Rule):
    """One ``[[policy]]``."""

    name: Annotated[str, Field(min_length=1)]
    table: Annotated[str, Field(min_length=1)]
    grace: str = "2h"
    dependents: list[Child] = []
    max_fraction: StrictFloat | Annotated[StrictInt, Field(ge=0)] | None = None
    optional: bool = False
    held_while: Rule | None = None
    archive: (
        Annotated[
            Annotated[StrictStr, Field(min_length=1), Tag("archive-name")] | Annotated[Move, Tag("archive-move")],
            Discriminator(_name_or_move),
        ]
        | None
    ) = None
    archive_retention: Annotated[str | None, Field(min_length=1)] = None
    strategy: str = "auto"
    move_window: str = "60s"
    hold: Hold | None = None
    approval: str | None = None
    within: str | None = None
    min_retention: str | None = None
    evidence_retention: str | None = None


class Settings(Table):
    """``[settings]``: what holds for every policy of the file."""

    approval: str | None = None
    within: str | None = None
    min_retention: str | None = None
