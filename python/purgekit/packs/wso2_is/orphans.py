"""Rows of the session side tables whose session is gone in all its versions."""

from __future__ import annotations

import time

from purgekit._core import Policy, Predicate, parse_duration
from purgekit.packs.common import SCHEMA, Values, table_in
from purgekit.packs.model import Built, PackPolicy, Parameter
from purgekit.packs.wso2_is.sessions import SIDE_TABLES, STORE
from purgekit.predicates import col, created, not_referenced_by

META = "IDN_AUTH_SESSION_META_DATA"
FEDERATED = "IDN_FED_AUTH_SESSION_MAPPING"
HOUR_MS = 3_600_000

MIN_AGE = Parameter("min_age", "1d", "time since the login before a side row without a session may go")

NOTE = """\
Side rows are tied to their session by its id alone, without a foreign key, so whatever the vendor's procedures or \
the product left half done stays for ever; only that for Oracle looks for such rows. They go when no row of the \
session store has their id, whatever its type and version. The product writes a session a little after its side \
rows: those of a login younger than min_age stay, which is read from the login time in IDN_AUTH_SESSION_META_DATA \
(milliseconds as text), and of federated mappings from their own TIME_CREATED."""


def _is_settled(values: Values) -> Predicate:
    """No login or access is noted that is younger than ``min_age``."""
    # As texts of 13 digits numbers sort like numbers, until the year 2286. In whole hours, so that a purge which was
    # stopped is known again by its rule.
    limit_ms = time.time_ns() // 10**6 - parse_duration(values["min_age"]) // 10**6
    limit = str(limit_ms // HOUR_MS * HOUR_MS)
    is_recent = col("PROPERTY_TYPE").isin(["Login Time", "Last Access Time"]) & (col("VALUE") > limit)
    return not_referenced_by(table_in(values, META), on={"SESSION_ID": "SESSION_ID"}, where=is_recent)


def _build(values: Values) -> list[Built]:
    no_session = not_referenced_by(table_in(values, STORE), on={"SESSION_ID": "SESSION_ID"})
    is_settled = _is_settled(values)
    aged = created("TIME_CREATED", unit="timestamp", lifetime=values["min_age"])
    # The table that tells when a login was goes last.
    tables = [table for table in SIDE_TABLES if table != META] + [META]
    return [
        Built(
            Policy(
                f"session-orphans/{table}",
                table=table_in(values, table),
                where=no_session & (aged if table == FEDERATED else is_settled),
                grace="0s",
                max_fraction=1.0,
                optional=True,
            )
        )
        for table in tables
    ]


POLICIES = (
    PackPolicy(
        "session-orphans",
        SIDE_TABLES[0],
        "Side rows of sessions that are gone in all their versions, from each of the four side tables",
        NOTE,
        _build,
        (MIN_AGE, SCHEMA),
    ),
)
