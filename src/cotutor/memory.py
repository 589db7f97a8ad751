"""Feedback per (context, option): what the student measured while it acted, at no extra environment step."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cotutor.stateful import Stateful
from cotutor.types import Feedback, FloatArray, Question

VISITS, TOTAL, SQUARES, WORKED = range(4)
FORGOTTEN = 0.05
"""What has decayed to fewer visits than this is dropped."""
SMALLEST_TABLE = 256
SMALLEST_UNIT = 1e-100


class AdvantageScale(Stateful):
    """Running standard deviation of GAE, with a floor.

    Normalising by the statistics of a single rollout would blow critic noise up to full-size feedback whenever a
    rollout has no reward; hence an exponential average over rollouts, and the floor.

    Args:
        floor: Smallest scale, in units of return.
        momentum: Share of the past kept when a rollout is added.
    """

    changes = ("mean_square", "weight")

    def __init__(self, floor: float, momentum: float = 0.8) -> None:
        self.floor = floor
        self.momentum = momentum
        self.mean_square = 0.0
        self.weight = 0.0

    def update(self, advantages: FloatArray) -> None:
        self.mean_square = self.momentum * self.mean_square + (1 - self.momentum) * float(np.mean(advantages**2))
        self.weight = self.momentum * self.weight + 1 - self.momentum

    @property
    def value(self) -> float:
        """The scale, in units of return."""
        return max(self.floor, float(np.sqrt(self.mean_square / self.weight))) if self.weight else self.floor


class ContextSums(Stateful):
    """Decaying sums per context, which take the room that is met in some hundred rounds, and not in the run.

    Contexts whose counts have decayed away are forgotten when there is no room for new ones. All decay alike, so what
    decays is the unit in which they are kept, and ageing takes no time however many there are.

    Args:
        shape: Of what is summed per context. The first entry of its last dimension counts steps.

    Attributes:
        rows: The row of each context, in the order in which they were last added to.
        table: The sums in units of ``unit``, shape (C, *shape); as many rows are in use as there are contexts.
        unit: What one in the table stands for.
        added: How often a context was new; one that was forgotten is so again.
    """

    changes = ("rows", "table", "unit", "added")

    def __init__(self, *shape: int) -> None:
        self.rows: dict[str, int] = {}
        self.table = np.zeros((SMALLEST_TABLE, *shape))
        self.unit = 1.0
        self.added = 0

    @property
    def counts(self) -> FloatArray:
        """The decayed count of each row in use, shape (C,)."""
        count_CX = self.table[: len(self.rows), ..., 0]
        return self.unit * count_CX.sum(axis=tuple(range(1, count_CX.ndim)))

    @property
    def in_use(self) -> FloatArray:
        """The sums in the order of ``rows``, shape (C, *shape)."""
        return self.unit * self.table[[*self.rows.values()]]

    def fill(self, contexts: Sequence[str], sums: FloatArray) -> None:
        """Puts in what was in use, in the order of its contexts.

        Raises:
            ValueError: There are not so many sums, or of another shape.
        """
        if sums.shape != (len(contexts), *self.table.shape[1:]):
            raise ValueError(f"sums of shape {sums.shape} are not of {len(contexts)} contexts")
        self.rows = {context: row for row, context in enumerate(contexts)}
        self.table = np.concatenate([sums, np.zeros((SMALLEST_TABLE, *self.table.shape[1:]))])
        self.unit = 1.0

    def of(self, context: str) -> FloatArray | None:
        """Returns the sums of a context, None where there are none."""
        row = self.rows.get(context)
        return None if row is None else self.unit * self.table[row]

    def count(self, context: str) -> float:
        """Returns the decayed count of a context."""
        sums = self.of(context)
        return 0.0 if sums is None else float(sums[..., 0].sum())

    def age(self, factor: float) -> None:
        """Multiplies everything by a factor."""
        self.unit *= factor
        if self.unit < SMALLEST_UNIT:
            self.table *= self.unit
            self.unit = 1.0

    def add(self, contexts: Sequence[str], values_N: FloatArray, *where: NDArray[np.int64]) -> None:
        """Adds values.

        Args:
            contexts: The context of each of N values.
            values_N: The values, shape (N, ...).
            where: Their indices into the dimensions after that of contexts, each of shape (N,).
        """
        latest = dict.fromkeys(reversed(contexts))
        new = sum(context not in self.rows for context in latest)
        if len(self.rows) + new > len(self.table):
            self._forget(latest)
        self.added += new
        for context in reversed(latest):
            self.rows[context] = self.rows.pop(context, len(self.rows))
        np.add.at(
            self.table,
            (np.array([self.rows[context] for context in contexts], dtype=int), *where),
            values_N / self.unit,
        )

    def clear(self, contexts: Sequence[str]) -> None:
        """Makes the sums of contexts zero; of those that are forgotten they are."""
        self.table[[self.rows[context] for context in contexts if context in self.rows]] = 0.0

    def most_counted(self, least: float) -> list[str]:
        """Returns the contexts that count at least so much, those that count most first."""
        count_C = self.counts
        known = [(count_C[row], context) for context, row in self.rows.items() if count_C[row] >= least]
        return [context for _, context in sorted(known, key=lambda item: (-item[0], item[1]))]

    def _forget(self, needed: dict[str, None]) -> None:
        """Drops what is forgotten and not needed now, and makes the table twice as large as what then is known."""
        count_C = self.counts
        kept = {c: row for c, row in self.rows.items() if count_C[row] >= FORGOTTEN or c in needed}
        size = max(SMALLEST_TABLE, 2 * len(kept.keys() | needed.keys()))
        table = np.zeros((size, *self.table.shape[1:]))
        table[: len(kept)] = self.table[[*kept.values()]]
        self.rows, self.table = {context: row for row, context in enumerate(kept)}, table


class FeedbackMemory(Stateful):
    """Decayed visit counts and advantages per context and action; an option's feedback is that of its action.

    Args:
        actions: Number of actions of the environment (A).
        decay: Factor on everything remembered, once a round.
        shrinkage: k of the shrinkage n / (n + k) of a mean of n visits towards zero.

    Attributes:
        sums: The sums, shape (A, 4) a context.
    """

    changes = ("sums",)

    def __init__(self, actions: int, decay: float, shrinkage: float) -> None:
        self.decay = decay
        self.shrinkage = shrinkage
        self.sums = ContextSums(actions, 4)

    def record(self, contexts: list[str], actions: NDArray[np.int64], advantages: FloatArray) -> None:
        """Ages what is remembered by one round and adds the steps of a rollout.

        Args:
            contexts: The context of each of N steps.
            actions: The action taken in each, shape (N,).
            advantages: Its advantage in units of the running scale, shape (N,).
        """
        self.sums.age(self.decay)
        worked = (advantages > 0).astype(float)
        values = np.stack([np.ones_like(advantages), advantages, advantages**2, worked], axis=1)
        self.sums.add(contexts, values, actions)

    def feedback(self, question: Question) -> Feedback:
        """Returns the feedback on every option; zeros where the context was never met.

        The advantage is taken relative to the visit-weighted mean of the context, or unvisited options would look
        best wherever the critic is too high.
        """
        stats_AS = self.sums.of(question.context)
        if stats_AS is None:
            return Feedback(*np.zeros((4, len(question.options))))
        visits_A = stats_AS[:, VISITS]
        seen_A = np.maximum(visits_A, 1e-9)
        mean_A = stats_AS[:, TOTAL] / seen_A
        centre = stats_AS[:, TOTAL].sum() / max(visits_A.sum(), 1e-9)
        advantage_A = visits_A / np.maximum(visits_A + self.shrinkage, 1e-9) * (mean_A - centre)
        spread_A = np.sqrt(np.maximum(stats_AS[:, SQUARES] / seen_A - mean_A**2, 0.0))
        actions = [option.action for option in question.options]
        return Feedback(visits_A[actions], advantage_A[actions], spread_A[actions], stats_AS[actions, WORKED])

    def forget(self, contexts: list[str]) -> None:
        """Drops the feedback on ``contexts``: it has been taught, and counting it again would double it."""
        self.sums.clear(contexts)
