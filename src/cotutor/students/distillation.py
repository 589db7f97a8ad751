"""Distillation: what is advised, or what the pair does, becomes the student's own, so that it can act alone."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import entr
from stable_baselines3.common.policies import BasePolicy

from cotutor.stateful import Stateful
from cotutor.students.policies import PRIOR, as_tensors, categorical
from cotutor.types import FloatArray

States = dict[str, NDArray[Any]]
CLOSE = 0.01
"""A student that differs from its target by so many nats does the same."""
LATELY = 4096
"""How many of the latest states tell what is done now."""
Target = Callable[[States, Sequence[str]], tuple[NDArray[np.floating], NDArray[np.floating]]]
"""Gives what is to be learnt in B states with their contexts: probabilities, shape (B, A), and weights, shape (B,)."""


class Distillation(Stateful):
    """Minimises CE(target, π_θ(·|s)) of a student without prior over remembered states.

    Targets are looked up when a state is drawn, so a remembered state is taught the newest advice on its context.
    Adam's step does not depend on the scale of the loss, so the weights weigh the states of a batch against each other
    in the loss, and the batch as a whole in the learning rate: advice that is trusted little moves the student little.

    Args:
        student: The policy that learns; it reads the entry ``prior``, which is zero here.
        capacity: States remembered; the oldest are overwritten.
        learning_rate: Of an Adam of its own, so that the moments of PPO's are left alone.
        batch_size: States in a gradient step.
        seed: Seed of the draws.
    """

    changes = ("student", "optimizer", "random", "states", "contexts", "seen")

    def __init__(self, student: BasePolicy, capacity: int, learning_rate: float, batch_size: int, seed: int) -> None:
        self.student = student
        self.capacity = capacity
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.optimizer = self._fresh_optimizer()
        self.random = np.random.default_rng(seed)
        self.states: States = {}
        self.contexts: list[str] = []
        self.seen = 0

    def remember(self, states: States, contexts: Sequence[str]) -> None:
        """Remembers N states: arrays of shape (N, ...) by name, and their contexts."""
        places = (self.seen + np.arange(len(contexts))) % self.capacity
        self.seen += len(contexts)
        for name, values in states.items():
            self.states[name] = _with_room(self.states.get(name, values[:0]), self.remembered, self.capacity)
            self.states[name][places] = values
        self.contexts += [""] * (self.remembered - len(self.contexts))
        for place, context in zip(places, contexts, strict=True):
            self.contexts[place] = context

    @property
    def remembered(self) -> int:
        """How many states are remembered."""
        return min(self.seen, self.capacity)

    def begin_as(self, policy: BasePolicy) -> None:
        """Makes the student a copy of a policy of the same shape, which has learnt nothing here yet."""
        self.student.load_state_dict(policy.state_dict())
        self.optimizer = self._fresh_optimizer()

    def study(self, target: Target, passes: int) -> None:
        """Takes so many passes over the remembered states at most, whose targets, unlike in :meth:`train`, stay.

        It ends as soon as the student does what it is shown: KL(target‖π_θ) below :data:`CLOSE` in the mean of a pass.
        """
        if not (passes and self.remembered):
            return
        targets = [target(*self._at(places)) for places in self._batches(np.arange(self.remembered))]
        target_NA, weight_N = (np.concatenate(parts) for parts in zip(*targets, strict=True))
        entropy = float(entr(target_NA).sum(axis=1).mean())
        for _ in range(passes):
            batches = self._batches(self.random.permutation(self.remembered))
            losses = [self._step(self._at(places)[0], target_NA[places], weight_N[places]) for places in batches]
            if np.mean(losses) - entropy < CLOSE:
                return

    def habits(self, target: Target, most: int) -> dict[str, FloatArray]:
        """Returns the mean of the targets, shape (A,), in each of the contexts met most lately, ``most`` of them.

        Only the latest :data:`LATELY` states count: what would be done now where nobody goes any more is a mere guess.
        """
        latest = (self.seen - 1 - np.arange(min(self.remembered, LATELY))) % self.capacity
        done_NA, _ = target(*self._at(latest))
        met = [self.contexts[place] for place in latest]
        sums: dict[str, FloatArray] = {}
        for context, done_A in zip(met, done_NA, strict=True):
            sums[context] = sums.get(context, 0.0) + done_A
        return {context: sums[context] / count for context, count in Counter(met).most_common(most)}

    def train(self, target: Target, steps: int) -> float:
        """Takes ``steps`` gradient steps and returns the mean loss, zero where nothing is trusted."""
        losses = []
        for _ in range(steps):
            states, contexts = self._at(self.random.integers(0, self.remembered, self.batch_size))
            target_BA, weight_B = target(states, contexts)
            if weight_B.any():
                losses.append(self._step(states, target_BA, weight_B))
        return float(np.mean(losses)) if losses else 0.0

    def _at(self, places: NDArray[np.integer]) -> tuple[States, list[str]]:
        return {name: values[places] for name, values in self.states.items()}, [self.contexts[n] for n in places]

    def _batches(self, places: NDArray[np.integer]) -> list[NDArray[np.integer]]:
        return np.array_split(places, range(self.batch_size, len(places), self.batch_size))

    def _fresh_optimizer(self) -> torch.optim.Adam:
        return torch.optim.Adam(self.student.parameters(), lr=self.learning_rate, eps=1e-5)

    def _step(self, states: States, target: NDArray[np.floating], weight: NDArray[np.floating]) -> float:
        device = self.student.device
        target_BA, weight_B = torch.as_tensor(target, device=device), torch.as_tensor(weight, device=device)
        alone = {**states, PRIOR: np.zeros(target_BA.shape, dtype=np.float32)}
        logits_BA = categorical(self.student, as_tensors(self.student, alone)).logits
        loss = -(weight_B * (target_BA * logits_BA).sum(dim=1)).sum() / weight_B.sum()
        self.optimizer.param_groups[0]["lr"] = self.learning_rate * float(weight_B.mean())
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 0.5)
        self.optimizer.step()
        return float(loss.detach())


def _with_room(values: NDArray[Any], needed: int, capacity: int) -> NDArray[Any]:
    """Returns an array with room for so many entries at least, at best for half as many more, the old ones in front."""
    if needed <= len(values):
        return values
    roomy = np.zeros((min(capacity, needed + needed // 2), *values.shape[1:]), dtype=values.dtype)
    roomy[: len(values)] = values
    return roomy
