"""The contract of a task: a gymnasium environment that can speak."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from cotutor.errors import UserError
from cotutor.stateful import Stateful
from cotutor.tasks.retraceable import Retraceable
from cotutor.tasks.scene import Scene
from cotutor.tasks.words import Words
from cotutor.text import well_formed
from cotutor.types import Option, Question

OFFERED = "offered"
"""Entry of a task's arrays, shape (A,): one for every action that can be done now. Without it all can."""

Observation = Any
"""What an environment gives at each step, whatever its observation space says."""


class Task(ABC):
    """An environment whose states can be put into words.

    A task of one's own says ``actions``, :meth:`make_env` and :meth:`describe`; the rest has defaults, which suit an
    environment with discrete actions, one mission and positive reward on success only.

    Everything here but :meth:`make_env` and what takes an environment is a pure function of one observation, so the
    words cannot say more than the observation shows.

    Attributes:
        name: What the user typed to get this task.
        actions: The name of every action, indexed by action.
        vocabulary: The words of instructions and contexts; other words share hashed places.
        meanings: Every mission in plain words, where missions are told in other words too.
        max_words: Longest text, in words, that the student reads; longer ones are cut at the end.
        has_expert: Whether :meth:`expert_action` and :meth:`right_actions` work here.
        cue: What a language model reads after the context, and before the options.
    """

    name: str = ""
    actions: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    meanings: tuple[str, ...] = ()
    max_words: int = 64
    has_expert: bool = False
    cue: str = "Next action:"

    @abstractmethod
    def make_env(self) -> gym.Env[Any, Any]:
        """Makes the bare environment, with a discrete action space."""

    @abstractmethod
    def describe(self, observation: Observation) -> str:
        """Returns the context: the mission and the observation as the teacher reads them."""

    def context(self, observation: Observation) -> str:
        """Returns what :meth:`describe` says, as text that can be written."""
        return well_formed(self.describe(observation))

    def options(self, context: str) -> tuple[Option, ...]:
        """Returns what the teacher may say in ``context``, always in the same order: as a rule every action."""
        return tuple(Option(name, action) for action, name in enumerate(self.actions))

    def instruction(self, observation: Observation) -> str:
        """Returns the mission in words; nothing where there is only one."""
        return ""

    def arrays(self, observation: Observation) -> dict[str, NDArray[Any]]:
        """Returns the numeric part of an observation as the student's network reads it: as a rule flattened.

        Where not everything can always be done, an entry :data:`OFFERED` has ones for what can; the student does
        nothing else, and the options are the same actions (with plans, these and more).
        """
        flat = gym.spaces.flatten(self.observation_space, observation)
        return {"observation": np.asarray(flat, dtype=np.float32)}

    def array_spaces(self) -> dict[str, gym.Space[Any]]:
        """Returns the space of each entry of :meth:`arrays`."""
        flat = gym.spaces.flatten_space(self.observation_space)
        if not isinstance(flat, gym.spaces.Box):
            raise UserError(
                f"The observations of {self.name} are no numbers to flatten: say arrays and array_spaces in the task."
            )
        return {"observation": gym.spaces.Box(-np.inf, np.inf, flat.shape, dtype=np.float32)}

    @cached_property
    def observation_space(self) -> gym.Space[Any]:
        """What the bare environment says of its observations."""
        env = self.make_env()
        env.close()
        return env.observation_space

    def succeeded(self, reward: float, terminated: bool) -> bool:
        """Tells by its last step whether an episode that is over accomplished the mission."""
        return terminated and reward > 0

    def expert_action(self, env: gym.Env[Any, Any]) -> int:
        """Returns what an expert who sees the simulator's state would do now; for privileged teachers and checks."""
        raise NotImplementedError

    def right_actions(self, env: gym.Env[Any, Any], actions: tuple[int, ...]) -> frozenset[int]:
        """Returns those of ``actions`` that are on equally short ways to success by the expert's judgement."""
        raise NotImplementedError

    def picture(self, env: gym.Env[Any, Any]) -> str:
        """Returns the present state drawn in characters, for a person to look at; teacher and student never see it.

        As a rule it is what the environment says of itself as a text, nothing where that is only its name.
        """
        named = type(env.unwrapped).__str__ is gym.Env.__str__
        return "" if named else str(env.unwrapped)

    def scene(self, env: gym.Env[Any, Any]) -> Scene | None:
        """Returns the present state as a grid world to draw; None where the task is none."""
        return None

    def spoken(self, student: str) -> "gym.Env[Any, int]":
        """Makes an environment as the student sees it."""
        return SpokenEnv(self, student)

    def step_all(self, envs: "Sequence[gym.Env[Any, int]]", actions: Sequence[int]) -> list[tuple[Any, ...]]:
        """Takes a step in each of the environments that :meth:`spoken` made, and returns what each gave."""
        return [env.step(action) for env, action in zip(envs, actions, strict=True)]

    def references(self, contexts: Sequence[str]) -> list[str]:
        """Returns what a teacher is calibrated on when these contexts were met: as a rule just them."""
        return list(contexts)

    def question(self, context: str) -> Question:
        """Returns the context with its options."""
        return Question(context, self.options(context))


HELD_OUT_SEED = 1_000_000_000
"""Environments of evaluation are seeded from here on, so that no student was trained on their episodes."""

AGREEMENT_SEED = 2_000_000_000
"""States on which a teacher's agreement with the expert is measured come from episodes seeded from here on."""


class SpokenEnv(gym.Wrapper[Any, int, Any, int], Stateful):
    """A task's environment as a Stable-Baselines3 student sees it.

    The observation is a Dict: the task's arrays, ``instruction`` (word numbers, ``max_words``) and, with
    ``student="text"``, ``context`` (word numbers of the same text that the teacher reads). ``info["context"]`` carries
    that text, ``info["is_success"]`` says at the end of an episode whether the mission was accomplished.

    Args:
        task: The task to put into words.
        student: ``"text"`` to let the student read the context too, ``"image"`` to keep it from it.
    """

    changes = ("env",)

    def __init__(self, task: Task, student: str) -> None:
        self.retraceable = Retraceable(task.make_env())
        super().__init__(self.retraceable)
        self.task = task
        self.words = Words(task.vocabulary, task.max_words)
        self.texts = ("instruction", "context") if student == "text" else ("instruction",)
        self.observation_space = gym.spaces.Dict({**task.array_spaces(), **dict.fromkeys(self.texts, self.words.space)})

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        observation, info = self.env.reset(seed=seed, options=options)
        return self._speak(observation, info)

    def step(self, action: int):
        observation, reward, terminated, truncated, info = self.env.step(int(action))
        if terminated or truncated:
            info["is_success"] = self.task.succeeded(float(reward), bool(terminated))
        return *self._speak(observation, info)[:1], float(reward), terminated, truncated, info

    def expert_action(self) -> int:
        return self.task.expert_action(self.env)

    def retrace(self) -> dict[str, NDArray[Any]]:
        """Does again what was done in the episode, and returns what is observed then."""
        return self._speak(*self.retraceable.retrace())[0]

    def _speak(self, observation: Observation, info: dict[str, Any]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        spoken, info["context"] = self.speak(observation)
        return spoken, info

    def speak(self, observation: Observation) -> tuple[dict[str, NDArray[Any]], str]:
        """Returns an observation as the student reads it, and its context."""
        context = self.task.context(observation)
        texts = {"instruction": well_formed(self.task.instruction(observation)), "context": context}
        arrays = self.task.arrays(observation)
        return {**arrays, **{text: self.words.encode(texts[text]) for text in self.texts}}, context
