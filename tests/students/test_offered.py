"""Where not everything can always be done, nobody does what is not offered: the environment here would raise."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from scipy.special import softmax

import cotutor
from cotutor.config import PPOConfig
from cotutor.errors import UserError
from cotutor.evaluation import evaluate, success
from cotutor.students.policies import PRIOR, logits_beside, policy_probabilities
from cotutor.students.ppo import make_envs, make_ppo
from cotutor.tasks.base import OFFERED
from cotutor.tasks.contract import check_contract
from cotutor.train import build
from cotutor.types import Option

KEYS = ("brass", "iron", "silver", "gold", "wooden", "glass")


class Locks(gym.Env[Any, Any]):
    """A row of locked doors, each of which shows which two keys are within reach, one of them its own."""

    observation_space = gym.spaces.MultiDiscrete([len(KEYS), len(KEYS)])
    action_space = gym.spaces.Discrete(len(KEYS))
    forgiving = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.opened = 0
        return self._next(), {}

    def step(self, action: int):
        if action not in self.doors and not self.forgiving:
            raise AssertionError(f"{KEYS[action]} is out of reach")
        right = action == self.doors[0]
        self.opened += right
        over = not right or self.opened == 5
        return self._next(), float(self.opened == 5), over, False, {}

    def _next(self):
        self.doors = self.np_random.choice(len(KEYS), size=2, replace=False)
        return self.doors.copy()


class Keys(cotutor.Task):
    name = "keys"
    actions = tuple(f"take the {key} key" for key in KEYS)
    has_expert = True

    def make_env(self):
        return Locks()

    def describe(self, observation):
        door, other = (KEYS[number] for number in observation)
        return f"The {door} door is locked. The {door} key and the {other} key are within reach."

    def options(self, context: str):
        reached = context.partition("locked.")[2]
        return tuple(Option(name, n) for n, name in enumerate(self.actions) if f"{KEYS[n]} key" in reached)

    def arrays(self, observation):
        return {OFFERED: np.isin(np.arange(len(KEYS)), observation).astype(np.float32)}

    def array_spaces(self):
        return {OFFERED: gym.spaces.Box(0.0, 1.0, (len(KEYS),), dtype=np.float32)}

    def expert_action(self, env):
        return int(env.unwrapped.doors[0])

    def right_actions(self, env, actions):
        return frozenset({self.expert_action(env)} & set(actions))


class Careless(Keys):
    def make_env(self):
        env = Locks()
        env.forgiving = True
        return env

    def options(self, context: str):
        return tuple(Option(name, n) for n, name in enumerate(self.actions))


@pytest.fixture
def keys(monkeypatch):
    monkeypatch.setattr("cotutor.train.make_task", lambda name, **options: Keys())


def config(method: str, **others: Any) -> cotutor.TrainConfig:
    small = PPOConfig(envs=4, steps=64)
    return cotutor.TrainConfig(task="keys", student="text", method=method, frames=1024, ppo=small, **others)


def test_what_is_not_offered_gets_nothing_and_the_rest_its_own_and_the_prior():
    envs = make_envs(Keys(), "text", 4)
    envs.seed(0)
    model = make_ppo(envs, config("ppo"))
    observations = envs.reset()
    plain = policy_probabilities(model.policy, observations)
    assert ((plain > 0) == (observations[OFFERED] > 0)).all()
    prior = np.random.default_rng(0).normal(size=plain.shape).astype(np.float32)
    tensors = {name: torch.as_tensor(values) for name, values in {**observations, PRIOR: prior}.items()}
    tilted = softmax(np.log(np.maximum(plain, 1e-30)) + logits_beside(tensors).numpy(), axis=1)
    expected = plain * np.exp(prior)
    assert tilted == pytest.approx(expected / expected.sum(axis=1, keepdims=True), abs=1e-6)
    assert torch.equal(logits_beside({PRIOR: tensors[PRIOR]}), tensors[PRIOR]), "where all is offered, the prior alone"


@pytest.mark.parametrize("method", ["ppo", "mutual", "one-way", "bc", "llm-alone"])
def test_no_method_ever_does_what_is_not_offered(keys, method):
    teacher = {} if method == "ppo" else {"teacher": "oracle" if method == "mutual" else "bow"}
    pair = build(config(method, **teacher))
    pair.model.learn(1024, callback=pair.loop)
    assert evaluate(Keys(), "text", pair.alone, 8).episodes == 8
    if method == "mutual":
        assert success(Keys(), "text", pair.actor, 32) > 0.9
    pair.close()


@pytest.mark.parametrize("method", ["hints", "annealed"])
def test_a_rival_that_would_do_it_is_refused(keys, method):
    with pytest.raises(UserError, match="not everything can always be done"):
        build(config(method, teacher="bow"))


def test_options_that_are_not_what_is_offered_break_the_contract():
    assert [finding.broken for finding in check_contract(Keys(), 60) if finding.broken] == []
    (broken,) = (finding for finding in check_contract(Careless(), 60) if finding.broken)
    assert broken.point == "the options are what the arrays say is offered"
