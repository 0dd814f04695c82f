"""The command line as a whole: commands, errors, exit codes."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import typer

from purgekit.cli import (
    archive_command,
    backends,
    demo,
    evidence_command,
    history,
    hold_command,
    packs,
    plan,
    restore_command,
    run_command,
    tune_command,
    watch_command,
)
from purgekit.cli.output import print_error
from purgekit.errors import PurgeFailed, PurgekitError
from purgekit.redaction import redact
from purgekit.text import printable

DONE, FAILED, REFUSED, STOPPED = 0, 1, 2, 3
KEYBOARD_INTERRUPT = 130  # what typer returns for one

app = typer.Typer(
    name="purgekit",
    help="Delete expired rows from production databases, in short transactions, without hurting them.",
    epilog="Start with: purgekit demo",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("plan")(plan.plan)
app.command("run")(run_command.run)
app.command("watch")(watch_command.watch)
app.command("restore")(restore_command.restore)
app.command("tune")(tune_command.tune)
app.add_typer(hold_command.hold)
app.command("history")(history.history)
app.add_typer(archive_command.app, name="archive")
app.add_typer(evidence_command.app, name="evidence")
app.command("packs")(packs.packs)
app.command("backends")(backends.backends)


def _print_version(wanted: bool) -> None:
    if wanted:
        import purgekit

        print(f"purgekit {purgekit.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", help="Show the version and exit.", callback=_print_version, is_eager=True
    ),
) -> None:
    pass


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. Whatever goes wrong is one line on standard error."""
    want_json = "--json" in arguments
    command = typer.main.get_command(app)
    try:
        code = command.main(list(arguments) or ["--help"], prog_name="purgekit", standalone_mode=False)
        sys.stdout.flush()
    except PurgekitError as error:
        code = FAILED if isinstance(error, PurgeFailed) else REFUSED
        print_error(str(error), error.code, code, want_json, table=error.table, policy=error.policy)
        return code
    except typer.Abort:
        print_error("aborted; nothing was changed", "aborted", REFUSED, want_json)
        return REFUSED
    except KeyboardInterrupt:
        code = KEYBOARD_INTERRUPT
    except BrokenPipeError:
        # Whoever read our output has left. What is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        return _unforeseen(error, want_json, arguments)
    if not arguments:
        return REFUSED
    if code == KEYBOARD_INTERRUPT:
        print_error("interrupted; nothing was changed", "signal", STOPPED, want_json)
        return STOPPED
    return code if isinstance(code, int) else DONE


def _unforeseen(error: Exception, want_json: bool, arguments: Sequence[str]) -> int:
    # typer keeps its exception classes for usage errors to itself; all of them can format their message.
    if hasattr(error, "format_message"):
        message = error.format_message().rstrip(".?")
        for argument in arguments:  # quoted whole, blanks in a password included
            if "://" in argument:
                message = message.replace(argument, redact(argument))
        print_error(f"{message}; see purgekit --help", "usage", REFUSED, want_json)
        return REFUSED
    logging.getLogger("purgekit").debug("unforeseen error", exc_info=error)
    message = f"internal error: {type(error).__name__}: {printable(error)}; PURGEKIT_LOG=debug shows where"
    print_error(message, "internal", FAILED, want_json)
    return FAILED
