"""Statistics against rliable, scipy and cases computed by hand."""

from math import inf

import numpy as np
import pytest
from rliable import library, metrics
from scipy.stats import mannwhitneyu, norm

from cotutor.compare.kept import Curve
from cotutor.compare.statistics import (
    area,
    compare,
    difference,
    estimate,
    frames_to,
    iqm,
    iqm_band,
    median_of,
    permutation_p,
    probability,
    seconds_to,
    stratified_iqm,
)
from tests.compare.made import made_run


def curve(frames: list[int], success: list[float | None], seconds: list[float] | None = None) -> Curve:
    rest = [None] * len(frames)
    return Curve(frames, seconds or [float(f) for f in frames], success, rest, rest, rest, rest, rest)  # type: ignore[arg-type]


def test_the_interquartile_mean_by_hand() -> None:
    assert iqm([0.0, 1.0, 2.0, 3.0, 100.0]) == pytest.approx(2.0)
    assert iqm([5.0, 1.0, 3.0, 100.0]) == pytest.approx(4.0)
    assert iqm([[0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 4.0, 9.0]]) == pytest.approx([1.5, 2.0])


def test_interquartile_mean_and_probability_are_those_of_rliable() -> None:
    random = np.random.default_rng(0)
    first, second = random.random((10, 3)), random.random((8, 3))
    assert stratified_iqm(*first.T) == pytest.approx(metrics.aggregate_iqm(first))
    ours = np.mean([probability(first[:, task], second[:, task]) for task in range(3)])
    assert ours == pytest.approx(metrics.probability_of_improvement(first, second))


def test_the_stratified_interval_is_that_of_rliable() -> None:
    scores = np.random.default_rng(1).random((10, 3)) ** 2
    np.random.seed(0)
    _, intervals = library.get_interval_estimates(
        {"ours": scores}, lambda runs: np.array([metrics.aggregate_iqm(runs)]), reps=4000
    )
    (low,), (high,) = intervals["ours"]
    found = estimate(stratified_iqm, *scores.T)
    width = high - low
    assert found.low == pytest.approx(low, abs=0.1 * width)
    assert found.high == pytest.approx(high, abs=0.1 * width)
    assert found.n == 10


def test_probability_is_mann_and_whitneys_u_with_ties() -> None:
    random = np.random.default_rng(2)
    first, second = random.integers(0, 4, 7).astype(float), random.integers(0, 4, 5).astype(float)
    assert probability(first, second) == pytest.approx(mannwhitneyu(first, second).statistic / 35)
    assert probability(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == pytest.approx(0.125)


def test_runs_that_never_got_there_are_ties_among_each_other_and_later_than_all_others() -> None:
    ours, theirs = -np.array([100.0, 300.0, inf]), -np.array([200.0, inf, inf])
    assert probability(ours, theirs) == pytest.approx((3 + 2 + 1) / 9)
    assert median_of([100.0, inf, 300.0]) == (300.0, 2)
    assert median_of([100.0, inf, inf]) == (inf, 1)
    assert median_of([100.0, inf]) == (inf, 1)


def test_the_permutation_test_is_exact() -> None:
    """All 252 ways to split ten runs in two: the two most extreme of them are as extreme as this one."""
    first, second = np.arange(5.0, 10.0), np.arange(0.0, 5.0)
    assert permutation_p(first, second) == pytest.approx(2 / 252)
    assert permutation_p(first[:1], second) == 1.0


def test_a_95_percent_interval_of_twenty_runs_covers_and_of_five_covers_less() -> None:
    """Why a claim needs the permutation test beside the interval."""
    random = np.random.default_rng(3)
    covered = {}
    for runs in (5, 20):
        found = [estimate(iqm, random.normal(size=runs), seed=i) for i in range(300)]
        covered[runs] = np.mean([entry.low <= 0.0 <= entry.high for entry in found])
    assert covered[20] >= 0.89
    assert 0.7 <= covered[5] < covered[20] + 0.03


def test_where_nothing_differs_hardly_anything_is_claimed() -> None:
    random = np.random.default_rng(4)
    claims = [
        compare("task", "area", "a", "b", {"a": random.normal(size=5).tolist(), "b": random.normal(size=5).tolist()})
        for _ in range(200)
    ]
    claimed = np.mean([claim.verdict in ("ahead", "behind") for claim in claims])
    assert claimed <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)


def test_verdicts() -> None:
    high, low = [0.9, 0.91, 0.92, 0.93, 0.94], [0.5, 0.51, 0.52, 0.53, 0.54]
    values = {"high": high, "low": low, "few": high[:4], "wide": [0.1, 0.95, 0.96, 0.97, 0.5]}
    assert compare("t", "pair", "high", "low", values).verdict == "ahead"
    assert compare("t", "pair", "low", "high", values).verdict == "behind"
    assert compare("t", "pair", "few", "low", values).verdict == "too few runs"
    assert compare("t", "pair", "low", "few", values).verdict == "too few runs"
    assert compare("t", "pair", "high", "wide", values).verdict == "no difference shown"
    claim = compare("t", "pair", "high", "low", values)
    assert claim.difference.value == pytest.approx(0.4)
    assert claim.better.value == 1.0
    assert claim.p == pytest.approx(2 / 252)


def test_an_interval_needs_both_sides_resampled() -> None:
    random = np.random.default_rng(5)
    first, second = random.normal(size=30), random.normal(size=30)
    found = estimate(difference, first, second)
    error = np.sqrt(first.var(ddof=1) / 30 + second.var(ddof=1) / 30)
    assert found.high - found.low == pytest.approx(2 * norm.ppf(0.975) * error, rel=0.35)


def test_the_area_by_hand() -> None:
    """A straight rise from nothing to 1 over half of the budget, then 1: 0.25 + 0.5."""
    assert area(curve([500, 1000], [1.0, 1.0]), 1000) == pytest.approx(0.75)
    assert area(curve([500, 1000], [None, 1.0]), 1000) == pytest.approx(0.25)
    assert area(curve([500, 1000, 1500], [1.0, 1.0, 0.0]), 1000) == pytest.approx(0.75)
    assert area(curve([400, 800], [0.0, 1.0]), 600) == pytest.approx(0.5 * 200 * 0.5 / 600)
    assert area(curve([500], [1.0]), 1000) == pytest.approx(0.75)


def test_bands_are_intervals_point_by_point() -> None:
    values_NP = np.random.default_rng(6).random((6, 4))
    middle_P, low_P, high_P = iqm_band(values_NP)
    assert middle_P == pytest.approx([float(iqm(values_NP[:, point])) for point in range(4)])
    assert np.all((low_P <= middle_P) & (middle_P <= high_P))
    flat = iqm_band(np.full((5, 2), 0.3))
    assert all(end == pytest.approx([0.3, 0.3]) for end in flat)


def test_frames_are_the_summarys_and_seconds_lie_between_rounds() -> None:
    run = made_run("t", "m", 0, frames_to={"0.9": 1536, "0.95": None})
    assert (frames_to(run, 0.9), frames_to(run, 0.95)) == (1536.0, inf)
    assert seconds_to(run, 0.9) == pytest.approx(run.curve.seconds[0] * 1.5)
    assert seconds_to(run, 0.95) == inf
