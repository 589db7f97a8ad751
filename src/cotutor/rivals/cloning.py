"""``bc``: the teacher acts, the student clones it, and then learns by PPO alone.

Source: behaviour cloning before reinforcement learning, as AlphaGo (Silver et al. 2016) has it; on BabyAI with PPO
after it, Chevalier-Boisvert et al. 2019, arXiv 1810.08272, section 4.

Departures, all in its favour:

- The teacher's whole distribution is cloned, not the actions that it took: less noise for the same questions.
- The critic learns the returns beside it: a fresh critic would let PPO unlearn at once what was cloned.

The teacher's turn is part of the budget of frames.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import DictRolloutBuffer
from stable_baselines3.common.vec_env import VecEnv

from cotutor.config import TrainConfig
from cotutor.evaluation import Actor, student_actor
from cotutor.loop import Loop, Rollout
from cotutor.rivals.acting import silence
from cotutor.rivals.one_way import OneWayLoop, PatientPPO, SetTrust, one_way
from cotutor.students.distillation import States
from cotutor.students.learners import flat
from cotutor.students.policies import PRIOR, GuidedPolicy, among_offered, as_tensors, categorical
from cotutor.students.ppo import make_ppo
from cotutor.tasks.base import Task
from cotutor.types import FloatArray


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A rollout of N steps in which the teacher acted.

    Attributes:
        contexts: The context of each step.
        observations: The observations by name, shape (N, ...).
        log_advice_NA: The log-advice at hand.
        returns_N: λ-returns.
    """

    contexts: list[str]
    observations: dict[str, NDArray[Any]]
    log_advice_NA: FloatArray
    returns_N: FloatArray


class CloningLoop(OneWayLoop):
    """Collects while the teacher acts, clones it once, and stays out of the way from then on."""

    changes = (*OneWayLoop.changes, "shown")
    shown: list[Demonstration]

    def _init_callback(self) -> None:
        super()._init_callback()
        self.shown = []

    @property
    def actor(self) -> Actor:
        return student_actor(self.patient.policy)

    def play_round(self, finished: DictRolloutBuffer) -> None:
        if not self.patient.patient:
            self.adviser.meet(self.read_rollout(finished).contexts)
            self.on_round(self._report([], None))
            self.round += 1
            return
        super().play_round(finished)
        if self.model.num_timesteps >= self.config.rivals.cloning_share * self.config.frames:
            self.distillation_loss = self.clone()
            self.patient.patient = False

    def record(self, rollout: Rollout) -> None:
        super().record(rollout)
        returns_N = flat(rollout.buffer.returns).astype(np.float64)
        self.shown.append(Demonstration(rollout.contexts, rollout.observations, rollout.log_advice_NA, returns_N))

    @property
    def patient(self) -> PatientPPO:
        """The student, who waits for the teacher's turn to end."""
        assert isinstance(self.model, PatientPPO)
        return self.model

    def clone(self) -> float:
        """Takes the epochs of cloning, ends the teacher's turn, and returns the last epoch's cross-entropy."""
        states, advice_NA, returns_N = self.demonstrations()
        ppo, settings = self.patient, self.config.ppo
        optimizer = torch.optim.Adam(ppo.policy.parameters(), lr=settings.learning_rate, eps=1e-5)
        random = np.random.default_rng(self.config.seed)
        losses: list[float] = []
        for _ in range(self.config.rivals.cloning_epochs):
            losses = []
            order_N = random.permutation(len(returns_N))
            for first in range(0, len(order_N), settings.batch_size):
                places = order_N[first : first + settings.batch_size]
                batch = as_tensors(ppo.policy, {name: values[places] for name, values in states.items()})
                logits_BA = categorical(ppo.policy, batch).logits
                cross_entropy = -(torch.as_tensor(advice_NA[places]) * logits_BA).sum(1).mean()
                error_B = ppo.policy.predict_values(batch).flatten() - torch.as_tensor(returns_N[places])
                optimizer.zero_grad()
                (cross_entropy + ppo.vf_coef * error_B.square().mean()).backward()
                torch.nn.utils.clip_grad_norm_(ppo.policy.parameters(), ppo.max_grad_norm)
                optimizer.step()
                losses.append(float(cross_entropy.detach()))
        trust = self.adviser.trust
        assert isinstance(trust, SetTrust)
        trust.set = 0.0
        self.adviser.refresh()
        self.shown.clear()
        return float(np.mean(losses)) if losses else 0.0

    def demonstrations(self) -> tuple[States, NDArray[np.float32], NDArray[np.float32]]:
        """Returns the states on whose contexts there is advice by now, that advice, and their λ-returns."""
        contexts = [context for each in self.shown for context in each.contexts]
        then_NA = np.concatenate([each.log_advice_NA for each in self.shown])
        log_advice_NA, _ = self.adviser.recall(contexts, then_NA)
        advised_N = log_advice_NA.any(axis=1)
        states = {
            name: np.concatenate([each.observations[name] for each in self.shown])[advised_N]
            for name in self.shown[0].observations
        }
        states[PRIOR] = np.zeros_like(states[PRIOR])
        returns_N = np.concatenate([each.returns_N for each in self.shown])[advised_N]
        advice_NA = softmax(among_offered(log_advice_NA[advised_N], states), axis=1)
        return states, advice_NA.astype(np.float32), returns_N.astype(np.float32)


def make(envs: VecEnv, task: Task, config: TrainConfig) -> tuple[PPO, Loop]:
    """Makes a student that waits to clone the teacher, and its loop."""
    guide, adviser, plain = one_way(envs, task, config)
    model = make_ppo(guide, config, GuidedPolicy, PatientPPO)
    silence(model)
    return model, CloningLoop(adviser, guide, plain)
