"""What a policy is known by in the ledger and in plan files."""

from __future__ import annotations

import hashlib

from purgekit._core import Policy


def policy_hash(policy: Policy) -> str:
    """SHA-256 of its canonical JSON."""
    return hashlib.sha256(policy.to_json().encode()).hexdigest()
