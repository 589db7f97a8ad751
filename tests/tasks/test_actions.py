"""Actions are numbered from 0 on, in the order of their combinations."""

from itertools import product
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from cotutor import UserError, enumerated


class Echo(gym.Env[Any, Any]):
    """Keeps the actions that it is given."""

    observation_space = gym.spaces.Discrete(1)

    def __init__(self, action_space: gym.Space[Any]) -> None:
        self.action_space = action_space
        self.got: list[Any] = []

    def step(self, action: Any):
        assert self.action_space.contains(action), action
        self.got.append(np.asarray(action).tolist())
        return 0, 0.0, False, False, {}


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (gym.spaces.MultiDiscrete([2, 3]), [list(each) for each in product(range(2), range(3))]),
        (gym.spaces.MultiDiscrete([2, 2], start=[1, 5]), [[1, 5], [1, 6], [2, 5], [2, 6]]),
        (gym.spaces.MultiDiscrete(np.array([[2], [2]])), [[[0], [0]], [[0], [1]], [[1], [0]], [[1], [1]]]),
        (gym.spaces.MultiBinary(2), [[0, 0], [0, 1], [1, 0], [1, 1]]),
        (gym.spaces.Discrete(3, start=2), [2, 3, 4]),
    ],
)
def test_every_combination_has_its_number(space, expected):
    echo = Echo(space)
    env = enumerated(echo)
    assert env.action_space == gym.spaces.Discrete(len(expected))
    for action in range(len(expected)):
        env.step(action)
    assert echo.got == expected


def test_what_cannot_be_counted_is_refused_with_what_would_do():
    with pytest.raises(UserError, match="TransformAction"):
        enumerated(Echo(gym.spaces.Box(-1, 1)))
