"""The exchange as mirror descent."""

import numpy as np
import pytest

from cotutor.dialogue import ask_again, revise, with_feedback
from cotutor.teachers.base import Teacher
from cotutor.types import Feedback, Option, Question

ADVICE = np.array([0.2, 0.3, 0.5])
QUESTION = Question("A wall is ahead.", (Option("turn left", 0), Option("go forward", 2)))


def test_one_exchange_solves_the_regularised_problem():
    """T' maximises Σ T'Â − β KL(T'‖T): no other distribution does better."""
    advantage, beta = np.array([1.0, -0.5, 0.2]), 0.5
    revised = revise(ADVICE, advantage, depth=1, beta=beta, clip=100.0)

    def objective(p: np.ndarray) -> float:
        return float(p @ advantage - beta * (p * np.log(p / ADVICE)).sum())

    others = np.random.default_rng(0).dirichlet(np.ones(3), 2000)
    assert all(objective(revised) >= objective(other) for other in others)


def test_depth_is_a_larger_step_and_zero_is_none():
    advantage = np.array([0.3, 0.0, -0.1])
    twice = revise(revise(ADVICE, advantage, 1, 0.5, 4.0), advantage, 1, 0.5, 4.0)
    assert revise(ADVICE, advantage, 2, 0.5, 4.0) == pytest.approx(twice)
    assert revise(ADVICE, advantage, 0, 0.5, 4.0) == pytest.approx(ADVICE)


def test_the_exponent_is_clipped():
    revised = revise(np.array([0.5, 0.5]), np.array([1e9, 0.0]), 1, 0.5, 4.0)
    assert revised[0] / revised[1] == pytest.approx(np.exp(4.0))


def test_feedback_in_words_names_what_was_tried():
    feedback = Feedback(*(np.array(v) for v in ([12.2, 0.0], [0.0, 0.0], [0.0, 0.0], [9.0, 0.0])))
    prompted = with_feedback(QUESTION, feedback)
    assert prompted.context == "A wall is ahead.\nturn left: tried 12 times here, worked 9."
    assert prompted.options == QUESTION.options


class Reader(Teacher):
    """Prefers what it reads to have worked."""

    def score(self, questions):
        return [np.array([float(f"{o.phrase}: tried" in q.context) for o in q.options]) for q in questions]

    def advice(self, questions, scores):
        return [np.exp(s) / np.exp(s).sum() for s in scores]


def test_the_teacher_reads_the_feedback_when_asked_again():
    feedback = Feedback(*(np.array(v) for v in ([3.0, 0.0], [0.0, 0.0], [0.0, 0.0], [3.0, 0.0])))
    [answer] = ask_again(Reader(), [QUESTION], [feedback])
    assert answer[0] > answer[1]
