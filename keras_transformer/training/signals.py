"""SIGTERM and SIGHUP, by which schedulers and terminals end programs, as Ctrl-C."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


class Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP came.

    Attributes:
        status: What a program ends with that was stopped by it: 143 or 129.

    Example:

    >>> Stopped(signal.SIGTERM).status
    143
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.status = 128 + number


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raises `Stopped` where SIGTERM or SIGHUP comes, in the main thread.

    A signal that is ignored, as SIGHUP is under `nohup`, stays so.

    Example:

    >>> try:
    ...     with stopped_by_signals():
    ...         signal.raise_signal(signal.SIGTERM)
    ... except Stopped as stopped:
    ...     print(stopped)
    signal 15
    """
    before = {}
    if threading.current_thread() is threading.main_thread():  # the only one that may ask for them
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number and signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: Any) -> None:
    raise Stopped(number)
