"""Trust: what following the advice is worth to this student, earned on feedback that the advice has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

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


def worth(mean: FloatArray, error: FloatArray, margin: float) -> FloatArray:
    """Returns max(0, 2·P(gain > margin) − 1) for a gain that is normal about ``mean`` with standard ``error``."""
    return np.maximum(0.0, 2.0 * norm.cdf((mean - margin) / np.maximum(error, 1e-9)) - 1.0)


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

    @property
    def mean(self) -> float:
        return self.total / max(self.steps, 1.0)

    @property
    def error(self) -> float:
        return float(np.sqrt(self.variance)) / max(self.steps, 1.0)


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
        # two pseudo-episodes an arm (one of return 0, one of return 1) keep a handful of episodes from deciding
        self.stats = {True: np.zeros(3), False: np.zeros(3)}

    def add(self, ended: Sequence[tuple[bool, float]]) -> None:
        """Ages what is remembered by one round and adds (with prior?, return) of the episodes that ended in it."""
        for stats in self.stats.values():
            stats *= self.decay
        for advised, episode_return in ended:
            self.stats[advised] += (1.0, episode_return, episode_return**2)

    def ceiling(self) -> float:
        """Returns 1 − max(0, 2·P(the student alone is as good, up to the margin) − 1); 1 while an arm is empty."""
        if any(stats[0] == 0.0 for stats in self.stats.values()):
            return 1.0
        moments = []
        for advised in (True, False):
            count, total, squares = self.stats[advised] + (2.0, 1.0, 1.0)
            mean = total / count
            moments.append((mean, (squares / count - mean**2) / count))
        (advised_mean, advised_variance), (alone_mean, alone_variance) = moments
        error = np.sqrt(max(advised_variance + alone_variance, 1e-9))
        return 1.0 - float(worth(np.array(alone_mean - advised_mean), np.array(error), -self.margin))


class Trust(Stateful):
    """How much the advice is worth, in [0, 1]: over all contexts first, then per context for what speaks against it.

    Args:
        margin: δ, the gain (in units of the running scale) that advice must exceed to be worth following.
        shrinkage: Steps in one context that count as much as the gain over all contexts.
        decay: Factor on the evidence, once a round.
        trial_margin: Return that the student may lose by going without advice and still be said to need none.
    """

    changes = ("overall", "by_context", "arms", "gain_spread")

    def __init__(self, margin: float, shrinkage: float, decay: float, trial_margin: float) -> None:
        self.margin = margin
        self.shrinkage = shrinkage
        self.decay = decay
        self.overall = Evidence()
        self.by_context: dict[str, FloatArray] = {}
        self.arms = Arms(decay, trial_margin)
        self.gain_spread = 1.0

    def judge(self, contexts: list[str], gain_N: FloatArray, episode_N: NDArray[np.int64]) -> None:
        """Adds the gains of N advised steps of a rollout that the advice had not seen when it was given."""
        for stats in self.by_context.values():
            stats *= self.decay
        self.overall.add(gain_N, episode_N, self.decay)
        self.gain_spread = float(gain_N.std())
        for context, gain in zip(contexts, gain_N, strict=True):
            self.by_context.setdefault(context, np.zeros(2))[:] += (1.0, gain)

    @property
    def earned(self) -> float:
        """Trust over all contexts that the gain has earned; zero before any evidence."""
        if self.overall.steps == 0.0:
            return 0.0
        return float(worth(np.array(self.overall.mean), np.array(self.overall.error), self.margin))

    @property
    def value(self) -> float:
        """Trust over all contexts: what the gain has earned, lowered by the trial."""
        return self.earned * self.arms.ceiling()

    def of(self, context: str) -> float:
        """Returns the trust in the advice of one context, never above that over all contexts."""
        stats = self.by_context.get(context)
        if stats is None:
            return self.value
        steps, total = stats
        count = steps + self.shrinkage
        mean = (total + self.shrinkage * self.overall.mean) / count
        error = self.gain_spread / np.sqrt(count)
        against = float(norm.cdf((self.margin - mean) / max(error, 1e-9)))
        return self.value * min(1.0, 2.0 * (1.0 - against))
