"""SIGINT and SIGTERM while native code purges.

The engine runs Python's signal handlers during its calls in the main thread. A handler that raises would lose the
report; these ask the run to end instead.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from purgekit._core import RunControl


@contextlib.contextmanager
def stop_on_signals(
    control: RunControl, signals: Sequence[signal.Signals], on_first: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """The first signal ends a run after the chunk in hand, the second cancels that chunk."""
    count = 0

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count == 1:
            control.stop("signal")
            on_first()
        else:
            control.cancel()

    before = {number: signal.signal(number, handle) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_on_ctrl_c(control: RunControl) -> contextlib.AbstractContextManager[None]:
    """As above for SIGINT, unless somebody else handles it or this is not the main thread."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        return stop_on_signals(control, [signal.SIGINT])
    return contextlib.nullcontext()
