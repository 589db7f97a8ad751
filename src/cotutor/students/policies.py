"""Advice as a prior of the policy, for every algorithm with discrete actions.

- Policies with logits (PPO, A2C, MaskablePPO, RecurrentPPO): π(a|s) ∝ f(a|s) · T̃(a|c)^trust.
- Policies of values (DQN, QR-DQN): the greedy action is argmax_a Q(s,a) / scale + trust · log T̃(a|c). It is the action
  that the policy π ∝ T̃^trust · exp(Q / scale) finds most probable, which maximises E_π[Q] − scale · KL(π ‖ T̃^trust).

The prior, trust · log T̃, is an entry of the observation. Neither the network nor the critic sees it, and the targets of
the values are taken without it.

Where an observation says what is offered, nothing else has a chance, whoever advises.
"""

from typing import Any, cast

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib.common.maskable.policies import MaskableMultiInputActorCriticPolicy
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy, RecurrentMultiInputActorCriticPolicy
from sb3_contrib.qrdqn.policies import MultiInputPolicy as QRDQNPolicy
from stable_baselines3.common.policies import BasePolicy, MultiInputActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, MlpExtractor
from stable_baselines3.dqn.policies import MultiInputPolicy as DQNPolicy
from torch import Tensor, nn
from torch.distributions import Categorical

from cotutor.errors import UserError
from cotutor.students.spaces import count_actions, entries
from cotutor.tasks.base import OFFERED

PRIOR = "prior"

IMPOSSIBLE = -1e9
"""Logit of an action that is not offered: its probability is exactly zero, and gradients stay finite."""


def logits_beside(observations: dict[str, Tensor]) -> Tensor:
    """Returns what is added to a policy's own logits, shape (B, A): the prior, and what rules out what is not offered.

    Observations without a prior, as plain algorithms have them, must say what is offered.
    """
    if OFFERED not in observations:
        return observations[PRIOR]
    offered_BA = observations[OFFERED]
    prior_BA = observations.get(PRIOR, torch.zeros_like(offered_BA))
    return torch.where(offered_BA > 0, prior_BA, IMPOSSIBLE)


def among_offered(logits_NA: NDArray[Any], observations: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Returns logits in which what an observation does not offer, if it says so, is impossible."""
    return logits_NA if OFFERED not in observations else np.where(observations[OFFERED] > 0, logits_NA, IMPOSSIBLE)


class BlindExtractor(BaseFeaturesExtractor):
    """A features extractor that never sees the prior.

    Args:
        extractor: The wrapped extractor; ``features_dim`` stays its own.
    """

    def __init__(self, extractor: BaseFeaturesExtractor) -> None:
        super().__init__(extractor._observation_space, extractor.features_dim)
        self.extractor = extractor

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        return self.extractor({name: value for name, value in observations.items() if name != PRIOR})


class PriorExtractor(BlindExtractor):
    """A features extractor that never sees the prior, with it carried past at the end of the features."""

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        return torch.cat([super().forward(observations), logits_beside(observations)], dim=-1)


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
        own, prior = split(features, self.actions)
        return torch.cat([self.towers.forward_actor(own), prior], dim=-1)

    def forward_critic(self, features: Tensor) -> Tensor:
        return self.towers.forward_critic(split(features, self.actions)[0])


def split(features: Tensor, actions: int) -> tuple[Tensor, Tensor]:
    """Returns what is the network's own, and the prior carried past it at the end, shape (..., ``actions``)."""
    return features[..., :-actions].contiguous(), features[..., -actions:]


class BlindMixin(BasePolicy):
    """Keeps the prior from the network of a policy.

    Attributes:
        prior_extractor: What wraps the features extractor to do so.
    """

    prior_extractor = BlindExtractor

    def make_features_extractor(self) -> BaseFeaturesExtractor:
        visible = gym.spaces.Dict({name: box for name, box in entries(self.observation_space).items() if name != PRIOR})
        return self.prior_extractor(self.features_extractor_class(visible, **self.features_extractor_kwargs))


class GuidedMixin(BlindMixin):
    """Adds the prior to the logits of any actor-critic policy with a shared features extractor and discrete actions."""

    prior_extractor = PriorExtractor
    action_dist: Any
    action_net: nn.Module

    def _build_mlp_extractor(self) -> None:
        cast(Any, super())._build_mlp_extractor()
        self.mlp_extractor: Any = PriorPassing(self.mlp_extractor, count_actions(self.action_space))

    def _get_action_dist_from_latent(self, latent_pi: Tensor) -> Any:
        own, prior = split(latent_pi, self.mlp_extractor.actions)
        return self.action_dist.proba_distribution(action_logits=self.action_net(own) + prior)


class GuidedPolicy(GuidedMixin, MultiInputActorCriticPolicy):
    """Stable-Baselines3's policy for Dict observations, guided: for PPO and A2C."""


class GuidedMaskablePolicy(GuidedMixin, MaskableMultiInputActorCriticPolicy):
    """sb3-contrib's policy with action masks, guided: for MaskablePPO. What is masked stays impossible."""


class GuidedRecurrentMixin(GuidedMixin):
    """Adds the prior to the logits of a recurrent policy; its LSTMs do not see it.

    Raises:
        UserError: The critic has no LSTM.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if cast(RecurrentActorCriticPolicy, self).critic is not None:
            raise UserError("A guided critic needs an LSTM: pass enable_critic_lstm=True or shared_lstm=True.")

    @staticmethod
    def _process_sequence(
        features: Tensor, lstm_states: tuple[Tensor, Tensor], episode_starts: Tensor, lstm: nn.LSTM
    ) -> tuple[Tensor, Any]:
        own, prior = split(features, features.shape[-1] - lstm.input_size)
        remembered, states = RecurrentActorCriticPolicy._process_sequence(own, lstm_states, episode_starts, lstm)
        return torch.cat([remembered, prior], dim=-1), states


class GuidedRecurrentPolicy(GuidedRecurrentMixin, RecurrentMultiInputActorCriticPolicy):
    """sb3-contrib's recurrent policy, guided: for RecurrentPPO."""


class GuidedValueMixin(BlindMixin):
    """Adds the prior to the values of actions when they are chosen, and only then.

    Attributes:
        scale: By which values are divided to be added to the prior: what the advantages vary by, which the loop
            measures.
    """

    scale: Tensor

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.register_buffer("scale", torch.ones(()))

    def values(self, observations: dict[str, Tensor]) -> Tensor:
        """Returns Q(s, a), shape (B, A)."""
        raise NotImplementedError

    def preferences(self, observations: dict[str, Tensor]) -> Tensor:
        """Returns Q(s, a) / scale + prior, shape (B, A), whose greatest is the greedy action."""
        return self.values(observations) / self.scale + logits_beside(observations)

    def _predict(self, observation: Any, deterministic: bool = True) -> Tensor:
        return self.preferences(observation).argmax(dim=1)


# Stable-Baselines3's own value policies rename the argument of their base class
class GuidedDQNPolicy(GuidedValueMixin, DQNPolicy):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Stable-Baselines3's policy for Dict observations, guided: for DQN."""

    def values(self, observations: dict[str, Tensor]) -> Tensor:
        return self.q_net(observations)


class GuidedQRDQNPolicy(GuidedValueMixin, QRDQNPolicy):  # pyright: ignore[reportIncompatibleMethodOverride]
    """sb3-contrib's policy for Dict observations, guided: for QRDQN."""

    def values(self, observations: dict[str, Tensor]) -> Tensor:
        return self.quantile_net(observations).mean(dim=1)


def categorical(policy: BasePolicy, observations: dict[str, Tensor]) -> Categorical:
    """Returns the action distribution of an actor-critic policy with discrete actions and no memory."""
    distribution = cast(Any, policy).get_distribution(observations).distribution
    assert isinstance(distribution, Categorical)
    return distribution


def policy_probabilities(policy: BasePolicy, observations: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Returns the action probabilities, shape (N, A), of a policy for a batch of observations.

    Raises:
        UserError: The policy remembers, so observations alone do not tell what it would do.
    """
    if isinstance(policy, RecurrentActorCriticPolicy):
        raise UserError("A recurrent student acts on what it remembers: evaluate it with Stable-Baselines3's predict.")
    with torch.no_grad():
        tensors = as_tensors(policy, observations)
        if isinstance(policy, GuidedValueMixin):
            preferred_NA = policy.preferences(tensors)
            chosen_NA = nn.functional.one_hot(preferred_NA.argmax(dim=1), preferred_NA.shape[1])
            return chosen_NA.double().cpu().numpy()
        return categorical(policy, tensors).probs.double().cpu().numpy()


def as_tensors(policy: BasePolicy, observations: dict[str, NDArray[Any]]) -> dict[str, Tensor]:
    """Returns the observations where the policy is."""
    return {name: torch.as_tensor(values, device=policy.device) for name, values in observations.items()}
