"""A finished run, looked into: measured again, or asked about one state."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import softmax

from cotutor.config import RayConfig, TrainConfig
from cotutor.errors import UserError
from cotutor.evaluation import (
    Outcome,
    evaluate,
    expert_actor,
    success,
)
from cotutor.replays import Replay, read_replays, record
from cotutor.runs import folder as runs
from cotutor.tasks.base import HELD_OUT_SEED
from cotutor.train import Pair, another_task, build


@dataclass(frozen=True, slots=True)
class OptionView:
    """What was said about one option; ``visits`` and ``advantage`` are the student's feedback on it."""

    phrase: str
    raw: float
    calibrated: float
    revised: float
    visits: float
    advantage: float


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One state of a task as teacher and student see it.

    Attributes:
        picture: The state drawn in characters, by the simulator; neither of the two sees it.
        context: What the teacher reads.
        options: What it says.
        trust: Trust in that.
        trust_overall: Trust over all contexts, which is never below it.
    """

    picture: str
    context: str
    options: list[OptionView]
    trust: float
    trust_overall: float


def load(path: Path) -> tuple[Pair, TrainConfig]:
    """Builds the pair of a finished run with what it has learnt, and returns it with the run's configuration."""
    folder, config = runs.open_run(path)
    pair = build(replace(config, ray=RayConfig()))
    if pair.loop is not None:
        pair.loop.init_callback(pair.model)
    runs.load_student(folder, pair.model.policy, pair.student, pair.working)
    if pair.adviser is not None:
        runs.load_dialogue(folder, pair.adviser)
        pair.adviser.teacher.rest()
    if pair.language is not None:
        pair.language.version = runs.read_summary(folder).teacher_updates or 0
    return pair, config


def evaluate_run(path: Path, episodes: int, on: str = "") -> dict[str, Outcome]:
    """Measures :meth:`Pair.actors` and the bot, those of them that there are, on the same held-out episodes.

    Args:
        path: The run's folder.
        episodes: How many episodes.
        on: Another task than the run's own, of the same kind.

    Raises:
        UserError: ``path`` is not the folder of a finished run, or the student cannot read the other task.
    """
    if episodes < 1:
        raise UserError(f"--episodes is {episodes}, but must be at least 1.")
    pair, config = load(path)
    task = another_task(config, pair, on) if on else pair.task
    actors = pair.actors(task)
    if task.has_expert:
        actors["bot"] = expert_actor(task)
    return {name: evaluate(task, config.student, actor, episodes) for name, actor in actors.items()}


def success_on(path: Path, tasks: Iterable[str], episodes: int) -> dict[str, float]:
    """Returns the success of a run's pair in held-out episodes of other tasks of the same kind."""
    pair, config = load(path)
    return {name: success(another_task(config, pair, name), config.student, pair.actor, episodes) for name in tasks}


def replays_of_run(path: Path, episodes: int | None) -> list[Replay]:
    """Returns the first held-out episodes of a run's pair: those that the run kept, acted afresh where it kept too few.

    Args:
        path: The run's folder.
        episodes: How many; None for those that the run kept, or would keep now if it is older than replays.

    Raises:
        UserError: ``path`` is not the folder of a finished run, or there is nothing to show.
    """
    folder, config = runs.open_run(path)
    kept = read_replays(folder.replays) if folder.replays.is_file() else []
    wanted = (len(kept) or config.replays) if episodes is None else episodes
    if wanted < 1:
        raise UserError(f"There is no episode to show of {path}: say how many with --episodes, at least 1.")
    if wanted <= len(kept):
        return kept[:wanted]
    pair, _ = load(path)
    return record(pair, config.student, wanted, HELD_OUT_SEED)


def ask_run(path: Path, env_seed: int, step: int) -> Inquiry:
    """Lets the student act for ``step`` steps of a held-out episode, then asks the teacher about the state.

    Raises:
        UserError: The run has no teacher that reads contexts, or the episode ends before that step.
    """
    pair, config = load(path)
    adviser = pair.adviser
    if adviser is None or adviser.teacher.privileged:
        raise UserError(f"The run {path} has no teacher that reads contexts: there is nobody to ask.")
    env, act = pair.task.spoken(config.student), pair.actor
    draw = np.random.default_rng(env_seed)
    observation, info = env.reset(seed=HELD_OUT_SEED + env_seed)
    for taken in range(step):
        observations = {name: value[None] for name, value in observation.items()}
        probabilities_A = act(observations, [info["context"]], [env])[0]
        action = int(draw.choice(len(probabilities_A), p=probabilities_A / probabilities_A.sum()))
        observation, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            raise UserError(f"The episode ended after {taken + 1} steps: choose a smaller --step.")
    context = adviser.read([info["context"]])[0]
    question = pair.task.question(context)
    if context not in adviser.answers:
        adviser.ask([context])
    answer, feedback = adviser.answers[context], adviser.memory.feedback(question)
    columns = (
        softmax(answer.scores_O),
        answer.own_O,
        adviser.revised(context),
        feedback.visits_O,
        feedback.advantage_O,
    )
    options = [
        OptionView(option.phrase, *(float(column[o]) for column in columns))
        for o, option in enumerate(question.options)
    ]
    trust = adviser.trust
    return Inquiry(pair.task.picture(env), context, options, trust.of(context), trust.value)
