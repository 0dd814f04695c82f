"""Private, real database servers for the tests, and a proxy that breaks the line to them.

A server lives in a temporary folder on a free loopback port, runs as an unprivileged account, and
dies with the process that started it. Nothing here knows purgekit: it is the outside world.
"""

from .base import Server, Settings
from .connect import Connection, connect
from .errors import ServerFailed, ServerMissing
from .hosts import Host, Network
from .mariadb import MariaDb
from .mysql56 import MySql56
from .mysql_family import BINLOG_ROW, BINLOG_STATEMENT
from .postgresql import PostgreSql
from .process import make_base_dir
from .proxy import Action, TcpProxy, on_text

__all__ = [
    "BINLOG_ROW",
    "BINLOG_STATEMENT",
    "Action",
    "Connection",
    "Host",
    "MariaDb",
    "MySql56",
    "Network",
    "PostgreSql",
    "Server",
    "ServerFailed",
    "ServerMissing",
    "Settings",
    "TcpProxy",
    "connect",
    "make_base_dir",
    "on_text",
]
