"""Ctrl-C and SIGTERM: what goes on is finished first, and a second one ends it at once."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stoppable(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Takes note of the first Ctrl-C or SIGTERM, says so, and gives a function that tells whether there was one.

    Only the main thread is told of signals; in another, nothing is changed.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def take_note(*_: object) -> None:
        asked.set()
        _put_back(before)
        say("Stopping when this round is over; once more ends it at once.")

    for number in SIGNALS:
        signal.signal(number, take_note)
    try:
        yield asked.is_set
    finally:
        _put_back(before)


def _put_back(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
