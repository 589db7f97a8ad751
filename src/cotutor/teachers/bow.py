"""A bag of words as teacher: what the same lessons teach without a language model."""

import json
import re
import zlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from cotutor.teachers.base import Teacher
from cotutor.teachers.learning import take_steps
from cotutor.types import FloatArray, Lesson, Question

PLACES = 2**18
"""Weights; a feature of an option gets its place by hashing, and so few are used that they hardly collide."""

WEIGHTS = "bow.safetensors"
VERSION = "bow.json"


class BagOfWords(Teacher):
    """Scores an option by a sum of weights, one for each word and each pair of neighbouring words of the context.

    Weights start at zero, so untaught advice is uniform.

    Args:
        seed: Decides the order of the lessons.
        learning_rate: Step size of Adam.
        batch_size: Lessons in one gradient step, twice as many as a language model has: here they cost nothing.
    """

    can_learn = True

    def __init__(self, seed: int = 0, learning_rate: float = 0.01, batch_size: int = 16) -> None:
        self.seed = seed
        self.batch_size = batch_size
        self.weights = torch.zeros(PLACES, requires_grad=True)
        self.optimizer = torch.optim.Adam([self.weights], lr=learning_rate)

    def score(self, questions: Sequence[Question]) -> list[FloatArray]:
        with torch.no_grad():
            return [self._logits(question).numpy().astype(np.float64) for question in questions]

    def reference(self, questions: Sequence[Question]) -> list[FloatArray]:
        return [np.full(len(question.options), 1 / len(question.options)) for question in questions]

    def learn(self, lessons: Sequence[Lesson], steps: int) -> float:
        loss = take_steps(
            self.optimizer,
            lambda batch: [self._logits(lesson.question) for lesson in batch],
            lessons,
            steps=steps,
            batch_size=self.batch_size,
            seed=(self.seed, self.version),
        )
        self.version += 1
        return loss

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        state = self.optimizer.state_dict()["state"].get(0, {})
        save_file({"weights": self.weights.detach(), **state}, folder / WEIGHTS)
        (folder / VERSION).write_text(json.dumps({"version": self.version}) + "\n")

    def load(self, folder: Path) -> None:
        state = load_file(folder / WEIGHTS)
        with torch.no_grad():
            self.weights.copy_(state.pop("weights"))
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": {0: state} if state else {}})
        self.version = json.loads((folder / VERSION).read_text())["version"]

    def _logits(self, question: Question) -> Tensor:
        places_OF = torch.tensor([_places(question.context, option.phrase) for option in question.options])
        return self.weights[places_OF].sum(dim=1)


@lru_cache(maxsize=2**16)
def _places(context: str, phrase: str) -> list[int]:
    """Returns the places of an option's weights, one for each feature of the context."""
    words = re.findall(r"\w+", context.lower())
    features = {"", *words, *(f"{a} {b}" for a, b in pairwise(words))}
    return [zlib.crc32(f"{phrase}|{feature}".encode()) % PLACES for feature in sorted(features)]
