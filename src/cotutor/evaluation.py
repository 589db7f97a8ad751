"""What pair, student, teacher and bot can do, on environment seeds that training never uses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from stable_baselines3.common.policies import BasePolicy

from cotutor.adviser import Adviser, per_action
from cotutor.students.policies import PRIOR, policy_probabilities
from cotutor.students.spaces import entries
from cotutor.tasks.base import HELD_OUT_SEED, OFFERED, Task
from cotutor.teachers.base import Teacher
from cotutor.types import FloatArray, Question

Observations = dict[str, NDArray[Any]]
Actor = Callable[[Observations, Sequence[str], Sequence[gym.Env[Any, Any]]], FloatArray]
"""Gives action probabilities, shape (E, A), for observations, contexts and environments."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an actor did.

    Attributes:
        success: Share of episodes in which the mission was accomplished.
        mean_return: Mean undiscounted return.
        greedy_success: The same share when the most probable action is taken instead of a draw.
        episodes: Number of episodes of either kind.
    """

    success: float
    mean_return: float
    greedy_success: float
    episodes: int


def evaluate(task: Task, student: str, actor: Actor, episodes: int, seed: int = HELD_OUT_SEED) -> Outcome:
    """Lets an actor act in ``episodes`` held-out episodes, once by drawing actions and once greedily."""
    drawn, returns = run_episodes(task, student, actor, episodes, seed, greedy=False)
    greedy, _ = run_episodes(task, student, actor, episodes, seed, greedy=True)
    return Outcome(float(drawn.mean()), float(returns.mean()), float(greedy.mean()), episodes)


def success(task: Task, student: str, actor: Actor, episodes: int) -> float:
    """Returns the share of held-out episodes in which an actor that draws its actions accomplishes the mission."""
    successes, _ = run_episodes(task, student, actor, episodes, HELD_OUT_SEED, greedy=False)
    return float(successes.mean())


def run_episodes(
    task: Task, student: str, actor: Actor, episodes: int, seed: int, greedy: bool
) -> tuple[NDArray[np.bool_], FloatArray]:
    """Returns whether each episode accomplished its mission, and its return, shapes (episodes,).

    Episode i has environment seed ``seed`` + i.

    All episodes run side by side, so that the teacher is asked about many contexts at once. Each has its own
    generator for the draws: an episode does not depend on how the others went.
    """
    envs = [task.spoken(student) for _ in range(episodes)]
    draws = [np.random.default_rng(seed + i) for i in range(episodes)]
    successes, returns = np.zeros(episodes, dtype=bool), np.zeros(episodes)
    states = {i: env.reset(seed=seed + i) for i, env in enumerate(envs)}
    while states:
        running = list(states)
        observations = stacked([states[i][0] for i in running])
        contexts = [states[i][1]["context"] for i in running]
        probabilities_EA = actor(observations, contexts, [envs[i] for i in running])
        drawn = [draw(probabilities_A, draws[i]) for i, probabilities_A in zip(running, probabilities_EA, strict=True)]
        actions = probabilities_EA.argmax(axis=1).tolist() if greedy else drawn
        stepped = task.step_all([envs[i] for i in running], actions)
        for i, (observation, reward, terminated, truncated, info) in zip(running, stepped, strict=True):
            returns[i] += reward
            states[i] = (observation, info)
            if terminated or truncated:
                successes[i] = info["is_success"]
                del states[i]
    return successes, returns


def stacked(observations: Sequence[Observations]) -> Observations:
    """Returns observations side by side, the first axis theirs."""
    return {name: np.stack([observation[name] for observation in observations]) for name in observations[0]}


def draw(probabilities_A: FloatArray, random: np.random.Generator) -> int:
    """Draws an action."""
    cumulated_A = np.cumsum(probabilities_A)
    return int(np.searchsorted(cumulated_A, random.random() * cumulated_A[-1], side="right"))


def student_actor(policy: BasePolicy) -> Actor:
    """The student alone: its policy, with zeros where training told it something that the task does not."""

    def act(observations: Observations, contexts: Sequence[str], envs: Sequence[gym.Env[Any, Any]]) -> FloatArray:
        untold = {
            name: np.zeros((len(contexts), *box.shape), dtype=np.float32)
            for name, box in entries(policy.observation_space).items()
            if name not in observations
        }
        return policy_probabilities(policy, {**observations, **untold})

    return act


def pair_actor(policy: BasePolicy, adviser: Adviser) -> Actor:
    """The pair: the student's policy with the advice as its prior; the teacher is asked about contexts new to it."""

    def act(observations: Observations, contexts: Sequence[str], envs: Sequence[gym.Env[Any, Any]]) -> FloatArray:
        contexts = adviser.read(contexts)
        if not adviser.teacher.privileged and not adviser.on_probation:
            adviser.ask([context for context in dict.fromkeys(contexts) if context not in adviser.answers])
        log_advice_EA, trust_E = adviser.guide(contexts, envs)
        prior = (trust_E[:, None] * log_advice_EA).astype(np.float32)
        return policy_probabilities(policy, {**observations, PRIOR: prior})

    return act


def teacher_advice(teacher: Teacher, questions: Sequence[Question], untaught: bool) -> list[FloatArray]:
    """Returns the teacher's own advice, as it is now or as it was before any lesson."""
    return teacher.reference(questions) if untaught else teacher.advice(questions, teacher.score(questions))


def teacher_actor(task: Task, teacher: Teacher, untaught: bool = False) -> Actor:
    """The teacher alone: its weights and calibration, no feedback memory."""
    remembered: dict[str, FloatArray] = {}

    def act(observations: Observations, contexts: Sequence[str], envs: Sequence[gym.Env[Any, Any]]) -> FloatArray:
        contexts = teacher.read(contexts)
        questions = [task.question(context) for context in contexts]
        if teacher.privileged:
            advice = [
                softmax(teacher.score_state(env, question)) for env, question in zip(envs, questions, strict=True)
            ]
        else:
            new = list(dict.fromkeys(question for question in questions if question.context not in remembered))
            if new:
                advice = teacher_advice(teacher, new, untaught)
                remembered.update(zip([question.context for question in new], advice, strict=True))
            advice = [remembered[context] for context in contexts]
        advice_EA = _by_action(questions, advice, len(task.actions))
        if OFFERED not in observations:
            return advice_EA
        # nobody can choose what is not offered
        advice_EA = np.maximum(advice_EA, 1e-12) * observations[OFFERED]
        return advice_EA / advice_EA.sum(axis=1, keepdims=True)

    return act


def expert_actor(task: Task) -> Actor:
    """The bot, which sees the simulator's state."""

    def act(observations: Observations, contexts: Sequence[str], envs: Sequence[gym.Env[Any, Any]]) -> FloatArray:
        return np.eye(len(task.actions))[[task.expert_action(env) for env in envs]]

    return act


def bot_agreement(
    task: Task, teacher: Teacher, states: Sequence[tuple[str, frozenset[int]]], untaught: bool = False
) -> float:
    """Returns the share of states in which the teacher's best action is one that the bot finds as short as any.

    Args:
        task: The task.
        teacher: A teacher that reads contexts.
        states: The context and the right actions of each state.
        untaught: Whether to measure the teacher as it was before any lesson.
    """
    questions = [task.question(context) for context in teacher.read([context for context, _ in states])]
    new = list(dict.fromkeys(questions))
    advice = dict(zip(new, teacher_advice(teacher, new, untaught), strict=True))
    best_N = _by_action(questions, [advice[question] for question in questions], len(task.actions)).argmax(axis=1)
    return float(np.mean([best in right for best, (_, right) in zip(best_N, states, strict=True)]))


def _by_action(questions: Sequence[Question], advice: Sequence[FloatArray], actions: int) -> FloatArray:
    return np.stack(
        [per_action(question, advice_O, actions)[0] for question, advice_O in zip(questions, advice, strict=True)]
    )
