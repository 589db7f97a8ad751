"""Trust: what following the advice is worth to this student, earned on feedback that the advice has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from cotutor.memory import ContextSums
from cotutor.stateful import Stateful
from cotutor.types import FloatArray


def gains(
    free_NA: FloatArray,
    advised_NA: FloatArray,
    acted_NA: FloatArray,
    actions: NDArray[np.int64],
    advantages: FloatArray,
) -> FloatArray:
    """Returns an unbiased sample of gain(c) = Σ_a (π_advised − f)(a|s) · A(s,a) for each of N steps.

    Only the action that was taken has a measured advantage, so the exact probabilities are divided by the probability
    with which it was taken (importance weighting). Weights are cut at 10, which biases towards no gain.

    Args:
        free_NA: The student's policy without the prior, shape (N, A).
        advised_NA: Its policy with the prior, shape (N, A).
        acted_NA: The policy that acted, shape (N, A).
        actions: The actions taken, shape (N,).
        advantages: Their advantages in units of the running scale, shape (N,).
    """
    steps = np.arange(len(actions))
    weight = (advised_NA - free_NA)[steps, actions] / acted_NA[steps, actions]
    return np.clip(weight, -10.0, 10.0) * advantages


def worth(mean: float, error: float, margin: float, caution: float = 0.0) -> float:
    """Returns max(0, 2·P(gain − caution·error > margin) − 1) for a gain that is normal about ``mean``.

    Args:
        mean: What the gain is estimated at.
        error: The standard error of that.
        margin: What the gain is to exceed.
        caution: Standard errors that are taken off first. With 0, noise about zero is worth something in one case of
            two, with 1 in one of six; but a teacher that is trusted only then comes too late (lab notes).
    """
    return max(0.0, 2.0 * float(ndtr((mean - margin) / max(error, 1e-9) - caution)) - 1.0)


@dataclass
class Evidence:
    """Decayed sums of the gain over steps, with the clustered variance of their total.

    Attributes:
        steps: Decayed number of steps.
        total: Decayed sum of gains.
        variance: Decayed sum over episodes of the squared deviation of an episode's total.
    """

    steps: float = 0.0
    total: float = 0.0
    variance: float = 0.0

    def add(self, gain_N: FloatArray, episode_N: NDArray[np.int64], decay: float) -> None:
        """Adds a rollout; ``episode_N`` says which steps belong to one episode and thus vary together."""
        centred_N = gain_N - gain_N.mean()
        _, cluster_N = np.unique(episode_N, return_inverse=True)
        self.steps = decay * self.steps + len(gain_N)
        self.total = decay * self.total + float(gain_N.sum())
        self.variance = decay**2 * self.variance + float((np.bincount(cluster_N, weights=centred_N) ** 2).sum())

    def forget(self, share: float) -> None:
        """Loses a share of the steps: the mean stays, and is less certain."""
        self.steps *= 1 - share
        self.total *= 1 - share
        self.variance *= 1 - share

    @property
    def mean(self) -> float:
        return self.total / max(self.steps, 1.0)

    @property
    def error(self) -> float:
        return float(np.sqrt(self.variance)) / max(self.steps, 1.0)


PSEUDO = np.array([2.0, 1.0, 1.0])
"""The sums of two episodes, one of return 0 and one of return 1."""

COLLAPSE_ERRORS = 2.0
"""Standard errors by which a return must have fallen by more than half before anything is forgotten for it."""


@dataclass(frozen=True, slots=True)
class Ended:
    """An episode that ended.

    Attributes:
        with_prior: Whether it acted with the prior.
        trial: Whether it was one of the trial.
        total: Its return.
    """

    with_prior: bool
    trial: bool
    total: float


def moments(episode_return: float) -> FloatArray:
    """Returns what an episode adds to the sums of an arm: (1, R, R²)."""
    return np.array([1.0, episode_return, episode_return**2])


def surely_less(lower: FloatArray, higher: FloatArray, margin: float, caution: float = 0.0) -> float:
    """Returns max(0, 2·P(the mean return of ``lower`` is below that of ``higher`` by more than the margin) − 1).

    It is 0 if one of them is empty. Two pseudo-episodes on either side keep a handful of episodes from deciding.

    Args:
        lower: Count, sum and sum of squares of returns.
        higher: The same of those that they are compared with.
        margin: The difference that is to be exceeded.
        caution: Standard errors that are taken off the difference first.
    """
    if not lower[0] or not higher[0]:
        return 0.0
    mean, variance = [], []
    for count, total, squares in (lower + PSEUDO, higher + PSEUDO):
        mean.append(total / count)
        variance.append((squares / count - (total / count) ** 2) / count)
    return worth(mean[1] - mean[0], float(np.sqrt(sum(variance))), margin, caution)


class Arms(Stateful):
    """The controlled trial inside training: returns of episodes with the prior and without, drawn at random.

    It measures what removing the advice costs *this* student, who has adapted to it, so it may only lower trust.

    Args:
        decay: Factor on what is remembered, once a round.
        margin: Loss of return that counts as none.
    """

    changes = ("stats",)

    def __init__(self, decay: float, margin: float) -> None:
        self.decay = decay
        self.margin = margin
        self.stats = {True: np.zeros(3), False: np.zeros(3)}

    def add(self, ended: Sequence[Ended]) -> None:
        """Ages what is remembered by one round and adds the episodes that ended in it."""
        self.forget(1 - self.decay)
        for episode in ended:
            self.stats[episode.with_prior] += moments(episode.total)

    def forget(self, share: float) -> None:
        """Loses a share of what is remembered."""
        for stats in self.stats.values():
            stats *= 1 - share

    def ceiling(self) -> float:
        """Returns 1 − max(0, 2·P(the student alone is as good, up to the margin) − 1); 1 while an arm is empty."""
        advised, alone = self.stats[True], self.stats[False]
        return 1.0 - surely_less(advised, alone, -self.margin)


class Trust(Stateful):
    """How much the advice is worth, in [0, 1]: over all contexts first, then per context for what speaks against it.

    Args:
        margin: δ, the gain (in units of the running scale) that advice must exceed to be worth following.
        shrinkage: Steps in one context that count as much as the gain over all contexts.
        decay: Factor on the evidence, once a round.
        trial_margin: Return that the student may lose by going without advice and still be said to need none.
    """

    changes = ("overall", "by_context", "arms", "trusting", "gain_spread")

    def __init__(self, margin: float, shrinkage: float, decay: float, trial_margin: float) -> None:
        self.margin = margin
        self.shrinkage = shrinkage
        self.decay = decay
        self.overall = Evidence()
        self.by_context = ContextSums(2)
        self.arms = Arms(decay, trial_margin)
        self.trusting = np.zeros(3)
        self.gain_spread = 1.0

    def add_episodes(self, ended: Sequence[Ended]) -> None:
        """Takes the episodes that ended in a round.

        What was found out decays slowly, for teacher and student change slowly. If those who follow the advice as far
        as it is trusted suddenly return less than half of what they did, something else happened, and what was found
        out before says nothing any more: it is forgotten as surely as that.
        """
        now = np.zeros(3)
        for episode in ended:
            if episode.with_prior and not episode.trial:
                now += moments(episode.total)
        count, total, _ = self.trusting + PSEUDO
        lost = surely_less(now, self.trusting, abs(total / count) / 2, COLLAPSE_ERRORS)
        self.overall.forget(lost)
        self.by_context.age(1 - lost)
        self.arms.forget(lost)
        self.trusting = (1 - lost) * self.decay * self.trusting + now
        self.arms.add(ended)

    def judge(self, contexts: list[str], gain_N: FloatArray, episode_N: NDArray[np.int64]) -> None:
        """Adds the gains of N advised steps of a rollout that the advice had not seen when it was given."""
        self.by_context.age(self.decay)
        self.overall.add(gain_N, episode_N, self.decay)
        self.gain_spread = float(gain_N.std())
        self.by_context.add(contexts, np.stack([np.ones_like(gain_N), gain_N], axis=1))

    @property
    def earned(self) -> float:
        """Trust over all contexts that the gain has earned; zero before any evidence."""
        if self.overall.steps == 0.0:
            return 0.0
        return worth(self.overall.mean, self.overall.error, self.margin)

    @property
    def value(self) -> float:
        """Trust over all contexts: what the gain has earned, lowered by the trial."""
        return self.earned * self.arms.ceiling()

    def of(self, context: str) -> float:
        """Returns the trust in the advice of one context, never above that over all contexts."""
        stats = self.by_context.of(context)
        if stats is None:
            return self.value
        steps, total = stats
        count = steps + self.shrinkage
        mean = (total + self.shrinkage * self.overall.mean) / count
        error = self.gain_spread / np.sqrt(count)
        against = float(ndtr((self.margin - mean) / max(error, 1e-9)))
        return self.value * min(1.0, 2.0 * (1.0 - against))
