"""MariaDB from the distribution's packages, in a folder of its own."""

from __future__ import annotations

import shutil

from .errors import ServerMissing
from .mysql_family import MySqlFamily

# Servers live in sbin, which an ordinary user's PATH may not hold.
SEARCH_PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"


class MariaDb(MySqlFamily):
    """MariaDB (10.11 on Debian 12 and Ubuntu 24.04)."""

    name = "mariadb"
    scheme = "mariadb"

    def prepare(self) -> None:
        self._server = _found("mariadbd")
        self.check_account()
        self.run_tool(
            [
                _found("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={self.data_dir}",
                f"--tmpdir={self.folder}",  # a starting server clears it: in a common one, of another's tables
                "--auth-root-authentication-method=normal",  # root: no password
                "--skip-test-db",
                "--skip-name-resolve",
                "--force",  # whatever this machine's name resolves to does not matter
            ]
        )

    def command(self) -> list[str]:
        return [self._server, "--no-defaults", *self.options()]


def _found(program: str) -> str:
    path = shutil.which(program, path=SEARCH_PATH)
    if path is None:
        raise ServerMissing(f"MariaDB ({program})", "mariadb-server")
    return path
