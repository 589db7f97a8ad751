"""``annealed``: PPO with a cross-entropy term towards the advice whose weight falls linearly and is then dropped.

Source: LLM4Teach (Zhou et al. 2023, arXiv 2311.13373): loss = L_RL(θ) + λ · E_s[H(π_T(·|s) ‖ π_θ(·|s))]. In its
code λ starts at 10, falls by 0.005 an iteration to 0.1 (1,980 iterations) and is dropped after 3,000; an iteration is
ten episodes.

Departures:

- Its budget is a multiple of ours, so the schedule is in shares of the budget: λ falls for a third of the frames and is
  dropped at half of them (the ratio of the two is the source's, 0.66).
- Its teacher chooses options (sub-policies) with a GPT-4- or Vicuna-sized model, asked in every state; here the
  teacher gives action advice within the budget of all other methods; a context that was never asked has no such term.
- Its student is recurrent; PPO, network and hyper-parameters here are those of every method.

The term enters Stable-Baselines3's loss −c·H(π) by way of the entropy, as H(π) − (λ/c)·CE: no algorithm is forked.
"""

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from stable_baselines3 import PPO
from stable_baselines3.common.policies import MultiInputActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor
from torch.distributions import Categorical

from cotutor.config import RivalConfig, TrainConfig
from cotutor.errors import UserError
from cotutor.loop import Loop
from cotutor.rivals.one_way import OneWayLoop, SetTrust, one_way
from cotutor.students.guidance import GuidedVecEnv
from cotutor.students.ppo import make_ppo
from cotutor.students.spaces import entries
from cotutor.tasks.base import Task

ADVICE = "advice"
"""Entry of the observation: the weight λ of the term, then the advice on each action."""


def weight(share: float, settings: RivalConfig) -> float:
    """Returns λ after a share of the frames."""
    if share >= settings.annealed_drop:
        return 0.0
    fallen = min(1.0, share / settings.annealed_fall) if settings.annealed_fall else 1.0
    return settings.annealed_weight + fallen * (settings.annealed_least - settings.annealed_weight)


class AnnealedVecEnv(GuidedVecEnv):
    """Puts λ and the advice into the observation, where the loss finds them; the student's network sees neither."""

    entry = ADVICE

    @property
    def width(self) -> int:
        return 1 + self.actions

    def _tell(self, log_advice_EA: NDArray[np.float64], weight_E: NDArray[np.float64]) -> NDArray[np.float64]:
        advised_E = log_advice_EA.any(axis=1)
        return np.column_stack([weight_E * advised_E, softmax(log_advice_EA, axis=1)])


class AnnealedPolicy(MultiInputActorCriticPolicy):
    """A policy whose entropy, in training, has the cross-entropy with the advice taken off.

    Args:
        entropy_weight: c, by which the loss multiplies the entropy.
        others: As in Stable-Baselines3.
    """

    def __init__(self, *args: Any, entropy_weight: float, **others: Any) -> None:
        self.entropy_weight = entropy_weight
        super().__init__(*args, **others)

    def make_features_extractor(self) -> BaseFeaturesExtractor:
        visible: dict[str, gym.Space[Any]] = {**entries(self.observation_space)}
        del visible[ADVICE]
        return self.features_extractor_class(gym.spaces.Dict(visible), **self.features_extractor_kwargs)

    def evaluate_actions(self, obs: PyTorchObs, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        assert isinstance(obs, dict)
        latent_pi, latent_vf = self.mlp_extractor(self.extract_features(obs))
        distribution = self._get_action_dist_from_latent(latent_pi).distribution
        assert isinstance(distribution, Categorical)
        weight_B, advice_BA = obs[ADVICE][:, 0], obs[ADVICE][:, 1:]
        cross_entropy_B = -(advice_BA * distribution.logits).sum(dim=1)
        penalised_B = distribution.entropy() - weight_B * cross_entropy_B / self.entropy_weight
        return self.value_net(latent_vf), distribution.log_prob(actions.flatten()), penalised_B


class AnnealedLoop(OneWayLoop):
    """Lowers λ, which is what the advice is trusted with, from rollout to rollout."""

    def _on_rollout_start(self) -> None:
        trust = self.adviser.trust
        assert isinstance(trust, SetTrust)
        trust.set = weight(self.model.num_timesteps / self.config.frames, self.config.rivals)
        self.adviser.refresh()


def make(envs: VecEnv, task: Task, config: TrainConfig) -> tuple[PPO, Loop]:
    """Makes a student whose loss has the term, and its loop.

    Raises:
        UserError: There is no entropy bonus in whose place the term could enter.
    """
    if config.ppo.entropy <= 0:
        raise UserError("The method annealed needs a positive ppo.entropy: its term enters the loss beside the bonus.")
    guide, adviser, plain = one_way(envs, task, config, AnnealedVecEnv)
    model = make_ppo(guide, config, AnnealedPolicy, entropy_weight=config.ppo.entropy)
    return model, AnnealedLoop(adviser, guide, replace(plain, guidance=replace(plain.guidance, prior=False)))
