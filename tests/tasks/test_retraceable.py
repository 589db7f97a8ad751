"""An environment brought back is where it was, and goes on alike, through the resets to come."""

import numpy as np
import pytest

from cotutor.runs.state import capture, restore
from cotutor.tasks import make_task
from cotutor.tasks.base import SpokenEnv


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    "name", ["babyai:GoToLocal", "babyai:UnlockLocal", "minigrid:Dynamic-Obstacles-6x6", "varied:Fetch2", "toy:Taxi"]
)
def test_a_fresh_environment_does_it_again(name):
    task, random = make_task(name), np.random.default_rng(3)
    env = SpokenEnv(task, "text")
    told, _ = env.reset(seed=11)
    for _ in range(150):
        told, _, terminated, truncated, _ = env.step(int(random.integers(env.action_space.n)))
        if terminated or truncated:
            told, _ = env.reset()
    tensors = {}
    captured = capture(env, tensors)
    fresh = SpokenEnv(task, "text")
    fresh.reset(seed=99)
    restore(fresh, captured, tensors)
    assert same(fresh.retrace(), told)
    for _ in range(150):
        action = int(random.integers(env.action_space.n))
        (one, *said, _), (other, *also, _) = env.step(action), fresh.step(action)
        assert same(one, other) and said == also
        if said[1] or said[2]:
            assert same(env.reset()[0], fresh.reset()[0])
