"""An environment that can be brought back to where it was, whatever it is made of."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym

from cotutor.stateful import Stateful


class Retraceable(gym.Wrapper[Any, Any, Any, Any], Stateful):
    """Remembers how an episode began and what was done in it since, so that a fresh environment can do it again.

    Attributes:
        began: The seed with which the episode began, or the state of the environment's randomness before it.
        actions: What was done since.
    """

    changes = ("began", "actions")

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.began: int | Mapping[str, Any] = {}
        self.actions: list[Any] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        self.began = self.unwrapped.np_random.bit_generator.state if seed is None else seed
        self.actions = []
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any):
        self.actions.append(action)
        return self.env.step(action)

    def retrace(self) -> tuple[Any, dict[str, Any]]:
        """Does again what was done, and returns what an episode just begun or its last step gave: observation, info."""
        if isinstance(self.began, int):
            observation, info = self.env.reset(seed=self.began)
        else:
            self.unwrapped.np_random.bit_generator.state = self.began
            observation, info = self.env.reset()
        for action in self.actions:
            observation, _, _, _, info = self.env.step(action)
        return observation, info
