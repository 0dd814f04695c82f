"""Values of an archive's rows as Python has them. Nothing is guessed: what does not fit its column is an error."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import math
import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Union

from purgekit.archives.records import Column, Kind
from purgekit.errors import ArchiveError


class RawText(bytes):
    """Text whose bytes are no UTF-8, as the database holds it."""


Value = Union[None, bool, int, float, str, bytes, Decimal, dt.date, dt.datetime, dt.time, uuid.UUID]  # noqa: UP007 - an alias
Decode = Callable[[Any], Value]


class Members(list[tuple[str, Any]]):
    """A JSON object as its members in order: a dict would hide one that is there twice."""


class _UnfitError(ValueError):
    """The value is none that the engine writes for such a column."""


_DATE = r"(\d{4})-(\d{2})-(\d{2})"
_CLOCK = r"(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?"
_ZONE = r"([+-])(\d{2})(?::(\d{2})(?::(\d{2}))?)?"
_PATTERNS = {
    Kind.DECIMAL: re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,6})?|NaN|-?Infinity", re.ASCII),
    Kind.DATE: re.compile(_DATE, re.ASCII),
    Kind.TIMESTAMP: re.compile(rf"{_DATE}[ T]{_CLOCK}", re.ASCII),
    Kind.TIMESTAMP_ZONED: re.compile(rf"{_DATE}[ T]{_CLOCK}(?:\+00(?::?00)?|Z)", re.ASCII),
    Kind.TIME: re.compile(rf"{_CLOCK}(?:{_ZONE})?", re.ASCII),
    Kind.UUID: re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII),
}


def _no_constant(name: str) -> float:
    raise _UnfitError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=Members, parse_constant=_no_constant)


def parse_line(line: bytes) -> Members:
    """One row as JSON. ArchiveError when it is none."""
    try:
        found = _DECODER.decode(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"a row is no JSON ({type(error).__name__})") from None
    if not isinstance(found, Members):
        raise ArchiveError("a row is no JSON object")
    return found


def decoder(column: Column) -> Decode:
    """What turns a column's JSON values into Python's. It raises ValueError for a value that does not belong there."""
    plain = _PLAIN.get(column.kind, _text)

    def decode(value: Any) -> Value:
        if value is None:
            return None
        return _wrapped(value) if isinstance(value, Members) else plain(value)

    return decode


def _int(value: Any) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise _UnfitError
    return value


def _uint(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**64:
        raise _UnfitError
    return value


def _real(value: Any) -> float:
    if type(value) not in (int, float):
        raise _UnfitError
    number = float(value)
    if not math.isfinite(number):
        raise _UnfitError
    return number


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise _UnfitError
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise _UnfitError
    value.encode("utf-8")  # half of a surrogate pair is a ValueError too
    return value


def _bytes(value: Any) -> bytes:
    if type(value) is not str:
        raise _UnfitError
    try:
        found = base64.b64decode(value, validate=True)
    except binascii.Error:
        raise _UnfitError from None
    if base64.b64encode(found).decode() != value:
        raise _UnfitError  # bits behind the end
    return found


def _any(value: Any) -> Value:
    kind = type(value)
    return _int(value) if kind is int else _real(value) if kind is float else _text(value)


# What follows is text in the file. Where Python has no such value (infinity, 30 February, the year 44 BC, 24:00) it
# stays the database's own text.


def _decimal(value: Any) -> Decimal | str:
    text = _text(value)
    return Decimal(text) if _PATTERNS[Kind.DECIMAL].fullmatch(text) else text


def _date(value: Any) -> dt.date | str:
    text = _text(value)
    if match := _PATTERNS[Kind.DATE].fullmatch(text):
        try:
            return dt.date(*map(int, match.groups()))
        except ValueError:
            pass
    return text


def _timestamp(value: Any, kind: Kind = Kind.TIMESTAMP, zone: dt.tzinfo | None = None) -> dt.datetime | str:
    text = _text(value)
    if match := _PATTERNS[kind].fullmatch(text):
        *whole, fraction = match.groups()
        try:
            year, month, day, hour, minute, second = map(int, whole)
            return dt.datetime(year, month, day, hour, minute, second, _micros(fraction), tzinfo=zone)
        except ValueError:
            pass
    return text


def _instant(value: Any) -> dt.datetime | str:
    return _timestamp(value, Kind.TIMESTAMP_ZONED, dt.timezone.utc)


def _time(value: Any) -> dt.time | str:
    text = _text(value)
    if match := _PATTERNS[Kind.TIME].fullmatch(text):
        hour, minute, second, fraction, sign, *offset = match.groups()
        try:
            zone = None
            if sign:
                hours, minutes, seconds = (int(part or 0) for part in offset)
                ahead = dt.timedelta(hours=hours, minutes=minutes, seconds=seconds)
                zone = dt.timezone(ahead if sign == "+" else -ahead)
            return dt.time(int(hour), int(minute), int(second), _micros(fraction), tzinfo=zone)
        except ValueError:
            pass
    return text


def _uuid(value: Any) -> uuid.UUID | str:
    text = _text(value)
    return uuid.UUID(text) if _PATTERNS[Kind.UUID].fullmatch(text) else text


def _micros(fraction: str | None) -> int:
    return int((fraction or "0").ljust(6, "0"))


_PLAIN: dict[Kind, Decode] = {
    Kind.INT: _int,
    Kind.UINT: _uint,
    Kind.REAL: _real,
    Kind.BOOL: _bool,
    Kind.BYTES: _bytes,
    Kind.DECIMAL: _decimal,
    Kind.DATE: _date,
    Kind.TIMESTAMP: _timestamp,
    Kind.TIMESTAMP_ZONED: _instant,
    Kind.TIME: _time,
    Kind.UUID: _uuid,
    Kind.ANY: _any,
}


def _wrapped(members: Members) -> Value:
    if len(members) != 1:
        raise _UnfitError
    ((tag, value),) = members
    if tag == "$int":
        return _uint(value) if type(value) is int and value >= 0 else _int(value)
    if tag == "$real":
        return float(value) if value in ("nan", "inf", "-inf") else _real(value)
    if tag == "$text":
        return _text(value)
    if tag == "$text64":
        return RawText(_bytes(value))
    if tag == "$bytes":
        return _bytes(value)
    raise _UnfitError


def cell(value: Any) -> str:
    """A value on paper: text as it is, everything else as its JSON."""
    return value if isinstance(value, str) else as_json(value)


def as_json(value: Any) -> str:
    """A value as the archive writes it."""
    return json.dumps(dict(value) if isinstance(value, Members) else value, ensure_ascii=False, separators=(",", ":"))
