"""A backend's bare verbs, for tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from purgekit import _core
from purgekit.plugins import find_backends
from purgekit.url import parse_url


@contextlib.contextmanager
def open_session(url: str) -> Iterator[_core.Session]:
    """A session with the database at ``url``, closed at the end."""
    find_backends()
    target = parse_url(url)
    session = _core.Session(
        _core.backend_for(target.scheme),
        scheme=target.scheme,
        user=target.user,
        password=target.password,
        host=target.host,
        port=target.port,
        database=target.database,
        options=target.options,
    )
    try:
        yield session
    finally:
        session.close()
