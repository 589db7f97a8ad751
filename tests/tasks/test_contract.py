"""A check tells what a task breaks, and lets those pass that break nothing."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from cotutor.errors import UserError
from cotutor.tasks import Task, make_task
from cotutor.tasks.contract import check_contract
from cotutor.types import Option

PURITY = "the context depends on the observation alone"
LIMITS = "a time limit cuts an episode and does not terminate it"


class Corridor(gym.Env[Any, Any]):
    """Four places in a row; the last one is the goal. It ends after eight steps at the latest."""

    observation_space: gym.Space[Any] = gym.spaces.Discrete(4)
    action_space: gym.Space[Any] = gym.spaces.Discrete(2)
    late = "truncated"
    drawn = np.random.default_rng()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.place, self.steps = 0, 0
        return self.place, {}

    def step(self, action: int):
        self.steps += 1
        self.place = max(0, self.place + (1 if action == 1 and self.np_random.random() < 0.3 else -1))
        late = self.steps >= 8
        won = self.place == 3
        return (
            self.place,
            float(won),
            won or (late and self.late == "terminated"),
            late and self.late == "truncated",
            {},
        )


class Walk(Task):
    actions = ("go back", "go on")

    def __init__(self, world: Callable[[], gym.Env[Any, Any]] = Corridor) -> None:
        self.world = world

    def make_env(self) -> gym.Env[Any, Any]:
        return self.world()

    def describe(self, observation: int) -> str:
        return f"You are at place {observation}."


def broken(task: Task) -> dict[str, str]:
    task.name = "walk"
    return {finding.point: finding.broken for finding in check_contract(task, 200) if finding.broken}


@pytest.mark.parametrize("name", ["babyai:PutNextLocal", "minigrid:DoorKey-5x5", "toy:FrozenLake", "varied:Fetch2"])
def test_shipped_tasks_keep_it(name: str):
    assert [finding for finding in check_contract(make_task(name), 300) if finding.broken] == []


def test_a_small_task_keeps_it():
    assert broken(Walk()) == {}


def test_observations_must_be_in_their_space():
    class Larger(Corridor):
        def __init__(self) -> None:
            super().__init__()
            self.observation_space = gym.spaces.Discrete(1)

    found = broken(Walk(Larger))
    assert "is not in the environment's Discrete(1)" in found["observations and arrays are in their spaces"]


def test_an_environment_that_cannot_be_made_is_said():
    class Needy(Walk):
        def make_env(self, seed):  # pyright: ignore
            return Corridor()

    with pytest.raises(UserError, match="cannot make its environment: TypeError"):
        broken(Needy())


def test_what_is_told_must_be_in_the_observation():
    class Peeping(Walk):
        def make_env(self):
            self.env = Corridor()
            return self.env

        def describe(self, observation: int) -> str:
            return f"You are at place {observation} after {self.env.steps} steps."

    assert PURITY in broken(Peeping())


def test_an_observation_must_not_be_changed_by_telling_it():
    class Box(Walk):
        def make_env(self):
            return gym.wrappers.TransformObservation(
                Corridor(), lambda place: np.array([place]), gym.spaces.Box(0, 3, (1,), dtype=np.int64)
            )

        def describe(self, observation: Any) -> str:
            observation += 1
            return f"You are at place {observation[0]}."

        def arrays(self, observation: Any):
            return {"place": np.asarray(observation, dtype=np.float32)}

        def array_spaces(self) -> dict[str, gym.Space[Any]]:
            return {"place": gym.spaces.Box(0, 3, (1,), dtype=np.float32)}

    assert broken(Box()) == {}, "a text that is always wrong by one is still a function of the observation"

    class Remembering(Box):
        told = 0

        def describe(self, observation: Any) -> str:
            self.told += 1
            return f"You are at place {observation[0]}, told {self.told} times."

    assert PURITY in broken(Remembering())


@pytest.mark.parametrize(
    ("actions", "space", "words"),
    [
        (("go back", "go on", "jump"), gym.spaces.Discrete(2), "names 3 actions, and the environment has 2"),
        (("go back", "go on"), gym.spaces.Discrete(2, start=1), "begin at 1"),
        (("go back", "go on"), gym.spaces.MultiDiscrete([2, 2]), "cotutor.enumerated"),
        (("go back", "go on"), gym.spaces.Box(-1, 1), "must be Discrete"),
    ],
)
def test_actions_must_be_those_of_the_environment(actions, space, words):
    class Acting(Corridor):
        action_space = space

    task = Walk(Acting)
    task.actions = actions
    (finding,) = broken(task).values()
    assert words in finding


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((Option("go on", 1), Option("go on", 0)), "offered twice"),
        ((Option("go on", 1), Option("fly", 2)), "'fly' is action 2, which there is not"),
    ],
)
def test_options_must_be_actions(options, words):
    class Offering(Walk):
        # the environment must not be asked to do what it cannot do
        def make_env(self):
            return gym.wrappers.TransformAction(Corridor(), lambda action: int(action) % 2, gym.spaces.Discrete(2))

        def options(self, context: str) -> tuple[Option, ...]:
            return options

    (finding,) = broken(Offering()).values()
    assert words in finding


def test_nothing_may_be_drawn_but_from_the_seed():
    class Unseeded(Corridor):
        def step(self, action: int):
            return super().step(int(self.drawn.integers(2)))

    assert "seed" in broken(Walk(Unseeded))["the same seed and actions give the same episode"]


def test_a_time_limit_is_no_end():
    class Late(Corridor):
        late = "terminated"

    assert "after 8 steps" in broken(Walk(Late))[LIMITS]


def test_an_episode_must_end():
    class Endless(Corridor):
        late = "never"

        def step(self, action: int):
            return super().step(0)

    assert "TimeLimit" in broken(Walk(Endless))["episodes end"]


def test_a_text_must_fit_and_arrays_must_be_in_their_spaces():
    class Long(Walk):
        max_words = 4

        def arrays(self, observation: int):
            return {"place": np.array([observation], dtype=np.float64)}

        def array_spaces(self) -> dict[str, gym.Space[Any]]:
            return {"place": gym.spaces.Box(0, 1, (1,), dtype=np.float32)}

    found = broken(Long())
    assert "has 5 words, and max_words is 4" in found["the student can read the whole of it"]
    assert "place float64 (1,)" in found["observations and arrays are in their spaces"]


@pytest.mark.parametrize("told", [None, "  "])
def test_a_context_is_a_text(told):
    class Silent(Walk):
        def describe(self, observation: int) -> str:
            return told  # pyright: ignore

    with pytest.raises(UserError, match="say a text"):
        broken(Silent())


def test_what_goes_wrong_in_describing_is_told_with_the_observation():
    class Failing(Walk):
        def describe(self, observation: Any) -> str:
            return observation["place"]

    with pytest.raises(UserError, match="cannot describe the observation 0: TypeError"):
        broken(Failing())
