"""The links of one policy's run, one after the other: do they join?"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from purgekit.evidence.keys import Key
from purgekit.evidence.links import SCHEMA, Damaged, Json, canonical
from purgekit.text import printable


@dataclass(frozen=True)
class Head:
    """The last link of a table's chain."""

    run_id: str
    number: int
    hash: str


class Chain:
    """From a start to an end. ``add`` raises Damaged for the first link that is wrong."""

    def __init__(self, first: Json, key: Key | None) -> None:
        self.ordinal = int(first["ordinal"])
        self.head = ""
        self._key = key
        self._start: Json = {}
        self._last: Json = {}
        self._links = 0
        self._chunks = 0
        self._joined = False
        self._deleted: list[int] = []
        self._archived: list[int] = []

    def add(self, link: Json, link_hash: str, heads: dict[str, Head]) -> None:
        """The next link of it; ``heads`` has the last link of each table so far, this one from now on."""
        number = f"(link {link['number']})"
        kind = link["kind"]
        if kind == "start":
            self._begin(link, number, heads)
        elif not self._start:
            raise Damaged(f"{number} comes before the start of its policy: links before it are missing")
        elif self._last["kind"] == "end":
            raise Damaged(f"{number} comes behind the end of its policy")
        elif link["number"] != self._last["number"] + 1:
            raise Damaged(f"{number} does not follow link {self._last['number']}: links between are missing, or moved")
        elif link["prev"] != self.head:
            raise Damaged(f"{number} does not name the link before it: that one is another than there was")
        elif kind == "chunk":
            self._count(link, number)
        else:
            self._end(link, number)
        self._last, self.head = link, link_hash
        self._links += 1
        heads[self._start["tables"][0]] = Head(link["run_id"], link["number"], link_hash)

    def to_dict(self) -> Json:
        """For the verdict."""
        ended = self._last["kind"] == "end"
        return {
            "policy": self._start["policy"],
            "table": self._start["tables"][0],
            "status": self._last["status"] if ended else None,
            "cutoff_utc": self._start["cutoff_utc"],
            "tables": [
                {"table": table, "rows_deleted": deleted, "rows_archived": archived}
                for table, deleted, archived in zip(self._start["tables"], self._deleted, self._archived, strict=True)
            ],
            "links": self._links,
            "head": self.head,
            "after": self._start["after"],
            "prev": self._start["prev"],
            "joined": self._joined,
        }

    def _begin(self, link: Json, number: str, heads: dict[str, Head]) -> None:
        # A run that was fenced out before its first chunk may take its table back: the other's links lie between.
        if self._start and self._last["kind"] != "start":
            raise Damaged(f"{number} is a second start of its policy")
        if link["schema"] != SCHEMA:
            raise Damaged(f"{number} is of another version than its file")
        if (link["prev"] is None) != (link["after"] is None) or (link["prev"] is None and link["number"] != 1):
            raise Damaged(f"{number} does not tell what it goes on from")
        before = heads.get(link["tables"][0])
        if before is not None and before.run_id == link["after"]:
            if (before.hash, before.number + 1) != (link["prev"], link["number"]):
                raise Damaged(f"{number} does not go on from the last link of run {printable(before.run_id)}")
            self._joined = True
        elif link["after"] == link["run_id"]:
            raise Damaged(f"{number} goes on from links of its run that are not there")
        if self._key is not None and link["key_id"] != self._key.id:
            raise Damaged(f"{number} was made {'without a' if link['key_id'] is None else 'with another'} key")
        self._start = link
        self._deleted = [0] * len(link["tables"])
        self._archived = [0] * len(link["tables"])

    def _count(self, link: Json, number: str) -> None:
        deleted, archived = link["rows_deleted"], link["rows_archived"]
        if not len(deleted) == len(archived) == len(self._deleted):
            raise Damaged(f"{number} counts rows of other tables than its start names")
        self._chunks += 1
        self._deleted = [a + b for a, b in zip(self._deleted, deleted, strict=True)]
        self._archived = [a + b for a, b in zip(self._archived, archived, strict=True)]
        kept = [0] * len(archived)
        for file in link.get("files", ()):
            if file["table"] >= len(kept):
                raise Damaged(f"{number} has a file of a table that its start does not name")
            kept[file["table"]] += file["rows"]
        if self._start["archive"] == "files" and kept != archived:
            raise Damaged(f"{number} counts other rows than its files")

    def _end(self, link: Json, number: str) -> None:
        counted = (self._chunks, self._deleted, self._archived)
        if (link["chunks"], link["rows_deleted"], link["rows_archived"]) != counted:
            raise Damaged(f"{number} has other totals than its chunks together")
        if self._key is None:
            return
        text = canonical({name: value for name, value in link.items() if name != "hmac"})
        made = hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(made, str(link.get("hmac", ""))):
            raise Damaged(f"{number} was made by somebody without the key")
