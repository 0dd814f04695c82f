"""A run's evidence as it stands in the ledger, to be taken elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from purgekit import _core
from purgekit.errors import EvidenceError
from purgekit.evidence.links import SCHEMA, Damaged, Json, canonical, digest, parsed, root_of
from purgekit.placing import placed
from purgekit.state import now_utc
from purgekit.text import plural, printable


class Evidence:
    """The links of one run. ``lines`` is what ``verify`` reads from a file."""

    def __init__(self, run_id: str, notes: Sequence[tuple[str, str]], backend: str, server: Mapping[str, Any]) -> None:
        """``notes``: id and text of each link, as the ledger has them; ``server``: what ``Database.server`` says."""
        ordered = sorted(notes, key=lambda note: _place(note[0]))
        heads = {_place(note_id)[0]: digest(text) for note_id, text in ordered}
        self._entries = [_entry(text) for _, text in ordered]
        header: Json = {
            "schema": SCHEMA,
            "run_id": run_id,
            "database": {
                "backend": backend,
                "name": Path(str(server["database"])).name,
                "product": str(server["product"]),
                "version": str(server["version"]),
            },
            "purgekit": _core.__version__,
            "exported_utc": now_utc(),
            "links": len(ordered),
            "root": root_of(list(heads.values())),
        }
        self._header = {**header, "hash": digest(canonical(header))}

    @property
    def run_id(self) -> str:
        """Whose evidence it is."""
        return str(self._header["run_id"])

    @property
    def root(self) -> str:
        """What it all comes down to; compare it with the one in the run's log."""
        return str(self._header["root"])

    @property
    def links(self) -> list[Json]:
        """The links that can be read, in order."""
        return [entry["link"] for entry in self._entries if "link" in entry]

    def lines(self) -> Iterator[str]:
        """The header, then each link with its hash."""
        yield canonical(self._header)
        for entry in self._entries:
            yield canonical(entry)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file that is not there yet."""
        place = Path(path)
        try:
            if os.path.lexists(place):
                raise EvidenceError(f"{printable(place)} is there already; name another file", code="evidence_io")
            with placed(place) as file:
                for line in self.lines():
                    file.write(line.encode("utf-8", "replace") + b"\n")
        except (OSError, ValueError) as error:  # ValueError: a name that can't be one
            why = printable(getattr(error, "strerror", None) or error)
            raise EvidenceError(f"{printable(place)} can't be written: {why}", code="evidence_io") from None

    def __repr__(self) -> str:
        return f"<Evidence of run {printable(self.run_id)}: {plural(len(self._entries), 'link')}, {self.root[:16]}…>"


def _place(note_id: str) -> tuple[int, int, str]:
    """Number of the policy and of the link; what is none of ours comes last."""
    parts = note_id.rsplit("/", 2)
    if len(parts) == 3 and all(part.isascii() and part.isdecimal() and len(part) < 20 for part in parts[1:]):
        return int(parts[1]), int(parts[2]), note_id
    return 10**20, 0, note_id


def _entry(text: str) -> Json:
    """One that was changed in the ledger is shown as the text that it is."""
    try:
        return {"hash": digest(text), "link": parsed(text)}
    except Damaged:
        return {"hash": digest(text), "text": text}
