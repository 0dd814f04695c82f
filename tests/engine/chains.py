"""A table's whole chain of evidence, joined and counted without purgekit's own verification."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import purgekit as pk


def whole_chain(db: pk.Database) -> list[dict[str, Any]]:
    """All links that the runs in a ledger have made for the one table that they purged, the first one first."""
    links = [
        link
        for run in db.history()
        if run["entries"][0]["evidence"] is not None
        for link in db.evidence(run["run_id"]).links
    ]
    links.sort(key=lambda link: int(link["number"]))
    prev = None
    for number, link in enumerate(links, 1):
        assert (link["number"], link["prev"]) == (number, prev)
        text = json.dumps(link, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        prev = hashlib.sha256(text.encode()).hexdigest()
    return links


def counted(links: list[dict[str, Any]]) -> int:
    """Rows of all tables that the chunks among them have deleted."""
    return sum(sum(link["rows_deleted"]) for link in links if link["kind"] == "chunk")
