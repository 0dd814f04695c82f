"""What a link of evidence looks like, and how a text that anybody may have written is read as one."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

SCHEMA = "purgekit.evidence/1"
MOST_LINE_BYTES = 256 * 1024
MOST_NUMBER_DIGITS = 18

Json = dict[str, Any]

_HASH = re.compile(r"[0-9a-f]{64}")


class Damaged(ValueError):  # noqa: N818 - says what is wrong
    """What is wrong with a text, for people."""


def canonical(document: Any) -> str:
    """The one way to write it: keys in order, no blanks, nothing escaped that need not be."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(text: str) -> str:
    """SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def root_of(heads: Sequence[str]) -> str:
    """Of a run whose policies' chains end in these links."""
    return digest("".join(heads))


def parsed(text: str) -> Json:
    """The object in a text, in the one way to write it. Damaged when it is something else."""
    try:
        document = json.loads(text, parse_int=_number, parse_float=_refuse, parse_constant=_refuse)
        as_we_write = canonical(document)
    except (ValueError, RecursionError):
        raise Damaged("is no JSON that evidence is written in") from None
    if not isinstance(document, dict):
        raise Damaged("is no object")
    if as_we_write != text:
        raise Damaged("is not written as evidence is: a key twice, another order, or blanks")
    return document


def _number(text: str) -> int:
    if len(text.lstrip("-")) > MOST_NUMBER_DIGITS:
        _refuse(text)
    return int(text)


def _refuse(_: str) -> NoReturn:
    raise ValueError("a number that evidence does not have")


def is_text(value: object) -> bool:
    """A text, of which UTF-8 can be made."""
    return isinstance(value, str)


def is_hash(value: object) -> bool:
    """64 lower-case digits."""
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def is_count(value: object) -> bool:
    """A whole number that is not negative."""
    return type(value) is int and value >= 0


def _counts(value: object) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(map(is_count, value))


def _texts(value: object) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(map(is_text, value))


def _or_null(check: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or check(value)


def _files(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(file, dict) and fits(file, _FILE) for file in value)


Shape = Mapping[str, Callable[[object], bool]]
_FILE: Shape = {"table": is_count, "rows": is_count, "sha256": is_hash, "file_bytes": is_count, "file_sha256": is_hash}
_LINK: Shape = {
    "kind": is_text,
    "run_id": is_text,
    "ordinal": is_count,
    "number": is_count,
    "prev": _or_null(is_hash),
}
_SHAPES: Mapping[str, tuple[Shape, Shape]] = {
    "start": (
        {
            **_LINK,
            **dict.fromkeys(
                ("schema", "policy", "policy_sha256", "cutoff_utc", "backend", "database", "archive", "started_utc"),
                is_text,
            ),
            **dict.fromkeys(("after", "continues", "plan_sha256", "approval_sha256", "key_id"), _or_null(is_text)),
            **dict.fromkeys(("holds", "retention_s"), is_count),
            "tables": _texts,
        },
        {},
    ),
    "chunk": (
        {
            **_LINK,
            **dict.fromkeys(("chunk", "pass"), is_count),
            **dict.fromkeys(("rows_deleted", "rows_archived"), _counts),
            "at_utc": is_text,
        },
        {"cutoff_utc": is_text, "range_hmac": is_hash, "files": _files},
    ),
    "end": (
        {
            **_LINK,
            **dict.fromkeys(("chunks", "holds"), is_count),
            **dict.fromkeys(("rows_deleted", "rows_archived"), _counts),
            "status": is_text,
            "stop_reason": _or_null(is_text),
            "finished_utc": is_text,
        },
        {"hmac": is_hash},
    ),
}
HEADER: Shape = {
    **dict.fromkeys(("schema", "run_id", "purgekit", "exported_utc"), is_text),
    "database": lambda value: isinstance(value, dict) and all(map(is_text, value.values())),
    "links": is_count,
    **dict.fromkeys(("root", "hash"), is_hash),
}


def fits(document: Json, shape: Shape, optional: Shape | None = None) -> bool:
    """Whether it has these members, each of its kind, and no other."""
    more = optional or {}
    return (
        shape.keys() <= document.keys() <= shape.keys() | more.keys()
        and all(check(document[key]) for key, check in shape.items())
        and all(check(document[key]) for key, check in more.items() if key in document)
    )


def checked_link(document: object) -> Json:
    """A link, or Damaged."""
    if not isinstance(document, dict):
        raise Damaged("is no link")
    kind = document.get("kind")
    shape = _SHAPES.get(kind) if isinstance(kind, str) else None
    if shape is None or not fits(document, *shape):
        raise Damaged("lacks what a link has, or has what none has")
    return document
