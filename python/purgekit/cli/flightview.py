"""A flight record on a terminal: the end of the flight."""

from __future__ import annotations

from typing import Any

from purgekit.cli.output import console, table

SHOWN = 20
COLUMNS = (("at", "right"), ("utc", "left"), ("event", "left"), ("policy", "left"), ("what", "left"))
OWN_COLUMNS = ("at_s", "utc", "kind", "policy")


def show_flight(flight: dict[str, Any]) -> None:
    """Print the last events."""
    found = flight.get("events")
    events = [event for event in found if isinstance(event, dict)] if isinstance(found, list) else []
    rows = [_row(event) for event in events[-SHOWN:]]
    console().print(table(f"Last {len(rows)} of {len(events)} events recorded", COLUMNS, rows))


def _row(event: dict[str, Any]) -> tuple[object, ...]:
    what = ", ".join(f"{key} {_short(value)}" for key, value in event.items() if key not in OWN_COLUMNS and value != "")
    return (
        f"{_short(event.get('at_s'))} s",
        event.get("utc", ""),
        event.get("kind", ""),
        event.get("policy", ""),
        what,
    )


def _short(value: object) -> object:
    return f"{value:.3f}" if isinstance(value, float) else value
