"""Advice by distillation: the student remembers states with their contexts and learns what was advised there."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy

from cotutor.students.guidance import PRIOR, categorical


class Distillation:
    """Minimises CE(T̃(·|c), π_θ(·|s)) of the student without prior, weighted by trust, over remembered states.

    The advice is looked up when a state is drawn, so a remembered state is taught the newest advice on its context.
    Adam's step does not depend on the scale of the loss, so trust weighs the states of a batch against each other in
    the loss, and the batch as a whole in the learning rate: advice that is trusted little moves the student little.

    Args:
        policy: The student's policy; it reads the entry ``prior``, which is zero here.
        capacity: States remembered; the oldest are overwritten.
        learning_rate: Of an Adam of its own, so that the moments of PPO's are left alone.
        batch_size: States in a gradient step.
        seed: Seed of the draws.
    """

    def __init__(
        self, policy: ActorCriticPolicy, capacity: int, learning_rate: float, batch_size: int, seed: int
    ) -> None:
        self.policy = policy
        self.capacity = capacity
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.optimizer = torch.optim.Adam(policy.parameters(), lr=learning_rate, eps=1e-5)
        self.random = np.random.default_rng(seed)
        self.states: dict[str, NDArray[Any]] = {}
        self.contexts: list[str] = [""] * capacity
        self.seen = 0

    def remember(self, observations: dict[str, NDArray[Any]], contexts: list[str]) -> None:
        """Remembers N states: arrays of shape (N, ...) by name, and their contexts."""
        places = (self.seen + np.arange(len(contexts))) % self.capacity
        for name, values in observations.items():
            if name == PRIOR:
                continue
            self.states.setdefault(name, np.zeros((self.capacity, *values.shape[1:]), dtype=values.dtype))
            self.states[name][places] = values
        for place, context in zip(places, contexts, strict=True):
            self.contexts[place] = context
        self.seen += len(contexts)

    def train(self, advise: Callable[[str], tuple[NDArray[np.float64], float]], steps: int) -> float:
        """Takes ``steps`` gradient steps and returns the mean loss, zero where nothing is trusted.

        Args:
            advise: Gives the advice per action, shape (A,), and the trust in it, for a context.
            steps: Gradient steps.
        """
        losses = []
        for _ in range(steps):
            places = self.random.integers(0, min(self.seen, self.capacity), self.batch_size)
            advice = [advise(self.contexts[place]) for place in places]
            target_BA = torch.as_tensor(np.stack([advice_A for advice_A, _ in advice]), dtype=torch.float32)
            trust_B = torch.as_tensor([trust for _, trust in advice], dtype=torch.float32)
            if not trust_B.any():
                continue
            states = {name: torch.as_tensor(values[places]) for name, values in self.states.items()}
            states[PRIOR] = torch.zeros_like(target_BA)
            logits_BA = categorical(self.policy, states).logits
            loss = -(trust_B * (target_BA * logits_BA).sum(dim=1)).sum() / trust_B.sum()
            self.optimizer.param_groups[0]["lr"] = self.learning_rate * float(trust_B.mean())
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), 0.5)
            self.optimizer.step()
            losses.append(float(loss.detach()))
        return float(np.mean(losses)) if losses else 0.0
