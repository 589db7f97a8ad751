"""Teachers without a model: controls, from perfect to harmful."""

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from cotutor.tasks.base import Task
from cotutor.teachers.base import Teacher
from cotutor.types import FloatArray, Question

CERTAIN = 10.0
"""By how much an oracle's option leads, in nats."""
LOYAL = 12_000
TURNCOAT = "turncoat.json"


class Uniform(Teacher):
    """Finds all options equally good."""

    def score(self, questions: Sequence[Question]) -> list[FloatArray]:
        return [np.zeros(len(question.options)) for question in questions]


class Random(Teacher):
    """Has one fixed, random ranking of the options for each context, and is as sure of it as a good teacher would be.

    Args:
        seed: Another seed, other rankings.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def score(self, questions: Sequence[Question]) -> list[FloatArray]:
        return [self._score(question) for question in questions]

    def _score(self, question: Question) -> FloatArray:
        rng = np.random.default_rng((self.seed, zlib.crc32(question.context.encode())))
        return -2.0 * rng.permutation(len(question.options)).astype(np.float64)


class Oracle(Teacher):
    """Advises what the task's expert, who sees the simulator's state, would do; undecided if that is not offered.

    Args:
        task: A task that has an expert.
    """

    privileged = True
    lead = CERTAIN

    def __init__(self, task: Task) -> None:
        self.task = task

    def score(self, questions: Sequence[Question]) -> list[FloatArray]:
        """Raises an error: a context alone does not tell what the expert would do."""
        raise NotImplementedError("a privileged teacher is asked by score_state")

    def score_state(self, env: gym.Env[Any, Any], question: Question) -> FloatArray:
        expert = self.task.expert_action(env)
        return np.array([self.lead * (option.action == expert) for option in question.options])


class Adversarial(Oracle):
    """Advises anything but what the expert would do."""

    lead = -CERTAIN


class Turncoat(Oracle):
    """Advises like the oracle at first, by when it is trusted, and then the opposite: a teacher that breaks in a run.

    Attributes:
        loyal: It turns when it has been asked in so many more states.
    """

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.loyal = LOYAL

    def score_state(self, env: gym.Env[Any, Any], question: Question) -> FloatArray:
        self.loyal = max(0, self.loyal - 1)
        right_O = super().score_state(env, question)
        return right_O if self.loyal else -right_O

    def save(self, folder: Path) -> None:
        (folder / TURNCOAT).write_text(json.dumps({"loyal": self.loyal}) + "\n")

    def load(self, folder: Path) -> None:
        self.loyal = json.loads((folder / TURNCOAT).read_text())["loyal"]
