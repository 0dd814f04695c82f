"""``purgekit hold add | list | release``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from purgekit._core import Predicate
from purgekit.cli import options
from purgekit.cli.output import console, count, print_json, say, table
from purgekit.errors import PolicyError
from purgekit.text import printable

COLUMNS = tuple((heading, "left") for heading in ("hold", "table", "rows held", "reason", "by", "since"))
MOST_KEY_FILE_BYTES = 1_000_000

hold = typer.Typer(
    name="hold",
    help="Legal holds: rows that stay whatever a policy says, until the hold is released.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Held = Annotated[str, typer.Argument(metavar="TABLE", help="Table whose rows are to stay.")]
HoldId = Annotated[str, typer.Argument(metavar="ID", help="As purgekit hold list shows it.")]


@hold.command("add")
def add(
    url: options.Url,
    held_table: Held,
    where: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer reads this annotation while it runs, on Python 3.10 too
        typer.Option(metavar="COLUMN=VALUE", help="Rows with this value. May be repeated: all must be right."),
    ] = None,
    rule: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="TOML", help='A rule as in policies: { column = "USER_ID", in = ["a", "b"] }.'),
    ] = None,
    key: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="VALUE", help="A key to hold. May be repeated."),
    ] = None,
    keys: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Keys to hold, one a line; at most 1000 for one hold."),
    ] = None,
    column: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="COLUMN", help="Column of the keys (default: the primary key)."),
    ] = None,
    table: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="NAME", help="A table of keys: what stands in it when a chunk is deleted is held."),
    ] = None,
    on: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="ITS_COLUMN=COLUMN", help="Its column, and the held table's. May be repeated."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; shown in plans and lists.")] = "",
    by: Annotated[Optional[str], typer.Option(help="Who asks for it (default: your login).")] = None,  # noqa: UP045
    wait_s: Annotated[float, typer.Option(min=0, help="Longest wait for chunks of purges under way.")] = 60,
    ledger: options.Ledger = "purgekit_ledger",
    password_file: options.PasswordFile = None,
    json: options.AsJson = False,
) -> None:
    """Hold rows: by a rule, by keys, or by a table of keys. Purges under way obey it from their next chunk on.

    Example: [bold]purgekit hold add postgresql://iam@db/identity IDN_OAUTH2_ACCESS_TOKEN --where USER_ID=alice --reason
    "case 2026-17"[/bold]
    """
    from purgekit.database import connect
    from purgekit.logs import log_to_terminal

    log_to_terminal()
    listed = _keys(key, keys)
    wanted = _rule(where, rule)
    if table is not None and where:
        raise PolicyError("--where is about the held table; say by --rule which rows of the table of keys count")
    pairs = dict(_pair(text, "--on") for text in on or ()) or None
    with connect(url, password_file=password_file) as db:
        made = db.hold(
            held_table,
            where=wanted,
            keys=listed,
            column=column,
            table=table,
            on=pairs,
            reason=reason,
            by=by,
            ledger=ledger,
            wait_s=wait_s,
            typed_as_text=bool(where) or listed is not None,
        )
    if json:
        print_json({"schema": "purgekit.holds/1", "holds": [made.to_dict()], "added": made.added})
        return
    rows = "" if made.rows_held is None else f"; it keeps {count(made.rows_held)} rows now"
    if made.added:
        say(f"purgekit: hold {made.id} on {made.table}{rows}")
    else:
        say(f"purgekit: hold {made.id} on {made.table} is the same and was there already{rows}")
    print(made.id)


@hold.command("list")
def list_(
    url: options.Url,
    ledger: options.Ledger = "purgekit_ledger",
    password_file: options.PasswordFile = None,
    json: options.AsJson = False,
) -> None:
    """List the holds of a ledger; one that can't be followed says why.

    Example: [bold]purgekit hold list postgresql://iam@db/identity[/bold]
    """
    from purgekit.database import connect
    from purgekit.logs import log_to_terminal

    log_to_terminal()
    with connect(url, password_file=password_file) as db:
        found = db.holds(ledger)
    if json:
        print_json({"schema": "purgekit.holds/1", "holds": [entry.to_dict() for entry in found]})
        return
    if not found:
        say("purgekit: no hold")
        return
    rows = [(h.id, h.table, "?" if h.rule is None else str(h.rule), h.reason, h.by, h.created_utc) for h in found]
    console().print(table(None, COLUMNS, rows))
    for entry in found:
        if entry.problem:
            say(f"purgekit: warning: {entry.problem}")


@hold.command("release")
def release(
    url: options.Url,
    hold_id: HoldId,
    ledger: options.Ledger = "purgekit_ledger",
    password_file: options.PasswordFile = None,
    json: options.AsJson = False,
) -> None:
    """Let go of a hold: its rows go with the next run that takes them.

    Example: [bold]purgekit hold release postgresql://iam@db/identity h-3f9a2c10[/bold]
    """
    from purgekit.database import connect
    from purgekit.logs import log_to_terminal

    log_to_terminal()
    with connect(url, password_file=password_file) as db:
        gone = db.release(hold_id, ledger=ledger)
    if json:
        print_json({"schema": "purgekit.holds/1", "holds": [gone.to_dict()], "released": True})
        return
    say(f"purgekit: hold {gone.id} on {gone.table} is released; its rows go with the next run that takes them")


def _rule(where: list[str] | None, rule: str | None) -> Predicate | None:
    from purgekit.policyfile import rule_of_text
    from purgekit.predicates import all_of, col

    parts = [col(name) == value for name, value in (_pair(text, "--where") for text in where or ())]
    if rule is not None:
        if parts:
            raise PolicyError("--where and --rule are two ways to say it; give one of them")
        return rule_of_text(rule, "--rule")
    return all_of(*parts) if parts else None


def _keys(key: list[str] | None, path: Path | None) -> list[str] | None:
    if key is None and path is None:
        return None
    found = list(key or ())
    if path is not None:
        name = printable(path)
        try:
            if path.stat().st_size > MOST_KEY_FILE_BYTES:
                raise PolicyError(f"{name} is too large for a list of keys; put them into a table and hold by --table")
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise PolicyError(f"cannot read keys from {name}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise PolicyError(f"{name} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
        found += [line for line in text.splitlines() if line]
    if not found:
        raise PolicyError("there is no key, so that nothing would be held")
    return found


def _pair(text: str, option: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark or not name.strip():
        raise PolicyError(f"{option} is written COLUMN=VALUE")
    return name.strip(), value
