"""Targets of lessons."""

from types import SimpleNamespace

import numpy as np
import pytest

from cotutor.dialogue import revise
from cotutor.lessons import lesson_target, make_habit_lessons
from cotutor.types import Option, Question

OWN, REFERENCE, ADVANTAGE = np.array([0.7, 0.2, 0.1]), np.array([0.2, 0.2, 0.6]), np.array([0.1, 0.4, -0.3])


def test_without_anchor_a_lesson_is_the_revised_advice():
    target = lesson_target(OWN, REFERENCE, ADVANTAGE, anchor=0.0, beta=0.5, clip=4.0)
    assert target == pytest.approx(revise(OWN, ADVANTAGE, 1, 0.5, 4.0))


def test_with_full_anchor_what_the_teacher_thinks_now_does_not_count():
    target = lesson_target(OWN, REFERENCE, ADVANTAGE, anchor=1.0, beta=0.5, clip=4.0)
    weights = REFERENCE * np.exp(ADVANTAGE / 0.5)
    assert target == pytest.approx(weights / weights.sum())


def test_iterating_with_an_anchor_stops_at_the_regularised_fixed_point():
    policy = OWN
    for _ in range(200):
        policy = lesson_target(policy, REFERENCE, ADVANTAGE, anchor=0.5, beta=0.5, clip=4.0)
    weights = REFERENCE * np.exp(ADVANTAGE / (0.5 * 0.5))
    assert policy == pytest.approx(weights / weights.sum())


def test_a_lesson_of_habits_is_what_is_done_among_what_can_be_said():
    question = Question("a wall is ahead", (Option("turn right", 1), Option("turn left", 0), Option("go back", 1)))
    forced, unsaid = Question("a corner", (Option("turn left", 0),)), Question("a door", question.options)
    task = SimpleNamespace(question={each.context: each for each in (question, forced, unsaid)}.get)
    done = {"a wall is ahead": [0.6, 0.2, 0.2], "a corner": [1.0, 0.0, 0.0], "a door": [0.0, 0.0, 1.0]}
    (lesson,) = make_habit_lessons(task, {context: np.array(done_A) for context, done_A in done.items()})
    assert lesson.question == question
    assert lesson.target_O == pytest.approx([0.125, 0.75, 0.125])
    assert lesson.weight == pytest.approx(0.8)
