"""The student at the low level: one instruction-following PPO for all subgoals.

It learns on segments: the steps from the choice of a subgoal to its end. Achieving it pays, nothing else does, and GAE
stops there; where a segment is cut by time, the critic stands in for what would have come. The mission's own reward
counts only while the instruction is the mission itself.
"""

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
from cotutor.students.ppo import make_ppo
from cotutor.tasks.base import SpokenEnv, Task
from cotutor.types import FloatArray

Observation = dict[str, NDArray[Any]]


@dataclass
class Segment:
    """The steps of a pursuit, T of them.

    Attributes:
        observations: What was seen before each step.
        actions: What was done.
        rewards: What it paid.
        values: What the critic expected.
        log_probs: Log-probabilities of the actions.
        last_value: What the critic expects after the last step; zero where the pursuit came to its end.
    """

    observations: list[Observation] = field(default_factory=list)
    actions: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    last_value: float = 0.0

    def add(self, observation: Observation, action: int, reward: float, value: float, log_prob: float) -> None:
        """Adds a step."""
        self.observations.append(observation)
        self.actions.append(action)
        self.rewards.append(reward)
        self.values.append(value)
        self.log_probs.append(log_prob)


def advantages(segment: Segment, gamma: float, gae_lambda: float) -> FloatArray:
    """Returns GAE of a segment's steps, shape (T,)."""
    values = np.array([*segment.values, segment.last_value])
    deltas_T = np.array(segment.rewards) + gamma * values[1:] - values[:-1]
    found_T, last = np.zeros(len(deltas_T)), 0.0
    for t in reversed(range(len(deltas_T))):
        found_T[t] = last = deltas_T[t] + gamma * gae_lambda * last
    return found_T


class Worker:
    """Pursues subgoals.

    Args:
        task: The level, whose missions the instructions are put in place of.
        config: The run; the worker is PPO with its settings.

    Attributes:
        frames: Steps taken while learning.
    """

    def __init__(self, task: Task, config: TrainConfig) -> None:
        self.student = config.student
        self.size = config.ppo.envs * config.ppo.steps
        # the environment is there for its spaces; the steps come from pursuits
        envs = DummyVecEnv([partial(SpokenEnv, task, config.student)])
        self.ppo = make_ppo(envs, replace(config, ppo=replace(config.ppo, envs=1, steps=self.size)))
        self.ppo.set_logger(configure(None, []))
        self.segments: list[Segment] = []
        self.frames = 0

    def act(self, observation: Observation, random: np.random.Generator) -> tuple[int, float, float]:
        """Returns an action that is drawn, the value and the action's log-probability."""
        with torch.no_grad():
            policy = self.ppo.policy
            features = policy.extract_features({n: torch.as_tensor(v[None]) for n, v in observation.items()})
            latent_pi, latent_vf = policy.mlp_extractor(features)
            log_probs_A = policy.action_net(latent_pi)[0].log_softmax(dim=0).numpy()
            value = float(policy.value_net(latent_vf))
        cumulated_A = np.cumsum(np.exp(log_probs_A))
        action = int(np.searchsorted(cumulated_A, random.random() * cumulated_A[-1], side="right"))
        return action, value, float(log_probs_A[action])

    def keep(self, segment: Segment) -> None:
        """Takes the steps of a pursuit to learn from."""
        self.segments.append(segment)
        self.frames += len(segment.actions)

    def learn(self) -> None:
        """Updates PPO on the steps kept, once they are as many as a rollout has."""
        if sum(len(segment.actions) for segment in self.segments) < self.size:
            return
        steps = [
            (*step, advantage)
            for segment in self.segments
            for *step, advantage in zip(
                segment.observations,
                segment.actions,
                segment.values,
                segment.log_probs,
                advantages(segment, self.ppo.gamma, self.ppo.gae_lambda),
                strict=True,
            )
        ]
        self.segments = []
        self._update(steps)

    def _update(self, steps: list[Any]) -> None:
        observations, actions, values, log_probs, advantages_N = zip(*steps, strict=True)
        space, action_space = self.ppo.observation_space, self.ppo.action_space
        buffer = DictRolloutBuffer(len(steps), space, action_space, "cpu", n_envs=1)  # pyright: ignore
        for name in buffer.observations:
            buffer.observations[name][:, 0] = np.stack([observation[name] for observation in observations])
        buffer.actions[:, 0, 0] = actions
        buffer.values[:, 0] = values
        buffer.log_probs[:, 0] = log_probs
        buffer.advantages[:, 0] = advantages_N
        buffer.returns[:] = buffer.advantages + buffer.values
        buffer.full = True
        self.ppo.rollout_buffer = buffer
        self.ppo.train()


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
