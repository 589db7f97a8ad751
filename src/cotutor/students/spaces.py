"""What guidance needs to know of a Stable-Baselines3 student's spaces."""

from typing import Any

import gymnasium as gym

from cotutor.errors import UserError


def count_actions(space: gym.Space[Any]) -> int:
    """Returns the number of actions.

    Raises:
        UserError: The actions are not discrete.
    """
    if not isinstance(space, gym.spaces.Discrete):
        raise UserError(
            f"Action advice needs a Discrete action space, not {type(space).__name__}: cotutor.enumerated(env) makes "
            "one of MultiDiscrete and MultiBinary ones; of a continuous one, offer some actions that make sense."
        )
    return int(space.n)


def entries(space: gym.Space[Any]) -> dict[str, gym.spaces.Box]:
    """Returns the entries of a Dict observation space of boxes, by name.

    Raises:
        UserError: The observation is something else.
    """
    boxes = dict(space.spaces) if isinstance(space, gym.spaces.Dict) else {}
    named = {name: box for name, box in boxes.items() if isinstance(box, gym.spaces.Box)}
    if not named or len(named) < len(boxes):
        raise UserError("Guidance needs a Dict observation space whose entries are all boxes: see cotutor.make_envs.")
    return named
