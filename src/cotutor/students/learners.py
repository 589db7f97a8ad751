"""Stable-Baselines3's algorithms as the loop reads them: a rollout that has just ended, and who chose its actions."""

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib import QRDQN, MaskablePPO, RecurrentPPO
from sb3_contrib.common.maskable.buffers import MaskableDictRolloutBuffer
from sb3_contrib.common.recurrent.buffers import RecurrentDictRolloutBuffer
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3 import DQN
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import DictReplayBuffer, DictRolloutBuffer
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy

from cotutor.config import TrainConfig
from cotutor.errors import UserError
from cotutor.students.distillation import States
from cotutor.students.policies import PRIOR, GuidedMixin, GuidedValueMixin, as_tensors, policy_probabilities
from cotutor.students.spaces import entries
from cotutor.tasks.base import OFFERED
from cotutor.types import FloatArray

LEAST_EXPLORATION = 0.01
"""Exploration below which the probability of an action that is not the greedy one is not taken to fall."""

UNTOLD = torch.zeros(1)
"""Log-probabilities of actions, which the loop does not read."""


def flat(values: NDArray[Any]) -> NDArray[Any]:
    """Returns what a buffer holds by step and environment, shape (steps, envs, ...), as rows, shape (N, ...)."""
    return values.reshape(-1, *values.shape[2:])


def tilt(probabilities_NA: FloatArray, logits_NA: FloatArray) -> FloatArray:
    """Returns probabilities ∝ p · exp(logits)."""
    tilted_NA = probabilities_NA * np.exp(logits_NA - logits_NA.max(axis=1, keepdims=True))
    return tilted_NA / tilted_NA.sum(axis=1, keepdims=True)


class PolicyLearner:
    """An algorithm that learns a policy from a rollout buffer: PPO and A2C.

    Args:
        model: The algorithm.

    Attributes:
        distills: Whether advice can be distilled into a policy like its own.
    """

    distills = True

    def __init__(self, model: OnPolicyAlgorithm) -> None:
        self.model = model

    @property
    def policy(self) -> BasePolicy:
        """The policy that acts."""
        return self.model.policy

    def rescale(self, scale: float) -> None:
        """Tells the policy what the advantages vary by; one with logits need not know."""

    def finished(self, steps: int) -> DictRolloutBuffer | None:
        """Returns the rollout of the last ``steps`` steps in all environments, None if it is not long enough yet."""
        assert isinstance(self.model.rollout_buffer, DictRolloutBuffer)
        return self.model.rollout_buffer

    def policies(
        self, rollout: DictRolloutBuffer, rows: NDArray[np.int64], prior_NA: FloatArray, chance_N: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Returns what the policy would do without a prior, what with this one, and what it did, all of shape (N, A).

        Args:
            rollout: The rollout that was just finished.
            rows: Which of its steps.
            prior_NA: The prior in these steps that is to be tried.
            chance_N: With what probability the step's episode was drawn to act with its prior.
        """
        if not isinstance(self.policy, GuidedMixin):
            raise UserError(f"{type(self.model).__name__} needs a guided policy of cotutor's, or one with GuidedMixin.")
        observations = {name: flat(values)[rows] for name, values in rollout.observations.items()}
        acted_NA = self._acted(rollout, rows, observations)
        free_NA = tilt(acted_NA, -observations[PRIOR])
        return free_NA, tilt(free_NA, prior_NA), acted_NA

    def _acted(self, rollout: DictRolloutBuffer, rows: NDArray[np.int64], observations: States) -> FloatArray:
        return policy_probabilities(self.policy, observations)


class MaskedLearner(PolicyLearner):
    """MaskablePPO, whose policy never does what is masked."""

    def _acted(self, rollout: DictRolloutBuffer, rows: NDArray[np.int64], observations: States) -> FloatArray:
        assert isinstance(rollout, MaskableDictRolloutBuffer)
        allowed_NA = super()._acted(rollout, rows, observations) * flat(rollout.action_masks)[rows]
        return allowed_NA / allowed_NA.sum(axis=1, keepdims=True)


class RecurrentLearner(PolicyLearner):
    """RecurrentPPO, whose policy is asked with the state that its memory had at the step.

    No advice is distilled: a graduate would need its own memory at each remembered step.
    """

    distills = False

    def _acted(self, rollout: DictRolloutBuffer, rows: NDArray[np.int64], observations: States) -> FloatArray:
        policy = self.model.policy
        assert isinstance(rollout, RecurrentDictRolloutBuffer) and isinstance(policy, RecurrentActorCriticPolicy)
        hidden, cell = (
            torch.as_tensor(flat(states.swapaxes(1, 2))[rows].swapaxes(0, 1).copy(), device=policy.device)
            for states in (rollout.hidden_states_pi, rollout.cell_states_pi)
        )
        starts_N = torch.as_tensor(flat(rollout.episode_starts)[rows], device=policy.device)
        with torch.no_grad():
            tensors = cast(Any, as_tensors(policy, observations))
            distribution, _ = policy.get_distribution(tensors, (hidden, cell), starts_N)
        return cast(Any, distribution).distribution.probs.double().cpu().numpy()


class ValueLearner:
    """An algorithm that learns values from a replay buffer, DQN or QR-DQN; its latest steps are read like a rollout.

    The advantages are GAE with V(s) = max_a Q(s, a). What acted is told by the values and the exploration as they are
    now, at the end of the rollout. Until learning starts, DQN acts at random, and is told like what acts afterwards.

    Args:
        model: The algorithm.
        steps: Steps in a rollout, in every environment.
        gae_lambda: λ of the advantages.

    Raises:
        UserError: The model cannot be read like that.
    """

    distills = False

    def __init__(self, model: DQN | QRDQN, steps: int, gae_lambda: float) -> None:
        if not isinstance(model.policy, GuidedValueMixin):
            raise UserError("DQN needs cotutor.GuidedDQNPolicy, and QRDQN cotutor.GuidedQRDQNPolicy.")
        if OFFERED in entries(model.observation_space):
            raise UserError("DQN and QRDQN explore what is not offered, too: where it is said, take PPO or A2C.")
        assert isinstance(model.replay_buffer, DictReplayBuffer)
        if steps >= model.replay_buffer.buffer_size:
            least = (steps + 1) * model.n_envs
            raise UserError(f"buffer_size must be {least} at least: ppo.steps and one more, times the environments.")
        self.model = model
        self.policy = model.policy
        self.replay = model.replay_buffer
        self.steps = steps
        self.gae_lambda = gae_lambda

    def rescale(self, scale: float) -> None:
        """Tells the policy what the advantages vary by."""
        self.policy.scale.fill_(scale)

    def finished(self, steps: int) -> DictRolloutBuffer | None:
        """Returns the rollout of the last ``steps`` steps in all environments, None if it is not long enough yet."""
        if steps < self.steps:
            return None
        steps = min(steps, self.replay.buffer_size - 1)
        replay, model = self.replay, self.model
        rollout = DictRolloutBuffer(
            steps,
            cast(Any, replay.observation_space),
            replay.action_space,
            gamma=model.gamma,
            gae_lambda=self.gae_lambda,
            n_envs=replay.n_envs,
        )
        places = np.arange(replay.pos - steps, replay.pos)
        values_TE = self._values(replay.observations, places)
        following_TE = self._values(replay.next_observations, places)
        for place, values_E, following_E in zip(places, values_TE, following_TE, strict=True):
            rollout.add(
                {name: values[place] for name, values in replay.observations.items()},
                replay.actions[place],
                replay.rewards[place] + model.gamma * following_E.numpy() * replay.timeouts[place],
                replay.dones[place - 1],
                values_E,
                UNTOLD,
            )
        rollout.compute_returns_and_advantage(following_TE[-1], replay.dones[replay.pos - 1])
        return rollout

    def policies(
        self, rollout: DictRolloutBuffer, rows: NDArray[np.int64], prior_NA: FloatArray, chance_N: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Returns what it would do without a prior, what with this one, and what acted, all of shape (N, A).

        What acted is told as the mixture over the draw of the trial, as if both arms met the same states: a greedy
        policy hardly ever does what the other would, so only both arms together tell what either is worth (lab notes).
        """
        observations = {name: flat(values)[rows] for name, values in rollout.observations.items()}
        free_NA = self._exploring(observations, np.zeros_like(prior_NA))
        with_prior_NA = self._exploring(observations, prior_NA)
        return free_NA, with_prior_NA, free_NA + chance_N[:, None] * (with_prior_NA - free_NA)

    def _exploring(self, observations: States, prior_NA: FloatArray) -> FloatArray:
        greedy_NA = policy_probabilities(self.policy, {**observations, PRIOR: prior_NA.astype(np.float32)})
        exploration = max(self.model.exploration_rate, LEAST_EXPLORATION)
        return (1 - exploration) * greedy_NA + exploration / greedy_NA.shape[1]

    def _values(self, observations: States, places: NDArray[np.int64]) -> torch.Tensor:
        """Returns V(s), shape (T, E), of the observations that the replay buffer has at T places."""
        rows = {name: flat(values[places]) for name, values in observations.items()}
        with torch.no_grad():
            values_N = self.policy.values(as_tensors(self.policy, rows)).amax(dim=1).cpu()
        return values_N.reshape(len(places), -1)


Learner = PolicyLearner | ValueLearner


def make_learner(model: BaseAlgorithm, config: TrainConfig) -> Learner:
    """Returns how the loop reads a model.

    Raises:
        UserError: The algorithm is none of those that can be taught, or cannot be taught by this method.
    """
    learner = _learner(model, config)
    if not (learner.distills or config.guidance.prior):
        name = type(model).__name__
        raise UserError(f"{name} can only be taught by a prior, which guidance.prior takes away: leave it on.")
    return learner


def _learner(model: BaseAlgorithm, config: TrainConfig) -> Learner:
    match model:
        case MaskablePPO():
            return MaskedLearner(model)
        case RecurrentPPO():
            return RecurrentLearner(model)
        case OnPolicyAlgorithm():
            return PolicyLearner(model)
        case DQN() | QRDQN():
            return ValueLearner(model, config.ppo.steps, config.ppo.gae_lambda)
    raise UserError(f"{type(model).__name__} cannot be taught; PPO, A2C, DQN, MaskablePPO, RecurrentPPO and QRDQN can.")
