"""Feedback against an independent computation, and the properties that the design asks of it."""

import numpy as np
import pytest

from cotutor.memory import AdvantageScale, ContextSums, FeedbackMemory
from cotutor.types import Option, Question

QUESTION = Question("c", (Option("left", 0), Option("right", 1), Option("ahead", 2)))


def memory_of(steps: list[tuple[str, int, float]], **settings: float) -> FeedbackMemory:
    memory = FeedbackMemory(actions=4, **{"decay": 1.0, "shrinkage": 2.0, **settings})
    contexts, actions, advantages = zip(*steps, strict=True)
    memory.record(list(contexts), np.array(actions), np.array(advantages))
    return memory


def test_feedback_is_shrunken_and_relative_to_the_visit_weighted_mean():
    feedback = memory_of([("c", 0, 1.0), ("c", 0, 3.0), ("c", 1, -1.0), ("d", 2, 50.0)]).feedback(QUESTION)
    centre = (1.0 + 3.0 - 1.0) / 3
    assert feedback.visits_O == pytest.approx([2, 1, 0])
    assert feedback.advantage_O == pytest.approx([2 / 4 * (2.0 - centre), 1 / 3 * (-1.0 - centre), 0.0])
    assert feedback.spread_O == pytest.approx([1.0, 0.0, 0.0])
    assert feedback.worked_O == pytest.approx([2, 0, 0])


def test_without_shrinkage_what_was_never_tried_still_has_no_advantage():
    feedback = memory_of([("c", 0, 1.0), ("c", 1, -1.0)], shrinkage=0.0).feedback(QUESTION)
    assert feedback.advantage_O == pytest.approx([1.0, -1.0, 0.0])


def test_a_critic_that_is_too_high_does_not_make_the_unvisited_look_best():
    feedback = memory_of([("c", 0, -5.0), ("c", 0, -5.0), ("c", 1, -5.0)]).feedback(QUESTION)
    assert feedback.advantage_O == pytest.approx([0, 0, 0])


def test_an_action_without_an_option_counts_in_the_mean():
    feedback = memory_of([("c", 3, -3.0), ("c", 0, 1.0)]).feedback(QUESTION)
    assert feedback.advantage_O[0] == pytest.approx(1 / 3 * (1.0 - (-1.0)))


def test_feedback_decays_by_the_round_and_is_forgotten_when_taught():
    memory = memory_of([("c", 0, 1.0), ("d", 0, 1.0)], decay=0.5)
    memory.record(["c"], np.array([0]), np.array([1.0]))
    assert memory.feedback(QUESTION).visits_O[0] == pytest.approx(1.5)
    memory.forget(["c", "never met"])
    assert memory.feedback(QUESTION).visits_O.sum() == 0
    assert memory.sums.count("d") == pytest.approx(0.5)


def test_many_contexts_grow_the_table():
    memory = memory_of([(str(i), i % 4, float(i)) for i in range(1000)])
    assert memory.sums.count("999") == 1
    assert memory.sums.most_counted(1.0)[0] == "0"


def test_what_has_decayed_away_makes_room_for_what_is_new():
    memory = memory_of([("c", 0, 1.0)], decay=0.5)
    for i in range(40):
        memory.record(["often", *(f"{i} {j}" for j in range(100))], np.zeros(101, dtype=int), np.ones(101))
    assert len(memory.sums.table) <= 2048 and len(memory.sums.rows) <= 2048
    assert memory.sums.count("often") == pytest.approx(2.0, abs=1e-9)
    assert memory.sums.count("39 7") == 1.0 and memory.sums.count("38 99") == 0.5
    assert memory.sums.count("c") == 0.0 and "c" not in memory.sums.rows


def test_what_was_nearly_forgotten_and_comes_back_keeps_its_row_when_room_is_made():
    memory = memory_of([("c", 0, 1.0)], decay=0.01)
    memory.record(["c", *(str(i) for i in range(1000))], np.zeros(1001, dtype=int), np.ones(1001))
    assert memory.sums.count("c") == pytest.approx(1.01)


def test_sums_that_have_aged_for_long_are_still_what_they_would_be():
    sums, plain = ContextSums(1), {"c": 0.0, "d": 0.0}
    for i in range(5000):
        sums.age(0.9)
        sums.add(["c"] if i % 3 else ["c", "d"], np.ones((1 if i % 3 else 2, 1)))
        plain = {name: 0.9 * value + float(name == "c" or i % 3 == 0) for name, value in plain.items()}
    assert [sums.count(name) for name in plain] == pytest.approx([*plain.values()])
    sums.age(0.0)
    assert sums.count("c") == 0.0
    sums.add(["c"], np.ones((1, 1)))
    assert sums.counts.tolist() == [1.0, 0.0] and sums.in_use.tolist() == [[0.0], [1.0]]


def test_scale_is_an_average_over_rollouts_with_a_floor():
    scale = AdvantageScale(floor=0.1, momentum=0.5)
    assert scale.value == 0.1
    scale.update(np.full(10, 2.0))
    assert scale.value == pytest.approx(2.0)
    scale.update(np.zeros(10))
    assert scale.value == pytest.approx(np.sqrt(4.0 / 3))
    for _ in range(60):
        scale.update(np.zeros(10))
    assert scale.value == 0.1
