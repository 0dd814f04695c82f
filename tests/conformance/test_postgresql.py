"""PostgreSQL passes the shipped suite."""

import pytest

from purgekit.testing import ConformanceSuite, Quirks
from servers import connect


@pytest.mark.needs_server
class TestPostgresql(ConformanceSuite):
    @pytest.fixture
    def declared_quirks(self, postgresql_url: str) -> Quirks:
        return Quirks(url=postgresql_url, admin=lambda: connect(postgresql_url), placeholder="%s")
