"""Distillation teaches a student without prior what it is shown, as much as that is trusted."""

import numpy as np
import pytest
import torch

from cotutor.students.distillation import Distillation
from cotutor.students.policies import PRIOR, policy_probabilities
from tests.students.test_guidance import ACTIONS, guided


def distilled(trust: float, steps: int = 60) -> np.ndarray:
    guide, model = guided(trust=0.0)
    observations = guide.reset()
    distillation = Distillation(model.policy, capacity=64, learning_rate=3e-3, batch_size=32, seed=0)
    distillation.remember(observations, [str(i) for i in range(len(observations[PRIOR]))])

    def target(states, contexts):
        assert all(len(values) == len(contexts) for values in states.values())
        return np.eye(ACTIONS)[[int(context) % 3 for context in contexts]], np.full(len(contexts), trust)

    distillation.train(target, steps=steps)
    return policy_probabilities(model.policy, {**observations, PRIOR: np.zeros_like(observations[PRIOR])})


def test_the_student_learns_the_target_of_each_state():
    assert distilled(trust=1.0).argmax(axis=1).tolist() == [0, 1, 2, 0]


def test_what_is_not_trusted_teaches_nothing():
    assert np.ptp(distilled(trust=0.0)) < 0.2


def test_what_is_trusted_little_moves_the_student_little():
    """Adam alone would take the same step whatever the scale of the loss."""
    start = distilled(trust=0.0)
    little, much = (np.abs(distilled(trust, steps=4) - start).max() for trust in (0.05, 1.0))
    assert 0 < little < 0.15 * much


def test_the_oldest_states_are_forgotten():
    distillation = Distillation(guided(trust=0.0)[1].policy, capacity=3, learning_rate=1e-3, batch_size=8, seed=0)
    for number in range(4):
        distillation.remember({"image": np.full((1, 2), number)}, [str(number)])
    assert sorted(distillation.contexts) == ["1", "2", "3"]
    assert sorted(distillation.states["image"][:, 0]) == [1, 2, 3]


def test_room_grows_with_what_is_remembered_and_keeps_it():
    distillation = Distillation(guided(trust=0.0)[1].policy, capacity=1000, learning_rate=1e-3, batch_size=8, seed=0)
    for number in range(40):
        distillation.remember({"image": np.full((3, 2), number)}, [str(number)] * 3)
    assert distillation.remembered == len(distillation.contexts) == 120
    assert 120 <= len(distillation.states["image"]) < 200
    assert distillation.states["image"][:120, 0].astype(str).tolist() == distillation.contexts


def test_a_studied_student_does_what_it_was_shown_having_seen_each_state_once_a_pass(monkeypatch):
    guide, model = guided(trust=0.0)
    observations = guide.reset()
    distillation = Distillation(model.policy, capacity=64, learning_rate=3e-3, batch_size=3, seed=0)
    distillation.remember(observations, list("0123"))
    asked: list[str] = []

    def target(states, contexts):
        asked.extend(contexts)
        return np.eye(ACTIONS)[[int(context) % 3 for context in contexts]], np.ones(len(contexts))

    taken: list[np.ndarray] = []
    step = distillation._step
    monkeypatch.setattr(
        distillation, "_step", lambda states, rows, weights: (taken.append(rows), step(states, rows, weights))[1]
    )
    distillation.study(target, passes=4)
    assert asked == list("0123"), "targets do not change, and are looked up once"
    assert [len(rows) for rows in taken] == [3, 1] * 4
    assert all(np.concatenate(taken[i : i + 2]).sum(axis=0).tolist()[:3] == [2, 1, 1] for i in range(0, 8, 2))
    distillation.study(target, passes=2000)
    assert len(taken) < 4000, "it ends when there is nothing left to learn"
    shown = policy_probabilities(model.policy, {**observations, PRIOR: np.zeros_like(observations[PRIOR])})
    assert shown[range(4), [0, 1, 2, 0]].min() > 0.95


@pytest.mark.parametrize("capacity", [64, 20])
def test_habits_are_what_is_done_on_the_whole_where_one_is_most_of_late(monkeypatch, capacity):
    monkeypatch.setattr("cotutor.students.distillation.LATELY", 10)
    distillation = Distillation(
        guided(trust=0.0)[1].policy, capacity=capacity, learning_rate=1e-3, batch_size=8, seed=0
    )
    distillation.remember({"done": np.zeros(15, dtype=int)}, ["long ago"] * 15)
    done = [0] * 5 + [1] * 3 + [2] * 2
    distillation.remember({"done": np.array(done)}, ["much"] * 5 + ["some"] * 2 + ["hardly"] + ["some"] * 2)
    habits = distillation.habits(lambda states, contexts: (np.eye(3)[states["done"]], np.ones(len(contexts))), most=2)
    assert [*habits] == ["much", "some"]
    assert habits["much"].tolist() == [1, 0, 0]
    assert habits["some"].tolist() == [0, 0.5, 0.5]


def test_who_remembers_nothing_has_nothing_to_study():
    distillation = Distillation(guided(trust=0.0)[1].policy, capacity=8, learning_rate=1e-3, batch_size=8, seed=0)
    distillation.study(lambda states, contexts: pytest.fail("nothing is to be looked up"), passes=3)
    assert not distillation.optimizer.state


def test_who_begins_as_another_policy_does_what_that_does():
    guide, model = guided(trust=0.0)
    observations = guide.reset()
    other = guided(trust=0.0)[1].policy
    distillation = Distillation(model.policy, capacity=64, learning_rate=3e-3, batch_size=3, seed=0)
    distillation.remember(observations, list("abcd"))
    distillation.train(lambda states, contexts: (np.full((3, ACTIONS), 1 / ACTIONS), np.ones(3)), steps=1)
    assert distillation.optimizer.state
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.1)
    distillation.begin_as(other)
    for ours, theirs in zip(model.policy.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs) and ours is not theirs
    assert not distillation.optimizer.state
