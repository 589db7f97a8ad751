"""The cooperative game on small tabular worlds: the shipped exchange and lesson with exact advantages.

Advantages come from dynamic programming (a linear solve), optima from value iteration: nothing is estimated, so what
docs/how-it-works.md says of mirror descent must hold to rounding.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from cotutor.dialogue import revise
from cotutor.lessons import lesson_target
from cotutor.types import FloatArray

GAMMA = 0.9
BETA = 0.05
UNCLIPPED = 1e9
ROUNDING = 1e-12
NOISE = 0.1
"""Standard deviation of an estimated advantage, where the best action of the first state is ahead by less."""


@dataclass(frozen=True)
class World:
    """A Markov decision process: ``reward_SA``, and ``next_SAS``, the probability of the next state."""

    reward_SA: FloatArray
    next_SAS: FloatArray

    def values(self, policy_SA: FloatArray) -> FloatArray:
        """Returns the value of each state under a policy, shape (S,)."""
        next_SS = np.einsum("sa,sat->st", policy_SA, self.next_SAS)
        return np.linalg.solve(np.eye(len(next_SS)) - GAMMA * next_SS, (policy_SA * self.reward_SA).sum(axis=1))

    def advantages(self, policy_SA: FloatArray) -> FloatArray:
        """Returns A(s, a) under a policy, shape (S, A)."""
        value_S = self.values(policy_SA)
        return self.reward_SA + GAMMA * self.next_SAS @ value_S - value_S[:, None]

    def optimum(self) -> FloatArray:
        """Returns the values of the best policy by value iteration, shape (S,)."""
        value_S = np.zeros(len(self.reward_SA))
        for _ in range(1000):
            value_S = (self.reward_SA + GAMMA * self.next_SAS @ value_S).max(axis=1)
        return value_S


def random_world(seed: int, states: int = 6, actions: int = 3) -> World:
    rng = np.random.default_rng(seed)
    return World(rng.random((states, actions)), rng.dirichlet(np.full(states, 0.3), size=(states, actions)))


def corridor(length: int = 6) -> World:
    """Left and right; the only reward is for stepping right at the end, after which all begins anew."""
    reward_SA, next_SAS = np.zeros((length, 2)), np.zeros((length, 2, length))
    for state in range(length):
        next_SAS[state, 0, max(state - 1, 0)] = 1.0
        next_SAS[state, 1, (state + 1) % length] = 1.0
    reward_SA[-1, 1] = 1.0
    return World(reward_SA, next_SAS)


WORLDS = [*map(random_world, range(4)), corridor()]


def uniform(world: World) -> FloatArray:
    return np.full(world.reward_SA.shape, 1 / world.reward_SA.shape[1])


def product(student_SA: FloatArray, teacher_SA: FloatArray) -> FloatArray:
    """How the pair acts: π ∝ f · T."""
    joint_SA = student_SA * teacher_SA
    return joint_SA / joint_SA.sum(axis=1, keepdims=True)


def exchange(policy_SA: FloatArray, advantage_SA: FloatArray, beta: float = BETA) -> FloatArray:
    """One exchange in every state, by the shipped code."""
    rows = zip(policy_SA, advantage_SA, strict=True)
    return np.stack([revise(policy_A, advantage_A, 1, beta, UNCLIPPED) for policy_A, advantage_A in rows])


def lesson(policy_SA: FloatArray, reference_SA: FloatArray, advantage_SA: FloatArray, anchor: float) -> FloatArray:
    """One lesson in every state, learnt perfectly, by the shipped code."""
    rows = zip(policy_SA, reference_SA, advantage_SA, strict=True)
    return np.stack([lesson_target(*row, anchor=anchor, beta=BETA, clip=UNCLIPPED) for row in rows])


@pytest.mark.parametrize("world", WORLDS)
def test_exchanges_and_lessons_climb_to_the_optimum_without_a_step_back(world):
    exchanged = taught = uniform(world)
    reference = uniform(world)
    for _ in range(400):
        before = world.values(exchanged)
        exchanged = exchange(exchanged, world.advantages(exchanged))
        taught = lesson(taught, reference, world.advantages(taught), anchor=0.0)
        assert (world.values(exchanged) >= before - ROUNDING).all()
    assert world.values(exchanged) == pytest.approx(world.optimum(), abs=1e-3)
    assert taught == pytest.approx(exchanged, abs=1e-9)


@pytest.mark.parametrize("world", WORLDS)
def test_an_anchor_stops_at_the_regularised_fixed_point(world):
    """At the fixed point π^η ∝ T_ref^η · exp(A_π/β): π ∝ T_ref · exp(A_π/(ηβ)); less anchor, nearer to the optimum."""
    reference = np.random.default_rng(0).dirichlet(np.full(world.reward_SA.shape[1], 5.0), size=len(world.reward_SA))
    short_of_optimum = []
    for anchor in (0.8, 0.4, 0.1):
        policy = reference
        for _ in range(3000):
            policy = 0.7 * policy + 0.3 * lesson(policy, reference, world.advantages(policy), anchor)
        logits = np.log(reference) + world.advantages(policy) / (anchor * BETA)
        fixed = np.exp(logits - logits.max(axis=1, keepdims=True))
        assert policy == pytest.approx(fixed / fixed.sum(axis=1, keepdims=True), abs=1e-6)
        short_of_optimum.append(float((world.optimum() - world.values(policy)).mean()))
    assert short_of_optimum[0] > short_of_optimum[1] > short_of_optimum[2] > 0


@pytest.mark.parametrize("world", WORLDS)
def test_alternating_teacher_and_student_never_lowers_the_return(world):
    student = teacher = uniform(world)
    for step in range(400):
        acting = product(student, teacher)
        advantage = world.advantages(acting)
        if step % 2:
            student = exchange(student, advantage)
        else:
            teacher = exchange(teacher, advantage)
        assert (world.values(product(student, teacher)) >= world.values(acting) - ROUNDING).all()
    assert world.values(product(student, teacher)) == pytest.approx(world.optimum(), abs=1e-3)


def blind(step_SA: FloatArray, view_S: NDArray[np.int64], visits_S: FloatArray) -> FloatArray:
    """Averages a step by visits over the states that look the same to its maker."""
    seen = view_S[:, None] == view_S
    weight_SS = seen * visits_S
    return (weight_SS / weight_SS.sum(axis=1, keepdims=True)) @ step_SA


def test_each_alone_is_stuck_where_the_two_together_are_not():
    """Four states drawn anew at every step: the right action's row is what the one sees, its column what the other."""
    column, row = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    world = World(np.eye(4)[2 * row + column], np.full((4, 4, 4), 1 / 4))
    visits = np.full(4, 1 / 4)

    def climb(student_moves: bool, teacher_moves: bool) -> float:
        student = teacher = uniform(world)
        for _ in range(300):
            if student_moves:
                advantage = world.advantages(product(student, teacher))
                student = exchange(student, blind(advantage, row, visits))
            if teacher_moves:
                advantage = world.advantages(product(student, teacher))
                teacher = exchange(teacher, blind(advantage, column, visits))
        return float(world.values(product(student, teacher)).mean() * (1 - GAMMA))

    assert climb(True, False) == pytest.approx(0.5, abs=1e-3)
    assert climb(False, True) == pytest.approx(0.5, abs=1e-3)
    assert climb(True, True) == pytest.approx(1.0, abs=1e-3)


def test_noisy_advantages_break_the_guarantee():
    world, rng = corridor(), np.random.default_rng(0)
    policy = uniform(world)
    advantage = world.advantages(policy)
    lower = [
        (
            world.values(exchange(policy, advantage + rng.normal(scale=NOISE, size=policy.shape)))
            < world.values(policy)
        ).any()
        for _ in range(100)
    ]
    assert 0 < np.mean(lower) < 1


def test_a_large_step_in_aliased_contexts_breaks_the_guarantee():
    """The mean over states that look alike is weighted by visits, and a large step changes who is visited."""
    small, large = [], []
    for seed in range(200):
        world = random_world(seed, actions=2)
        policy = uniform(world)
        next_SS = np.einsum("sa,sat->st", policy, world.next_SAS)
        start_S = np.full(len(policy), 1 / len(policy))
        visits_S = np.linalg.solve((np.eye(len(policy)) - GAMMA * next_SS).T, start_S)
        advantage = blind(world.advantages(policy), np.zeros(len(policy), dtype=np.int64), visits_S)
        before = start_S @ world.values(policy)
        small.append(start_S @ world.values(exchange(policy, advantage, beta=1e3)) >= before - ROUNDING)
        large.append(start_S @ world.values(exchange(policy, advantage, beta=1e-3)) >= before)
    assert all(small)
    assert 0.5 < np.mean(large) < 1


def test_with_fixed_feedback_a_deeper_dialogue_is_a_larger_step():
    advice_O, advantage_O = np.array([0.2, 0.5, 0.3]), np.array([0.4, -0.3, 0.1])
    for depth in (0, 1, 2, 4):
        deep = revise(advice_O, advantage_O, depth, BETA, UNCLIPPED)
        long = revise(advice_O, depth * advantage_O, 1, BETA, UNCLIPPED)
        assert deep == pytest.approx(long)
