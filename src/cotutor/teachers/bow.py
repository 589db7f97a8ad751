"""A bag of words as teacher: what the same lessons teach without a language model."""

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from cotutor.teachers.base import Teacher
from cotutor.teachers.learning import take_steps
from cotutor.types import FloatArray, Lesson, Question


class BagOfWords(Teacher):
    """Scores an option by a sum of weights, one for each word and each pair of neighbouring words of the context.

    Weights start at zero, so untaught advice is uniform. Features and phrases get places as they are met in lessons.

    Args:
        seed: Decides the order of the lessons.
        learning_rate: Step size of Adam.
        batch_size: Lessons in one gradient step.
    """

    can_learn = True

    def __init__(self, seed: int = 0, learning_rate: float = 0.1, batch_size: int = 16) -> None:
        self.seed = seed
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.places: dict[str, int] = {}
        self.weights = torch.zeros(0)
        self.moments = torch.zeros(0)

    def score(self, questions: Sequence[Question]) -> list[FloatArray]:
        return []
