"""PostgreSQL from the distribution's packages, in a folder of its own."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from typing import Any

from .base import Server, Settings
from .errors import ServerMissing

OLDEST_MAJOR = 14
INSTALLED_UNDER = Path("/usr/lib/postgresql")

# Durability stays as shipped (fsync, synchronous_commit and full_page_writes are on): a crash test
# against a server that lies about commits would prove nothing.
DEFAULTS: dict[str, str | None] = {
    "max_connections": "60",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
}


class PostgreSql(Server):
    """``settings`` are lines of postgresql.conf. ``auth`` is the method of pg_hba.conf for TCP:
    ``trust``, or ``scram-sha-256`` for tests of passwords.
    """

    name = "postgresql"
    account = "postgres"
    scheme = "postgresql"
    user = "postgres"
    password = None
    stop_signal = signal.SIGINT  # "fast": ends sessions instead of waiting for them

    def __init__(
        self, base_dir: Path, settings: Settings | None = None, *, auth: str = "trust"
    ) -> None:
        super().__init__(base_dir, settings)
        self.auth = auth
        self._bin_dir = Path()

    @property
    def admin_database(self) -> str:
        return "postgres"

    def prepare(self) -> None:
        self._bin_dir = newest_bin_dir()
        self.run_tool(
            [
                str(self._bin_dir / "initdb"),
                f"--pgdata={self.data_dir}",
                f"--username={self.user}",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--auth-local=trust",
                "--auth-host=trust",
                "--no-sync",  # only initdb itself; the server syncs as usual
            ]
        )
        # The administrator stays trusted, so that the tests' own checks work under any method.
        (self.data_dir / "pg_hba.conf").write_text(
            "local all all trust\n"
            f"host all {self.user} {self.clients} trust\n"
            f"host all all {self.clients} {self.auth}\n"
            f"host replication all {self.clients} {self.auth}\n"
        )

    def command(self) -> list[str]:
        places = {"listen_addresses": self.host, "unix_socket_directories": str(self.folder)}
        options = {**DEFAULTS, **places, **self.settings}
        command = [str(self._bin_dir / "postgres"), "-D", str(self.data_dir), "-p", str(self.port)]
        for name, value in options.items():
            command += ["-c", name if value is None else f"{name}={value}"]
        return command

    def probe(self) -> None:
        self.connect().close()

    def version(self) -> str:
        return str(self.admin_sql("SHOW server_version")[0][0]).split()[0]

    def quoted(self, identifier: str) -> str:
        return '"' + identifier.replace('"', '""') + '"'

    def drop_database(self, name: str) -> None:
        # FORCE ends sessions that a failed test left behind; without it the drop is refused.
        self.admin_sql(f"DROP DATABASE IF EXISTS {self.quoted(name)} WITH (FORCE)")

    def backends(self, database: str) -> list[tuple[Any, ...]]:
        """Client sessions in ``database``: pid, state, wait event, query."""
        with contextlib.closing(self.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(
                "SELECT pid, state, wait_event, query FROM pg_stat_activity"
                " WHERE datname = %s AND backend_type = 'client backend' ORDER BY pid",
                (database,),
            )
            return [tuple(row) for row in cursor.fetchall()]


def newest_bin_dir() -> Path:
    """Where the newest major installed has its binaries (Debian 12: 15, Ubuntu 24.04: 16)."""
    majors = [int(d.name) for d in INSTALLED_UNDER.glob("[0-9]*") if (d / "bin/postgres").exists()]
    if not majors or max(majors) < OLDEST_MAJOR:
        raise ServerMissing(f"PostgreSQL {OLDEST_MAJOR} or later", "postgresql")
    return INSTALLED_UNDER / str(max(majors)) / "bin"
