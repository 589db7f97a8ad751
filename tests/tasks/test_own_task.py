"""Tasks of the user's own, found by name."""

import json
import os
import subprocess
import sys

import pytest

from cotutor.errors import UserError
from cotutor.tasks import SpokenEnv, make_task, task_names

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


class Silent(Slope):
    actions = ()


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


@pytest.fixture
def installed(here):
    """A package that offers tasks, as an installer leaves it behind."""
    told = here / "slopes-1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: slopes\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text(
        "[cotutor.tasks]\nslope = own_slope:Slope\ngone = own_slope:Gone\ntorn = torn_slope:Slope\n"
    )
    return here


def test_a_task_that_a_package_offers_is_found_and_learnt_by_its_name(installed, tmp_path):
    assert "slope" in task_names()
    assert make_task("slope").name == "slope"
    quick = "--method ppo --frames 64 --ppo.envs 2 --ppo.steps 32 --eval-episodes 1 --replays 0 --threads 1"
    command = [sys.executable, "-m", "cotutor", "train", "--task", "slope", "--run-dir", str(tmp_path / "run")]
    command += quick.split(" ")
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(installed)}, timeout=120, check=True)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["task"] == "slope"


@pytest.mark.parametrize("name", ["gone", "torn"])
def test_a_task_that_a_package_offers_but_does_not_have_is_refused_in_a_sentence(installed, name):
    with pytest.raises(UserError, match=f"The installed task {name} .* cannot be imported"):
        make_task(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:Slope", "There is no level called"),
        ("torn_slope.py:Slope", "cannot be imported"),
        ("absent.py:Slope", "cannot be imported"),
        ("own_slope:Hill", "There is no Hill in own_slope"),
        ("own_slope:nothing", "is no subclass of cotutor.Task"),
        ("own_slope:Silent", "does not name its actions"),
        ("own_slope:Needy", "cannot be made without arguments"),
        ("nothing at all", "There is no level called"),
    ],
)
def test_what_is_no_task_is_refused_in_a_sentence(here, name, message):
    with pytest.raises(UserError, match=message):
        make_task(name)
