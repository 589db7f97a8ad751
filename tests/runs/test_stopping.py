"""A signal is noted at once and announced, whatever it interrupts."""

import os
import signal
import threading

from cotutor.runs.stopping import SIGNALS, stoppable


def test_it_is_announced_though_the_signal_comes_in_the_middle_of_printing():
    printing, said = threading.Lock(), threading.Event()

    def say(words: str) -> None:
        assert printing.acquire(timeout=5), "it waits for itself"
        printing.release()
        said.set()

    before = [signal.getsignal(number) for number in SIGNALS]
    with stoppable(say) as stop:
        assert not stop()
        with printing:
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop()
            assert [signal.getsignal(number) for number in SIGNALS] == before, "a second one ends the run"
        assert said.wait(timeout=5)


def test_nothing_is_announced_where_no_signal_comes_and_none_of_it_is_left():
    before, threads = [signal.getsignal(number) for number in SIGNALS], threading.active_count()
    said: list[str] = []
    with stoppable(said.append):
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert threading.active_count() == threads
    assert not said
