"""MySQL 5.6 passes the shipped suite."""

import pytest

from purgekit.testing import ConformanceSuite, Quirks
from servers import connect


@pytest.mark.needs_server
class TestMySql56(ConformanceSuite):
    @pytest.fixture
    def declared_quirks(self, mysql56_url: str) -> Quirks:
        return Quirks(
            url=mysql56_url,
            admin=lambda: connect(mysql56_url),
            quote="`",
            placeholder="%s",
            timestamp="DATETIME(6)",
            table_suffix=" ENGINE=InnoDB",
            identity_resolution_s=1.1,  # the catalogue tells the time of creation in whole seconds
        )
