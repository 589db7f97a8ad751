"""Targets of lessons."""

import numpy as np
import pytest

from cotutor.dialogue import revise
from cotutor.lessons import lesson_target, shorten
from cotutor.types import Lesson, Option, Question

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


def test_a_short_lesson_is_about_what_target_or_teacher_finds_likely():
    options = tuple(Option(phrase, number) for number, phrase in enumerate("abcd"))
    lesson = Lesson(Question("here", options), np.array([0.6, 0.1, 0.05, 0.25]), 0.5)
    short = shorten(lesson, np.array([0.2, 0.05, 0.7, 0.05]), 3)
    assert [option.phrase for option in short.question.options] == ["a", "c", "d"]
    assert short.target_O == pytest.approx(np.array([0.6, 0.05, 0.25]) / 0.9)
    assert short.weight == 0.5


def test_a_lesson_with_few_options_stays_whole():
    options = tuple(Option(phrase, number) for number, phrase in enumerate("abc"))
    lesson = Lesson(Question("here", options), OWN, 1.0)
    short = shorten(lesson, REFERENCE, 12)
    assert short.question == lesson.question
    assert short.target_O == pytest.approx(lesson.target_O)
