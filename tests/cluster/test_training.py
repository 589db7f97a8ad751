"""A run of which parts are on a cluster is the run that it would be here."""

import dataclasses
import itertools

import pytest
from rich.console import Console
from tests.runs.test_checkpoint import outcome

from cotutor.cluster.actors import Replaceable
from cotutor.config import PPOConfig, RayConfig, TrainConfig
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
    """Lets something happen to an actor as it is called for the n-th time, counted over all actors."""

    def happen(what, *numbers):
        begin, count = Replaceable.begin, itertools.count()

        def counting(self, *call):
            begin(self, *call)
            if next(count) in numbers:
                what(self)

        monkeypatch.setattr(Replaceable, "begin", counting)

    return happen


def test_actors_that_are_lost_in_a_run_change_nothing(cluster, here, tmp_path, at_calls):
    lost = []

    def lose(actor):
        actor.ray.kill(actor.actor)
        lost.append(actor.kind)

    at_calls(lose, 100, 151, 302, 602)
    assert run(tmp_path / "run", ray=ELSEWHERE) == here
    assert len(lost) == 4


@pytest.mark.slow
def test_a_run_with_parts_elsewhere_is_taken_up_again(cluster, here, tmp_path, at_calls):
    class CrashError(Exception):
        pass

    def crash(actor):
        raise CrashError

    path = tmp_path / "run"
    at_calls(crash, 700)
    with pytest.raises(CrashError):
        run(path, ray=ELSEWHERE, checkpoint_seconds=0.01)
    assert whole(RunFolder(path))
    resume(path, QUIET)
    assert outcome(path) == here


def test_what_cannot_be_elsewhere_is_told(cluster, tmp_path):
    for changes, said in (
        ({"teacher": "oracle", "ray": RayConfig(env_actors=2)}, "step them here"),
        ({"teacher": "oracle", "method": "annealed", "ray": RayConfig(env_actors=2)}, "step them here"),
        ({"method": "llm-policy", "ray": RayConfig(env_actors=2)}, "leave out --ray.env-actors"),
        ({"method": "llm-policy", "ray": RayConfig(teacher_actors=2)}, "leave out --ray.teacher-actors"),
    ):
        with pytest.raises(UserError, match=said):
            run(tmp_path / "run", **changes)
