"""The session store of WSO2 Identity Server, an append log.

Each change of a session appends a row; the newest row of a (SESSION_ID, SESSION_TYPE) decides what the session is, and
a logout appends a tombstone (OPERATION 'DELETE'). So it is not enough that a row is old: with a tombstone gone, what it
hides would be a live session again, and with the newest row gone, an older one that is still valid would be.
"""

from __future__ import annotations

from collections.abc import Mapping

from purgekit._core import Policy, Predicate
from purgekit.packs.model import Advice, Built, PackPolicy, Parameter
from purgekit.predicates import col, created, dependent, expired, referenced_by

STORE = "IDN_AUTH_SESSION_STORE"
SIDE_TABLES = (
    "IDN_AUTH_SESSION_APP_INFO",
    "IDN_AUTH_SESSION_META_DATA",
    "IDN_AUTH_USER_SESSION_MAPPING",
    "IDN_FED_AUTH_SESSION_MAPPING",
)
SAME_SESSION = {"SESSION_ID": "SESSION_ID", "SESSION_TYPE": "SESSION_TYPE"}

BY = Parameter("by", "created", "what ages a row: its creation, or its own expiry", ("created", "expiry"))
LIFETIME = Parameter("lifetime", "14d", "age at which a row may go; with by=expiry only for rows without an expiry")
GRACE = Parameter("grace", "2h", "time added before a row may go")

NOTE = """\
The vendor's procedures collect session ids first and delete by them later. A session that was used in between, or \
another session type under the same id, goes with them; side rows go as soon as one old version of their session \
does; and some remove a logout marker but not the rows it hides, which revives the session. Here every row is judged \
by itself in the statement that deletes it: a logout marker stays until nothing older of its session is left, no \
expired row is taken away from above an older one that is still valid, and side rows stay while any row has their \
session id. What is freed that way goes in closing passes of the same run, so nothing is left over for the next one."""


def _with_expiry_ahead() -> Advice:
    return Advice(
        "expiry_ahead",
        ~expired("EXPIRY_TIME", unit="ns", grace="0s"),
        "{rows} of the purgeable rows have an EXPIRY_TIME that lies ahead; by=expiry would keep them",
    )


def _by_created(lifetime: str) -> tuple[Predicate, Predicate]:
    """The rule, and what holds a row back for now."""
    is_old = created("TIME_CREATED", unit="ns", lifetime=lifetime)
    # What a tombstone hides is older than it, so it goes as well: only the order matters.
    hides_something = referenced_by(STORE, on=SAME_SESSION, older="TIME_CREATED")
    return is_old, (col("OPERATION") == "DELETE") & hides_something


def _by_expiry(lifetime: str) -> tuple[Predicate, Predicate]:
    """The rule, and what holds a row back for now."""
    is_past = expired("EXPIRY_TIME", unit="ns")
    has_no_expiry = col("EXPIRY_TIME").is_null() | (col("EXPIRY_TIME") <= 0)
    is_old = created("TIME_CREATED", unit="ns", lifetime=lifetime)
    is_over = is_past | (has_no_expiry & is_old)
    # Not ~is_over: over a NULL expiry that would be unknown, and the row would not count as valid.
    is_valid = ~is_past | (has_no_expiry & ~is_old)
    # Hidden under a row that is over: nobody sees it any more, whatever its own expiry says.
    is_superseded = referenced_by(STORE, on=SAME_SESSION, newer="TIME_CREATED", where=is_over)

    hides_something = referenced_by(STORE, on=SAME_SESSION, older="TIME_CREATED")
    hides_something_valid = referenced_by(STORE, on=SAME_SESSION, older="TIME_CREATED", where=is_valid)
    is_tombstone = col("OPERATION") == "DELETE"
    would_reveal = (is_tombstone & hides_something) | ((col("OPERATION") != "DELETE") & hides_something_valid)
    return is_over | is_superseded, ~is_superseded & would_reveal


def _build(values: Mapping[str, str]) -> Built:
    by_created = values["by"] == "created"
    where, held_while = (_by_created if by_created else _by_expiry)(values["lifetime"])
    policy = Policy(
        "sessions",
        table=STORE,
        where=where,
        grace=values["grace"],
        held_while=held_while,
        dependents=[
            dependent(table, on={"SESSION_ID": "SESSION_ID"}, unless_referenced=True, optional=True)
            for table in SIDE_TABLES
        ],
    )
    return Built(policy, [_with_expiry_ahead()] if by_created else [])


SESSIONS = PackPolicy(
    "sessions",
    STORE,
    "Session rows older than lifetime (or past their expiry), logout markers last, side tables with them",
    NOTE,
    _build,
    (BY, LIFETIME, GRACE),
)
