"""Whether a task keeps its contract, tried on its own states."""

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import gymnasium as gym
import numpy as np

from cotutor.errors import UserError
from cotutor.tasks.base import OFFERED, Observation, Task
from cotutor.tasks.words import split

SAME_LENGTH = 3
"""Episodes that end without success after equally many steps, the longest of all, which a time limit explains best."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One point of the contract.

    Attributes:
        point: What a task promises.
        broken: How it broke its promise, and what would mend it; nothing where it was kept.
    """

    point: str
    broken: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A state of an episode, and what came of the action taken there.

    Attributes:
        observation: What the environment gave, a copy made before anything else saw it.
        context: What the task made of it at that time.
        action: What was done.
        reward: What it earned.
        terminated: Whether the episode came to its end with it.
        truncated: Whether the episode was cut with it.
    """

    observation: Observation
    context: str
    action: int
    reward: float
    terminated: bool
    truncated: bool


Episode = list[Step]


def check_contract(task: Task, states: int, seed: int = 0) -> list[Finding]:
    """Tries a task's promises on episodes of random options.

    Args:
        task: The task.
        states: How many states to visit; the last episode is cut there.
        seed: Seed of the first episode, and of the options drawn.

    Returns:
        A finding for every point. Where the actions do not match, nothing else can be tried.
    """
    actions = Finding("its actions are those of the environment", _mismatch(task))
    if actions.broken:
        return [actions]
    episodes = random_episodes(task, states, seed)
    points: dict[str, Callable[[Task, Sequence[Episode]], str]] = {
        "the options of a context are actions, and always the same": _options,
        "the context depends on the observation alone": _purity,
        "observations and arrays are in their spaces": _arrays,
        "the options are what the arrays say is offered": _offered,
        "the student can read the whole of it": _length,
        "the same seed and actions give the same episode": lambda task, episodes: _repeat(task, episodes, seed),
        "episodes end": _endings,
        "a time limit cuts an episode and does not terminate it": _limits,
    }
    return [actions, *(Finding(point, broken(task, episodes)) for point, broken in points.items())]


def _mismatch(task: Task) -> str:
    try:
        space = task.make_env().action_space
    except Exception as error:
        raise UserError(
            f"The task {task.name} cannot make its environment: {type(error).__name__}: {error}."
        ) from error
    if not isinstance(space, gym.spaces.Discrete):
        return (
            f"the action space is {space}; it must be Discrete, which cotutor.enumerated(env) makes of a MultiDiscrete."
        )
    if int(space.start) != 0:
        return f"the actions begin at {space.start}; cotutor.enumerated(env) makes them begin at 0."
    if len(task.actions) != int(space.n):
        return f"the task names {len(task.actions)} actions, and the environment has {space.n}."
    return ""


def random_episodes(task: Task, states: int, seed: int) -> list[Episode]:
    """Returns episodes of random options, which visit so many states; the last one is cut there."""
    rng = np.random.default_rng(seed)
    env = task.make_env()
    episodes: list[Episode] = []
    while states > 0:
        observation, _ = env.reset(seed=seed + len(episodes))
        episodes.append([])
        over = False
        while not over and states > 0:
            kept = copy.deepcopy(observation)
            context = _described(task, observation)
            options = task.options(context)
            if not options:
                raise UserError(f"The task {task.name} offers no option in the context: {context}")
            action = options[rng.integers(len(options))].action
            observation, reward, terminated, truncated, _ = env.step(action)
            episodes[-1].append(Step(kept, context, action, float(reward), bool(terminated), bool(truncated)))
            over, states = terminated or truncated, states - 1
    env.close()
    return episodes


def _steps(episodes: Sequence[Episode]) -> Iterator[Step]:
    return (step for episode in episodes for step in episode)


def _described(task: Task, observation: Observation) -> str:
    try:
        context = task.describe(observation)
    except Exception as error:
        raise UserError(
            f"The task {task.name} cannot describe the observation {observation!r}: {type(error).__name__}: {error}."
        ) from error
    if not isinstance(context, str) or not context.strip():
        raise UserError(f"The task {task.name} describes the observation {observation!r} as {context!r}: say a text.")
    return context


def _options(task: Task, episodes: Sequence[Episode]) -> str:
    for context in {step.context for step in _steps(episodes)}:
        options = task.options(context)
        if task.options(context) != options:
            return f"they change from one call to the next in the context: {context}"
        if wrong := [option for option in options if not 0 <= option.action < len(task.actions)]:
            return f"{wrong[0].phrase!r} is action {wrong[0].action}, which there is not, in the context: {context}"
        if twice := [phrase for phrase, count in Counter(option.phrase for option in options).items() if count > 1]:
            return f"{twice[0]!r} is offered twice in the context: {context}"
    return ""


def _purity(task: Task, episodes: Sequence[Episode]) -> str:
    for step in _steps(episodes[::-1]):
        later = _described(task, copy.deepcopy(step.observation))
        if later != step.context:
            return (
                f"the same observation was told as {step.context!r} and later as {later!r}: "
                "take all that is said from the observation, and leave it unchanged."
            )
    return ""


def _arrays(task: Task, episodes: Sequence[Episode]) -> str:
    spaces = gym.spaces.Dict(task.array_spaces())
    for step in _steps(episodes):
        if not task.observation_space.contains(step.observation):
            return f"the observation {step.observation!r} is not in the environment's {task.observation_space}."
        arrays = task.arrays(step.observation)
        if not spaces.contains(arrays):
            shapes = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items())
            return f"{shapes} is not in {spaces}."
    return ""


def _offered(task: Task, episodes: Sequence[Episode]) -> str:
    if OFFERED not in task.array_spaces():
        return ""
    for step in _steps(episodes):
        arrays = task.arrays(step.observation)
        told = {option.action for option in task.options(step.context)}
        offered = set(np.flatnonzero(arrays[OFFERED]).tolist()) if OFFERED in arrays else told
        if told != offered:
            return f"the options are actions {sorted(told)}, and {OFFERED!r} says {sorted(offered)}: {step.context}"
    return ""


def _length(task: Task, episodes: Sequence[Episode]) -> str:
    longest = max((step.context for step in _steps(episodes)), key=lambda text: len(split(text)))
    words = len(split(longest))
    if words <= task.max_words:
        return ""
    return f"a context has {words} words, and max_words is {task.max_words}: {longest}"


def _repeat(task: Task, episodes: Sequence[Episode], seed: int) -> str:
    env = task.make_env()
    for number, episode in enumerate(episodes[:SAME_LENGTH]):
        observation, _ = env.reset(seed=seed + number)
        for count, step in enumerate(episode):
            told = task.describe(observation)
            observation, reward, terminated, truncated, _ = env.step(step.action)
            came = told, float(reward), bool(terminated), bool(truncated)
            if came != (step.context, step.reward, step.terminated, step.truncated):
                return (
                    f"with seed {seed + number}, step {count} was {step.context!r} with reward {step.reward} and then "
                    f"{told!r} with {reward}: let reset(seed=...) seed all that is drawn."
                )
    return ""


def _endings(task: Task, episodes: Sequence[Episode]) -> str:
    if any(episode[-1].terminated or episode[-1].truncated for episode in episodes):
        return ""
    return (
        f"none of them did in {sum(map(len, episodes))} steps: give the environment a time limit "
        "(gymnasium.wrappers.TimeLimit), or visit more --states."
    )


def _limits(task: Task, episodes: Sequence[Episode]) -> str:
    if any(episode[-1].truncated for episode in episodes):
        return ""
    whole = [episode for episode in episodes if episode[-1].terminated]
    longest = max(map(len, whole), default=0)
    failed = [episode for episode in whole if len(episode) == longest and not task.succeeded(episode[-1].reward, True)]
    if len(failed) < SAME_LENGTH:
        return ""
    return (
        f"{len(failed)} episodes terminated without success after {longest} steps, and none was longer: "
        "if that is a time limit, say truncated, for what would have come after it counts."
    )
