"""Statistics of few runs, as Agarwal et al. 2021 (arXiv 2108.13264, the library rliable) recommend them.

Interquartile means instead of means or medians, bootstrap intervals that resample the runs of each group by themselves,
and the probability that a run of one method beats one of another. Departures: for a claim, the interval must leave out
zero *and* an exact permutation test must reject equality at 5%, because percentile intervals of five runs cover less
than they say (measured in the tests); intervals are not corrected for the number of comparisons.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isinf

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import permutation_test, trim_mean

from cotutor.compare.kept import Curve, KeptRun
from cotutor.types import FloatArray

RESAMPLES = 4000
FEWEST = 5
"""Runs of each side below which nothing is claimed."""
LEVEL = 0.05

Statistic = Callable[..., FloatArray]
"""Takes one array per group, runs along the last axis, and returns the statistic over the leading axes."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic with its 95% interval.

    Attributes:
        value: The statistic.
        low: Lower end.
        high: Upper end.
        n: Runs that it rests on; of the smallest group where there are several.
    """

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Claim:
    """The method in question against another one.

    Attributes:
        task: Name of the recipe's task.
        measure: What is compared ("area", "pair").
        subject: The method in question.
        other: The other one.
        difference: Difference of the interquartile means, subject minus other.
        better: Probability that a run of the subject is better than one of the other; ties count half.
        p: Two-sided p-value of the exact permutation test of equal means.
    """

    task: str
    measure: str
    subject: str
    other: str
    difference: Estimate
    better: Estimate
    p: float

    @property
    def verdict(self) -> str:
        """``too few runs``, ``ahead``, ``behind`` or ``no difference shown``."""
        if self.difference.n < FEWEST:
            return "too few runs"
        if self.difference.low <= 0.0 <= self.difference.high or self.p > LEVEL:
            return "no difference shown"
        return "ahead" if self.difference.value > 0 else "behind"


def iqm(runs: ArrayLike) -> FloatArray:
    """Returns the mean of the middle half along the last axis; n/4 runs, rounded down, are cut at either end."""
    return np.asarray(trim_mean(np.asarray(runs, dtype=np.float64), 0.25, axis=-1))


def difference(first: FloatArray, second: FloatArray) -> FloatArray:
    """Returns the difference of the interquartile means."""
    return iqm(first) - iqm(second)


def probability(first: FloatArray, second: FloatArray) -> FloatArray:
    """Returns P(a run of ``first`` > one of ``second``) + P(equal) / 2, which is Mann and Whitney's U / (n·m).

    With frames to a threshold (negated, infinite for a run that never gets there) this is Gehan's 1965 treatment of
    censoring: all runs are censored at the same budget, and two of those that never got there are a tie.
    """
    left, right = np.asarray(first)[..., :, None], np.asarray(second)[..., None, :]
    return ((left > right) + 0.5 * (left == right)).mean(axis=(-1, -2))


def estimate(statistic: Statistic, *groups: ArrayLike, seed: int = 0) -> Estimate:
    """Returns a statistic and its percentile-bootstrap interval; every group is resampled by itself (stratified).

    Args:
        statistic: Of one array per group.
        groups: The runs of each group, shape (n,).
        seed: Of the resampling.
    """
    arrays = [np.asarray(group, dtype=np.float64) for group in groups]
    random = np.random.default_rng(seed)
    resampled = [array[random.integers(0, len(array), (RESAMPLES, len(array)))] for array in arrays]
    low, high = np.quantile(statistic(*resampled), [0.025, 0.975], method="nearest")
    return Estimate(float(statistic(*arrays)), float(low), float(high), min(len(array) for array in arrays))


def iqm_band(values_NP: FloatArray, seed: int = 0) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Returns interquartile means of N runs at P points, and the ends of their pointwise 95% intervals, shape (P,)."""
    runs = len(values_NP)
    drawn = np.random.default_rng(seed).integers(0, runs, (RESAMPLES // 4, runs))
    low_P, high_P = np.quantile(iqm(values_NP[drawn].swapaxes(1, 2)), [0.025, 0.975], axis=0)
    return iqm(values_NP.T), low_P, high_P


def stratified_iqm(*strata: FloatArray) -> FloatArray:
    """Returns the interquartile mean over the runs of several tasks together."""
    return iqm(np.concatenate(strata, axis=-1))


def compare(task: str, measure: str, subject: str, other: str, values: Mapping[str, Sequence[float]]) -> Claim:
    """Returns what the runs of two methods say about their difference.

    Args:
        task: Name of the recipe's task.
        measure: What ``values`` are.
        subject: The method in question.
        other: The other one.
        values: The values of the runs of each method.
    """
    ours, theirs = (np.asarray(values[method], dtype=np.float64) for method in (subject, other))
    return Claim(
        task,
        measure,
        subject,
        other,
        estimate(difference, ours, theirs),
        estimate(probability, ours, theirs),
        permutation_p(ours, theirs),
    )


def permutation_p(first: FloatArray, second: FloatArray) -> float:
    """Returns the two-sided p-value of equal means; exact up to about 8 runs a side, else by 9,999 permutations."""
    if min(len(first), len(second)) < 2:
        return 1.0
    test = permutation_test(
        (first, second),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        vectorized=True,
        n_resamples=20_000,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)


def area(curve: Curve, budget: int) -> float:
    """Returns the area under the learning curve up to a budget, divided by it: mean success over the frames, in [0, 1].

    The curve is the success over the last 100 training episodes at the end of every round, joined by straight lines; it
    begins at zero, and is zero until 20 episodes have ended. After its end the last value holds.

    Args:
        curve: The run's curve.
        budget: Frames up to which the area is taken.
    """
    frames = np.array([0, *curve.frames], dtype=np.float64)
    success = np.array([0.0, *(value or 0.0 for value in curve.success)])
    inside = frames < budget
    x = np.append(frames[inside], budget)
    y = np.append(success[inside], np.interp(budget, frames, success))
    return float(np.trapezoid(y, x) / budget)


def frames_to(run: KeptRun, threshold: float) -> float:
    """Returns the frames until the success over the last 100 episodes reached a threshold, infinite if it never did."""
    frames = run.summary.frames_to_success[str(threshold)]
    return inf if frames is None else float(frames)


def seconds_to(run: KeptRun, threshold: float) -> float:
    """Returns the seconds of training until then, by interpolation between rounds, infinite if it never got there."""
    frames = frames_to(run, threshold)
    if isinf(frames):
        return inf
    return float(np.interp(frames, [0, *run.curve.frames], [0.0, *run.curve.seconds]))


def median_of(values: Sequence[float]) -> tuple[float, int]:
    """Returns the median, infinite where most runs are censored, and how many runs got there."""
    reached = [value for value in values if not isinf(value)]
    # a median between a finite and an infinite value is censored as well
    return float(np.median(values)), len(reached)
