"""Rules to compose policies from. Each gives a native ``Predicate``; combine them with ``&``, ``|`` and ``~``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Literal, NoReturn

from purgekit._core import ArchiveMapping, Dependent, Predicate, parse_duration
from purgekit.errors import PolicyError

NullRule = Literal["keep", "purge"]
Duration = str | timedelta


class Column:
    """A column of the policy's table. Comparing it gives a rule: ``col("STATE") == "EXPIRED"``."""

    __slots__ = ("name",)
    __hash__ = None  # type: ignore[assignment]  # == makes a rule, so a column can't be a key

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not name:
            raise PolicyError(f"a column is named by text, not by {name!r}")
        self.name = name

    def _compare(self, op: str, value: object) -> Predicate:
        if value is None:
            raise PolicyError(f"column '{self.name}' can't be compared with None; use is_null() or not_null()")
        if isinstance(value, Column):
            raise PolicyError(f"column '{self.name}' can't be compared with column '{value.name}'; use pk.sql(...)")
        return Predicate.compare(self.name, op, value)

    def __eq__(self, value: object) -> Predicate:  # type: ignore[override]
        return self._compare("=", value)

    def __ne__(self, value: object) -> Predicate:  # type: ignore[override]
        return self._compare("!=", value)

    def __lt__(self, value: object) -> Predicate:
        return self._compare("<", value)

    def __le__(self, value: object) -> Predicate:
        return self._compare("<=", value)

    def __gt__(self, value: object) -> Predicate:
        return self._compare(">", value)

    def __ge__(self, value: object) -> Predicate:
        return self._compare(">=", value)

    def isin(self, values: Iterable[object]) -> Predicate:
        """True of rows whose column equals one of ``values``."""
        listed = [values] if isinstance(values, (str, bytes)) else list(values)
        if not listed:
            raise PolicyError(f"column '{self.name}': 'in' needs at least one value")
        return Predicate.is_in(self.name, listed)

    def is_null(self) -> Predicate:
        """True of rows whose column is NULL."""
        return Predicate.is_null(self.name)

    def not_null(self) -> Predicate:
        """True of rows whose column is not NULL."""
        return ~Predicate.is_null(self.name)

    def __bool__(self) -> NoReturn:
        raise TypeError(f"column '{self.name}' is not a condition; compare it, and join rules with & and |")

    def __repr__(self) -> str:
        return f"col({self.name!r})"


def col(name: str) -> Column:
    """The column ``name`` of the policy's table."""
    return Column(name)


def expired(
    column: str | Column,
    *,
    unit: str = "timestamp",
    grace: Duration | None = None,
    null: NullRule = "keep",
    timezone: str = "UTC",
    stored: str = "",
) -> Predicate:
    """True when ``column + grace < now``.

    Args:
        column: holds the instant at which the row expires.
        unit: ``s``, ``ms``, ``us``, ``ns`` since the Unix epoch (a must for numbers), or ``timestamp``.
        grace: the policy's when not given.
        null: ``"purge"`` makes rows without an expiry match as well.
        timezone: of wall clocks in types without a zone.
        stored: ``"wall"`` reads a zoned type as the text that the server's zone shows.
    """
    return Predicate.expired(
        _name(column),
        unit,
        grace_ns=duration_ns(grace, "grace"),
        purge_null=_purge(null, "null"),
        timezone=timezone,
        stored=stored,
    )


def created(
    column: str | Column,
    *,
    lifetime: Duration | Column,
    unit: str = "timestamp",
    lifetime_unit: str = "",
    lifetime_null: NullRule = "keep",
    grace: Duration | None = None,
    null: NullRule = "keep",
    timezone: str = "UTC",
    stored: str = "",
) -> Predicate:
    """True when ``column + lifetime + grace < now``.

    Args:
        column: holds the instant at which the row was made.
        lifetime: a duration (``"14d"``), or a column that holds it, in ``lifetime_unit``.
        unit: as in ``expired``.
        lifetime_unit: ``s``, ``ms``, ``us`` or ``ns``; only with a lifetime column.
        lifetime_null: ``"purge"`` counts a lifetime that is NULL, zero or negative as zero, not as "never expires".
        grace: as in ``expired``.
        null: as in ``expired``.
        timezone: as in ``expired``.
        stored: as in ``expired``.
    """
    from_column = lifetime.name if isinstance(lifetime, Column) else ""
    if from_column and not lifetime_unit:
        raise PolicyError(f"lifetime column '{from_column}' needs a lifetime_unit: s, ms, us or ns")
    if not from_column and (lifetime_unit or lifetime_null != "keep"):
        raise PolicyError("lifetime_unit and lifetime_null belong to a lifetime column; give lifetime=col(...)")
    return Predicate.created(
        _name(column),
        unit,
        lifetime_ns=None if isinstance(lifetime, Column) else duration_ns(lifetime, "lifetime"),
        lifetime_column=from_column,
        lifetime_unit=lifetime_unit,
        purge_never=_purge(lifetime_null, "lifetime_null"),
        grace_ns=duration_ns(grace, "grace"),
        purge_null=_purge(null, "null"),
        timezone=timezone,
        stored=stored,
    )


def referenced_by(
    table: str,
    *,
    on: Mapping[str, str],
    where: Predicate | None = None,
    older: str | None = None,
    newer: str | None = None,
) -> Predicate:
    """True when a row of ``table`` refers to this row.

    Args:
        table: the other table, or the policy's own.
        on: the other table's columns mapped to this table's columns that they equal.
        where: a condition that the other row must meet; its columns are the other table's.
        older: a column of both tables: only other rows with a smaller value count.
        newer: a column of both tables: only other rows with a greater value count.
    """
    if not isinstance(on, Mapping) or not on:
        raise PolicyError(f"reference by '{table}' needs on={{OTHER_COLUMN: THIS_COLUMN}}")
    joins = [(other, "=", this) for other, this in on.items()]
    joins += [(column, op, column) for column, op in ((older, "<"), (newer, ">")) if column]
    return Predicate.referenced_by(table, joins, where)


def not_referenced_by(
    table: str,
    *,
    on: Mapping[str, str],
    where: Predicate | None = None,
    older: str | None = None,
    newer: str | None = None,
) -> Predicate:
    """True when no row of ``table`` refers to this row (NOT EXISTS). Arguments as in ``referenced_by``."""
    return ~referenced_by(table, on=on, where=where, older=older, newer=newer)


def keep_latest(n: int, *, per: Sequence[str], order_by: str) -> Predicate:
    """True of a row when at least ``n`` rows of the table with equal ``per`` columns are newer by ``order_by``."""
    return Predicate.keep_latest(n, [per] if isinstance(per, str) else list(per), order_by)


def sql(text: str, /, **parameters: object) -> Predicate:
    """A raw condition, trusted like code; ``:name`` stands for a bound parameter. The plan shows it as such."""
    return Predicate.sql(text, parameters)


def dependent(
    table: str,
    *,
    on: Mapping[str, str],
    unless_referenced: bool = True,
    optional: bool = False,
    archive: ArchiveMapping | None = None,
    of: str = "",
) -> Dependent:
    """Rows of a child table that go with their parents, in the same transaction.

    Where a foreign key says the same, they go before their parents: it does not matter whether it cascades.

    Args:
        table: the child table.
        on: child columns mapped to the parent columns that they equal.
        unless_referenced: keep a child while any row of the parent table still has its values.
        optional: do without when the table, or a column of ``on``, does not exist.
        archive: ``pk.move_to(…)``, where the policy has such an archive; without it the rows go into an archive table.
        of: a dependent named before this one, whose children these are; the policy's own table when empty.
    """
    return Dependent(
        table, dict(on), unless_referenced=unless_referenced, optional=optional, archive=archive, of=of
    )


def all_of(*predicates: Predicate) -> Predicate:
    """All of them hold. ``all_of(a, b)`` is ``a & b``."""
    return Predicate.all_of(predicates)


def any_of(*predicates: Predicate) -> Predicate:
    """Any of them holds. ``any_of(a, b)`` is ``a | b``."""
    return Predicate.any_of(predicates)


def duration_ns(duration: Duration | None, what: str) -> int | None:
    """Nanoseconds of a duration text or timedelta; ``what`` names it in errors."""
    if duration is None:
        return None
    if isinstance(duration, timedelta):
        total_us = (duration.days * 86_400 + duration.seconds) * 1_000_000 + duration.microseconds
        if total_us < 0:
            raise PolicyError(f"{what} must not be negative, not {duration}")
        return total_us * 1_000
    if isinstance(duration, str):
        try:
            return parse_duration(duration)
        except PolicyError as error:
            raise PolicyError(f"{what}: {error}", code=error.code) from None
    raise PolicyError(f'{what} must be a duration such as "14d" or a timedelta, not {duration!r}')


def _name(column: str | Column) -> str:
    return column.name if isinstance(column, Column) else Column(column).name


def _purge(rule: str, what: str) -> bool:
    if rule not in ("keep", "purge"):
        raise PolicyError(f'{what} is "keep" or "purge", not {rule!r}')
    return rule == "purge"
