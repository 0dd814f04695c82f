"""The registry: its log, expired confirmation codes, and what no resource refers to any more."""

from __future__ import annotations

import time

from purgekit._core import Policy, Predicate, parse_duration
from purgekit.packs.common import COMMON, SCHEMA, Values, table_in
from purgekit.packs.model import Built, PackPolicy, Parameter
from purgekit.predicates import col, created, dependent, keep_latest, not_referenced_by, referenced_by, sql

LOG = "REG_LOG"
RESOURCE = "REG_RESOURCE"
HISTORY = "REG_RESOURCE_HISTORY"
DELETE_RESOURCE = 7
CODES_PATH = "/_system/config/repository/components/org.wso2.carbon.identity.mgt/data"
SAME_VERSION = {"REG_VERSION": "REG_VERSION", "REG_TENANT_ID": "REG_TENANT_ID"}
HOUR_MS = 3_600_000

LOG_MIN_AGE = Parameter("log_min_age", "1d", "younger entries stay: the indexer may not have read them")
CODES = Parameter("codes_path", CODES_PATH, "path of the collection that holds confirmation codes")

LOG_NOTE = """\
Of each path and tenant the newest entry stays, unless it says that the resource was deleted: then all go, that one \
last. The vendor's procedures take entries of any age, also those that the indexer has not read, so that changes \
never get into the search; on PostgreSQL all rows of a chunk stay locked while it sleeps. REG_LOG has no index on \
REG_PATH: add one on (REG_PATH, REG_TENANT_ID, REG_LOG_ID) before the first purge of a large log."""
CODES_NOTE = """\
The time of expiry is a property of the resource, milliseconds as text. It is compared with this machine's clock, in \
whole hours. The vendor's procedure then deletes every property in the whole registry whose version is not current, \
those of the history too; here only properties of the codes themselves go, and nothing else."""
ORPHANS_NOTE = """\
Links of properties and tags to versions that neither the current resources nor the history know, then properties, \
tags and content that nothing refers to. The vendor's statements forget the history, so restoring an old version \
brings a resource back without its properties, and need the foreign keys dropped and the server stopped. Links \
without a version (0: kept by path) stay."""


def _log(values: Values) -> Built:
    table = table_in(values, LOG)
    group = {"REG_PATH": "REG_PATH", "REG_TENANT_ID": "REG_TENANT_ID"}
    is_superseded = keep_latest(1, per=list(group), order_by="REG_LOG_ID")
    is_deletion = col("REG_ACTION") == DELETE_RESOURCE
    policy = Policy(
        "registry-log",
        table=table,
        where=(is_superseded | is_deletion)
        & created("REG_LOGGED_TIME", unit="timestamp", lifetime=values["log_min_age"]),
        grace=values["grace"],
        # With the deletion gone, the entry before it would be the newest and stay for ever.
        held_while=is_deletion & referenced_by(table, on=group, older="REG_LOG_ID"),
        optional=True,
    )
    return Built(policy)


def _is_expired_code(values: Values) -> Predicate:
    # As texts of 13 digits numbers sort like numbers, until the year 2286.
    now_ms = time.time_ns() // 10**6 - parse_duration(values["grace"]) // 10**6
    is_past = sql("LENGTH(REG_VALUE) = 13 AND REG_VALUE < :cutoff", cutoff=str(now_ms // HOUR_MS * HOUR_MS))
    is_expire_time = referenced_by(
        table_in(values, "REG_PROPERTY"),
        on={"REG_ID": "REG_PROPERTY_ID", "REG_TENANT_ID": "REG_TENANT_ID"},
        where=(col("REG_NAME") == "expireTime") & is_past,
    )
    return referenced_by(table_in(values, "REG_RESOURCE_PROPERTY"), on=SAME_VERSION, where=is_expire_time)


def _codes(values: Values) -> Built:
    at_path = referenced_by(
        table_in(values, "REG_PATH"),
        on={"REG_PATH_ID": "REG_PATH_ID", "REG_TENANT_ID": "REG_TENANT_ID"},
        where=col("REG_PATH_VALUE") == values["codes_path"],
    )
    policy = Policy(
        "registry-codes",
        table=table_in(values, RESOURCE),
        where=at_path & _is_expired_code(values),
        grace=values["grace"],
        dependents=[
            dependent(table_in(values, "REG_RESOURCE_PROPERTY"), on=SAME_VERSION, unless_referenced=False),
        ],
        optional=True,
    )
    return Built(policy)


def _orphans(values: Values) -> list[Built]:
    def unknown_version() -> Predicate:
        known = [table_in(values, RESOURCE), table_in(values, HISTORY)]
        return Predicate.all_of(
            [col("REG_VERSION") > 0, *(not_referenced_by(table, on=SAME_VERSION) for table in known)]
        )

    def unused(link: str, column: str, own: str) -> Predicate:
        on = {column: own, "REG_TENANT_ID": "REG_TENANT_ID"}
        return not_referenced_by(table_in(values, link), on=on)

    rules = {
        "REG_RESOURCE_PROPERTY": unknown_version(),
        "REG_PROPERTY": unused("REG_RESOURCE_PROPERTY", "REG_PROPERTY_ID", "REG_ID"),
        "REG_RESOURCE_TAG": unknown_version(),
        "REG_TAG": unused("REG_RESOURCE_TAG", "REG_TAG_ID", "REG_ID"),
        "REG_CONTENT": unused(RESOURCE, "REG_CONTENT_ID", "REG_CONTENT_ID")
        & unused(HISTORY, "REG_CONTENT_ID", "REG_CONTENT_ID"),
    }
    return [
        Built(
            Policy(
                f"registry-orphans/{table}",
                table=table_in(values, table),
                where=rule,
                grace="0s",
                optional=True,
            )
        )
        for table, rule in rules.items()
    ]


POLICIES = (
    PackPolicy(
        "registry-log",
        LOG,
        "The log but for the newest entry of each path; all entries of deleted resources",
        LOG_NOTE,
        _log,
        (*COMMON, LOG_MIN_AGE),
    ),
    PackPolicy(
        "registry-codes",
        RESOURCE,
        "Confirmation codes in the registry whose expireTime is past",
        CODES_NOTE,
        _codes,
        (*COMMON, CODES),
    ),
    PackPolicy(
        "registry-orphans",
        "REG_RESOURCE_PROPERTY",
        "Properties, tags and content that no version of a resource refers to",
        ORPHANS_NOTE,
        _orphans,
        (SCHEMA,),
    ),
)
