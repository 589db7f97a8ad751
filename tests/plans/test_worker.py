"""Segments and their advantages, and that the worker learns from them."""

import numpy as np
import pytest
from torch.nn import LayerNorm

from cotutor.config import PPOConfig, TrainConfig
from cotutor.plans.worker import Segment, Worker, advantages
from cotutor.students.encoder import Encoder
from cotutor.tasks.babyai import BabyAI


def test_advantages_are_the_sum_of_discounted_errors():
    rewards, values, last = [0.0, 0.5, 1.0], [0.2, 0.4, 0.1], 0.3
    gamma, lam = 0.9, 0.8
    errors = [
        reward + gamma * after - now for reward, after, now in zip(rewards, [*values[1:], last], values, strict=True)
    ]
    expected = [sum((gamma * lam) ** k * error for k, error in enumerate(errors[t:])) for t in range(3)]
    assert advantages(rewards, np.array([*values, last]), gamma, lam) == pytest.approx(expected)


def test_the_end_of_a_subgoal_cuts_what_comes_after_it():
    assert advantages([1.0], np.array([0.5]), 0.9, 1.0) == pytest.approx([0.5])
    assert advantages([1.0], np.array([0.5, 2.0]), 0.9, 1.0) == pytest.approx([1.0 + 0.9 * 2.0 - 0.5])


def test_the_worker_learns_what_pays():
    """An action that always pays is soon preferred."""
    task = BabyAI("babyai:GoToRedBallNoDists", memory=True)
    worker = Worker(task, TrainConfig(ppo=PPOConfig(envs=4, steps=32, batch_size=64)))
    env, draws = task.spoken("text"), np.random.default_rng(0)
    observation, _ = env.reset(seed=0)
    shares = []
    for _ in range(12):
        actions = []
        for _ in range(128):
            (action,) = worker.act([observation], [draws])
            attempt = Segment([observation])
            attempt.add(action, float(action == 3), None)
            worker.keep(attempt)
            actions.append(action)
        worker.learn()
        assert worker.segments == []
        shares.append(np.mean(np.array(actions) == 3))
    assert shares[0] < 0.35
    assert shares[-1] > 0.8
    assert worker.frames == 12 * 128


@pytest.mark.parametrize("layer_norm", [False, True])
def test_the_worker_normalises_its_features_if_the_student_does(layer_norm: bool):
    worker = Worker(BabyAI("babyai:GoToLocal", memory=True), TrainConfig(ppo=PPOConfig(layer_norm=layer_norm)))
    encoder = worker.ppo.policy.features_extractor
    assert isinstance(encoder, Encoder)
    assert any(isinstance(module, LayerNorm) for module in encoder.modules()) is layer_norm
