"""A tiny language model with random weights, and a world of two contexts."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from cotutor.tasks.base import Task
from cotutor.types import Option
from tests.tiny import save_tiny

COLOURS = ("red", "blue")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """With more threads, tests crawl while anything else keeps a core busy: operations wait for the slowest."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A model whose tokens are words."""
    words = ["?", "the", "lamp", "is", "press", "push", "left", "right", "now", "Next", "action", ":", "Ċ", *COLOURS]
    return save_tiny(tmp_path_factory.mktemp("tiny"), words)


class LampEnv(gym.Env):
    """One step: press left when the lamp is red, right when it is blue."""

    action_space = gym.spaces.Discrete(4)
    observation_space = gym.spaces.Dict({"colour": gym.spaces.Box(0, 1, (1,), dtype=np.int64)})

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.colour = int(self.np_random.integers(2))
        return self._observe(), {}

    def step(self, action):
        return self._observe(), float(action == self.colour), True, False, {}

    def _observe(self):
        return {"colour": np.array([self.colour])}


class Lamp(Task):
    """The world of two contexts; the fourth action has no phrase, the second has two."""

    name = "lamp"
    actions = ("left", "right", "wait", "explode")
    vocabulary = ("the", "lamp", "is", *COLOURS)
    max_words = 4
    has_expert = False

    def make_env(self):
        return LampEnv()

    def arrays(self, observation):
        return {"colour": observation["colour"]}

    def array_spaces(self):
        return dict(LampEnv.observation_space.spaces)

    def instruction(self, observation):
        return "the lamp"

    def describe(self, observation):
        return f"the lamp is {COLOURS[int(observation['colour'][0])]}"

    def options(self, context):
        return Option("press left", 0), Option("press right", 1), Option("push right now", 1), Option("push now", 2)


@pytest.fixture
def lamp() -> Lamp:
    return Lamp()
