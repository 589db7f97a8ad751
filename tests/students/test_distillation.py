"""Distillation teaches the student without prior what is advised."""

import numpy as np

from cotutor.students.distillation import Distillation
from cotutor.students.guidance import PRIOR, policy_probabilities
from tests.students.test_guidance import ACTIONS, guided


def distilled(trust: float, steps: int = 60) -> np.ndarray:
    guide, model = guided(trust=0.0)
    observations = guide.reset()
    distillation = Distillation(model.policy, capacity=64, learning_rate=3e-3, batch_size=32, seed=0)
    distillation.remember(observations, [str(i) for i in range(len(observations[PRIOR]))])
    distillation.train(lambda context: (np.eye(ACTIONS)[int(context) % 3], trust), steps=steps)
    return policy_probabilities(model.policy, {**observations, PRIOR: np.zeros_like(observations[PRIOR])})


def test_the_student_learns_the_advice_on_each_state():
    probabilities = distilled(trust=1.0)
    assert probabilities.argmax(axis=1).tolist() == [0, 1, 2, 0]


def test_advice_that_is_not_trusted_teaches_nothing():
    assert np.ptp(distilled(trust=0.0)) < 0.2


def test_advice_that_is_trusted_little_moves_the_student_little():
    """Adam alone would take the same step whatever the scale of the loss."""
    start = distilled(trust=0.0)
    little, much = (np.abs(distilled(trust, steps=4) - start).max() for trust in (0.05, 1.0))
    assert 0 < little < 0.15 * much
