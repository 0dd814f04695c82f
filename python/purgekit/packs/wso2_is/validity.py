"""Creation plus a validity of its own for each row, with what the product means by validities that are no time span."""

from __future__ import annotations

from purgekit._core import Predicate
from purgekit.packs.common import Values, aged, clock, whole
from purgekit.packs.model import Parameter
from purgekit.predicates import col, created

# The procedures take this many ms, and more, for a validity without end.
ENDLESS_MS = Parameter("endless_ms", "99999999999990", "a validity of so many ms or more never ends")
KEEP_OR_PURGE = ("keep", "purge")
ZERO = Parameter("zero", "keep", "rows with a validity of 0: they never expire, or count as expired", KEEP_OR_PURGE)
NEGATIVE = Parameter("negative", "keep", "the same for a negative validity, such as -1", KEEP_OR_PURGE)
NULL = Parameter("null", "keep", "the same for a validity that is NULL", KEEP_OR_PURGE)
ENDLESS = (ZERO, NEGATIVE, NULL, ENDLESS_MS)


def validity_over(made: str, validity: str, values: Values) -> Predicate:
    """``made`` + ``validity`` (ms) + grace is past. What never expires stays, unless the parameters say otherwise."""
    ends = created(made, unit="timestamp", lifetime=col(validity), lifetime_unit="ms", **clock(values))
    ways = [ends & (col(validity) < whole(ENDLESS_MS, values))]
    counts_as_expired = {
        "zero": col(validity) == 0,
        "negative": col(validity) < 0,
        "null": col(validity).is_null(),
    }
    for name, is_such in counts_as_expired.items():
        if values[name] == "purge":
            ways.append(is_such & aged(made, "0s", values))
    return ways[0] if len(ways) == 1 else Predicate.any_of(ways)
