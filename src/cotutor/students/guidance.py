"""Advice as a prior of the policy: π(a|s) ∝ f(a|s) · T̃(a|c)^trust.

The prior travels as one more entry of the Dict observation, so Stable-Baselines3 stores it in its rollout buffer and
rollout and training see the same policy; no algorithm is changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import ActorCriticPolicy, MultiInputActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, MlpExtractor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper
from torch import Tensor, nn
from torch.distributions import Categorical

from cotutor.errors import UserError
from cotutor.students.spaces import count_actions, entries

PRIOR = "prior"

IMPOSSIBLE = -1e9
"""Logit of an action that is not offered: its probability is exactly zero, and gradients stay finite."""


class PriorExtractor(BaseFeaturesExtractor):
    """A features extractor that never sees the prior, with the prior carried past it at the end of the features.

    Args:
        extractor: The wrapped extractor; ``features_dim`` stays its own.
    """

    def __init__(self, extractor: BaseFeaturesExtractor) -> None:
        super().__init__(extractor._observation_space, extractor.features_dim)
        self.extractor = extractor

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        visible = {name: value for name, value in observations.items() if name != PRIOR}
        return torch.cat([self.extractor(visible), observations[PRIOR]], dim=-1)


class PriorPassing(nn.Module):
    """A policy's two towers, with the prior carried past them at the end of the actor's latent.

    Args:
        towers: The wrapped towers of Stable-Baselines3.
        actions: Number of actions, the size of the prior.
    """

    def __init__(self, towers: MlpExtractor, actions: int) -> None:
        super().__init__()
        self.towers = towers
        self.actions = actions
        self.latent_dim_pi = towers.latent_dim_pi
        self.latent_dim_vf = towers.latent_dim_vf

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.forward_actor(features), self.forward_critic(features)

    def forward_actor(self, features: Tensor) -> Tensor:
        own, prior = features[..., : -self.actions], features[..., -self.actions :]
        return torch.cat([self.towers.forward_actor(own.contiguous()), prior], dim=-1)

    def forward_critic(self, features: Tensor) -> Tensor:
        return self.towers.forward_critic(features[..., : -self.actions].contiguous())


class GuidedMixin(ActorCriticPolicy):
    """Adds the prior to the logits of any actor-critic policy with a shared features extractor and discrete actions.

    Neither the features extractor nor the critic sees the prior.

    Attributes:
        prior_extractor: What carries the prior past the features extractor.
    """

    prior_extractor = PriorExtractor

    def make_features_extractor(self) -> BaseFeaturesExtractor:
        visible = gym.spaces.Dict({n: space for n, space in entries(self.observation_space).items() if n != PRIOR})
        return self.prior_extractor(self.features_extractor_class(visible, **self.features_extractor_kwargs))

    def _build_mlp_extractor(self) -> None:
        super()._build_mlp_extractor()
        self.mlp_extractor: Any = PriorPassing(self.mlp_extractor, count_actions(self.action_space))

    def _get_action_dist_from_latent(self, latent_pi: Tensor) -> Distribution:
        own, prior = latent_pi[..., : -self.mlp_extractor.actions], latent_pi[..., -self.mlp_extractor.actions :]
        return self.action_dist.proba_distribution(action_logits=self.action_net(own.contiguous()) + prior)


class GuidedPolicy(GuidedMixin, MultiInputActorCriticPolicy):
    """Stable-Baselines3's policy for Dict observations, guided."""


def categorical(policy: ActorCriticPolicy, observations: dict[str, Tensor]) -> Categorical:
    """Returns the action distribution of a policy with discrete actions."""
    distribution = policy.get_distribution(observations).distribution
    assert isinstance(distribution, Categorical)
    return distribution


def policy_probabilities(policy: ActorCriticPolicy, observations: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Returns the action probabilities, shape (N, A), of a policy for a batch of observations."""
    with torch.no_grad():
        tensors = {name: torch.as_tensor(values, device=policy.device) for name, values in observations.items()}
        return categorical(policy, tensors).probs.double().cpu().numpy()


class Adviser(Protocol):
    """Who gives the advice that the environment carries to the policy."""

    def read(self, contexts: Sequence[str]) -> list[str]:
        """Returns the contexts as the teacher reads them."""
        ...

    def ask_at_once(self, contexts: Sequence[str]) -> None:
        """Asks about new contexts before anything is done in them, if that is wanted."""
        ...

    def guide(self, contexts: Sequence[str], envs: Sequence[gym.Env[Any, Any]]) -> tuple[NDArray, NDArray]:
        """Returns log-advice per action, shape (E, A), zero where there is none, and trust, shape (E,)."""
        ...

    @property
    def on_probation(self) -> bool:
        """Whether too little trust has been earned yet for more than the trial to follow the advice."""
        ...

    @property
    def unrewarded(self) -> bool:
        """Whether no reward has told yet what any option is worth."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """What was known when the student chose its actions, for every environment.

    Attributes:
        contexts: The contexts, one per environment.
        log_advice_EA: The log-advice on each action, unweighted.
        weight_E: What weight of it was added to the logits.
        trial_E: Whether the episode belongs to the arm of the trial.
        episode_E: Number of the episode, unique in a run.
    """

    contexts: list[str]
    log_advice_EA: NDArray[np.float64]
    weight_E: NDArray[np.float64]
    trial_E: NDArray[np.bool_]
    episode_E: NDArray[np.int64]


class GuidedVecEnv(VecEnvWrapper):
    """Puts the prior into the observation, runs the controlled trial, and remembers what was advised.

    One episode in ``trial_every``, drawn at random, is the trial: it acts without the prior. While the teacher is on
    probation it is one in ``probation_every``, and it alone acts with the prior; until the first reward, when nothing
    can be lost by it, one in ``unrewarded_every``.

    A rival that tells the student something else overrides ``entry``, ``width`` and ``_tell``.

    Args:
        venv: Environments whose ``info`` carries ``context`` (:class:`cotutor.tasks.base.SpokenEnv`).
        adviser: Who advises.
        trial_every: Mean number of episodes per trial episode; 0 for no trial.
        seed: Seed of the draw.
        prior: Whether the advice reaches the policy's logits at all; without, there is nothing to try.
        rehearsing: How many environments, the first ones, practise what is mastered; trust is not judged by those.
        probation_every: The same as ``trial_every`` while the teacher is on probation; 0 for no difference.
        unrewarded_every: The same until the first reward, if that makes more trials; 0 for no difference.

    Attributes:
        entry: Name of the observation's entry that tells the student something.
    """

    entry = PRIOR

    def __init__(
        self,
        venv: VecEnv,
        adviser: Adviser,
        trial_every: int,
        seed: int,
        prior: bool = True,
        rehearsing: int = 0,
        probation_every: int = 0,
        unrewarded_every: int = 0,
    ) -> None:
        self.actions = count_actions(venv.action_space)
        space = gym.spaces.Box(-np.inf, np.inf, (self.width,), dtype=np.float32)
        super().__init__(venv, gym.spaces.Dict({**entries(venv.observation_space), self.entry: space}))
        if not isinstance(venv.unwrapped, DummyVecEnv):
            raise UserError("Guidance needs environments that step in this process: use a DummyVecEnv.")
        self.plain = venv.unwrapped
        self.adviser = adviser
        self.trial_every = trial_every
        self.probation_every = probation_every or trial_every
        self.unrewarded_every = min(unrewarded_every or self.probation_every, self.probation_every)
        self.prior = prior
        self.rehearsing = rehearsing
        self.random = np.random.default_rng(seed)
        self.trial_E = np.zeros(self.num_envs, dtype=bool)
        self.with_prior_E = np.zeros(self.num_envs, dtype=bool)
        self.episode_E = np.arange(self.num_envs)
        self.steps: list[Step] = []
        self.rewards: list[NDArray[np.float32]] = []
        self.ended: list[tuple[bool, float]] = []

    @property
    def width(self) -> int:
        """Size of the entry."""
        return self.actions

    def reset(self) -> dict[str, NDArray[Any]]:
        observations = cast(dict[str, NDArray[Any]], self.venv.reset())
        for i in range(self.num_envs):
            self._begin(i)
        return self._advise(observations, [info["context"] for info in self.plain.reset_infos])

    def step_wait(self):
        observations, rewards, dones, infos = self.venv.step_wait()
        self.rewards.append(rewards.copy())
        for i in np.flatnonzero(dones).tolist():
            infos[i]["terminal_observation"][self.entry] = np.zeros(self.width, dtype=np.float32)
            infos[i] |= {"trial": bool(self.trial_E[i]), "with_prior": bool(self.with_prior_E[i])}
            if i >= self.rehearsing:
                self.ended.append((bool(self.with_prior_E[i]), float(infos[i]["episode"]["r"])))
            self.episode_E[i] += self.num_envs
            self._begin(i)
        current = [self.plain.reset_infos[i] if dones[i] else infos[i] for i in range(self.num_envs)]
        return (
            self._advise(cast(dict[str, NDArray[Any]], observations), [info["context"] for info in current]),
            rewards,
            dones,
            infos,
        )

    def take_steps(self, count: int) -> tuple[list[Step], NDArray[np.float32], list[tuple[bool, float]]]:
        """Hands over the last rollout.

        The newest step, whose action is still to be chosen, stays.

        Returns:
            Its ``count`` steps; what the environments paid in them, shape (count, E), without the value that
            Stable-Baselines3 adds to the last reward of an episode that was cut; and (with prior?, return) of every
            episode that ended.
        """
        steps, rewards, ended = self.steps[-count - 1 : -1], self.rewards[-count:], self.ended
        self.steps, self.rewards, self.ended = self.steps[-1:], [], []
        return steps, np.stack(rewards), ended

    def _begin(self, i: int) -> None:
        every = self._trial_every()
        self.trial_E[i] = self.prior and every > 0 and self.random.random() < 1 / every
        self.with_prior_E[i] = self.prior and self.trial_E[i] == self.adviser.on_probation

    def _trial_every(self) -> int:
        """Returns the mean number of episodes per trial episode as things stand."""
        if not self.adviser.on_probation:
            return self.trial_every
        return self.unrewarded_every if self.adviser.unrewarded else self.probation_every

    def _advise(self, observations: dict[str, NDArray[Any]], contexts: list[str]) -> dict[str, NDArray[Any]]:
        contexts = self.adviser.read(contexts)
        self.adviser.ask_at_once(
            [context for context, has_prior in zip(contexts, self.with_prior_E, strict=True) if has_prior]
        )
        log_advice_EA, trust_E = self.adviser.guide(contexts, self.plain.envs)
        full_E = np.where(self.trial_E, 1.0, trust_E)
        weight_E = np.where(self.with_prior_E, full_E, 0.0)
        self.steps.append(Step(contexts, log_advice_EA, weight_E, self.trial_E.copy(), self.episode_E.copy()))
        return {**observations, self.entry: self._tell(log_advice_EA, weight_E).astype(np.float32)}

    def _tell(self, log_advice_EA: NDArray[np.float64], weight_E: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the entry, shape (E, width)."""
        return weight_E[:, None] * log_advice_EA
