"""Trust against exact expectations and simulated truth."""

import numpy as np
import pytest
from scipy.stats import norm

from cotutor.trust import Arms, Ended, Evidence, Trust, gains, worth

FREE = np.array([0.5, 0.3, 0.2])
ADVISED = np.array([0.2, 0.2, 0.6])
ADVANTAGE = np.array([-1.0, 0.5, 1.0])


def simulated(steps: int, seed: int, acted: np.ndarray = FREE):
    random = np.random.default_rng(seed)
    actions = random.choice(3, size=steps, p=acted)
    noisy = ADVANTAGE[actions] + random.normal(0, 1, steps)
    return gains(np.tile(FREE, (steps, 1)), np.tile(ADVISED, (steps, 1)), np.tile(acted, (steps, 1)), actions, noisy)


@pytest.mark.parametrize("acted", [FREE, ADVISED])
def test_gain_is_unbiased_whoever_acted(acted):
    assert simulated(200_000, 0, acted).mean() == pytest.approx((ADVISED - FREE) @ ADVANTAGE, abs=0.02)


def test_worth_is_twice_the_probability_minus_one():
    mean, error, margin = 0.05, 0.03, 0.02
    probability = 1 - norm(mean, error).cdf(margin)
    assert worth(mean, error, margin) == pytest.approx(2 * probability - 1)
    assert worth(0.0, error, margin) == 0


def test_caution_takes_standard_errors_off_the_gain():
    noise = np.random.default_rng(0).normal(0, 0.1, 10_000)
    trusted = [np.mean([worth(gain, 0.1, 0.0, caution) > 0 for gain in noise]) for caution in (0.0, 1.0)]
    assert trusted == pytest.approx([1 / 2, 1 - norm.cdf(1)], abs=0.02)
    assert worth(0.2, 0.1, 0.0, caution=1.0) == pytest.approx(worth(0.1, 0.1, 0.0, caution=0.0))


def test_error_is_clustered_by_episode():
    gain = np.repeat(np.random.default_rng(0).normal(0, 1, 100), 20)
    clustered, single = Evidence(), Evidence()
    clustered.add(gain, np.repeat(np.arange(100), 20), 1.0)
    single.add(gain, np.arange(2000), 1.0)
    assert clustered.error == pytest.approx(np.sqrt(20) * single.error)
    means = [np.repeat(np.random.default_rng(i).normal(0, 1, 100), 20).mean() for i in range(400)]
    assert clustered.error == pytest.approx(np.std(means), rel=0.25)


def trust_after(gain: np.ndarray, context: str = "c") -> Trust:
    trust = Trust(margin=0.02, shrinkage=32, decay=1.0, trial_margin=0.02)
    trust.judge([context] * len(gain), gain, np.arange(len(gain)) // 10)
    return trust


def test_trust_starts_at_zero_and_is_earned():
    assert Trust(0.02, 32, 1.0, 0.02).value == 0
    assert trust_after(simulated(5000, 1)).earned > 0.95
    assert trust_after(-simulated(5000, 1)).earned == 0


def test_a_context_where_advice_harms_is_trusted_less_and_an_unknown_one_as_all():
    trust = trust_after(simulated(5000, 1))
    bad = -simulated(500, 2)
    trust.judge(["bad"] * len(bad), bad, np.arange(len(bad)) // 10)
    assert trust.of("bad") < 0.1 * trust.value
    assert trust.of("never seen") == trust.value


def test_noise_is_rarely_trusted():
    trusted = [trust_after(np.random.default_rng(i).normal(0, 1, 1000)).earned > 0.5 for i in range(100)]
    assert np.mean(trusted) < 0.2


def arms_of(advised: float, alone: float, count: int) -> Arms:
    arms = Arms(decay=1.0, margin=0.02)
    random = np.random.default_rng(0)
    arms.add([Ended(True, False, float(random.random() < advised)) for _ in range(count)])
    arms.add([Ended(False, True, float(random.random() < alone)) for _ in range(count)])
    return arms


def test_without_episodes_in_both_arms_the_trial_says_nothing():
    arms = Arms(decay=1.0, margin=0.02)
    arms.add([Ended(True, False, 0.0)] * 50)
    assert arms.ceiling() == 1.0


def test_the_trial_only_lowers_trust():
    assert arms_of(0.9, 0.3, 200).ceiling() > 0.99
    assert arms_of(0.3, 0.9, 200).ceiling() < 0.01
    assert arms_of(0.9, 0.3, 0).ceiling() == 1.0
    assert 0.0 <= arms_of(0.8, 0.8, 400).ceiling() <= 1.0


def test_evidence_that_was_forgotten_is_as_certain_as_that_of_fewer_steps():
    gain = np.random.default_rng(0).normal(0.1, 1, 10_000)
    forgotten, fewer = Evidence(), Evidence()
    forgotten.add(gain, np.arange(10_000), 1.0)
    forgotten.forget(0.9)
    fewer.add(gain[:1000], np.arange(1000), 1.0)
    assert forgotten.mean == pytest.approx(gain.mean())
    assert forgotten.error == pytest.approx(fewer.error, rel=0.05)


def trusting(returns: list[float]) -> list[Ended]:
    return [Ended(True, False, each) for each in returns]


def pair_that_returned(returns: list[float]) -> Trust:
    trust = trust_after(simulated(5000, 1))
    trust.add_episodes(trusting(returns))
    return trust


def test_evidence_is_forgotten_when_the_pair_suddenly_fails():
    trust = pair_that_returned([1.0] * 90 + [0.0] * 10)
    trust.add_episodes(trusting([0.0] * 20 + [1.0]))
    assert trust.overall.steps < 50
    assert trust.overall.error > 0.1
    assert trust.arms.stats[True][0] < 22


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ([1.0] * 100, [1.0] * 80 + [0.0] * 20),
        ([0.0] * 100, [0.0] * 100),
        ([0.0], [0.0] * 40),
        ([0.1] * 20, [0.0] * 40),
        ([1.0] * 95 + [0.0] * 5, [0.0, 0.0]),
        ([-90.0] * 50, [-20.0] * 50),
        ([], [0.0] * 9),
    ],
)
def test_evidence_is_kept_through_what_is_no_collapse(before, now):
    trust = pair_that_returned(before)
    trust.add_episodes([*trusting(now), *[Ended(False, True, 0.0)] * 100])
    assert trust.overall.steps == 5000


def test_that_trials_return_more_than_a_little_trust_does_is_no_collapse():
    trust = trust_after(simulated(5000, 1))
    trust.add_episodes([Ended(True, True, 1.0)] * 50)
    trust.add_episodes(trusting([0.1] * 50))
    assert trust.overall.steps == 5000
