"""What could be a password is taken out of everything that people and logs get to see."""

from __future__ import annotations

import re

from purgekit.text import printable

SECRET_OPTION = re.compile(r"((?:^|[?&;])[^=&;]*(?:passw|pwd|secret|token|odbc_connect)[^=&;]*=)[^&]*", re.IGNORECASE)
URL_IN_TEXT = re.compile(r"\b[A-Za-z][\w+.-]*://\S+")


def redact(url: str) -> str:
    """``url`` for people: whatever could be a password is ``***``, also in a URL that can't be read."""
    head, mark, rest = url.partition("://")
    if not mark:
        return printable(SECRET_OPTION.sub(r"\1***", url))
    user_part, at, place = rest.rpartition("@")
    if at and ":" in user_part:
        rest = f"{user_part.partition(':')[0]}:***@{place}"
    return printable(f"{head}://" + SECRET_OPTION.sub(r"\1***", rest))


def without_passwords(text: object) -> str:
    """``text`` with the password of each database URL in it hidden.

    The last net below every message: an argument in the wrong place is quoted by whoever refuses it.
    """
    return URL_IN_TEXT.sub(lambda found: redact(found[0]), str(text))
