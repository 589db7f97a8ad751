"""Who chooses subgoals: a policy that scores each offered one by its words, and PPO over steps of unequal length."""

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import DictRolloutBuffer
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
from torch import Tensor, nn

from cotutor.config import TrainConfig
from cotutor.plans.plan import Plan
from cotutor.plans.subgoals import SUBGOALS
from cotutor.students.encoder import TextEncoder
from cotutor.students.policies import GuidedPolicy
from cotutor.students.spaces import entries
from cotutor.tasks.words import Words


class PlanEncoder(BaseFeaturesExtractor):
    """Reads the context in words.

    Args:
        observation_space: A Dict space with ``context``.
        width: Size of the embeddings and of the result.
    """

    def __init__(self, observation_space: gym.spaces.Dict, width: int = 64) -> None:
        super().__init__(observation_space, width)
        box = entries(observation_space)["context"]
        self.text = TextEncoder(int(box.high.max()) + 1, box.shape[0], width)

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        return self.text(observations["context"])


class PhraseHead(nn.Module):
    """Scores every subgoal by its words: a dot product of the latent with the mean of the words' embeddings.

    Args:
        latent: Size of the latent.
        words: Numbers the words.
    """

    def __init__(self, latent: int, words: Words) -> None:
        super().__init__()
        encoded = np.stack([words.encode(subgoal.phrase) for subgoal in SUBGOALS])[:, :8]
        self.phrases_AT: Tensor
        self.register_buffer("phrases_AT", torch.as_tensor(encoded.astype(np.int64)))
        self.embedding = nn.EmbeddingBag(words.size, latent, mode="mean", padding_idx=0)
        self.scale = latent**-0.5

    def forward(self, latent_BD: Tensor) -> Tensor:
        """Returns logits, shape (B, A)."""
        return self.scale * latent_BD @ self.embedding(self.phrases_AT).T


class ManagerPolicy(GuidedPolicy):
    """Chooses subgoals; the teacher's advice is its prior.

    Args:
        words: Numbers the words of plans.
        others: Whatever Stable-Baselines3 gives to policies.
    """

    def __init__(self, *others: Any, words: Words, **named: Any) -> None:
        self.words = words
        super().__init__(*others, **named)

    def _build(self, lr_schedule) -> None:
        super()._build(lr_schedule)
        self.action_net = PhraseHead(self.mlp_extractor.latent_dim_pi, self.words)
        self.optimizer = self.optimizer_class(self.parameters(), **{"lr": lr_schedule(1), **self.optimizer_kwargs})


class PlanBuffer(DictRolloutBuffer):
    """A rollout of whole subgoals, discounted by γ^duration (Sutton, Precup & Singh 1999).

    Stable-Baselines3 adds γ · V(s') to the reward of a time-out; here it becomes γ^duration · V(s').

    Args:
        venv: The environments, whose infos tell the durations.
    """

    def __init__(self, *others: Any, venv: VecEnv, **named: Any) -> None:
        super().__init__(*others, **named)
        plain = venv.unwrapped
        assert isinstance(plain, DummyVecEnv)
        self.plain = plain

    def reset(self) -> None:
        self.discounts = np.zeros((self.buffer_size, self.n_envs), dtype=np.float32)
        super().reset()

    def add(self, obs, action, reward, *others: Any) -> None:  # pyright: ignore
        discount_E = self.gamma ** np.array([info["duration"] for info in self.plain.buf_infos])
        earned_E = self.plain.buf_rews
        self.discounts[self.pos] = discount_E
        super().add(obs, action, earned_E + (reward - earned_E) / self.gamma * discount_E, *others)

    def compute_returns_and_advantage(self, last_values: Tensor, dones: np.ndarray) -> None:
        """Computes GAE with a discount of its own for every step."""
        next_values, going = last_values.clone().cpu().numpy().flatten(), 1.0 - dones.astype(np.float32)
        advantage_E = np.zeros(self.n_envs, dtype=np.float32)
        for step in reversed(range(self.buffer_size)):
            discount_E = self.discounts[step] * going
            delta_E = self.rewards[step] + discount_E * next_values - self.values[step]
            advantage_E = delta_E + discount_E * self.gae_lambda * advantage_E
            self.advantages[step] = advantage_E
            next_values, going = self.values[step], 1.0 - self.episode_starts[step]
        self.returns = self.advantages + self.values


def make_manager(envs: VecEnv, plan: Plan, config: TrainConfig) -> PPO:
    """Makes PPO over subgoals."""
    settings = config.plans
    return PPO(
        ManagerPolicy,
        envs,
        learning_rate=settings.learning_rate,
        n_steps=settings.decisions,
        batch_size=settings.batch_size,
        n_epochs=settings.epochs,
        gamma=settings.gamma,
        gae_lambda=config.ppo.gae_lambda,
        clip_range=config.ppo.clip_range,
        ent_coef=settings.entropy,
        rollout_buffer_class=PlanBuffer,
        rollout_buffer_kwargs={"venv": envs},
        policy_kwargs={
            "features_extractor_class": PlanEncoder,
            "net_arch": [64],
            "words": Words(plan.vocabulary, plan.max_words),
        },
        seed=config.seed,
        device="cpu",
    )
