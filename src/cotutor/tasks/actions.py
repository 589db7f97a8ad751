"""Action spaces that are not numbered from 0 on, so numbered."""

from typing import Any

import gymnasium as gym
import numpy as np

from cotutor.errors import UserError


def enumerated(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """Returns the environment with its actions numbered from 0 on, as a task must have them.

    The actions of a MultiDiscrete space are its combinations, the last part changing fastest, which is the order of
    :func:`itertools.product` over the parts' names.

    Args:
        env: An environment with a Discrete, MultiDiscrete or MultiBinary action space.

    Raises:
        UserError: Its actions cannot be counted.
    """
    space = env.action_space
    if isinstance(space, gym.spaces.Discrete):
        start = int(space.start)
        return gym.wrappers.TransformAction(env, lambda action: action + start, gym.spaces.Discrete(int(space.n)))
    if isinstance(space, gym.spaces.MultiBinary):
        space = gym.spaces.MultiDiscrete(np.full(space.shape, 2))
    if not isinstance(space, gym.spaces.MultiDiscrete):
        raise UserError(
            f"The action space {space} cannot be counted: choose some of its actions that make sense, a few to some "
            "dozens, and let a gymnasium.wrappers.TransformAction turn their numbers into them."
        )
    shape, start = tuple(space.nvec.flatten()), space.start
    return gym.wrappers.TransformAction(
        env,
        lambda action: np.array(np.unravel_index(action, shape)).reshape(space.shape).astype(space.dtype) + start,
        gym.spaces.Discrete(int(np.prod(shape))),
    )
