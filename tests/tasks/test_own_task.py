"""Tasks of the user's own, found by name."""

import pytest

from cotutor.errors import UserError
from cotutor.tasks import SpokenEnv, make_task

OWN = """
import gymnasium as gym
import cotutor


class Slope(cotutor.Task):
    actions = ("push left", "do nothing", "push right")

    def make_env(self):
        return gym.make("MountainCar-v0")

    def describe(self, observation):
        side = "left" if observation[0] < -0.5 else "right"
        return f"Mission: get the car up the hill on the right. The car is on the {side} slope."

    def succeeded(self, reward, terminated):
        return terminated


class Needy(Slope):
    def __init__(self, more):
        self.more = more


nothing = 3
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "own_slope.py").write_text(OWN)
    (tmp_path / "torn_slope.py").write_text("class Slope(:")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["own_slope:Slope", "own_slope.py:Slope"])
def test_a_task_of_three_parts_is_found_in_a_module_or_a_file(here, name):
    task = make_task(name, positions="coarse", focus=True, memory=False)
    assert task.name == name
    env = SpokenEnv(task, "text")
    observation, info = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert observation["observation"].shape == (2,)
    assert info["context"].startswith("Mission: get the car up")
    assert [option.phrase for option in task.question(info["context"]).options] == list(task.actions)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:Slope", "There is no level called"),
        ("torn_slope.py:Slope", "cannot be imported"),
        ("absent.py:Slope", "cannot be imported"),
        ("own_slope:Hill", "There is no Hill in own_slope"),
        ("own_slope:nothing", "is no subclass of cotutor.Task"),
        ("own_slope:Needy", "cannot be made without arguments"),
        ("nothing at all", "There is no level called"),
    ],
)
def test_what_is_no_task_is_refused_in_a_sentence(here, name, message):
    with pytest.raises(UserError, match=message):
        make_task(name)
