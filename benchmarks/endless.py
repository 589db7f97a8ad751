"""A small fast world in which no context ever comes back: the worst that can happen to what is remembered."""

from typing import Any

import gymnasium as gym
import numpy as np

from cotutor.tasks.base import Task

STEPS = 4
TICKETS = 2**40


class EndlessEnv(gym.Env[Any, int]):
    """In each of a few steps the coin lies on one side; a step to the right side every time is rewarded at the end."""

    observation_space = gym.spaces.Box(0, TICKETS, (2,), dtype=np.float64)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.right = self.taken = 0
        return self._observe(), {}

    def step(self, action: int):
        self.right += int(action == self.side)
        self.taken += 1
        ended = self.taken == STEPS
        return self._observe(), float(ended and self.right == STEPS), ended, False, {}

    def _observe(self):
        self.side = int(self.np_random.integers(2))
        return np.array([self.side, self.np_random.integers(TICKETS)], dtype=np.float64)


class Endless(Task):
    """The world in words: the side of the coin, and the number of a ticket that means nothing."""

    name = "endless"
    actions = ("go left", "go right")
    vocabulary = ("mission", "take", "the", "coin", "it", "is", "on", "left", "right")
    max_words = 12

    def make_env(self) -> gym.Env[Any, Any]:
        return EndlessEnv()

    def describe(self, observation: Any) -> str:
        side, ticket = observation
        return f"Mission: take the coin. It is on the {('left', 'right')[int(side)]}. Ticket {int(ticket)}."

    def arrays(self, observation: Any) -> dict[str, Any]:
        return {"observation": np.zeros(1, dtype=np.float32)}

    def array_spaces(self) -> dict[str, gym.Space[Any]]:
        return {"observation": gym.spaces.Box(-1, 1, (1,), dtype=np.float32)}
