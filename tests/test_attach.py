"""Stable-Baselines3's own algorithms in a script of one's own, with a teacher attached."""

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch
from sb3_contrib import QRDQN, MaskablePPO, RecurrentPPO
from sb3_contrib.common.wrappers import ActionMasker
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecMonitor

import cotutor
from cotutor.students.guidance import GuidedVecEnv
from cotutor.tasks.base import SpokenEnv
from tests.students.test_guidance import Constant

TASK = cotutor.make_task("babyai:GoToRedBallNoDists")
NETWORK = {"features_extractor_class": cotutor.Encoder}
USEFUL = np.array([True, True, True, False, False, False, False])
"""Turning and going, of the seven actions of the world."""


@dataclasses.dataclass(frozen=True)
class Student:
    """An algorithm, its policies without and with guidance, its settings, and what advice is worth to it.

    In ``frames`` frames success was ahead by more than ``ahead`` with advice, with every one of three seeds or six.
    """

    algorithm: type[BaseAlgorithm]
    plain: str
    guided: type
    settings: dict
    frames: int
    ahead: float
    network: dict = dataclasses.field(default_factory=dict)

    def make(self, policy: str | type, envs: VecEnv, seed: int = 0):
        network = {**NETWORK, **self.network}
        return self.algorithm(policy, envs, seed=seed, policy_kwargs=network, device="cpu", **self.settings)


VALUES = {
    "learning_starts": 64,
    "train_freq": 1,
    "gradient_steps": 4,
    "batch_size": 64,
    "buffer_size": 20_000,
    "learning_rate": 5e-4,
    "gamma": 0.97,
    "target_update_interval": 1000,
    "exploration_initial_eps": 0.3,
}
STUDENTS = {
    "PPO": Student(PPO, "MultiInputPolicy", cotutor.GuidedPolicy, {"n_steps": 16}, 8192, 0.3),
    "A2C": Student(A2C, "MultiInputPolicy", cotutor.GuidedPolicy, {"n_steps": 16}, 8192, 0.4),
    "MaskablePPO": Student(MaskablePPO, "MultiInputPolicy", cotutor.GuidedMaskablePolicy, {"n_steps": 16}, 4096, 0.2),
    "RecurrentPPO": Student(
        RecurrentPPO,
        "MultiInputLstmPolicy",
        cotutor.GuidedRecurrentPolicy,
        {"n_steps": 16, "n_epochs": 4},
        6144,
        0.3,
        {"lstm_hidden_size": 64},
    ),
    "DQN": Student(DQN, "MultiInputPolicy", cotutor.GuidedDQNPolicy, VALUES, 3072, 0.3),
    "QRDQN": Student(QRDQN, "MultiInputPolicy", cotutor.GuidedQRDQNPolicy, VALUES, 3072, 0.4, {"n_quantiles": 25}),
}


def make_envs(student: str, count: int) -> VecEnv:
    """Environments in which what is useless cannot be done, for those who read masks."""
    return VecMonitor(
        DummyVecEnv([lambda: ActionMasker(SpokenEnv(TASK, student), lambda env: USEFUL) for _ in range(count)])
    )


@pytest.mark.parametrize("name", STUDENTS)
def test_with_advice_that_is_not_trusted_it_is_the_plain_algorithm_bit_for_bit(name):
    student = STUDENTS[name]

    def weights(policy, envs) -> list[torch.Tensor]:
        state = student.make(policy, envs).learn(192).policy.state_dict()
        return [value for name, value in state.items() if "pi_features" not in name and name != "scale"]

    guide = GuidedVecEnv(make_envs("text", 4), Constant(trust=0.0), trial_every=0, seed=0)
    guided = weights(student.guided, guide)
    plain = weights(student.plain, make_envs("text", 4))
    assert len(guided) == len(plain) > 10
    assert all(torch.equal(a, b) for a, b in zip(guided, plain, strict=True))


def success(model: BaseAlgorithm, frames: int, callback=None) -> float:
    """Returns the share of the last hundred episodes of training that succeeded."""
    model.learn(frames, callback=callback)
    assert model.ep_info_buffer is not None
    return float(np.mean([episode["r"] > 0 for episode in model.ep_info_buffer]))


SLOW = ("PPO", "A2C", "MaskablePPO", "RecurrentPPO", "QRDQN")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in STUDENTS])
def test_with_an_oracle_it_beats_itself_without(name):
    student = STUDENTS[name]
    alone = success(student.make(student.plain, make_envs("image", 16)), student.frames)
    config = cotutor.TrainConfig(method="realtime", teacher="oracle")
    envs, loop = cotutor.attach(make_envs("image", 16), TASK, config)
    assert loop.adviser.unrewarded
    assert envs.unrewarded_every == config.trust.unrewarded_every == 2
    assert success(student.make(student.guided, envs), student.frames, loop) > alone + student.ahead
    assert not loop.adviser.unrewarded


def test_the_value_added_to_an_episode_that_was_cut_is_no_reward():
    kitchen = cotutor.make_task("examples/kitchen.py:Kitchen")
    config = cotutor.TrainConfig(teacher="random")
    envs, loop = cotutor.attach(cotutor.make_envs(kitchen, "image", 16), kitchen, config)
    model = PPO(cotutor.GuidedPolicy, envs, n_steps=32, seed=0, policy_kwargs=NETWORK, device="cpu")
    model.learn(1024, callback=loop)
    assert model.ep_info_buffer is not None
    assert len(model.ep_info_buffer) > 50
    assert {episode["r"] for episode in model.ep_info_buffer} == {0.0}
    assert np.any(model.rollout_buffer.rewards > 0)
    assert loop.adviser.unrewarded


def test_environments_may_step_in_processes_of_their_own_unless_the_teacher_looks_into_them():
    envs = VecMonitor(SubprocVecEnv([partial(SpokenEnv, TASK, "text")] * 2))
    try:
        guide, loop = cotutor.attach(envs, TASK, cotutor.TrainConfig(teacher="bow"))
        PPO(cotutor.GuidedPolicy, guide, n_steps=16, policy_kwargs=NETWORK, device="cpu").learn(64, callback=loop)
        assert loop.round == 2 and loop.adviser.asked > 0
        with pytest.raises(cotutor.UserError, match="looks into the environments"):
            cotutor.attach(envs, TASK, cotutor.TrainConfig(teacher="oracle"))
    finally:
        envs.close()
