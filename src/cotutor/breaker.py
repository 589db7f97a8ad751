"""When to ask a teacher that did not answer again (a circuit breaker)."""

import random
import time
from collections.abc import Callable

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds without a question after the first failure, and at most; a failure doubles them."""


class Breaker:
    """Leaves a teacher in peace after a failure, and then tries it with one question (the first time, with those that
    it is calibrated on) before it is asked as before.

    Args:
        now: The clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.failures = 0
        self.until = 0.0

    @property
    def open(self) -> bool:
        """Whether the last question was not answered."""
        return self.failures > 0

    def most(self, budget: int) -> int:
        """Returns how many of so many questions may be asked now: none in a pause, one after it."""
        if not self.open:
            return budget
        return min(1, budget) if self.now() >= self.until else 0

    def failed(self) -> None:
        """Begins a pause, which is drawn at random so that not all who wait for a server come back at once."""
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self.failures, 16))
        self.failures += 1
        self.until = self.now() + pause * random.uniform(0.5, 1.0)

    def answered(self) -> None:
        """Ends it."""
        self.failures = 0
