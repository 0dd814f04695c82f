"""What callers give, as the engine takes it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from purgekit._core import Policy, parse_instant
from purgekit.errors import PolicyError

Policies = Policy | Sequence[Policy]


def listed(policies: Policies) -> list[Policy]:
    """At least one."""
    listed = [policies] if isinstance(policies, Policy) else list(policies)
    if not listed:
        raise PolicyError("no policy given")
    for policy in listed:
        if not isinstance(policy, Policy):
            raise PolicyError(
                f"a policy is needed, not {type(policy).__name__}; pk.load_policies reads files and packs"
            )
    return listed


def archive_text(archive: str | os.PathLike[str] | None) -> str | None:
    """A path object means a folder, whatever its name."""
    if archive is None or isinstance(archive, str):
        return archive
    return f"{Path(archive).absolute()}{os.sep}"


def now_ns(now: str | datetime | None) -> int | None:
    """Nanoseconds since 1970; None: the database's clock decides."""
    if isinstance(now, datetime):
        now = now.isoformat()
    return None if now is None else parse_instant(now)
