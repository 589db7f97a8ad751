"""A policy over offered subgoals, and returns over steps of unequal length."""

from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import DummyVecEnv

from cotutor.config import PlanConfig, PPOConfig, TrainConfig
from cotutor.evaluation import student_actor
from cotutor.plans.manager import PlanBuffer
from cotutor.plans.subgoals import NUMBERS, SUBGOALS, offered
from cotutor.tasks.base import OFFERED
from cotutor.train import build


def build_planned(method: str):
    config = TrainConfig(
        task="babyai:PutNextLocal",
        method=method,
        teacher="uniform",
        ppo=PPOConfig(envs=2, steps=32, batch_size=32),
        plans=PlanConfig(enabled=True, limit=4, batch_size=16),
    )
    built = build(config)
    built.loop.init_callback(built.model)
    return built


@pytest.fixture(scope="module")
def pair():
    return build_planned("mutual")


def test_who_plans_without_a_teacher_acts_alone(pair):
    assert pair.actors(pair.task).keys() == {"pair", "student", "teacher"}
    alone = build_planned("ppo")
    assert alone.adviser is not None
    assert alone.teacher is None
    assert alone.actors(alone.task).keys() == {"student"}


def test_what_is_not_offered_is_never_chosen(pair):
    env, student = pair.task.spoken("text"), student_actor(pair.model.policy)
    observation, info = env.reset(seed=5)
    for _ in range(6):
        probabilities_A = student({name: value[None] for name, value in observation.items()}, [info["context"]], [env])[
            0
        ]
        possible = set(np.flatnonzero(observation[OFFERED]))
        assert possible <= {NUMBERS[subgoal] for subgoal in offered(env.seen)}
        assert set(np.flatnonzero(probabilities_A)) == possible
        observation, _, terminated, truncated, info = env.step(int(min(possible)))
        if terminated or truncated:
            break


class Lengths(gym.Env):
    """Two steps an episode, of lengths 3 and 5; the second pays."""

    observation_space = gym.spaces.Dict({"place": gym.spaces.Box(0, 1, (1,))})
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.place = 0
        return {"place": np.zeros(1, dtype=np.float32)}, {}

    def step(self, action):
        self.place += 1
        over = self.place == 2
        return (
            {"place": np.ones(1, dtype=np.float32)},
            float(over),
            over,
            False,
            {"duration": 3 if self.place == 1 else 5},
        )


def test_returns_are_discounted_by_the_durations():
    gamma, lam = 0.9, 0.8
    envs = DummyVecEnv([Lengths])
    buffer = PlanBuffer(2, Lengths.observation_space, Lengths.action_space, "cpu", lam, gamma, 1, venv=envs)
    values = [0.3, 0.6]
    observation = envs.reset()
    for step in range(2):
        envs.step_async(np.array([0]))
        following, rewards, *_ = envs.step_wait()
        start = np.array([step == 0])
        buffer.add(observation, np.array([[0]]), rewards, start, torch.tensor([values[step]]), torch.zeros(1))
        observation = following
    buffer.compute_returns_and_advantage(torch.tensor([9.0]), np.array([True]))
    second = 1.0 - values[1]
    first = gamma**3 * values[1] - values[0] + gamma**3 * lam * second
    assert buffer.advantages[:, 0] == pytest.approx([first, second])


def test_a_time_out_is_bootstrapped_over_its_whole_duration():
    gamma, bootstrap = 0.9, 0.7
    envs = SimpleNamespace(buf_infos=[{"duration": 4}], buf_rews=np.array([0.25], dtype=np.float32))
    buffer = object.__new__(PlanBuffer)
    buffer.plain = envs
    PlanBuffer.__bases__[0].__init__(buffer, 1, Lengths.observation_space, Lengths.action_space, "cpu", 0.8, gamma, 1)
    reward = np.array([0.25 + gamma * bootstrap])  # as Stable-Baselines3 hands it over
    buffer.add({"place": np.zeros((1, 1))}, np.array([[0]]), reward, np.array([True]), torch.zeros(1), torch.zeros(1))
    assert buffer.rewards[0, 0] == pytest.approx(0.25 + gamma**4 * bootstrap)


def test_phrases_with_common_words_share_what_is_learnt(pair):
    head = pair.model.policy.action_net
    latent_BD = torch.randn(1, head.embedding.embedding_dim)
    before = head(latent_BD)[0]
    pick, other = (
        next(n for n, s in enumerate(SUBGOALS) if s.phrase == f"pick up the {c} ball") for c in ("red", "blue")
    )
    drop = next(n for n, s in enumerate(SUBGOALS) if s.phrase == "drop it")
    loss = -head(latent_BD)[0, pick]
    (gradient,) = torch.autograd.grad(loss, head.embedding.weight)
    with torch.no_grad():
        head.embedding.weight -= gradient
        change = head(latent_BD)[0] - before
        head.embedding.weight += gradient
    assert change[pick] > change[other] > change[drop]
