"""The exchange as mirror descent."""

import numpy as np
import pytest

from cotutor.dialogue import likeness, revise, with_examples, with_feedback
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


def test_examples_come_before_the_question_and_the_most_alike_last():
    other = Question("A door is ahead.", QUESTION.options)
    examples = [(QUESTION, np.array([0.1, 0.4])), (other, np.array([0.3, -0.1]))]
    asked = with_examples(Question("A wall is near.", QUESTION.options), examples, "Next action:")
    assert asked.context == (
        "A door is ahead.\nNext action: turn left\n\nA wall is ahead.\nNext action: go forward\n\nA wall is near."
    )
    assert asked.options == QUESTION.options


def test_likeness_is_the_share_of_common_words():
    assert likeness({"a", "wall", "is", "ahead"}, {"a", "wall", "ahead"}) == pytest.approx(3 / 4)
    assert likeness({"one"}, {"two"}) == likeness(set(), set()) == 0.0
