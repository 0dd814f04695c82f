"""The native engine's log, in Python's ``logging`` under the name ``purgekit``."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from functools import lru_cache
from typing import TextIO

from purgekit import _core
from purgekit.redaction import without_passwords
from purgekit.text import did_you_mean, printable

LEVELS = {
    "trace": 5,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "off": logging.CRITICAL + 10,
}
SHORT = {"warn": "warning", "err": "error"}

_log = logging.getLogger("purgekit")


def bridge_logs() -> None:
    """Send native records to the logger ``purgekit``, at its level; ``PURGEKIT_LOG`` sets that."""
    asked = os.environ.get("PURGEKIT_LOG", "")
    level = SHORT.get(asked.strip().lower(), asked.strip().lower())
    if level in LEVELS:
        _log.setLevel(LEVELS[level])
    elif asked:
        _log.warning("PURGEKIT_LOG=%s is no log level%s", printable(asked), did_you_mean(level, LEVELS))
    # The native side filters first, so that records nobody wants never take the interpreter's lock.
    wanted = _log.getEffectiveLevel()
    _core.set_log_level(next((name for name, number in LEVELS.items() if number >= wanted), "off"))
    _install_sink()


@lru_cache(maxsize=1)
def _install_sink() -> None:
    _core.log_to_stderr(False)
    _core.set_log_sink(_sink)
    atexit.register(_core.set_log_sink, None)


def _sink(level: str, message: str) -> None:
    _log.log(LEVELS.get(SHORT.get(level, level), logging.INFO), "%s", printable(message))


class _TerminalFormatter(logging.Formatter):
    """Records on a terminal: whatever they hold, it can't steer it. The lines of a traceback stay lines."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(printable(without_passwords(line)) for line in super().format(record).split("\n"))


@lru_cache(maxsize=1)
def _terminal() -> logging.StreamHandler[TextIO]:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_TerminalFormatter("purgekit: %(levelname)s: %(message)s"))
    return handler


def log_to_terminal() -> None:
    """For the command line: records go to standard error."""
    handler = _terminal()
    handler.stream = sys.stderr  # as it is now: a program may run several commands, and redirect each
    _log.addHandler(handler)
    _log.propagate = False
    if "PURGEKIT_LOG" not in os.environ:
        _log.setLevel(logging.WARNING)
