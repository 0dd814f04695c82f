"""What a report says of space and of the care afterwards, each in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from purgekit.text import size

WORDS = (("dead_bytes", "dead"), ("reusable_bytes", "reusable"))
DONE = {
    "done": "done",
    "unfinished": "not finished",
    "failed": "failed",
    "not_begun": "not begun",
    "not_needed": "not needed, nothing was deleted",
    "later": "left to a later policy of this run that deletes from the same table",
}


def space_line(entry: Mapping[str, Any]) -> str:
    """``412.0 MB dead, 0 bytes returned: VACUUM …`` of a policy's report; empty when nothing is worth a word."""
    space = entry.get("space") or {}
    after = space.get("after") or {}
    parts = [f"{size(after[key])} {word}" for key, word in WORDS if after.get(key)]
    returned, advice = space.get("returned_bytes"), space.get("advice")
    if not parts and not returned:
        return ""
    if returned is not None:
        parts.append(f"{size(returned)} returned")
    return ", ".join(parts) + (f": {advice}" if advice else "")


def care_line(entry: Mapping[str, Any]) -> str:
    """``space done in 1.2 s``, or what kept it from being done; empty when nothing was asked for."""
    care = entry.get("care")
    if not care:
        return ""
    line = f"{care['asked']} {DONE.get(care['status'], care['status'])}"
    if care["steps"]:
        line += f" in {care['elapsed_s']:.1f} s"
    return f"{line}: {care['warning']}" if care["warning"] else line
