"""Database URLs in SQLAlchemy's form, and where their password comes from."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from purgekit.errors import ConnectionFailed
from purgekit.redaction import redact
from purgekit.text import is_file, printable

FORM = "scheme://user@host:port/database?option=value"
# The path, and with it everything behind, begins at the first "/" after the last "@" of the user part.
URL = re.compile(
    r"""(?P<scheme>[A-Za-z][\w.-]*)(?:\+(?P<driver>[\w.-]*))?://
        (?:(?P<user>[^:/?]*)(?::(?P<password>[^@]*))?@)?
        (?:\[(?P<ipv6>[^]/?]+)\]|(?P<host>[^:/?@[\]]*))(?::(?P<port>[^/?@]*))?
        (?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?""",
    re.VERBOSE | re.DOTALL,
)
PASSWORD_OPTIONS = ("password", "passwd", "pwd")

_log = logging.getLogger("purgekit")


@dataclass(frozen=True)
class Target:
    """A parsed URL. Its repr holds no secret."""

    scheme: str
    user: str = ""
    password: str = field(default="", repr=False)
    host: str = ""
    port: int = 0
    database: str = ""
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        """For people: without password and options."""
        if self.scheme == "sqlite":
            return printable(f"sqlite:///{self.database}")
        host = f"[{self.host}]" if ":" in self.host else self.host
        place = f"{self.user}@{host}" if self.user else host
        port = f":{self.port}" if self.port else ""
        return printable(f"{self.scheme}://{place}{port}/{self.database}")


def parse_url(text: str) -> Target:
    """Take a URL apart. A ``+driver`` behind the scheme is ignored; percent escapes are decoded."""
    if "://" not in text:
        raise ConnectionFailed(_not_a_url(text), code="url")
    found = URL.fullmatch(text)
    if found is None:
        raise ConnectionFailed(f"cannot read the URL '{redact(text)}'; write it as {FORM}", code="url")
    part = found.groupdict(default="")
    scheme = part["scheme"].lower()
    # A bare "@" behind the host means that the user part ended too early, in the midst of a password.
    if scheme != "sqlite" and "@" in part["database"] + "&".join(_keys(part["query"])):
        raise ConnectionFailed(
            f"'{redact(text)}' has an @ behind its host; write @ as %40, / as %2F and ? as %3F in names and passwords",
            code="url",
        )
    options = dict(parse_qsl(part["query"], keep_blank_values=True))
    if any("\0" in key + value for key, value in options.items()):
        raise ConnectionFailed(f"'{redact(text)}' holds a NUL character", code="url")
    password = _text(part["password"], text)
    for key in [key for key in options if key.lower() in PASSWORD_OPTIONS]:
        given = options.pop(key)
        password = password or given
    target = Target(
        scheme=scheme,
        user=_text(part["user"], text) or options.pop("user", ""),
        password=password,
        host=_text(part["ipv6"] or part["host"], text),
        port=_port(part["port"], text),
        database=_text(part["database"], text),
        options=tuple(options.items()),
    )
    if scheme == "sqlite":
        _check_sqlite(target)
    return target


def find_password(target: Target, password: str | None, password_file: str | os.PathLike[str] | None) -> str:
    """The password to connect with: URL, argument, password file, ``PURGEKIT_PASSWORD``, in this order.

    Empty when none of them has one: the backend then looks into its own files.
    """
    if target.password:
        return target.password
    if password is not None:
        return password
    if password_file is not None:
        return _read_password(Path(password_file))
    return os.environ.get("PURGEKIT_PASSWORD", "")


def _read_password(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConnectionFailed(
            f"cannot read the password file {printable(path)}: {reason}", code="password_file"
        ) from None
    if os.name == "posix" and mode & 0o077:
        _log.warning("password file %s can be read by others; chmod 600 it", printable(path))
    lines = text.splitlines()
    if not lines or not lines[0]:
        raise ConnectionFailed(f"the first line of the password file {printable(path)} is empty", code="password_file")
    return lines[0]


def _keys(query: str) -> list[str]:
    return [option.partition("=")[0] for option in query.split("&")]


def _check_sqlite(target: Target) -> None:
    if target.host or target.user or target.port:
        raise ConnectionFailed(
            "a SQLite URL names no host or user; write sqlite:///relative.db or sqlite:////absolute.db", code="url"
        )
    if not target.database or target.database == ":memory:":
        raise ConnectionFailed(
            "a SQLite database in memory can't be purged from outside; name a file: sqlite:///file.db", code="url"
        )


def _text(escaped: str, url: str) -> str:
    try:
        text = unquote(escaped, errors="strict")
    except UnicodeDecodeError:
        raise ConnectionFailed(f"a percent escape in '{redact(url)}' is not UTF-8", code="url") from None
    if "\0" in text:
        raise ConnectionFailed(f"'{redact(url)}' holds a NUL character", code="url")
    return text


def _port(text: str, url: str) -> int:
    if not text:
        return 0
    # Not shown by itself: of a URL whose password holds a bare "/" it is part of the password.
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65_536):
        raise ConnectionFailed(f"what stands for the port in '{redact(url)}' is not a port (1 to 65535)", code="url")
    return int(text)


def _not_a_url(text: str) -> str:
    name = redact(text)
    if text.startswith("sqlite:") or text.endswith((".db", ".sqlite", ".sqlite3")) or is_file(text):
        path = name.removeprefix("sqlite:").lstrip("/")
        slashes = "////" if text.removeprefix("sqlite:").startswith("/") else "///"
        return f"'{name}' is not a database URL; for a SQLite file write sqlite:{slashes}{path}"
    return f"'{name}' is not a database URL; write it as {FORM}"
