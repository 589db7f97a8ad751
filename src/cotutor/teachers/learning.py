"""What all teachers that learn have in common: the order of lessons, and the loss."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from cotutor.types import Lesson

LARGEST_GRADIENT = 1.0


def take_steps(
    optimizer: torch.optim.Optimizer,
    logits: Callable[[Sequence[Lesson]], list[Tensor]],
    lessons: Sequence[Lesson],
    *,
    steps: int,
    batch_size: int,
    seed: Sequence[int],
) -> float:
    """Takes gradient steps on minibatches of lessons and returns the mean loss of the last pass over them.

    Args:
        optimizer: Holds the parameters; a step whose gradient is not finite is left out.
        logits: Returns the calibrated logits, shape (O,), of each lesson's question.
        lessons: At least one.
        steps: How many steps.
        batch_size: Lessons in a step.
        seed: Decides the order of the lessons.
    """
    losses = [_step(optimizer, logits, batch) for batch in minibatches(lessons, batch_size, steps, seed)]
    a_pass = -(-len(lessons) // batch_size)
    return float(np.mean(losses[-a_pass:]))


def minibatches(
    lessons: Sequence[Lesson], batch_size: int, steps: int, seed: Sequence[int]
) -> Iterator[Sequence[Lesson]]:
    """Yields ``steps`` minibatches, pass after pass over all lessons, each pass in an order of its own."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(lessons))
        for start in range(0, len(lessons), batch_size):
            if steps == 0:
                return
            yield [lessons[i] for i in order[start : start + batch_size]]
            steps -= 1


def cross_entropy(logits: Sequence[Tensor], lessons: Sequence[Lesson]) -> Tensor:
    """Returns the cross-entropy of the lessons' targets, averaged by their weights."""
    losses_C = torch.stack(
        [
            -(logits_O.new_tensor(lesson.target_O) * logits_O.log_softmax(dim=0)).sum()
            for logits_O, lesson in zip(logits, lessons, strict=True)
        ]
    )
    weights_C = losses_C.new_tensor([lesson.weight for lesson in lessons])
    return (losses_C * weights_C).sum() / weights_C.sum()


def _step(
    optimizer: torch.optim.Optimizer, logits: Callable[[Sequence[Lesson]], list[Tensor]], batch: Sequence[Lesson]
) -> float:
    optimizer.zero_grad()
    loss = cross_entropy(logits(batch), batch)
    loss.backward()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if torch.nn.utils.clip_grad_norm_(parameters, LARGEST_GRADIENT).isfinite():
        optimizer.step()
    return loss.item()
