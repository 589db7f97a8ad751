"""Lessons: what the student found out, as targets for the teacher's weights."""

from collections.abc import Sequence

import numpy as np
from scipy.special import rel_entr, softmax

from cotutor.adviser import Adviser
from cotutor.config import LessonConfig
from cotutor.types import FloatArray, Lesson, Question


def lesson_target(
    own_O: FloatArray, reference_O: FloatArray, advantage_O: FloatArray, anchor: float, beta: float, clip: float
) -> FloatArray:
    """Returns target(o|c) ∝ T_φ(o|c)^{1−η} · T_ref(o|c)^{η} · exp(Â(c,o)/β), shape (O,).

    Args:
        own_O: The teacher's own advice T_φ, shape (O,).
        reference_O: The untaught reference model's, shape (O,).
        advantage_O: The feedback Â gathered since the last lesson, shape (O,).
        anchor: η; 0 is pure mirror descent, 1 a regularised fixed point.
        beta: Temperature of the step.
        clip: Largest exponent.
    """
    logits_O = (1 - anchor) * np.log(np.maximum(own_O, 1e-12)) + anchor * np.log(np.maximum(reference_O, 1e-12))
    return softmax(logits_O + np.clip(advantage_O / beta, -clip, clip))


def success_target(own_O: FloatArray, chosen_O: FloatArray) -> FloatArray:
    """Returns target(o|c) ∝ n(c,o) + T_φ(o|c): what was chosen, with the teacher's own advice as one choice more.

    Args:
        own_O: The teacher's own advice T_φ, shape (O,).
        chosen_O: n, how often each option was chosen in episodes that succeeded, shape (O,).
    """
    return (chosen_O + own_O) / (chosen_O.sum() + 1.0)


def plan_lessons(adviser: Adviser, config: LessonConfig) -> list[str]:
    """Returns the contexts to teach.

    Of feedback: those with most that is untaught, on two options or more. Of successes: those that came most often.
    """
    if config.of == "successes":
        frequent = adviser.successes.most_frequent()[: config.most]
        return [context for context in frequent if adviser.successes.counts(adviser.task.question(context)).any()]
    worth = []
    for context in adviser.memory.sums.most_counted(least=1.0):
        feedback = adviser.memory.feedback(adviser.task.question(context))
        if np.count_nonzero(feedback.visits_O >= 1) >= 2:
            worth.append(context)
        if len(worth) == config.most:
            break
    return worth


def make_lessons(adviser: Adviser, contexts: list[str], config: LessonConfig) -> list[Lesson]:
    """Makes a lesson of each context; all of them must have been asked."""
    questions = [adviser.task.question(context) for context in contexts]
    own = [adviser.answers[context].own_O for context in contexts]
    if config.of == "successes":
        return [_of_successes(adviser, question, own_O) for question, own_O in zip(questions, own, strict=True)]
    references = adviser.teacher.reference(questions) if config.anchor > 0 else own
    lessons = []
    for question, own_O, reference_O in zip(questions, own, references, strict=True):
        feedback = adviser.memory.feedback(question)
        target_O = lesson_target(
            own_O, reference_O, feedback.advantage_O, config.anchor, adviser.dialogue.beta, adviser.dialogue.clip
        )
        visits = float(feedback.visits_O.sum())
        lessons.append(Lesson(question, target_O, visits / (visits + adviser.memory.shrinkage)))
    return lessons


def _of_successes(adviser: Adviser, question: Question, own_O: FloatArray) -> Lesson:
    chosen_O = adviser.successes.counts(question)
    visits = float(chosen_O.sum())
    return Lesson(question, success_target(own_O, chosen_O), visits / (visits + 1.0))


def news(adviser: Adviser, lessons: Sequence[Lesson]) -> float:
    """Returns the most that any lesson would tell the teacher beyond what it says already: KL(target‖own) in nats."""
    return max(
        float(rel_entr(lesson.target_O, adviser.answers[lesson.question.context].own_O).sum()) for lesson in lessons
    )
