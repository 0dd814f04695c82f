"""A wrong password, database or TLS setting ends in one line without the secret, and nothing was changed."""

from __future__ import annotations

from pathlib import Path

import pytest

import purgekit as pk
from servers import PostgreSql

SECRET = "planted-secret"


def failure(url: str) -> str:
    with pytest.raises(pk.PurgekitError) as caught, pk.connect(url) as db:
        db.plan(pk.Policy("s", table="S", where=pk.expired("E", unit="s")))
    assert isinstance(caught.value, pk.ConnectionFailed)
    assert SECRET not in f"{caught.value} {caught.value!r} {caught.value.__dict__}"
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.needs_server
@pytest.mark.parametrize("kind", ["mariadb", "mysql56"])
def test_wrong_password_on_the_mysql_family(kind: str, request: pytest.FixtureRequest) -> None:
    url = str(request.getfixturevalue(f"{kind}_url"))
    assert "purgekit:purgekit@" in url
    failure(url.replace("purgekit:purgekit@", f"purgekit:{SECRET}@"))


@pytest.mark.needs_server
def test_wrong_password_and_tls_on_postgresql(servers_dir: Path) -> None:
    with PostgreSql(servers_dir, auth="scram-sha-256") as server:
        url = server.create_database("locked")
        with pk.connect(url) as db:
            assert (
                db.plan(pk.Policy("s", table="S", where=pk.expired("E", unit="s"), optional=True)).rows_purgeable == 0
            )
        user = url.split("://", 1)[1].split(":", 1)[0]
        place = url.split("@", 1)[1]
        failure(f"postgresql://{user}:{SECRET}@{place}")
        # This server speaks no TLS, so a client that insists on it must not go on in the clear.
        failure(url + "?sslmode=require")
        failure(url + "?sslmode=sometimes")


def test_unknown_database(server_url: str) -> None:
    failure(server_url.rsplit("/", 1)[0] + "/no_such_database")
