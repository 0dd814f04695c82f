"""All parts of the suite in one class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from purgekit.testing.archives import Archives
from purgekit.testing.bench import Bench
from purgekit.testing.care import Care
from purgekit.testing.children import Children
from purgekit.testing.describing import Describing
from purgekit.testing.errors import Errors
from purgekit.testing.ledgers import Ledgers
from purgekit.testing.locks import Locks
from purgekit.testing.predicates import Predicates
from purgekit.testing.pressure import Pressure
from purgekit.testing.quirks import Quirks
from purgekit.testing.restores import Restores
from purgekit.testing.samples import Samples
from purgekit.testing.walks import Walks


class ConformanceSuite(
    Describing, Predicates, Walks, Children, Archives, Restores, Ledgers, Locks, Errors, Care, Pressure, Samples
):
    """Subclass it as ``TestMine`` and set ``quirks``, or override the fixture of that name."""

    quirks: ClassVar[Quirks]

    @pytest.fixture
    def declared_quirks(self) -> Quirks:
        """Override when the quirks depend on other fixtures, such as a server's URL."""
        return self.quirks

    @pytest.fixture
    def bench(self, declared_quirks: Quirks) -> Iterator[Bench]:
        """The workbench; what a test makes on it is dropped afterwards."""
        made = Bench(declared_quirks)
        yield made
        made.clean()
