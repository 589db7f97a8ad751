"""What a verbalizer is worth: how many contexts it makes of a task's states, and how well they tell what to do."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import gymnasium as gym
import numpy as np

from cotutor.errors import UserError
from cotutor.tasks.base import AGREEMENT_SEED, Observation, Task
from cotutor.tasks.contract import random_episodes

KEPT = 1 / 3
"""Share of the states on the way that :func:`agreement_states` keeps, since neighbours are alike."""

SHOWN = 10
"""Contexts that a check shows."""

NOTHING_RIGHT = "The expert of {task} finds none of the options right in any state: see right_actions."

Step = tuple[gym.Env[Any, Any], Observation, str]
State = tuple[str, frozenset[int]]


@dataclass(frozen=True, slots=True)
class TaskCheck:
    """What a check of a task found.

    Attributes:
        states: States visited.
        contexts: Distinct contexts among them.
        per_thousand: Distinct contexts per 1,000 states.
        ceiling: Best agreement with the expert that any map from contexts to actions can have; None without expert.
        longest: Words of the longest context.
        episodes: Episodes of random options that came to their end, in as many states again.
        successes: How many of them accomplished the mission.
        rewarded: How many of them earned a reward above zero at some time.
        examples: The contexts met most often, each with the number of its states.
    """

    states: int
    contexts: int
    per_thousand: float
    ceiling: float | None
    longest: int
    episodes: int
    successes: int
    rewarded: int
    examples: tuple[tuple[str, int], ...]


def check_task(task: Task, states: int = 1000, seed: int = 0, shown: int = SHOWN) -> TaskCheck:
    """Walks through a task and reports on its contexts.

    Args:
        task: The task to check.
        states: How many states to visit.
        seed: Seed of the first episode, and of the random half of the steps.
        shown: How many contexts to return.

    Raises:
        UserError: The task has an expert that finds no option right.
    """
    visits: Counter[str] = Counter()
    judged: list[State] = []
    for env, _, context in islice(_walk(task, seed), states):
        visits[context] += 1
        if task.has_expert:
            judged.append((context, _right_options(task, env, context)))
    decided = [(context, right) for context, right in judged if right]
    if task.has_expert and not decided:
        raise UserError(NOTHING_RIGHT.format(task=task.name))
    chance = [
        episode for episode in random_episodes(task, states, seed) if episode[-1].terminated or episode[-1].truncated
    ]
    return TaskCheck(
        states=states,
        contexts=len(visits),
        per_thousand=1000 * len(visits) / states,
        ceiling=ceiling(decided) if task.has_expert else None,
        longest=max(len(context.split()) for context in visits),
        episodes=len(chance),
        successes=sum(task.succeeded(episode[-1].reward, episode[-1].terminated) for episode in chance),
        rewarded=sum(any(step.reward > 0 for step in episode) for episode in chance),
        examples=tuple(visits.most_common(shown)),
    )


def agreement_states(task: Task, count: int, seed: int = AGREEMENT_SEED) -> list[State]:
    """Returns states on which to measure a teacher's agreement with the expert, the same ones at every call.

    No observation comes twice, and in every state at least one option is right.

    Args:
        task: A task with an expert.
        count: How many states; where a task shows fewer, all that 100 times as many steps meet.
        seed: Seed of the first episode, and of the random half of the steps.

    Returns:
        For each state its context and those actions of its options that are on equally short ways to success.

    Raises:
        UserError: The task has no expert, or one that finds no option right.
    """
    if not task.has_expert:
        raise UserError(f"The task {task.name} has no expert to agree with.")
    rng = np.random.default_rng(seed)
    met: set[tuple[str, bytes]] = set()
    states: list[State] = []
    for env, observation, context in islice(_walk(task, seed), 100 * count):
        key = context, b"".join(array.tobytes() for array in task.arrays(observation).values())
        if key in met or rng.random() > KEPT:
            continue
        met.add(key)
        if right := _right_options(task, env, context):
            states.append((context, right))
        if len(states) == count:
            break
    if not states:
        raise UserError(NOTHING_RIGHT.format(task=task.name))
    return states


def ceiling(states: list[State]) -> float:
    """Returns the best share of states in which a map from contexts to actions can be right."""
    votes: dict[str, Counter[int]] = {}
    for context, right in states:
        votes.setdefault(context, Counter()).update(right)
    return sum(max(counts.values()) for counts in votes.values()) / len(states)


def _right_options(task: Task, env: gym.Env[Any, Any], context: str) -> frozenset[int]:
    return task.right_actions(env, tuple(dict.fromkeys(option.action for option in task.options(context))))


def _walk(task: Task, seed: int) -> Iterator[Step]:
    """Yields state after state; half of the steps are random options, half the expert's where there is one."""
    rng = np.random.default_rng(seed)
    env = task.make_env()
    while True:
        observation, _ = env.reset(seed=seed)
        seed, over = seed + 1, False
        while not over:
            context = task.context(observation)
            yield env, observation, context
            options = task.options(context)
            action = options[rng.integers(len(options))].action
            if task.has_expert and rng.random() < 0.5:
                action = task.expert_action(env)
            observation, _, terminated, truncated, _ = env.step(action)
            over = terminated or truncated
