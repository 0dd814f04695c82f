"""Logs of sessions as the session store of WSO2 keeps them, and by hand what the session policies leave of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from engine.wso2_tables import DAY_S, GRACE_S, HOUR_S, NOW_S

LIFETIME_S = 14 * DAY_S
OPERATION_LIFETIME_S = 12 * HOUR_S
KINDS = ("web", "oauth", "saml")


class Version(NamedTuple):
    """``created`` and ``expiry`` in seconds from the tests' now; 0 and None: no expiry."""

    session: str
    kind: str
    operation: str
    created: int
    expiry: int | None


def sessions(seed: int, number: int) -> Iterable[list[Version]]:
    """Random logs, one for each session and kind; some versions share the instant of a marker."""
    random_ = random.Random(seed)
    for n in range(number):
        for kind in random_.sample(KINDS, random_.randint(1, 2)):
            yield _log(random_, f"s{n:07}", kind)


def _log(random_: random.Random, session: str, kind: str) -> list[Version]:
    made: dict[tuple[str, int], Version] = {}
    created = -random_.randrange(HOUR_S, 40 * DAY_S)
    for _ in range(random_.randint(1, 4)):
        span = random_.choice([HOUR_S, 3 * DAY_S, 20 * DAY_S])
        expiry = random_.choice([created + span] * 6 + [None, 0])
        expiry = expiry or (None if expiry is None else 0)
        operation = "DELETE" if random_.random() < 0.25 else "STORE"
        both = random_.random() < 0.1
        for one in ("DELETE", "STORE") if both else (operation,):
            made[one, created] = Version(session, kind, one, created, expiry)
        created += random_.randrange(1, 5 * DAY_S)
        if created >= 0:
            break
    return list(made.values())


def row(version: Version) -> dict[str, Any]:
    """As it stands in the store, in nanoseconds."""
    return {
        "SESSION_ID": version.session,
        "SESSION_TYPE": version.kind,
        "OPERATION": version.operation,
        "TIME_CREATED": (NOW_S + version.created) * 10**9,
        "EXPIRY_TIME": version.expiry if not version.expiry else (NOW_S + version.expiry) * 10**9,
    }


def is_over(version: Version, by: str) -> bool:
    if by == "expiry" and version.expiry:
        return version.expiry + GRACE_S < 0
    return version.created + LIFETIME_S + GRACE_S < 0


def is_old_marker(version: Version) -> bool:
    return version.operation == "DELETE" and version.created + OPERATION_LIFETIME_S + GRACE_S < 0


def _hides(above: Version, below: Version) -> bool:
    """Of a marker and a version with one instant, the marker counts as the newer."""
    if above.created != below.created:
        return above.created > below.created
    return above.operation == "DELETE" and below.operation != "DELETE"


def _without(log: list[Version], goes: Callable[[Version], bool]) -> list[Version]:
    """What ``goes`` names is gone, and what it hides."""
    named = [version for version in log if goes(version)]
    return [v for v in log if v not in named and not any(_hides(above, v) for above in named)]


def left_of(log: list[Version], by: str, *, with_operations: bool) -> list[Version]:
    """After the policy sessions or temp-sessions and, in its turn, session-operations."""
    if by == "expiry":
        left = _without(log, lambda version: is_over(version, by))
    else:
        left = [version for version in log if not is_over(version, by)]
    return _without(left, is_old_marker) if with_operations else left
