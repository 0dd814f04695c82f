"""Rows of the sample, in the order in which a busy identity server would have written them."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

SEED = 20260101
DAY_NS = 86_400 * 1_000_000_000
HOUR_NS = 3_600 * 1_000_000_000
DAYS = 70  # with the pack's 14 days and 2 hours, four rows of five may go
REMEMBER_NS = 14 * DAY_NS
SESSION = "AppAuthFrameworkSessionContextCache"
OTHER_TYPES = ("OAuthSessionDataCache", "SAMLSSOSessionIndexCache", "AuthorizationGrantCache")

# SESSION_ID, SESSION_TYPE, OPERATION, SESSION_OBJECT, TIME_CREATED, TENANT_ID, EXPIRY_TIME
StoreRow = tuple[str, str, str, bytes | None, int, int, int]


@dataclass
class Sides:
    """Rows of the side tables, gathered while their sessions are made."""

    app_info: list[tuple[str, str, int, str]] = field(default_factory=list)
    meta_data: list[tuple[str, str, str]] = field(default_factory=list)
    users: list[tuple[str, str]] = field(default_factory=list)
    federated: list[tuple[str, str, str]] = field(default_factory=list)


def store_rows(count: int, now_ns: int, sides: Sides) -> Iterator[StoreRow]:
    """``count`` rows by rising TIME_CREATED, the same for the same arguments; ``sides`` is filled along the way."""
    rng = random.Random(SEED)
    block = rng.randbytes(1 << 16)
    start_ns = now_ns - DAYS * DAY_NS
    step_ns = DAYS * DAY_NS / count
    # Rows of sessions begun so far that lie ahead: (time, id, type, operation).
    ahead: list[tuple[int, str, str, str]] = []
    for number in range(count):
        at_ns = start_ns + int((number + rng.random()) * step_ns)
        if ahead and ahead[0][0] <= at_ns:
            time_ns, session_id, kind, operation = heapq.heappop(ahead)
        else:
            session_id, time_ns, operation = _session_id(rng, at_ns), at_ns, "STORE"
            kind = SESSION if rng.random() < 0.8 else rng.choice(OTHER_TYPES)
            if kind == SESSION:
                _log_in(rng, session_id, sides)
            for later_ns, what in _later(rng, time_ns):
                heapq.heappush(ahead, (later_ns, session_id, kind, what))
        offset = rng.randrange(1 << 15)
        size_bytes = 640 + offset % 300
        session_object = None if operation == "DELETE" else block[offset : offset + size_bytes]
        tenant_id = -1234 if kind == SESSION else -1
        yield session_id, kind, operation, session_object, time_ns, tenant_id, time_ns + REMEMBER_NS


def _session_id(rng: random.Random, time_ns: int) -> str:
    """In the form of a UUID of version 7, which begins with its time.

    So old sessions lie together in every index. With ids that are random from the first digit on, each row is deleted
    from other pages of the indexes, and any purge writes several times as much.
    """
    digits = (
        f"{time_ns // 1_000_000:012x}7{rng.getrandbits(12):03x}{8 + rng.getrandbits(2):x}{rng.getrandbits(60):015x}"
    )
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _later(rng: random.Random, time_ns: int) -> Iterator[tuple[int, str]]:
    """Further versions of a session, and for some the logout."""
    for _ in range(rng.choice((1, 2, 3, 4, 6, 8))):
        time_ns += rng.randrange(HOUR_NS // 60, 12 * HOUR_NS)
        yield time_ns, "STORE"
    if rng.random() < 0.3:
        yield time_ns + rng.randrange(HOUR_NS // 60, 8 * HOUR_NS), "DELETE"


def _log_in(rng: random.Random, session_id: str, sides: Sides) -> None:
    user = f"user-{rng.randrange(50_000):05d}"
    sides.users.append((user, session_id))
    sides.app_info.append((session_id, user, rng.randrange(40), "oauth2"))
    sides.meta_data.append((session_id, "IP", f"10.{rng.randrange(256)}.{rng.randrange(256)}.7"))
    if rng.random() < 0.1:
        sides.federated.append((rng.randbytes(8).hex(), session_id, "corporate"))
