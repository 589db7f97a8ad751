"""Feedback per (context, option): what the student measured while it acted, at no extra environment step."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cotutor.stateful import Stateful
from cotutor.types import Feedback, FloatArray, Question

VISITS, TOTAL, SQUARES, WORKED = range(4)
FORGOTTEN = 0.05
"""Visits that have decayed below this are dropped."""


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


class FeedbackMemory(Stateful):
    """Decayed visit counts and advantages per context and action; an option's feedback is that of its action.

    Args:
        actions: Number of actions of the environment (A).
        decay: Factor on everything remembered, once a round.
        shrinkage: k of the shrinkage n / (n + k) of a mean of n visits towards zero.
    """

    changes = ("rows", "stats_CAS")

    def __init__(self, actions: int, decay: float, shrinkage: float) -> None:
        self.decay = decay
        self.shrinkage = shrinkage
        self.rows: dict[str, int] = {}
        self.stats_CAS = np.zeros((256, actions, 4))

    def record(self, contexts: list[str], actions: NDArray[np.int64], advantages: FloatArray) -> None:
        """Ages what is remembered by one round and adds the steps of a rollout.

        Args:
            contexts: The context of each of N steps.
            actions: The action taken in each, shape (N,).
            advantages: Its advantage in units of the running scale, shape (N,).
        """
        self.stats_CAS *= self.decay
        rows = np.array([self.row(context) for context in contexts])
        added = np.stack([np.ones_like(advantages), advantages, advantages**2, advantages > 0], axis=1)
        np.add.at(self.stats_CAS, (rows, actions), added)

    def row(self, context: str) -> int:
        """Returns the row of ``context``, made now if it is new."""
        row = self.rows.setdefault(context, len(self.rows))
        if row == len(self.stats_CAS):
            self.stats_CAS = np.concatenate([self.stats_CAS, np.zeros_like(self.stats_CAS)])
        return row

    def visits(self, context: str) -> float:
        """Returns the decayed number of visits to ``context``, whatever was done there."""
        row = self.rows.get(context)
        return 0.0 if row is None else float(self.stats_CAS[row, :, VISITS].sum())

    def feedback(self, question: Question) -> Feedback:
        """Returns the feedback on every option; zeros where the context was never met.

        The advantage is taken relative to the visit-weighted mean of the context, or unvisited options would look
        best wherever the critic is too high.
        """
        row = self.rows.get(question.context)
        if row is None:
            return Feedback(*np.zeros((4, len(question.options))))
        stats_AS = self.stats_CAS[row]
        visits_A = stats_AS[:, VISITS]
        seen_A = np.maximum(visits_A, 1e-9)
        mean_A = stats_AS[:, TOTAL] / seen_A
        centre = stats_AS[:, TOTAL].sum() / max(visits_A.sum(), 1e-9)
        advantage_A = visits_A / (visits_A + self.shrinkage) * (mean_A - centre)
        spread_A = np.sqrt(np.maximum(stats_AS[:, SQUARES] / seen_A - mean_A**2, 0.0))
        actions = [option.action for option in question.options]
        return Feedback(visits_A[actions], advantage_A[actions], spread_A[actions], stats_AS[actions, WORKED])

    def forget(self, contexts: list[str]) -> None:
        """Drops the feedback on ``contexts``: it has been taught, and counting it again would double it."""
        self.stats_CAS[[self.rows[context] for context in contexts]] = 0.0

    def most_visited(self) -> list[str]:
        """Returns the contexts that have feedback, most visited first."""
        visits_C = self.stats_CAS[:, :, VISITS].sum(axis=1)
        known = [(visits_C[row], context) for context, row in self.rows.items() if visits_C[row] > 0]
        return [context for _, context in sorted(known, key=lambda item: (-item[0], item[1]))]


class Successes(Stateful):
    """Decayed counts of what was done in the episodes that succeeded, per context and action.

    An episode succeeded if its return is positive. Feedback on a choice vanishes once everybody makes it, for an
    advantage is relative to what is usually done; this is what remains of it.

    Args:
        actions: Number of actions of the environment (A).
        decay: Factor on everything counted, once a round.
    """

    changes = ("done", "running")

    def __init__(self, actions: int, decay: float) -> None:
        self.actions = actions
        self.decay = decay
        self.done: dict[str, FloatArray] = {}
        self.running: dict[int, list[tuple[str, int, float]]] = {}

    def record(
        self,
        contexts: Sequence[str],
        actions_N: NDArray[np.int64],
        rewards_N: FloatArray,
        episode_N: NDArray[np.int64],
        running_E: NDArray[np.int64],
    ) -> None:
        """Ages what is counted by one round and adds the episodes that ended in a rollout, if they succeeded.

        Args:
            contexts: The context of each of N steps.
            actions_N: The action taken in each.
            rewards_N: Its reward.
            episode_N: Number of its episode.
            running_E: Numbers of the episodes that go on.
        """
        aged = {context: counts_A * self.decay for context, counts_A in self.done.items()}
        self.done = {context: counts_A for context, counts_A in aged.items() if counts_A.sum() >= FORGOTTEN}
        for context, action, reward, episode in zip(contexts, actions_N, rewards_N, episode_N, strict=True):
            self.running.setdefault(int(episode), []).append((context, int(action), float(reward)))
        for episode in self.running.keys() - {int(episode) for episode in running_E}:
            steps = self.running.pop(episode)
            if sum(reward for _, _, reward in steps) > 0:
                for context, action, _ in steps:
                    # a context that comes again counts among the latest
                    counts_A = self.done.pop(context, np.zeros(self.actions))
                    counts_A[action] += 1.0
                    self.done[context] = counts_A

    def counts(self, question: Question) -> FloatArray:
        """Returns how often each option was chosen in a context, shape (O,)."""
        return self.done[question.context][[option.action for option in question.options]]

    def most_frequent(self) -> list[str]:
        """Returns the contexts, most frequent first; among equally frequent ones, in whole visits, the latest."""
        latest_first = [*self.done][::-1]
        return sorted(latest_first, key=lambda context: -round(float(self.done[context].sum())))
