"""Small JSON files that tell when a byte of them was changed: one canonical form, the SHA-256 of the content inside.

The hash finds accidents and careless edits. It is no signature: whoever may write the file can write another hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from purgekit.errors import PurgeRefused
from purgekit.placing import placed
from purgekit.text import printable

LARGEST_BYTES = 16 * 1024 * 1024
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe in the file's place would keep its reader waiting for ever

Json = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """What a file is: its schema (``name/version``), what people call it, and the code of its errors."""

    schema: str
    noun: str
    code: str

    def refuse(self, path: Path, why: str) -> NoReturn:
        """One line that names the file."""
        raise PurgeRefused(f"{self.noun} {printable(path)} {why}", code=self.code)


def digest(document: Json) -> str:
    """Of the content, whatever its own hash says: ``sha256:…``."""
    content = {key: value for key, value in document.items() if key != "hash"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def seal(document: Json) -> bytes:
    """The file's bytes; equal content gives equal bytes."""
    sealed = {**document, "hash": digest(document)}
    return (json.dumps(sealed, indent=1, sort_keys=True, allow_nan=False) + "\n").encode("ascii")


def read_sealed(path: Path, kind: Kind) -> Json:
    """The document in a file, unchanged since it was written. PurgeRefused says what is wrong with it."""
    text = _read(path, kind)
    document = _parsed(text)
    if document is None:
        kind.refuse(path, "can't be read: it is cut off, damaged, or something else; make it anew")
    known, found = kind.schema.split("/"), str(document.get("schema")).split("/")
    if known[0] != found[0] or len(found) != 2:
        kind.refuse(path, f"is no {kind.noun} of purgekit")
    if found[1].isdecimal() and int(found[1][:9]) > int(known[1]):
        kind.refuse(path, "was written by a newer version of purgekit; use that version, or make it anew")
    if _sealed_again(document) != text:
        kind.refuse(path, "was changed since it was written: its hash does not fit its content; make it anew")
    if document["schema"] != kind.schema:
        kind.refuse(path, f"is no {kind.noun} of purgekit")
    return document


def write_sealed(path: Path, document: Json, kind: Kind) -> Json:
    """Put the document in place as a whole, over an earlier one of its kind only; what was written."""
    text = seal(document)
    try:
        if path.exists() and not _is_one(path, kind):
            kind.refuse(path, f"is not written: what is there is no {kind.noun}; name another file")
        with placed(path) as file:
            file.write(text)
    except (OSError, ValueError) as error:  # ValueError: a name that can't be one
        kind.refuse(path, f"can't be written: {_reason(error)}")
    written: Json = json.loads(text)
    return written


def _reason(error: OSError | ValueError) -> str:
    return printable(getattr(error, "strerror", None) or error)


def _read(path: Path, kind: Kind) -> bytes:
    try:
        descriptor = os.open(path, _READ)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                kind.refuse(path, "is not a file")
            with open(descriptor, "rb", closefd=False) as file:
                text = file.read(LARGEST_BYTES + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:  # ValueError: a name that can't be one
        kind.refuse(path, f"can't be read: {_reason(error)}")
    if len(text) > LARGEST_BYTES:
        kind.refuse(path, "is too large to be one of ours")
    return text


def _parsed(text: bytes) -> Json | None:
    try:
        document = json.loads(text.decode("ascii"))
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _sealed_again(document: Json) -> bytes:
    """As we would have written it; nothing that ours can equal when it can't be written at all."""
    try:
        return seal(document) if document.get("hash") == digest(document) else b""
    except (ValueError, RecursionError):
        return b""


def _is_one(path: Path, kind: Kind) -> bool:
    try:
        document = _parsed(_read(path, kind))
    except PurgeRefused:
        return False
    return document is not None and str(document.get("schema")).split("/")[0] == kind.schema.split("/")[0]
