"""``purgekit packs``."""

from __future__ import annotations

from typing import Annotated, Any, Optional

import typer

from purgekit.cli import options
from purgekit.cli.output import console, fields, print_json, table


def packs(
    name: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this annotation while it runs, on Python 3.10 too
        typer.Argument(metavar="NAME", help="Show this pack's policies."),
    ] = None,
    notes: Annotated[
        bool,
        typer.Option(
            "--notes", help="What to switch off, rehearsing, schedules, and why rules differ from the vendor's."
        ),
    ] = False,
    json: options.AsJson = False,
) -> None:
    """List policy packs; with NAME, a pack's policies with table, rule, grace and parameters.

    Example: [bold]purgekit packs wso2-is --notes[/bold]
    """
    from purgekit.packs import find_pack, pack_names

    chosen = [find_pack(name)] if name else [find_pack(known) for known in pack_names()]
    documents = [_document(pack) for pack in chosen]
    if json:
        print_json({"schema": "purgekit.packs/1", "packs": documents})
    elif name or notes:
        for document in documents:
            _show(document, notes)
    else:
        rows = [(d["pack"], d["title"], ", ".join(p["policy"] for p in d["policies"])) for d in documents]
        console().print(table(None, (("pack", "left"), ("for", "left"), ("policies", "left")), rows))


def _document(pack: Any) -> dict[str, Any]:
    from purgekit._core import format_duration

    policies = []
    for entry in pack.policies:
        built = [one.policy for one in entry.with_values({})]
        policy = built[0]
        policies.append(
            {
                "policy": f"{pack.name}/{entry.name}",
                "table": policy.table,
                "tables": [one.table for one in built],
                "summary": entry.summary,
                "rule": str(policy.where),
                "rules": {one.table: str(one.where) for one in built},
                "held_while": None if policy.held_while is None else str(policy.held_while),
                "archive": getattr(policy.archive, "table", policy.archive),
                "grace": format_duration(policy.grace_ns),
                "dependents": [child.table for child in policy.dependents],
                "parameters": [
                    {"name": p.name, "default": p.default, "help": p.help, "choices": list(p.choices)}
                    for p in entry.parameters
                ],
                "by_name_only": entry.by_name_only,
                "note": entry.note,
            }
        )
    return {"pack": pack.name, "title": pack.title, "note": pack.note, "policies": policies}


def _show(document: dict[str, Any], notes: bool) -> None:
    from rich.text import Text

    out = console()
    out.print(Text.assemble((document["pack"], "bold"), f"  {document['title']}"))
    if notes and document["note"]:
        out.print()
        out.print(Text(document["note"]))
    for policy in document["policies"]:
        out.print()
        out.print(Text(policy["policy"] + ("  (only when named)" if policy["by_name_only"] else ""), style="bold cyan"))
        pairs = [
            ("", policy["summary"]),
            *(pair for table, rule in policy["rules"].items() for pair in (("table", table), ("rule", rule))),
        ]
        if policy["held_while"]:
            pairs.append(("held while", policy["held_while"]))
        pairs.append(("grace", policy["grace"]))
        if policy["dependents"]:
            pairs.append(("with it", ", ".join(policy["dependents"])))
        for parameter in policy["parameters"]:
            choices = f" ({' or '.join(parameter['choices'])})" if parameter["choices"] else ""
            pairs.append(("--param", f"{parameter['name']}={parameter['default']}{choices}: {parameter['help']}"))
        if notes:
            pairs.append(("note", policy["note"]))
        out.print(fields(pairs))
