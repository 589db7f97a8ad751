"""Lessons: what the student found out, as targets for the teacher's weights."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import rel_entr, softmax

from cotutor.adviser import Adviser
from cotutor.config import LessonConfig
from cotutor.tasks.base import Task
from cotutor.types import FloatArray, Lesson


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


def plan_lessons(adviser: Adviser, config: LessonConfig) -> list[str]:
    """Returns the contexts to teach: those with most feedback that is untaught, on two options or more."""
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


def make_habit_lessons(task: Task, habits: Mapping[str, FloatArray]) -> list[Lesson]:
    """Makes a lesson of what is done in each context, as far as it can be said and there is a choice.

    Args:
        task: Knows the options.
        habits: How often each action is done there, shape (A,).
    """
    lessons = []
    for question, done_A in ((task.question(context), done_A) for context, done_A in habits.items()):
        phrases = Counter(option.action for option in question.options)
        done_O = np.array([done_A[option.action] / phrases[option.action] for option in question.options])
        if len(done_O) > 1 and done_O.sum() > 0:
            lessons.append(Lesson(question, done_O / done_O.sum(), float(done_O.sum())))
    return lessons


def news(adviser: Adviser, lessons: Sequence[Lesson]) -> float:
    """Returns the most that any lesson would tell the teacher beyond what it says already: KL(target‖own) in nats."""
    return max(
        float(rel_entr(lesson.target_O, adviser.answers[lesson.question.context].own_O).sum()) for lesson in lessons
    )
