"""What a language model says of an option whatever the context: subtracted, so that advice is about the context."""

from collections.abc import Sequence

import numpy as np

from cotutor.types import FloatArray, Question

CALIBRATION = "calibration.json"
"""Name of the file that a teacher keeps it in."""


class Calibration:
    """The bias of each phrase: its mean score in reference contexts (Zhao et al. 2021, "Calibrate before use").

    A departure from the paper: the references are contexts of the task, not empty ones.

    Attributes:
        bias: Mean reference score by phrase.
    """

    def __init__(self, bias: dict[str, float] | None = None) -> None:
        self.bias = bias or {}

    def learn(self, questions: Sequence[Question], scores: Sequence[FloatArray]) -> None:
        """Learns the bias of each phrase in ``questions`` from its scores, shapes (O,). Others keep theirs."""
        seen: dict[str, list[float]] = {}
        for question, scores_O in zip(questions, scores, strict=True):
            for option, score in zip(question.options, scores_O, strict=True):
                seen.setdefault(option.phrase, []).append(float(score))
        self.bias |= {phrase: float(np.mean(scores)) for phrase, scores in seen.items()}

    def of(self, question: Question) -> FloatArray:
        """Returns the bias of the options, shape (O,); an unknown phrase gets the mean bias."""
        unknown = float(np.mean(list(self.bias.values()))) if self.bias else 0.0
        return np.array([self.bias.get(option.phrase, unknown) for option in question.options])
