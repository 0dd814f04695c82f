"""How long archives are kept: policies on archive tables themselves."""

from __future__ import annotations

import re

from purgekit._core import ArchiveMapping, Policy
from purgekit.errors import PolicyError
from purgekit.predicates import Duration, col, created
from purgekit.text import printable

DEFAULT_ARCHIVE = "purgekit_archive_{table}"
NAME = r'"(?:[^"]|"")+"|[^".]+'
WRITTEN = re.compile(rf"(?:(?P<schema>{NAME})\.)?(?P<table>{NAME})")


def archive_retention(policy: Policy, retention: Duration) -> list[Policy]:
    """Policies that purge what ``policy`` has kept in its archive tables, ``retention`` after it was archived.

    Run them behind it: ``db.run([policy, *pk.archive_retention(policy, "365d")])``. An archive table that is not there
    yet is passed over. Rows that were restored stay in the archive: what keeps them on hold goes by them.

    Args:
        policy: one with ``archive = "table"`` or ``"table:NAME"``.
        retention: a duration text such as ``"365d"``, or a timedelta.
    """
    archive = policy.archive
    if archive is None:
        raise PolicyError('archive_retention needs archive = "table" in the same policy', policy=policy.name)
    if isinstance(archive, ArchiveMapping):
        raise PolicyError(
            f"archive_retention is for purgekit's own archive tables, and {printable(archive.table)} is none: write a "
            f'policy for it, such as created = {{ column = "INVALIDATED_TIME", lifetime = "365d" }}',
            policy=policy.name,
        )
    if archive != "table" and not archive.startswith("table:"):
        raise PolicyError("archive_retention is for archive tables; files are removed as files are", policy=policy.name)
    pattern = archive.removeprefix("table").removeprefix(":") or DEFAULT_ARCHIVE
    tables = [("", _archive_of(policy.table, pattern, policy.name))]
    tables += [
        (f"/{child.table}", _archive_of(child.table, DEFAULT_ARCHIVE, policy.name)) for child in policy.dependents
    ]
    aged = created("purgekit_archived_utc", unit="timestamp", lifetime=retention, grace="0s")
    return [
        Policy(
            f"{policy.name}/archive{suffix}",
            table=table,
            where=aged & (col("purgekit_chunk") > 0),
            grace="0s",
            max_fraction=1.0,
            optional=True,
        )
        for suffix, table in tables
    ]


def belongs_to(policy: Policy, name: str) -> bool:
    """The policy of that name, or one for its archives."""
    return policy.name == name or policy.name.startswith(f"{name}/archive")


def _archive_of(table: str, pattern: str, policy: str) -> str:
    schema, name = _parts(table, policy)
    own_schema, own_name = _parts(pattern, policy)
    return ".".join(
        _quoted(part) for part in (own_schema or schema, own_name.replace("{table}", name)) if part is not None
    )


def _parts(written: str, policy: str) -> tuple[str | None, str]:
    found = WRITTEN.fullmatch(written)
    if found is None:
        raise PolicyError(f"table name {printable(written)} can't be read", policy=policy)
    return _unquoted(found["schema"]), _unquoted(found["table"]) or ""


def _unquoted(name: str | None) -> str | None:
    return name[1:-1].replace('""', '"') if name and name.startswith('"') else name


def _quoted(name: str) -> str:
    """In quotes where it must be: a quoted name is matched exactly."""
    return '"' + name.replace('"', '""') + '"' if '"' in name or "." in name else name
