"""The conformance suite that every backend runs, ours and others'.

A backend's whole test module::

    from purgekit.testing import ConformanceSuite, Quirks

    class TestMine(ConformanceSuite):
        quirks = Quirks(url="mine://localhost/test", admin=lambda: mydriver.connect("…", autocommit=True))

The database must be empty or hold nothing whose name starts with ``conf_``. Needs pytest.
"""

import pytest

for _part in ("describing", "children", "errors", "ledgers", "locks", "predicates", "pressure", "restores", "walks"):
    pytest.register_assert_rewrite(f"purgekit.testing.{_part}")

from purgekit.testing.model import matches, survivors  # noqa: E402 - only now are assertions rewritten
from purgekit.testing.quirks import Quirks  # noqa: E402
from purgekit.testing.suite import ConformanceSuite  # noqa: E402

__all__ = ["ConformanceSuite", "Quirks", "matches", "survivors"]
