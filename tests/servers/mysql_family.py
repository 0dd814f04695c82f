"""What MariaDB and MySQL share: options, the administrator, sessions."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import Any, ClassVar

import pymysql

from . import process
from .base import Server, Settings
from .errors import ServerMissing

# Row-based and statement-based binary logs: ``MariaDb(base, settings=BINLOG_ROW)``.
BINLOG_ROW: dict[str, str | None] = {
    "log-bin": "binlog",
    "server-id": "1",
    "binlog-format": "ROW",
}
BINLOG_STATEMENT: dict[str, str | None] = {**BINLOG_ROW, "binlog-format": "STATEMENT"}

# Durability stays as shipped (innodb_flush_log_at_trx_commit=1, doublewrite): a crash test against
# a server that lies about commits would prove nothing.
DEFAULTS: dict[str, str | None] = {
    "character-set-server": "utf8mb4",
    "default-storage-engine": "InnoDB",
    "default-time-zone": "+00:00",
    "innodb-buffer-pool-size": "128M",
    "innodb-log-file-size": "48M",
    "max-connections": "100",
    # No name look-ups: a session from loopback is always 127.0.0.1, whatever /etc/hosts says.
    "skip-name-resolve": None,
}


class MySqlFamily(Server):
    """``settings`` are options of the server without the dashes; None is a bare flag."""

    account = "mysql"
    user = "purgekit"
    password = "purgekit"
    has_anonymous: ClassVar[bool] = False  # comes with accounts without a name

    def __init__(self, base_dir: Path, settings: Settings | None = None) -> None:
        super().__init__(base_dir, settings)
        self._has_admin = False

    @property
    def admin_database(self) -> str:
        return "mysql"

    @property
    def socket(self) -> str:
        return str(self.folder / "socket")

    def options(self) -> list[str]:
        """The options in common, the test's own last so that they win."""
        options = {
            "datadir": str(self.data_dir),
            "bind-address": self.host,
            "port": str(self.port),
            "socket": self.socket,
            "pid-file": str(self.folder / "pid"),
            "tmpdir": str(self.folder),
            **DEFAULTS,
            **self.settings,
        }
        return [f"--{k}" if v is None else f"--{k}={v}" for k, v in options.items()]

    def check_account(self) -> None:
        """Raise unless the account is there that runs the server when we are root."""
        if not process.account_exists(self.account):
            raise ServerMissing(
                f"the account `{self.account}` of MariaDB's package", "mariadb-server"
            )

    def probe(self) -> None:
        if self._has_admin:
            self.connect().close()
            return
        with socket.socket(socket.AF_UNIX) as knock:  # PyMySQL leaks its socket if nobody listens
            knock.connect(self.socket)
        # First start: root comes in over the socket without a password and makes the administrator.
        with contextlib.closing(
            pymysql.connect(unix_socket=self.socket, user="root", autocommit=True)
        ) as connection:
            cursor = connection.cursor()
            if self.has_anonymous:  # they would shadow the named accounts
                cursor.execute("DELETE FROM mysql.user WHERE User = ''")
                cursor.execute("FLUSH PRIVILEGES")
            net = self.clients
            one = str(net.network_address)
            for host in (one if net.num_addresses == 1 else f"{one}/{net.netmask}", "localhost"):
                who = f"'{self.user}'@'{host}'"
                cursor.execute(f"CREATE USER {who} IDENTIFIED BY '{self.password}'")
                cursor.execute(f"GRANT ALL PRIVILEGES ON *.* TO {who} WITH GRANT OPTION")
        self._has_admin = True

    def version(self) -> str:
        return str(self.admin_sql("SELECT VERSION()")[0][0]).split("-")[0]

    def quoted(self, identifier: str) -> str:
        return "`" + identifier.replace("`", "``") + "`"

    def drop_database(self, name: str) -> None:
        # A session that a failed test left behind holds metadata locks: DROP would wait for ever.
        for pid, *_ in self.sessions(name):
            with contextlib.suppress(pymysql.MySQLError):  # it may have ended just now
                self.admin_sql(f"KILL {pid}")
        super().drop_database(name)

    def sessions(self, database: str) -> list[tuple[Any, ...]]:
        """Client sessions in ``database``: id, command, state, query."""
        return self.admin_sql(
            "SELECT ID, COMMAND, STATE, INFO FROM information_schema.PROCESSLIST"
            " WHERE DB = %s AND ID <> CONNECTION_ID() ORDER BY ID",
            parameters=(database,),
        )
