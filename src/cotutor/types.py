"""The vocabulary: what teacher and student say to each other, as frozen dataclasses and nothing else.

Dimension suffixes: ``C`` contexts, ``O`` options, ``A`` actions, ``T`` steps, ``E`` environments.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Option:
    """One thing that the teacher can say in a context.

    Attributes:
        phrase: The words that the language model scores, without a leading space ("turn left").
        action: The action of the environment that the phrase stands for. Several phrases may name the same action.
    """

    phrase: str
    action: int


@dataclass(frozen=True, slots=True)
class Question:
    """What a teacher is asked: a context, and what may be said in it.

    Attributes:
        context: The text of one state, as the teacher reads it (mission and observation).
        options: The options offered, at least two.
    """

    context: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the student measured for every option of one context.

    Attributes:
        visits_O: Decayed number of times that the student took the option in this context.
        advantage_O: Shrunken mean advantage in units of the running standard deviation of GAE, relative to the
            context's visit-weighted mean; zero where there is no evidence.
        spread_O: Standard deviation of the advantage behind ``advantage_O``.
        worked_O: Decayed number of visits that turned out better than the critic expected.
    """

    visits_O: FloatArray
    advantage_O: FloatArray
    spread_O: FloatArray
    worked_O: FloatArray


@dataclass(frozen=True, slots=True)
class Consultation:
    """One question put to the teacher, with everything that was said: a row of the ledger.

    Attributes:
        round: Number of the round, from 0.
        question: What was asked.
        raw_O: Softmax of the uncalibrated scores.
        calibrated_O: The teacher's own advice, calibrated, before any feedback.
        revised_O: The advice after the dialogue.
        feedback: What the student answered.
        trust: Trust in the advice of this context when it was given.
        teacher_version: How many lessons the teacher had had.
    """

    round: int
    question: Question
    raw_O: FloatArray
    calibrated_O: FloatArray
    revised_O: FloatArray
    feedback: Feedback
    trust: float
    teacher_version: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that the teacher could not do, a row of the ledger.

    Attributes:
        kind: What happened, in a word or two.
        words: The same as a sentence.
    """

    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class Lesson:
    """A context with the distribution that feedback implies: what the teacher is fine-tuned on.

    Attributes:
        question: The context and its options.
        target_O: The distribution to learn; sums to one.
        weight: Weight in the loss, positive.
    """

    question: Question
    target_O: FloatArray
    weight: float
