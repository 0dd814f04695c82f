"""Small helpers for lines that people read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


def printable(text: object) -> str:
    """``text`` on one line, with control and invisible characters written as escapes.

    Names and messages that come from a database or a file must not be able to steer a terminal.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(text))


def is_file(name: str) -> bool:
    """Whether there is such a file; a text that can't be a file name is none."""
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long, a NUL, a lone surrogate
        return False


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` was most likely meant to be."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    found = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``" (did you mean x?)"``, or ``" (known: x, y)"`` when none is near."""
    names = list(known)
    if near := nearest(name, names):
        return f" (did you mean {near}?)"
    return f" (known: {', '.join(names)})" if names else ""


def plural(count: int, noun: str) -> str:
    """``"1 row"``, ``"1,234 rows"``; policy gives policies."""
    many = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else many}"


def size(size_bytes: int | None) -> str:
    """``1.2 GB`` (powers of ten)."""
    if size_bytes is None or size_bytes < 0:
        return "unknown"
    value = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
