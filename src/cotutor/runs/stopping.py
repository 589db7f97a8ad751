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

    Only the main thread is told of signals; in another, nothing is changed. It is said by a thread of its own: whoever
    the signal interrupts may be in the middle of printing.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    news = threading.Event()

    def take_note(*_: object) -> None:
        _put_back(before)
        asked.set()
        news.set()

    def tell() -> None:
        news.wait()
        if asked.is_set():
            say("Stopping when this round is over; once more ends it at once.")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    for number in SIGNALS:
        signal.signal(number, take_note)
    try:
        yield asked.is_set
    finally:
        _put_back(before)
        news.set()
        teller.join()


def _put_back(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
