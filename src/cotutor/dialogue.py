"""The dialogue: the teacher advises, the student answers with feedback, the teacher revises."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np
from scipy.special import softmax

from cotutor.types import Feedback, FloatArray, Question

Example = tuple[Question, FloatArray]
"""A question with the advantages Â of its options that the student measured, shape (O,)."""


def revise(advice_O: FloatArray, advantage_O: FloatArray, depth: int, beta: float, clip: float) -> FloatArray:
    """Holds ``depth`` exchanges by re-weighting: mirror-descent steps of the advice towards the common return.

    One exchange is T'(o|c) ∝ T(o|c) · exp(Â(c,o)/β), the exponent clipped to ±``clip``. With fixed feedback a deeper
    dialogue is only a larger step; depth 0 leaves the advice as it is.

    Args:
        advice_O: The advice so far, shape (O,).
        advantage_O: The student's answer Â, shape (O,), in units of the running scale: only what the teacher's weights
            were not yet taught, or it would count twice.
        depth: Number of exchanges.
        beta: Temperature of a step; the smaller, the more a measured advantage counts.
        clip: Largest exponent of a step.
    """
    step_O = np.clip(advantage_O / beta, -clip, clip)
    return softmax(np.log(np.maximum(advice_O, 1e-12)) + depth * step_O)


def with_feedback(question: Question, feedback: Feedback) -> Question:
    """Returns the question with the student's feedback written into the context ("turn left: tried 12 times here…")."""
    lines = [
        f"{option.phrase}: tried {visits:.0f} times here, worked {worked:.0f}."
        for option, visits, worked in zip(question.options, feedback.visits_O, feedback.worked_O, strict=True)
        if round(visits) > 0
    ]
    return Question("\n".join([question.context, *lines]), question.options)


def with_examples(question: Question, examples: Sequence[Example], cue: str) -> Question:
    """Returns the question after others to which the student knows the answer, the most alike last.

    Args:
        question: What is to be answered.
        examples: What the student knows, the most alike first.
        cue: What a language model reads between a context and its answer.
    """
    told = [f"{q.context}\n{cue} {q.options[int(advantage_O.argmax())].phrase}" for q, advantage_O in examples]
    return Question("\n\n".join([*reversed(told), question.context]), question.options)


def likeness(words: AbstractSet[str], others: AbstractSet[str]) -> float:
    """Returns the share of the words of two texts that both have (Jaccard's index)."""
    return len(words & others) / max(1, len(words | others))
