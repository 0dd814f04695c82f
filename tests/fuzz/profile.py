"""How hard Hypothesis tries: the same examples in each CI run, more of them with ``PURGEKIT_FUZZ_EXAMPLES``."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_wanted = os.environ.get("PURGEKIT_FUZZ_EXAMPLES")

FUZZ = settings(
    max_examples=int(_wanted) if _wanted else 150,
    derandomize=_wanted is None,
    database=None,
    deadline=None,  # a slow machine is no failure
    suppress_health_check=list(HealthCheck),
)
