"""What all teachers that learn have in common: the order of lessons, and the loss."""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cotutor.errors import LessonError
from cotutor.types import Lesson

LARGEST_GRADIENT = 1.0
EXPLODED = 1.0
"""By how many nats the mean loss of the last half of a pass may be above that of the first batch, before any step."""


def take_steps(
    optimizer: torch.optim.Optimizer,
    logits: Callable[[Sequence[Lesson]], list[Tensor]],
    lessons: Sequence[Lesson],
    *,
    steps: int,
    batch_size: int,
    seed: Sequence[int],
) -> float:
    """Takes gradient steps on minibatches of lessons, one pass at least, and returns the mean loss of the last pass.

    Args:
        optimizer: Holds the parameters; a step whose gradient is not finite is left out, and one that does not fit
            into memory is computed in pieces.
        logits: Returns the calibrated logits, shape (O,), of each lesson's question.
        lessons: At least one.
        steps: How many steps; more where these would leave out lessons.
        batch_size: Lessons in a step.
        seed: Decides the order of the lessons.

    Raises:
        LessonError: The loss is no number in the end, or much above that of the beginning; everything is as before.
    """
    before = copy.deepcopy((_parameters(optimizer), optimizer.state_dict()["state"]))
    a_pass = -(-len(lessons) // batch_size)
    steps = max(steps, a_pass)
    losses = [_step(optimizer, logits, batch) for batch in minibatches(lessons, batch_size, steps, seed)]
    last_pass = losses[-a_pass:]
    first, last = losses[0], float(np.mean(last_pass[a_pass // 2 :]))
    if not last <= first + EXPLODED:
        _take_back(optimizer, *before)
        raise LessonError(f"The loss of the lessons went from {first:.3g} to {last:.3g}.")
    return float(np.mean(last_pass))


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
    loss = _gradient(optimizer, logits, batch)
    if torch.nn.utils.clip_grad_norm_(_parameters(optimizer), LARGEST_GRADIENT).isfinite():
        optimizer.step()
    return loss


def _gradient(
    optimizer: torch.optim.Optimizer, logits: Callable[[Sequence[Lesson]], list[Tensor]], batch: Sequence[Lesson]
) -> float:
    """Computes the gradient of a batch's loss, in smaller and smaller pieces until they fit, and returns the loss."""
    weight = sum(lesson.weight for lesson in batch)
    size = len(batch)
    while True:
        optimizer.zero_grad()
        pieces = [batch[start : start + size] for start in range(0, len(batch), size)]
        try:
            loss = 0.0
            for piece in pieces:
                share = cross_entropy(logits(piece), piece) * (sum(lesson.weight for lesson in piece) / weight)
                share.backward()
                loss += share.item()
            return loss
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size = -(-size // 2)


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _take_back(optimizer: torch.optim.Optimizer, parameters: list[Tensor], state: dict[int, Any]) -> None:
    with torch.no_grad():
        for parameter, former in zip(_parameters(optimizer), parameters, strict=True):
            parameter.copy_(former)
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
