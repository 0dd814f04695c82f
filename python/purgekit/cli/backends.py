"""``purgekit backends``."""

from __future__ import annotations

from purgekit.cli import options
from purgekit.cli.output import console, print_json, table

COLUMNS = (
    ("name", "left"),
    ("version", "left"),
    ("abi", "left"),
    ("URL schemes", "left"),
    ("status", "left"),
    ("source", "left"),
)


def backends(json: options.AsJson = False) -> None:
    """List the database backends found, and why others were refused.

    Example: [bold]PURGEKIT_PLUGIN_PATH=/opt/backends purgekit backends[/bold]
    """
    from purgekit.logs import bridge_logs, log_to_terminal
    from purgekit.plugins import backends as found_backends

    log_to_terminal()
    bridge_logs()
    found = found_backends()
    if json:
        print_json({"schema": "purgekit.backends/1", "backends": found})
        return
    rows = [
        (b["name"], b["version"], b["abi"], " ".join(b["schemes"]), b["status"], b["source"])
        for b in sorted(found, key=lambda backend: str(backend["name"]))
    ]
    console().print(table(None, COLUMNS, rows))
