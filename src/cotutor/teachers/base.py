"""The contract of a teacher."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
from scipy.special import softmax

from cotutor.config import AskingConfig
from cotutor.text import shortened
from cotutor.types import Feedback, FloatArray, Lesson, Question


class Teacher(ABC):
    """Something that can say which option is good in a context, and may learn to say it better.

    A teacher of one's own that does not learn says :meth:`score`; the rest has defaults. One that learns says also
    :meth:`learn`, :meth:`save`, :meth:`load` (which bring back ``version``) and :meth:`reference`.

    Attributes:
        version: How often :meth:`learn` has changed it; scores of different versions must not be mixed up.
        can_learn: Whether :meth:`learn` does anything.
        privileged: Whether it reads the simulator's state (:meth:`score_state`) and not the context. A privileged
            teacher answers per state and bypasses the cache.
        remote: Whether its answers are computed elsewhere, so that the student can go on while they come.
        most_characters: How long a context may be.
        listens: Whether it is told before it is asked what came of its advice (:meth:`hear`).
    """

    version: int = 0
    can_learn: bool = False
    privileged: bool = False
    remote: bool = False
    most_characters: int = AskingConfig.most_characters
    listens: bool = False

    @property
    def tokens(self) -> int:
        """How many tokens went through a language model so far, zero for a teacher that has none."""
        return 0

    @abstractmethod
    def score(self, questions: Sequence[Question]) -> list[FloatArray]:
        """Returns the uncalibrated log-likelihoods (up to a constant) of the options, shape (O,), of each question."""

    def read(self, contexts: Sequence[str]) -> list[str]:
        """Returns the contexts as the teacher reads them; all that it is asked was read so.

        By default they stay as they are, but for what is longer than ``most_characters``, which loses its middle.
        """
        return [shortened(context, self.most_characters) for context in contexts]

    def score_state(self, env: gym.Env[Any, Any], question: Question) -> FloatArray:
        """Returns the scores, shape (O,), of a privileged teacher for the present state of ``env``."""
        raise NotImplementedError

    def hear(self, trust: float, feedback: Mapping[Question, Feedback]) -> None:
        """Is told what its advice is trusted with, and what the student measured where it had been asked."""
        raise NotImplementedError

    def rest(self) -> None:  # noqa: B027
        """Is told that training is over: from now on it is only measured."""

    def close(self) -> None:  # noqa: B027
        """Is told that nobody will ask it any more."""

    def calibrate(self, questions: Sequence[Question]) -> None:  # noqa: B027
        """Learns every option's bias from reference contexts, as a run begins. Does nothing by default."""

    def advice(self, questions: Sequence[Question], scores: Sequence[FloatArray]) -> list[FloatArray]:
        """Returns calibrated probabilities, shape (O,), for scores that :meth:`score` gave: as a rule their softmax."""
        return [softmax(scores_O) for scores_O in scores]

    def reference(self, questions: Sequence[Question]) -> list[FloatArray]:
        """Returns the calibrated advice, shape (O,), that it gave before any lesson: its advice, if it takes none."""
        return self.advice(questions, self.score(questions))

    def learn(self, lessons: Sequence[Lesson], steps: int) -> float:
        """Takes ``steps`` gradient steps, adds one to ``version`` and returns the mean loss of the last pass."""
        raise NotImplementedError

    def save(self, folder: Path) -> None:  # noqa: B027
        """Writes weights (safetensors) and calibration (JSON) into ``folder``."""

    def load(self, folder: Path) -> None:  # noqa: B027
        """Reads what :meth:`save` wrote."""
