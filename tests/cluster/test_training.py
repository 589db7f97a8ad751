"""A run of which parts are on a cluster is the run that it would be here."""

import dataclasses
import itertools
from pathlib import Path

import pytest
from rich.console import Console
from tests.runs.test_checkpoint import outcome

from cotutor.cluster.actors import Replaceable
from cotutor.config import PlanConfig, PPOConfig, RayConfig, TrainConfig
from cotutor.errors import UserError
from cotutor.runs.checkpoint import whole
from cotutor.runs.folder import RunFolder
from cotutor.train import resume, train

SMALL = TrainConfig(
    method="mutual",
    teacher="bow",
    frames=4096,
    threads=1,
    eval_episodes=8,
    teacher_eval_episodes=4,
    agreement_states=8,
    replays=1,
    checkpoint_seconds=1.0,
    ppo=PPOConfig(envs=16, steps=32),
)
QUIET = Console(quiet=True)
ELSEWHERE = RayConfig(env_actors=4, teacher_actors=2)


def run(path, **changes):
    train(dataclasses.replace(SMALL, run_dir=path, **changes), QUIET)
    return outcome(path)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return run(tmp_path_factory.mktemp("here") / "run")


@pytest.mark.slow
def test_environments_and_teacher_elsewhere_change_nothing(cluster, here, tmp_path):
    assert run(tmp_path / "run", ray=ELSEWHERE) == here


@pytest.fixture
def at_calls(monkeypatch):
    """Lets something happen to an actor as a method is called for the n-th time, counted over all actors."""

    def happen(what, method, *numbers):
        begin, count = Replaceable.begin, itertools.count()

        def counting(self, *call):
            begin(self, *call)
            if call[0] == method and next(count) in numbers:
                what(self)

        monkeypatch.setattr(Replaceable, "begin", counting)

    return happen


def test_actors_that_are_lost_in_a_run_change_nothing(cluster, here, tmp_path, at_calls):
    lost = []

    def lose(actor):
        actor.ray.kill(actor.actor)
        lost.append(actor)

    at_calls(lose, "step", 100, 303)
    at_calls(lose, "do", 5, 12)
    assert run(tmp_path / "run", ray=ELSEWHERE) == here
    assert len(lost) == 4


@pytest.mark.slow
def test_a_run_with_parts_elsewhere_is_taken_up_again(cluster, here, tmp_path, at_calls):
    class CrashError(Exception):
        pass

    def crash(actor):
        raise CrashError

    path = tmp_path / "run"
    at_calls(crash, "step", 700)
    with pytest.raises(CrashError):
        run(path, ray=ELSEWHERE, checkpoint_seconds=0.01)
    assert whole(RunFolder(path))
    resume(path, QUIET)
    assert outcome(path) == here


def test_what_is_the_users_own_is_found_in_the_working_folder(cluster, tmp_path, monkeypatch):
    """A task and a teacher in files that no actor could import, and that are named relative to where one is."""
    examples = Path(__file__).parents[2] / "examples"
    monkeypatch.chdir(examples)
    own = {"task": "kitchen.py:Kitchen", "teacher": "own_teacher.py:Overlap", "frames": 512}
    measured = {"eval_episodes": 1, "teacher_eval_episodes": 1, "replays": 0}
    actors = RayConfig(env_actors=2, teacher_actors=1)
    elsewhere = run(tmp_path / "run", **own, **measured, ray=actors)
    assert elsewhere == run(tmp_path / "here", **own, **measured)


def test_what_cannot_be_elsewhere_is_told(cluster, tmp_path):
    for changes, said in (
        ({"teacher": "oracle", "ray": RayConfig(env_actors=2)}, "step them here"),
        ({"teacher": "oracle", "method": "annealed", "ray": RayConfig(env_actors=2)}, "step them here"),
        ({"teacher": "oracle", "ray": RayConfig(teacher_actors=1)}, "can only be in this process"),
        ({"teacher": "nowhere.py:Teacher", "ray": RayConfig(teacher_actors=1)}, "cannot be imported"),
        ({"method": "llm-policy", "ray": RayConfig(env_actors=2)}, "leave out --ray"),
        ({"method": "llm-policy", "ray": RayConfig(teacher_actors=2)}, "leave out --ray"),
        ({"plans": PlanConfig(enabled=True), "ray": RayConfig(teacher_actors=2)}, "leave out --ray"),
    ):
        with pytest.raises(UserError, match=said):
            run(tmp_path / "run", **changes)
