"""A few held-out episodes of the finished pair, step by step: what was seen, told, advised and done.

They are the first episodes of the evaluation, with actions drawn: whatever they show was not chosen.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from typing_extensions import TypedDict

from cotutor.evaluation import Actor, draw, student_actor
from cotutor.reading import checked, read_json, reading
from cotutor.runs.folder import write_whole
from cotutor.tasks.base import Task
from cotutor.tasks.scene import Item, Scene
from cotutor.types import FloatArray, Option, Question

if TYPE_CHECKING:
    from cotutor.train import Pair

DECIMALS = 4
"""Of the probabilities, trust and reward that are kept."""

View = Scene | str
"""What a person looks at: a scene, or the state drawn in characters where the task has none."""

Shares = tuple[float, ...]
"""Probabilities of options (O) or actions (A)."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of an episode. What is about the teacher is None where there is none.

    Attributes:
        view: The state before the action.
        told: The state in words, as the task tells it.
        question: The context as the teacher reads it (the same, unless it restates missions), and the options offered.
        own_O: The teacher's own advice, calibrated; None too where it was never asked, for want of trust.
        revised_O: The advice after feedback; None where ``own_O`` is.
        trust: Trust in the advice in this context.
        free_A: What the policy that acts would do without the advice: the same weights, the prior zero. That is not the
            graduate, which never had a prior.
        acted_A: What it did do: the distribution that the action was drawn from.
        action: The action taken.
        reward: What it earned.
    """

    view: View
    told: str
    question: Question
    own_O: Shares | None
    revised_O: Shares | None
    trust: float | None
    free_A: Shares | None
    acted_A: Shares
    action: int
    reward: float

    @property
    def swayed(self) -> bool:
        """Whether the advice changed the most probable action."""
        return self.free_A is not None and int(np.argmax(self.free_A)) != int(np.argmax(self.acted_A))


@dataclass(frozen=True, slots=True)
class Replay:
    """An episode.

    Attributes:
        seed: Seed of the environment and of the draws.
        actions: The name of every action.
        success: Whether the mission was accomplished.
        moments: Its steps.
        end: The state after the last one.
    """

    seed: int
    actions: tuple[str, ...]
    success: bool
    moments: tuple[Moment, ...]
    end: View


def record(pair: "Pair", student: str, episodes: int, seed: int) -> list[Replay]:
    """Lets a pair act, and keeps every step.

    Args:
        pair: The pair, trained.
        student: ``"text"`` or ``"image"``.
        episodes: How many; episode i has the environment seed and the draws of ``seed`` + i, as in
            :func:`cotutor.evaluation.run_episodes`.
        seed: The first seed.
    """
    actor = pair.actor
    return [_act(pair, actor, pair.task.spoken(student), seed + i) for i in range(episodes)]


def write_replays(path: Path, replays: Sequence[Replay]) -> None:
    """Writes ``replays.json`` at once or not at all."""
    write_whole(path, json.dumps([encode(replay) for replay in replays], separators=(",", ":")))


def read_replays(path: Path) -> list[Replay]:
    """Reads what :func:`write_replays` wrote.

    Raises:
        UserError: It cannot be read.
    """
    with reading("replays", path):
        return [decode(episode) for episode in read_json(list[EncodedReplay], path)]


class EncodedQuestion(TypedDict):
    """What was told and asked, as JSON."""

    told: str
    context: str
    options: list[tuple[str, int]]


class EncodedGrid(TypedDict):
    """A grid world as JSON: what stands where in the first scene, by number of an item."""

    width: int
    height: int
    cells: list[int]


class EncodedScene(TypedDict):
    """A scene as JSON: what changed since the one before."""

    agent: tuple[int, int, int]
    seen: list[int]
    carried: int
    changes: list[tuple[int, int]]


class EncodedStep(TypedDict):
    """A step as JSON, with the number of its question."""

    question: int
    own: Shares | None
    revised: Shares | None
    trust: float | None
    free: Shares | None
    acted: Shares
    action: int
    reward: float


class EncodedReplay(TypedDict):
    """A replay as JSON."""

    seed: int
    actions: tuple[str, ...]
    success: bool
    questions: list[EncodedQuestion]
    items: list[str | None]
    grid: EncodedGrid | None
    views: list[EncodedScene | str]
    steps: list[EncodedStep]


def encode(replay: Replay) -> EncodedReplay:
    """Returns a replay as JSON: what repeats is stored once, and of a grid only what changes from step to step."""
    views = [*(moment.view for moment in replay.moments), replay.end]
    scenes = [view for view in views if isinstance(view, Scene)]
    items = list(dict.fromkeys(item for scene in scenes for item in (*scene.cells, scene.carried)))
    number = {item: i for i, item in enumerate(items)}
    asked = dict.fromkeys((moment.told, moment.question) for moment in replay.moments)
    questions = {key: i for i, key in enumerate(asked)}
    return {
        "seed": replay.seed,
        "actions": replay.actions,
        "success": replay.success,
        "questions": [
            {
                "told": told,
                "context": question.context,
                "options": [(option.phrase, option.action) for option in question.options],
            }
            for told, question in questions
        ],
        "items": [None if item is None else str(item) for item in items],
        "grid": {"width": scenes[0].width, "height": scenes[0].height, "cells": [number[i] for i in scenes[0].cells]}
        if scenes
        else None,
        "views": [
            {
                "agent": (*view.agent, view.direction),
                "seen": list(view.seen),
                "carried": number[view.carried],
                "changes": [
                    (place, number[item])
                    for place, (item, before) in enumerate(zip(view.cells, scenes[max(0, i - 1)].cells, strict=True))
                    if item != before
                ],
            }
            if isinstance(view, Scene)
            else view
            for i, view in enumerate(views)
        ],
        "steps": [
            {
                "question": questions[moment.told, moment.question],
                "own": moment.own_O,
                "revised": moment.revised_O,
                "trust": moment.trust,
                "free": moment.free_A,
                "acted": moment.acted_A,
                "action": moment.action,
                "reward": moment.reward,
            }
            for moment in replay.moments
        ],
    }


def decode(episode: EncodedReplay) -> Replay:
    """Returns the replay that :func:`encode` made JSON of.

    Raises:
        ValueError: Its parts do not fit together.
        IndexError: Likewise.
    """
    views = _views(episode)
    questions = [
        (entry["told"], Question(entry["context"], tuple(Option(*option) for option in entry["options"])))
        for entry in episode["questions"]
    ]
    moments = tuple(
        _moment(view, *questions[step["question"]], step, len(episode["actions"]))
        for view, step in zip(views[:-1], episode["steps"], strict=True)
    )
    return Replay(episode["seed"], episode["actions"], episode["success"], moments, views[-1])


def _moment(view: View, told: str, question: Question, step: EncodedStep, actions: int) -> Moment:
    options = len(question.options)
    for shares, count in (
        (step["own"], options),
        (step["revised"], options),
        (step["free"], actions),
        (step["acted"], actions),
    ):
        if shares is not None and len(shares) != count:
            raise ValueError(f"{len(shares)} probabilities are not of {count} choices")
    if not all(0 <= action < actions for action in (step["action"], *(option.action for option in question.options))):
        raise ValueError("an action is none of those that there are")
    return Moment(
        view,
        told,
        question,
        own_O=step["own"],
        revised_O=step["revised"],
        trust=step["trust"],
        free_A=step["free"],
        acted_A=step["acted"],
        action=step["action"],
        reward=step["reward"],
    )


def _views(episode: EncodedReplay) -> list[View]:
    grid = episode["grid"]
    if grid is None:
        return [checked(str, view) for view in episode["views"]]
    items = [None if text is None else Item.parse(text) for text in episode["items"]]
    cells = [items[number] for number in grid["cells"]]
    if len(cells) != grid["width"] * grid["height"]:
        raise ValueError("a grid has more or fewer cells than it is large")
    scenes: list[View] = []
    for view in episode["views"]:
        if isinstance(view, str):
            raise ValueError("a view is drawn in characters where others are scenes")
        for place, number in view["changes"]:
            cells[place] = items[number]
        x, y, direction = view["agent"]
        scene = Scene(
            grid["width"],
            grid["height"],
            tuple(cells),
            (x, y),
            direction,
            tuple(view["seen"]),
            items[view["carried"]],
        )
        scenes.append(scene)
    return scenes


def _act(pair: "Pair", actor: Actor, env: gym.Env[Any, int], seed: int) -> Replay:
    random, moments = np.random.default_rng(seed), []
    observation, info = env.reset(seed=seed)
    over = False
    while not over:
        observations = {name: value[None] for name, value in observation.items()}
        acted_A = actor(observations, [info["context"]], [env])[0]
        told, view = info["context"], _view(pair.task, env)
        context = told if pair.adviser is None else pair.adviser.read([told])[0]
        taught = _teaching(pair, env, context, observations)
        action = draw(acted_A, random)
        observation, reward, terminated, truncated, info = env.step(action)
        question = pair.task.question(context)
        moments.append(Moment(view, told, question, *taught, _rounded(acted_A), action, round(float(reward), DECIMALS)))
        over = terminated or truncated
    return Replay(seed, pair.task.actions, info["is_success"], tuple(moments), _view(pair.task, env))


def _teaching(
    pair: "Pair", env: gym.Env[Any, int], context: str, observations: dict[str, Any]
) -> tuple[Shares | None, Shares | None, float | None, Shares | None]:
    """Returns what a moment keeps about the teacher: own and revised advice, trust, and the policy without advice."""
    if pair.adviser is None:
        return None, None, None, None
    advice = pair.adviser.advice(context, env)
    own_O, revised_O = (None, None) if advice is None else map(_rounded, advice)
    free_A = student_actor(pair.model.policy)(observations, [context], [env])[0]
    return own_O, revised_O, round(pair.adviser.trust.of(context), DECIMALS), _rounded(free_A)


def _view(task: Task, env: gym.Env[Any, Any]) -> View:
    scene = task.scene(env)
    return task.picture(env) if scene is None else scene


def _rounded(shares: FloatArray) -> Shares:
    return tuple(round(float(share), DECIMALS) for share in shares)
