"""The student at the low level: one instruction-following PPO for all subgoals.

It learns on segments: the steps from the choice of a subgoal to its end. Achieving it pays, nothing else does, and GAE
stops there; where a segment is cut by time, the critic stands in for what would have come. The mission's own reward
counts only while the instruction is the mission itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import DictRolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import DummyVecEnv

from cotutor.config import TrainConfig
from cotutor.evaluation import draw, stacked
from cotutor.stateful import Stateful
from cotutor.students.policies import as_tensors, categorical, policy_probabilities
from cotutor.students.ppo import make_ppo
from cotutor.tasks.base import SpokenEnv, Task
from cotutor.types import FloatArray

Observation = dict[str, NDArray[Any]]


@dataclass
class Segment:
    """The steps of a pursuit, T of them.

    Attributes:
        observations: What was seen before each step, and after the last one unless the pursuit came to its end there.
        actions: What was done.
        rewards: What it paid.
    """

    observations: list[Observation]
    actions: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)

    def add(self, action: int, reward: float, after: Observation | None) -> None:
        """Adds a step."""
        self.actions.append(action)
        self.rewards.append(reward)
        if after is not None:
            self.observations.append(after)


def advantages(rewards: Sequence[float], values: FloatArray, gamma: float, gae_lambda: float) -> FloatArray:
    """Returns GAE of a segment's steps, shape (T,).

    Args:
        rewards: Of each step, T of them.
        values: What the critic expects before each step, shape (T,), and, unless the segment came to its end there,
            after the last one, shape (T + 1,).
        gamma: Discount per step.
        gae_lambda: λ.
    """
    values = np.append(values, 0.0)[: len(rewards) + 1]
    deltas_T = np.array(rewards) + gamma * values[1:] - values[:-1]
    found_T, last = np.zeros(len(deltas_T)), 0.0
    for t in reversed(range(len(deltas_T))):
        found_T[t] = last = deltas_T[t] + gamma * gae_lambda * last
    return found_T


class Worker(Stateful):
    """Pursues subgoals.

    Args:
        task: The level, whose missions the instructions are put in place of.
        config: The run; the worker is PPO with its settings.

    Attributes:
        frames: Steps taken while learning.
    """

    changes = ("ppo", "segments", "frames")

    def __init__(self, task: Task, config: TrainConfig) -> None:
        self.student = config.student
        self.size = config.ppo.envs * config.ppo.steps
        # the environment is there for its spaces; the steps come from pursuits
        envs = DummyVecEnv([partial(SpokenEnv, task, config.student)])
        self.ppo = make_ppo(envs, replace(config, ppo=replace(config.ppo, envs=1, steps=self.size)))
        self.ppo.set_logger(configure(None, []))
        self.segments: list[Segment] = []
        self.frames = 0

    def act(self, observations: Sequence[Observation], draws: Sequence[np.random.Generator]) -> list[int]:
        """Draws an action for each observation, from a generator of its own."""
        probabilities_EA = policy_probabilities(self.ppo.policy, stacked(observations))
        return [draw(probabilities_A, random) for probabilities_A, random in zip(probabilities_EA, draws, strict=True)]

    def keep(self, segment: Segment) -> None:
        """Takes the steps of a pursuit to learn from."""
        self.segments.append(segment)
        self.frames += len(segment.actions)

    def learn(self) -> None:
        """Updates PPO on the steps kept, once they are as many as a rollout has."""
        if sum(len(segment.actions) for segment in self.segments) < self.size:
            return
        segments, self.segments = self.segments, []
        self.ppo.rollout_buffer = self._rollout(segments)
        self.ppo.train()

    def _rollout(self, segments: Sequence[Segment]) -> DictRolloutBuffer:
        """Returns the steps of segments as a rollout, with values and log-probabilities of the policy that acted."""
        observations = stacked([observation for segment in segments for observation in segment.observations])
        acted_N = np.flatnonzero(
            np.concatenate([np.arange(len(each.observations)) < len(each.actions) for each in segments])
        )
        actions_N = np.concatenate([segment.actions for segment in segments])
        with torch.no_grad():
            tensors = as_tensors(self.ppo.policy, observations)
            values = self.ppo.policy.predict_values(tensors).flatten().double().numpy()
            log_probs_NA = categorical(self.ppo.policy, tensors).logits.numpy()[acted_N]
        ends = np.cumsum([len(segment.observations) for segment in segments])[:-1]
        space, action_space = self.ppo.observation_space, self.ppo.action_space
        buffer = DictRolloutBuffer(len(actions_N), space, action_space, "cpu", n_envs=1)  # pyright: ignore
        for name in buffer.observations:
            buffer.observations[name][:, 0] = observations[name][acted_N]
        buffer.actions[:, 0, 0] = actions_N
        buffer.values[:, 0] = values[acted_N]
        buffer.log_probs[:, 0] = log_probs_NA[np.arange(len(actions_N)), actions_N]
        buffer.advantages[:, 0] = np.concatenate(
            [
                advantages(segment.rewards, expected, self.ppo.gamma, self.ppo.gae_lambda)
                for segment, expected in zip(segments, np.split(values, ends), strict=True)
            ]
        )
        buffer.returns[:] = buffer.advantages + buffer.values
        buffer.full = True
        return buffer


class Pursuits(BaseCallback):
    """Counts frames instead of decisions, and lets the worker learn when it has enough of them.

    It must come before every other callback, so that all of them count frames.
    """

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self.worker = worker

    def _on_step(self) -> bool:
        durations = [info["duration"] for info in self.locals["infos"]]
        self.model.num_timesteps += sum(durations) - len(durations)
        self.worker.learn()
        return True
