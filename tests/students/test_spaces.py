"""What guidance needs to know of spaces, and what it says of those that do not fit."""

import gymnasium as gym
import numpy as np
import pytest

from cotutor.errors import UserError
from cotutor.students.spaces import count_actions, entries

BOX = gym.spaces.Box(-1.0, 1.0, (2,), dtype=np.float32)


def test_discrete_actions_are_counted():
    assert count_actions(gym.spaces.Discrete(5)) == 5


@pytest.mark.parametrize("space", [BOX, gym.spaces.MultiDiscrete([2, 3])])
def test_other_actions_are_refused_with_what_would_do(space):
    with pytest.raises(UserError, match=f"not {type(space).__name__}: cotutor.enumerated"):
        count_actions(space)


@pytest.mark.parametrize("space", [BOX, gym.spaces.Dict(), gym.spaces.Dict(a=BOX, b=gym.spaces.Discrete(2))])
def test_observations_that_are_no_boxes_by_name_are_refused(space):
    with pytest.raises(UserError, match="Dict observation space"):
        entries(space)


def test_boxes_have_their_names():
    assert entries(gym.spaces.Dict(a=BOX)) == {"a": BOX}
