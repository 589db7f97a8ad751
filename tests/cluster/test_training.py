"""A run of which parts are on a cluster is the run that it would be here."""

import dataclasses

import pytest
from rich.console import Console
from tests.runs.test_checkpoint import outcome

from cotutor.config import PPOConfig, RayConfig, TrainConfig
from cotutor.errors import UserError
from cotutor.train import train

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


def run(path, **changes):
    train(dataclasses.replace(SMALL, run_dir=path, **changes), QUIET)
    return outcome(path)


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return run(tmp_path_factory.mktemp("here") / "run")


def test_environments_and_teacher_elsewhere_change_nothing(cluster, here, tmp_path):
    assert run(tmp_path / "run", ray=RayConfig(env_actors=4, teacher_actors=2)) == here


def test_what_cannot_be_elsewhere_is_told(cluster, tmp_path):
    for changes, said in (
        ({"teacher": "oracle", "ray": RayConfig(env_actors=2)}, "step them here"),
        ({"teacher": "oracle", "method": "annealed", "ray": RayConfig(env_actors=2)}, "step them here"),
        ({"method": "llm-policy", "ray": RayConfig(env_actors=2)}, "leave out --ray.env-actors"),
        ({"method": "llm-policy", "ray": RayConfig(teacher_actors=2)}, "leave out --ray.teacher-actors"),
    ):
        with pytest.raises(UserError, match=said):
            run(tmp_path / "run", **changes)
