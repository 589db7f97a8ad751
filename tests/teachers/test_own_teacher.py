"""Teachers of the user's own, found by name."""

import io

import numpy as np
import pytest
from rich.console import Console

from cotutor.config import PPOConfig, TrainConfig
from cotutor.errors import UserError
from cotutor.inspect import evaluate_run
from cotutor.tasks import make_task
from cotutor.teachers import make_teacher
from cotutor.train import train

OWN = """
from __future__ import annotations
from dataclasses import dataclass
import gymnasium as gym
import numpy as np
import cotutor


@dataclass
class Note:
    text: str


class Forward(cotutor.Teacher):
    def __init__(self, task, seed):
        self.task = task

    def score(self, questions):
        return [np.array([3.0 * ("forward" in option.phrase) for option in q.options]) for q in questions]


class Here(cotutor.Task):
    actions = ("go forward", "stay")

    def make_env(self):
        return gym.make("MountainCar-v0")

    def describe(self, observation):
        return "Mission: none."


class Knowing(Forward):
    def __init__(self, task, seed):
        assert isinstance(task, Here)


class Lonely(Forward):
    def __init__(self):
        pass


nothing = 3
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "own_forward.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize("name", ["own_forward:Forward", "own_forward.py:Forward"])
@pytest.mark.usefixtures("here")
def test_a_teacher_that_only_scores_advises_the_softmax_and_is_its_own_reference(name):
    task = make_task("babyai:GoToRedBallNoDists")
    teacher = make_teacher(name, task)
    questions = [task.question("Mission: go to the red ball. The red ball is ahead.")]
    (advice_O,) = teacher.advice(questions, teacher.score(questions))
    forward = [option.phrase for option in questions[0].options].index("go forward")
    assert advice_O[forward] == pytest.approx(np.exp(3) / (np.exp(3) + 2))
    np.testing.assert_array_equal(teacher.reference(questions)[0], advice_O)


@pytest.mark.usefixtures("here")
def test_it_teaches_and_the_run_is_measured_again():
    config = TrainConfig(
        teacher="own_forward.py:Forward", frames=512, eval_episodes=8, teacher_eval_episodes=8, agreement_states=16,
        replays=0, ppo=PPOConfig(envs=4, steps=64),
    )  # fmt: skip
    folder, summary = train(config, Console(file=io.StringIO()))
    assert summary.contexts_asked > 0
    assert summary.teacher_updates == 0
    assert evaluate_run(folder.path, 8)["pair"].success == summary.pair_success


@pytest.mark.usefixtures("here")
def test_a_file_with_task_and_teacher_is_one_module():
    make_teacher("own_forward.py:Knowing", make_task("own_forward.py:Here"))


@pytest.mark.usefixtures("here")
def test_it_restates_no_missions():
    with pytest.raises(UserError, match="cannot restate"):
        make_teacher("own_forward.py:Forward", make_task("varied:Fetch2"), restate=True)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own_forward:Lonely", "cannot be made with task and seed"),
        ("own_forward:nothing", "no subclass of cotutor.Teacher"),
        ("own_forward:Backward", "There is no Backward"),
        ("nowhere.py:Forward", "cannot be imported"),
        ("own_backward:Forward", "There is no teacher"),
    ],
)
@pytest.mark.usefixtures("here")
def test_what_is_no_teacher_is_refused(name, words):
    with pytest.raises(UserError, match=words):
        make_teacher(name, make_task("babyai:GoToRedBallNoDists"))
