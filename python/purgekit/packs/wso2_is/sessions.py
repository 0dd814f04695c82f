"""The session store of WSO2 Identity Server, an append log.

Each change of a session appends a row; the newest row of a (SESSION_ID, SESSION_TYPE) decides what the session is, and
a logout appends a tombstone (OPERATION 'DELETE'). So it is not enough that a row is old: with a tombstone gone, what it
hides would be a live session again, and with the newest row gone, an older one that is still valid would be.
"""

from __future__ import annotations

from purgekit._core import Policy, Predicate
from purgekit.packs.common import COMMON, Values, table_in
from purgekit.packs.model import Advice, Built, PackPolicy, Parameter
from purgekit.predicates import col, created, dependent, expired, referenced_by

STORE = "IDN_AUTH_SESSION_STORE"
TEMP_STORE = "IDN_AUTH_TEMP_SESSION_STORE"
SIDE_TABLES = (
    "IDN_AUTH_SESSION_APP_INFO",
    "IDN_AUTH_SESSION_META_DATA",
    "IDN_AUTH_USER_SESSION_MAPPING",
    "IDN_FED_AUTH_SESSION_MAPPING",
)
SAME_SESSION = {"SESSION_ID": "SESSION_ID", "SESSION_TYPE": "SESSION_TYPE"}

_BY_HELP = "what ages a row: its creation, or its own expiry"
BY = Parameter("by", "created", _BY_HELP, ("created", "expiry"))
LIFETIME = Parameter("lifetime", "14d", "age at which a row may go; with by=expiry only for rows without an expiry")
OPERATION_LIFETIME = Parameter("operation_lifetime", "12h", "age at which a logout marker and what it hides may go")

NOTE = """\
The vendor's procedures collect session ids first and delete by them later. A session that was used in between, or \
another session type under the same id, goes with them; side rows go as soon as one old version of their session \
does; and some remove a logout marker but not the rows it hides, which revives the session. Here every row is judged \
by itself in the statement that deletes it: a logout marker stays until nothing older of its session is left, no \
expired row is taken away from above an older one that is still valid, and side rows stay while any row has their \
session id. What is freed that way goes in closing passes of the same run, so nothing is left over for the next one. \
Rows from before there was an EXPIRY_TIME, which a comparison with it never takes, go by their age."""
TEMP_NOTE = """\
Sessions of logins under way. The vendor's procedure for MySQL cleans this table since 2022, that for SQL Server not \
at all. They are meant to live for minutes: with by=expiry they go by that instead of being kept for two weeks. It \
has no index that begins with EXPIRY_TIME: the plan shows how it is read."""
OPERATION_NOTE = """\
A logout marker that is operation_lifetime old goes together with what it hides, long before the session's own \
lifetime: it goes last, and what was written after it stays. The vendor's procedure for PostgreSQL takes every type \
and version of such a session id, live ones too; that for Oracle takes the marker and leaves what it hid, which \
makes the session live again."""


def _hides(store: str, where: Predicate | None = None) -> Predicate:
    """Below this tombstone lies a row of its session, or beside it: of two with one TIME_CREATED it counts as newer."""
    joins = [(column, "=", column) for column in SAME_SESSION] + [("TIME_CREATED", "<=", "TIME_CREATED")]
    is_version = col("OPERATION") != "DELETE"
    return Predicate.referenced_by(store, joins, is_version if where is None else is_version & where)


def _hidden_under(store: str, where: Predicate) -> Predicate:
    """Above this row lies one of its session for which ``where`` holds."""
    beside = {**SAME_SESSION, "TIME_CREATED": "TIME_CREATED"}
    is_tombstone = col("OPERATION") == "DELETE"
    return referenced_by(store, on=SAME_SESSION, newer="TIME_CREATED", where=where) | (
        (col("OPERATION") != "DELETE") & referenced_by(store, on=beside, where=is_tombstone & where)
    )


def _with_expiry_ahead() -> Advice:
    return Advice(
        "expiry_ahead",
        ~expired("EXPIRY_TIME", unit="ns", grace="0s"),
        "{rows} of the purgeable rows have an EXPIRY_TIME that lies ahead; by=expiry would keep them",
    )


def _by_created(store: str, lifetime: str) -> tuple[Predicate, Predicate]:
    """The rule, and what holds a row back for now."""
    is_old = created("TIME_CREATED", unit="ns", lifetime=lifetime)
    # What a tombstone hides is older than it, so it goes as well: only the order matters.
    return is_old, (col("OPERATION") == "DELETE") & _hides(store)


def _by_expiry(store: str, lifetime: str) -> tuple[Predicate, Predicate]:
    """The rule, and what holds a row back for now."""
    is_past = expired("EXPIRY_TIME", unit="ns")
    has_no_expiry = col("EXPIRY_TIME").is_null() | (col("EXPIRY_TIME") <= 0)
    is_old = created("TIME_CREATED", unit="ns", lifetime=lifetime)
    is_over = is_past | (has_no_expiry & is_old)
    # Not ~is_over: over a NULL expiry that would be unknown, and the row would not count as valid.
    is_valid = ~is_past | (has_no_expiry & ~is_old)
    # Hidden under a row that is over: nobody sees it any more, whatever its own expiry says.
    is_superseded = _hidden_under(store, is_over)

    hides_something_valid = referenced_by(store, on=SAME_SESSION, older="TIME_CREATED", where=is_valid)
    is_tombstone = col("OPERATION") == "DELETE"
    would_reveal = (is_tombstone & _hides(store)) | ((col("OPERATION") != "DELETE") & hides_something_valid)
    return is_over | is_superseded, ~is_superseded & would_reveal


def _build(values: Values) -> Built:
    store = table_in(values, STORE)
    by_created = values["by"] == "created"
    where, held_while = (_by_created if by_created else _by_expiry)(store, values["lifetime"])
    policy = Policy(
        "sessions",
        table=store,
        where=where,
        grace=values["grace"],
        held_while=held_while,
        dependents=[
            dependent(table_in(values, table), on={"SESSION_ID": "SESSION_ID"}, unless_referenced=True, optional=True)
            for table in SIDE_TABLES
        ],
    )
    return Built(policy, [_with_expiry_ahead()] if by_created else [])


def _build_temp(values: Values) -> Built:
    store = table_in(values, TEMP_STORE)
    by_created = values["by"] == "created"
    where, held_while = (_by_created if by_created else _by_expiry)(store, values["lifetime"])
    policy = Policy(
        "temp-sessions", table=store, where=where, grace=values["grace"], held_while=held_while, optional=True
    )
    return Built(policy, [_with_expiry_ahead()] if by_created else [])


def _build_operations(values: Values) -> Built:
    store = table_in(values, STORE)
    is_old_marker = (col("OPERATION") == "DELETE") & created(
        "TIME_CREATED", unit="ns", lifetime=values["operation_lifetime"]
    )
    policy = Policy(
        "session-operations",
        table=store,
        where=is_old_marker | _hidden_under(store, is_old_marker),
        grace=values["grace"],
        held_while=(col("OPERATION") == "DELETE") & _hides(store),
        dependents=[
            dependent(table_in(values, table), on={"SESSION_ID": "SESSION_ID"}, unless_referenced=True, optional=True)
            for table in SIDE_TABLES
        ],
        optional=True,
    )
    return Built(policy)


POLICIES = (
    PackPolicy(
        "sessions",
        STORE,
        "Session rows older than lifetime (or past their expiry), logout markers last, side tables with them",
        NOTE,
        _build,
        (BY, LIFETIME, *COMMON),
    ),
    PackPolicy(
        "temp-sessions",
        TEMP_STORE,
        "Sessions of logins under way, older than lifetime (or past their expiry)",
        TEMP_NOTE,
        _build_temp,
        (BY, LIFETIME, *COMMON),
    ),
    PackPolicy(
        "session-operations",
        STORE,
        "Sessions that were logged out of: the marker and all that it hides, soon after the logout",
        OPERATION_NOTE,
        _build_operations,
        (OPERATION_LIFETIME, *COMMON),
    ),
)
