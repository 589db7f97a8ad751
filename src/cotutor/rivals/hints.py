"""``hints``: the advised action is part of what the student observes, now and then.

Source: "LLM-based hints" for BabyAI (arXiv 2510.08779): the suggested action and a flag that says whether there is one
are appended to the observation, every five steps; PPO learns whether to follow it.

Departures:

- Each step has a hint with probability 1/5 instead of every fifth, so that a state says all there is to know about it.
- The suggestion is the calibrated advice's best option by likelihood, of the teacher that all methods here ask, within
  the same budget; the source generates it with Llama-3-70B in every fifth step.
- It is a one-hot vector with the flag behind it; the source numbers the action. It is put beside the encoder's
  features: among its inputs, even the bot's hint in every step made no difference within 30,000 frames.
- PPO, network and hyper-parameters are those of every method.

The pair is evaluated with hints as often as in training, the student alone with none.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.policies import BasePolicy, MultiInputActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from cotutor.adviser import Adviser
from cotutor.config import TrainConfig
from cotutor.evaluation import Actor, Observations
from cotutor.loop import Loop
from cotutor.rivals.one_way import OneWayLoop, one_way
from cotutor.students.guidance import GuidedVecEnv
from cotutor.students.policies import policy_probabilities
from cotutor.students.ppo import make_ppo
from cotutor.students.spaces import entries
from cotutor.tasks.base import HELD_OUT_SEED, Task
from cotutor.types import FloatArray

HINT = "hint"


def make_hints(log_advice_EA: FloatArray, given_E: NDArray[np.bool_]) -> FloatArray:
    """Returns hints, shape (E, A + 1): the best action one-hot and a one; zeros without a hint or without advice."""
    actions = log_advice_EA.shape[1]
    told_E = given_E & log_advice_EA.any(axis=1)
    best_EA = np.eye(actions)[log_advice_EA.argmax(axis=1)]
    return np.column_stack([best_EA, np.ones(len(told_E))]) * told_E[:, None]


class HintingVecEnv(GuidedVecEnv):
    """Puts hints into the observation.

    Args:
        venv: As in :class:`cotutor.students.guidance.GuidedVecEnv`.
        adviser: Who advises.
        trial_every: No trial here: 0.
        seed: Seed of the draw.
        every: Mean number of steps between two hints.
    """

    entry = HINT

    def __init__(self, venv: VecEnv, adviser: Adviser, trial_every: int, seed: int, every: float) -> None:
        super().__init__(venv, adviser, trial_every, seed)
        self.every = every

    @property
    def width(self) -> int:
        return 1 + self.actions

    def _tell(self, log_advice_EA: NDArray[np.float64], weight_E: NDArray[np.float64]) -> NDArray[np.float64]:
        return make_hints(log_advice_EA, self.random.random(self.num_envs) < 1 / self.every)


class HintExtractor(BaseFeaturesExtractor):
    """A features extractor that does not see the hint, which is put beside its features.

    Args:
        extractor: The wrapped extractor.
        width: Size of the hint.
    """

    def __init__(self, extractor: BaseFeaturesExtractor, width: int) -> None:
        super().__init__(extractor._observation_space, extractor.features_dim + width)
        self.extractor = extractor

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        return torch.cat([self.extractor(observations), observations[HINT]], dim=1)


class HintPolicy(MultiInputActorCriticPolicy):
    """A policy whose actor and critic read the hint beside the features."""

    def make_features_extractor(self) -> BaseFeaturesExtractor:
        boxes: dict[str, gym.Space[Any]] = {**entries(self.observation_space)}
        (width,) = entries(self.observation_space)[HINT].shape
        del boxes[HINT]
        return HintExtractor(
            self.features_extractor_class(gym.spaces.Dict(boxes), **self.features_extractor_kwargs), width
        )


class HintLoop(OneWayLoop):
    """Lets the pair act with hints."""

    @property
    def actor(self) -> Actor:
        return hinted_actor(self.learner.policy, self.adviser, self.config.rivals.hint_every)


def hinted_actor(policy: BasePolicy, adviser: Adviser, every: float) -> Actor:
    """The student with a hint in a step with probability 1/``every``."""
    draws = np.random.default_rng(HELD_OUT_SEED)

    def act(observations: Observations, contexts: Sequence[str], envs: Sequence[gym.Env[Any, Any]]) -> FloatArray:
        contexts = adviser.read(contexts)
        given_E = draws.random(len(contexts)) < 1 / every
        if not adviser.teacher.privileged:
            hinted = dict.fromkeys(context for context, given in zip(contexts, given_E, strict=True) if given)
            adviser.ask([context for context in hinted if context not in adviser.answers])
        log_advice_EA, _ = adviser.guide(contexts, envs)
        hints_EW = make_hints(log_advice_EA, given_E).astype(np.float32)
        return policy_probabilities(policy, {**observations, HINT: hints_EW})

    return act


def make(envs: VecEnv, task: Task, config: TrainConfig) -> tuple[PPO, Loop]:
    """Makes a student that is given hints, and its loop."""

    def hinting(venv: VecEnv, adviser: Adviser, trial_every: int, seed: int) -> GuidedVecEnv:
        return HintingVecEnv(venv, adviser, trial_every, seed, config.rivals.hint_every)

    guide, adviser, plain = one_way(envs, task, config, hinting)
    return make_ppo(guide, config, HintPolicy), HintLoop(
        adviser, guide, replace(plain, guidance=replace(plain.guidance, prior=False))
    )
