"""Encrypted lines against servers with a private authority: what is accepted, and why the rest is refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import purgekit as pk
from security.certificates import EXPIRED, Authority, Pair, self_signed
from servers import MariaDb, PostgreSql, Server, process

HERE = "IP:127.0.0.1,DNS:localhost"
pytestmark = pytest.mark.needs_server


@dataclass
class Keys:
    """All pairs, good and bad, and who is trusted."""

    authority: Path
    servers: dict[str, Pair]
    client: Pair
    strangers_client: Pair


@pytest.fixture(scope="module")
def keys(servers_dir: Path) -> Keys:
    folder = servers_dir / "certificates"
    ours = Authority(folder / "ours", "purgekit tests")
    theirs = Authority(folder / "theirs", "somebody else")
    pairs = {
        "good": ours.pair("good", name="localhost", hosts=HERE),
        "other_host": ours.pair("other_host", name="elsewhere.example", hosts="DNS:elsewhere.example"),
        "expired": ours.pair("expired", name="localhost", hosts=HERE, dates=EXPIRED),
        "self_signed": self_signed(folder, "self_signed", name="localhost", hosts=HERE),
        "unknown_authority": theirs.pair("unknown", name="localhost", hosts=HERE),
    }
    client = ours.pair("client", name="certified")
    return Keys(ours.certificate, pairs, client, theirs.pair("client", name="certified"))


class TlsServer:
    """A server whose certificate can be changed while it runs."""

    def __init__(self, server: Server, keys: Keys, folder: Path) -> None:
        self.server, self._keys, self._folder = server, keys, folder
        folder.mkdir()
        self._put("good")
        server.settings = {option: str(folder / name) for option, name in self._options.items()}
        if isinstance(server, PostgreSql):
            server.settings["ssl"] = "on"
        server.start()

    @property
    def _options(self) -> dict[str, str]:
        if isinstance(self.server, PostgreSql):
            return {"ssl_cert_file": "cert", "ssl_key_file": "key", "ssl_ca_file": "authority"}
        return {"ssl-cert": "cert", "ssl-key": "key", "ssl-ca": "authority"}

    def _put(self, label: str) -> None:
        pair = self._keys.servers[label]
        for source, name in ((pair.certificate, "cert"), (pair.key, "key"), (self._keys.authority, "authority")):
            shutil.copyfile(source, self._folder / name)
        (self._folder / "key").chmod(0o600)
        process.give_to(self.server.account, self._folder)

    def show(self, label: str) -> None:
        """From now on new connections see this certificate."""
        self._put(label)
        postgresql = isinstance(self.server, PostgreSql)
        if postgresql:
            # New sessions are told by the postmaster, which reads the files when it has the signal.
            before = self.server.admin_sql("SELECT pg_conf_load_time()")
            self.server.admin_sql("SELECT pg_reload_conf()")
            while self.server.admin_sql("SELECT pg_conf_load_time()") == before:
                pass
        else:
            self.server.admin_sql("FLUSH SSL")


@pytest.fixture(scope="module")
def postgresql(servers_dir: Path, keys: Keys) -> Iterator[TlsServer]:
    server = PostgreSql(servers_dir)
    tls = TlsServer(server, keys, servers_dir / "tls-postgresql")
    hba = server.data_dir / "pg_hba.conf"
    hba.write_text(
        "hostssl all certified 127.0.0.1/32 cert\nhostnossl all encrypted 127.0.0.1/32 reject\n" + hba.read_text()
    )
    server.admin_sql("CREATE ROLE certified LOGIN")
    server.admin_sql("CREATE ROLE encrypted LOGIN")
    yield tls
    server.stop()


@pytest.fixture(scope="module")
def mariadb(servers_dir: Path, keys: Keys) -> Iterator[TlsServer]:
    server = MariaDb(servers_dir)
    tls = TlsServer(server, keys, servers_dir / "tls-mariadb")
    server.admin_sql("CREATE USER certified@'127.0.0.1' IDENTIFIED BY 'x' REQUIRE SUBJECT '/CN=certified'")
    server.admin_sql("CREATE USER encrypted@'127.0.0.1' IDENTIFIED BY 'x' REQUIRE SSL")
    yield tls
    server.stop()


def facts(url: str) -> tuple[bool, bool]:
    """tls and tls_verified of a connection that was accepted."""
    with pk.connect(url) as db:
        server = db.server()
    return server["tls"], server["tls_verified"]


def refusal(url: str) -> str:
    with pytest.raises(pk.ConnectionFailed) as caught:
        pk.connect(url)
    assert "\n" not in str(caught.value)
    return str(caught.value)


FAULTS = {
    "expired": "certificate has expired",
    "self_signed": "self-signed certificate",
    "unknown_authority": "unable to get local issuer certificate",
}


class TestPostgreSql:
    def url(self, tls: TlsServer, options: str, user: str | None = None) -> str:
        return f"{tls.server.url('postgres', user)}?{options}"

    def test_a_verified_line(self, postgresql: TlsServer, keys: Keys) -> None:
        postgresql.show("good")
        assert facts(self.url(postgresql, f"sslmode=verify-full&sslrootcert={keys.authority}")) == (True, True)
        assert facts(self.url(postgresql, "sslmode=require")) == (True, False)
        assert facts(self.url(postgresql, "sslmode=disable")) == (False, False)

    @pytest.mark.parametrize("label", FAULTS)
    def test_a_bad_certificate_is_refused_with_what_is_bad(
        self, postgresql: TlsServer, keys: Keys, label: str
    ) -> None:
        postgresql.show(label)
        for mode in ("verify-full", "verify-ca"):
            assert FAULTS[label] in refusal(self.url(postgresql, f"sslmode={mode}&sslrootcert={keys.authority}"))

    def test_a_certificate_of_another_host(self, postgresql: TlsServer, keys: Keys) -> None:
        postgresql.show("other_host")
        message = refusal(self.url(postgresql, f"sslmode=verify-full&sslrootcert={keys.authority}"))
        assert "elsewhere.example" in message and "does not match host name" in message
        # The weaker mode asks for the authority alone, and is not called verified.
        assert facts(self.url(postgresql, f"sslmode=verify-ca&sslrootcert={keys.authority}")) == (True, False)

    def test_verification_without_an_authority(self, postgresql: TlsServer) -> None:
        postgresql.show("good")
        assert "root certificate file" in refusal(self.url(postgresql, "sslmode=verify-full"))

    def test_plain_text_is_never_fallen_back_to(self, postgresql_url: str, keys: Keys) -> None:
        for options in ("sslmode=require", f"sslmode=verify-full&sslrootcert={keys.authority}"):
            assert "server does not support SSL" in refusal(f"{postgresql_url}?{options}")

    def test_a_server_that_wants_encryption(self, postgresql: TlsServer) -> None:
        postgresql.show("good")
        assert facts(self.url(postgresql, "sslmode=require", "encrypted")) == (True, False)
        assert "no encryption" in refusal(self.url(postgresql, "sslmode=disable", "encrypted"))

    def test_client_certificates(self, postgresql: TlsServer, keys: Keys) -> None:
        postgresql.show("good")
        tls = f"sslmode=verify-full&sslrootcert={keys.authority}"
        own = f"&sslcert={keys.client.certificate}&sslkey={keys.client.key}"
        assert facts(self.url(postgresql, tls + own, "certified")) == (True, True)
        assert "certificate" in refusal(self.url(postgresql, tls, "certified"))
        strangers = f"&sslcert={keys.strangers_client.certificate}&sslkey={keys.strangers_client.key}"
        assert "unknown ca" in refusal(self.url(postgresql, tls + strangers, "certified"))


class TestMariaDb:
    def url(self, tls: TlsServer, options: str, user: str | None = None) -> str:
        return f"{tls.server.url('information_schema', user, 'x' if user else None)}?{options}"

    def test_a_verified_line(self, mariadb: TlsServer, keys: Keys) -> None:
        mariadb.show("good")
        assert facts(self.url(mariadb, f"ssl_mode=verify_identity&ssl_ca={keys.authority}")) == (True, True)
        assert facts(self.url(mariadb, f"ssl_ca={keys.authority}")) == (True, True)
        assert facts(self.url(mariadb, "ssl_mode=required")) == (True, False)
        assert facts(self.url(mariadb, "ssl_mode=disabled")) == (False, False)

    @pytest.mark.parametrize("label", FAULTS)
    def test_a_bad_certificate_is_refused_with_what_is_bad(self, mariadb: TlsServer, keys: Keys, label: str) -> None:
        mariadb.show(label)
        assert FAULTS[label] in refusal(self.url(mariadb, f"ssl_mode=verify_identity&ssl_ca={keys.authority}"))

    def test_a_certificate_of_another_host(self, mariadb: TlsServer, keys: Keys) -> None:
        mariadb.show("other_host")
        for options in ("ssl_mode=verify_identity&", ""):
            assert "not for this host" in refusal(self.url(mariadb, f"{options}ssl_ca={keys.authority}"))

    def test_verification_without_an_authority(self, mariadb: TlsServer) -> None:
        mariadb.show("good")
        assert "self-signed certificate in certificate chain" in refusal(self.url(mariadb, "ssl_mode=verify_identity"))

    def test_the_authority_alone_is_not_offered(self, mariadb: TlsServer, keys: Keys) -> None:
        mariadb.show("good")
        message = refusal(self.url(mariadb, f"ssl_mode=verify_ca&ssl_ca={keys.authority}"))
        assert "use ssl_mode=verify_identity" in message

    @pytest.mark.parametrize("kind", ["mariadb", "mysql56"])
    def test_plain_text_is_never_fallen_back_to(self, kind: str, keys: Keys, request: pytest.FixtureRequest) -> None:
        url = request.getfixturevalue(f"{kind}_url")
        for options in ("ssl_mode=required", f"ssl_mode=verify_identity&ssl_ca={keys.authority}"):
            message = refusal(f"{url}?{options}")
            assert "did not offer" in message or "does not support it" in message

    def test_a_server_that_wants_encryption(self, mariadb: TlsServer) -> None:
        mariadb.show("good")
        assert facts(self.url(mariadb, "ssl_mode=required", "encrypted")) == (True, False)
        assert "Access denied" in refusal(self.url(mariadb, "ssl_mode=disabled", "encrypted"))

    def test_client_certificates(self, mariadb: TlsServer, keys: Keys) -> None:
        mariadb.show("good")
        tls = f"ssl_mode=verify_identity&ssl_ca={keys.authority}"
        own = f"&ssl_cert={keys.client.certificate}&ssl_key={keys.client.key}"
        assert facts(self.url(mariadb, tls + own, "certified")) == (True, True)
        assert "Access denied" in refusal(self.url(mariadb, tls, "certified"))
        strangers = f"&ssl_cert={keys.strangers_client.certificate}&ssl_key={keys.strangers_client.key}"
        refusal(self.url(mariadb, tls + strangers, "certified"))
