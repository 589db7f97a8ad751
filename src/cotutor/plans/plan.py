"""A level at the level of plans: its actions are subgoals, and its contexts tell what a plan depends on."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any, cast

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv

from cotutor.config import PlanConfig
from cotutor.plans.oracle import parse
from cotutor.plans.subgoals import (
    MISSION,
    NUMBERS,
    SUBGOALS,
    THINGS,
    Subgoal,
    achieved,
    offered,
    potential,
    sayable,
    spoilt,
)
from cotutor.plans.worker import Observation as Told
from cotutor.plans.worker import Segment, Worker
from cotutor.stateful import Stateful
from cotutor.tasks.babyai import BabyAI, wanted, with_article
from cotutor.tasks.base import OFFERED, Observation, SpokenEnv, Task
from cotutor.tasks.scene import Scene
from cotutor.tasks.seen import Seen, Thing
from cotutor.tasks.words import Words
from cotutor.types import Option

EMPTY_HANDED = "You carry nothing."
WORKER_DRAWS = 1
"""Keeps the worker's draws apart from those of whoever plans, and of the level, under the same seed."""
CARRIED = re.compile(r"You carry [^.]*\.")
VAIN = re.compile(r"Tried in vain: [^.]*\. ")
COMPOUND = re.compile(r"\b(then|and|after)\b")
"""Words of missions of several parts, where what to do next depends on what was done."""
DONE = 4
"""Subgoals achieved of which such a mission's context tells, the latest ones."""


class Plan(Task):
    """Plans for a level of BabyAI.

    Args:
        world: The level, with memory of what was seen.
        worker: Who pursues subgoals.
        config: How they are pursued.
    """

    cue = "Steps:\n1."

    def __init__(self, world: BabyAI, worker: Worker, config: PlanConfig) -> None:
        self.world = world
        self.worker = worker
        self.config = config
        self.name = world.name
        self.has_expert = world.has_expert
        self.actions = tuple(subgoal.phrase for subgoal in SUBGOALS)
        words = " ".join(
            (
                *self.actions,
                EMPTY_HANDED,
                "Mission put next to something else was not seen yet There is an is blocks locked closed Done "
                "Tried in vain",
            )
        )
        self.vocabulary = (*world.vocabulary, *words.lower().replace(".", "").split())
        self.max_words = 128

    def spoken(self, student: str) -> "PlannedEnv":
        return PlannedEnv(self, learning=False)

    def make_env(self) -> gym.Env[Any, Any]:
        return self.world.make_env()

    def arrays(self, observation: Observation) -> dict[str, NDArray[Any]]:
        mask_A = np.zeros(len(SUBGOALS), dtype=np.float32)
        found, tried = offered(observation["seen"]), observation["tried"]
        found = found.difference(tried) or found.difference(tried[-1:]) or found
        mask_A[[NUMBERS[subgoal] for subgoal in found]] = 1.0
        return {OFFERED: mask_A}

    def array_spaces(self) -> dict[str, gym.Space[Any]]:
        return {OFFERED: gym.spaces.Box(0.0, 1.0, (len(SUBGOALS),), dtype=np.float32)}

    def instruction(self, observation: Observation) -> str:
        return observation["mission"]

    def describe(self, observation: Observation) -> str:
        latest = [f"Tried in vain: {subgoal.phrase}." for subgoal in observation["tried"][-1:]]
        # the mission comes last, next to what is to be said about it (lab notes)
        return " ".join([*observation["told"], *latest, f"Mission: {observation['mission']}."])

    def tell(self, observation: Observation) -> tuple[str, ...]:
        """Returns the sentences of a context that are about the world."""
        seen: Seen = observation["seen"]
        mission = observation["mission"]
        wants = wanted(mission)
        carried = EMPTY_HANDED if seen.carried is None else f"You carry {self._load(mission, seen)}."
        at_hand = (*seen.things, *([seen.carried] if seen.carried else []))
        missing = [want for want in wants if not any(map(want.matches, at_hand))]
        doors = [thing for thing in seen.things if thing.type == "door"]
        locks = {door.colour for door in doors if door.state == "locked"}
        named = [thing for thing in seen.things if any(want.matches(thing) for want in wants)]
        bearing = doors if missing else [door for door in doors if door in named]
        # of many doors an open one is told only if it is named or none is closed: in a maze every context was another
        shown = [door for door in bearing if door.state != "open" or door in named]
        shown = shown or sorted(bearing, key=lambda door: door.name)[:1]
        barriers = [
            *((door, barring) for door in bearing if (barring := seen.blocking(door))),
            *filter(None, map(seen.barrier, named)),
        ]
        located = [thing for thing in seen.things if any(want.side and want.names(thing) for want in wants)]
        sentences = [
            *(f"The {want.phrase} was not seen yet." for want in missing),
            *(_there(thing) for thing in located),
            *(f"The {door.name} is {door.state}." for door in shown if door not in located),
            *(f"The {barring.name} blocks the {door.name}." for door, barring in barriers),
            *(f"There is a {thing.name}." for thing in seen.things if thing.type == "key" and thing.colour in locks),
        ]
        parts = dict.fromkeys(observation["done"]) if COMPOUND.search(mission) else {}
        done = [f"Done: {', '.join(subgoal.phrase for subgoal in [*parts][-DONE:])}."] if parts else []
        return (carried, *dict.fromkeys(sorted(sentences)), *done)

    def _load(self, mission: str, seen: Seen) -> str:
        """Returns what is carried, by name if the mission names it, or if it is a key and there is a door."""
        carried = cast(Thing, seen.carried)
        bears = any(want.matches(carried) for want in wanted(mission))
        opens = carried.type == "key" and any(thing.type == "door" for thing in seen.things)
        return f"the {carried.name}" if bears or opens else "something else"

    def options(self, context: str) -> tuple[Option, ...]:
        return tuple(
            Option(subgoal.phrase, NUMBERS[subgoal])
            for subgoal in sayable(carrying=EMPTY_HANDED not in context)
            if subgoal.name in THINGS or " door " in context or not subgoal.name
        )

    def step_all(self, envs: Sequence[gym.Env[Any, int]], actions: Sequence[int]) -> list[tuple[Any, ...]]:
        pursue(cast(Sequence[PlannedEnv], envs), actions)
        return super().step_all(envs, actions)

    def references(self, contexts: Sequence[str]) -> list[str]:
        """Returns every context with empty hands and with something in them.

        At first hardly anything is carried, and what can only be said with full hands must be calibrated, too.
        """
        emptied = [CARRIED.sub(EMPTY_HANDED, VAIN.sub("", context)) for context in contexts]
        laden = [
            CARRIED.sub(f"You carry the {name}.", text) for text, name in zip(emptied, cycle(THINGS), strict=False)
        ]
        return [*emptied, *laden]

    def picture(self, env: gym.Env[Any, Any]) -> str:
        return self.world.picture(env)

    def scene(self, env: gym.Env[Any, Any]) -> Scene:
        return self.world.scene(env)

    def expert_action(self, env: gym.Env[Any, Any]) -> int:
        return NUMBERS[parse(env.unwrapped, env.get_wrapper_attr("seen"))]


def _there(thing: Thing) -> str:
    return f"There is {with_article(thing.adjective + thing.name).lower()} {' and '.join(thing.sides)}."


class PlannedEnv(gym.Wrapper[Any, int, Any, int], Stateful):
    """A level as whoever plans sees it: an action is a subgoal, a step its pursuit.

    The reward of a step is the mission's own, discounted over the pursuit; achieving a subgoal earns nothing here.
    ``info["duration"]`` says how many steps of the environment it took, ``info["achieved"]`` whether it was achieved.

    Args:
        plan: The level at the level of plans.
        learning: Whether the worker keeps the steps to learn from.

    Attributes:
        pursuit: The pursuit under way, or made already and not told yet.
        done: The subgoals achieved in the episode, in their order.
        told: What the context last told of the world.
        tried: The subgoals pursued in vain since that changed, the latest one last. They are not offered again, unless
            nothing else is: who plans may not know that they fail, least of all a teacher that was always right
            elsewhere (lab notes).
    """

    changes = ("env", "draws", "done", "told", "tried")

    def __init__(self, plan: Plan, learning: bool) -> None:
        # an observation with a subgoal in the mission's place is spoken like any other; the steps are taken below that
        self.instructed = SpokenEnv(plan.world, plan.worker.student)
        super().__init__(self.instructed.env)
        self.plan = plan
        self.learning = learning
        self.pursuit: Pursuit | None = None
        self.words = Words(plan.vocabulary, plan.max_words)
        self.action_space = cast(gym.Space[int], gym.spaces.Discrete(len(SUBGOALS)))
        self.observation_space = gym.spaces.Dict({**plan.array_spaces(), "context": self.words.space})
        self.draws = np.random.default_rng()
        self.done: tuple[Subgoal, ...] = ()
        self.told: tuple[str, ...] = ()
        self.tried: tuple[Subgoal, ...] = ()

    @property
    def seen(self) -> Seen:
        """What the agent knows now."""
        return self.observation["seen"]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        self.pursuit, self.done, self.told, self.tried = None, (), (), ()
        if seed is not None:
            self.draws = np.random.default_rng((seed, WORKER_DRAWS))
        self.observation, info = self.env.reset(seed=seed, options=options)
        return self._speak(info)

    def step(self, action: int):
        if self.pursuit is None:
            pursue([self], [action])
        pursuit, self.pursuit = cast(Pursuit, self.pursuit), None
        if self.learning:
            self.plan.worker.keep(pursuit.segment)
        others = tuple(subgoal for subgoal in self.tried if subgoal != pursuit.subgoal)
        self.tried = (*others, pursuit.subgoal) if pursuit.is_in_vain(self.seen) else others
        info = pursuit.info | {"duration": pursuit.duration, "achieved": pursuit.achieved}
        return *self._speak(info)[:1], pursuit.total, pursuit.terminated, pursuit.truncated, info

    def retrace(self) -> Told:
        """Does again what was done in the episode, and returns what whoever plans observes then."""
        self.observation, info = self.instructed.retraceable.retrace()
        return self._speak(info)[0]

    def begin(self, action: int) -> None:
        """Takes a subgoal up."""
        subgoal = SUBGOALS[int(action)]
        told = self._instruct(subgoal)
        self.pursuit = Pursuit(subgoal, self.seen, Segment([told]), potential(subgoal, self.seen))

    def follow(self, action: int) -> bool:
        """Takes a step towards the subgoal and tells whether the pursuit is over."""
        pursuit, before = cast(Pursuit, self.pursuit), self.seen
        subgoal, limit = pursuit.subgoal, self.plan.config.limit
        self.observation, reward, pursuit.terminated, pursuit.truncated, pursuit.info = self.env.step(action)
        pursuit.total += self.plan.config.gamma**pursuit.duration * float(reward)
        pursuit.duration += 1
        pursuit.achieved = achieved(subgoal, pursuit.start, before, self.seen)
        if pursuit.achieved and subgoal.name:
            self.done = (*self.done, subgoal)
        ended = pursuit.achieved or pursuit.terminated or spoilt(subgoal, pursuit.start, self.seen)
        hoped, pursuit.potential = pursuit.potential, 0.0 if ended else potential(subgoal, self.seen)
        paid = float(reward) if subgoal.verb == MISSION else pursuit.achieved * (1.0 - 0.9 * pursuit.duration / limit)
        paid += self.plan.worker.ppo.gamma * pursuit.potential - hoped
        pursuit.segment.add(action, paid, None if ended else self._instruct(subgoal))
        if pursuit.terminated or pursuit.truncated:
            pursuit.info["is_success"] = self.plan.world.succeeded(float(reward), bool(pursuit.terminated))
        return ended or pursuit.truncated or pursuit.duration >= limit

    def _instruct(self, subgoal: Subgoal) -> Told:
        """Returns the observation as the worker reads it, with the subgoal in the mission's place."""
        told = subgoal.phrase if subgoal.verb != MISSION else self.observation["mission"]
        return self.instructed.speak({**self.observation, "mission": told})[0]

    def _speak(self, info: dict[str, Any]) -> tuple[Told, dict[str, Any]]:
        told = self.plan.tell({**self.observation, "done": self.done})
        if told != self.told:
            self.told, self.tried = told, ()
        observed = {**self.observation, "told": told, "tried": self.tried}
        info["context"] = self.plan.describe(observed)
        arrays = self.plan.arrays(observed)
        return {**arrays, "context": self.words.encode(info["context"])}, info


@dataclass
class Pursuit:
    """A subgoal under way.

    Attributes:
        subgoal: What is pursued.
        start: What was known when it began.
        segment: The steps, for the worker.
        potential: How promising the present state is.
        duration: How many steps there were.
        total: The mission's reward, discounted to the beginning.
        achieved: Whether the subgoal is achieved.
        terminated: Whether the episode came to its end.
        truncated: Whether the episode was cut.
        info: The environment's of the last step.
    """

    subgoal: Subgoal
    start: Seen
    segment: Segment
    potential: float
    duration: int = 0
    total: float = 0.0
    achieved: bool = False
    terminated: bool = False
    truncated: bool = False
    info: dict[str, Any] = field(default_factory=dict)

    def is_in_vain(self, now: Seen) -> bool:
        """Tells whether nothing came of it: not achieved, nothing new seen, and nearer to nothing than at the start."""
        if self.achieved or self.terminated or self.truncated or now.cells > self.start.cells:
            return False
        return self.potential <= potential(self.subgoal, self.start)


def pursue(envs: Sequence[PlannedEnv], actions: Iterable[int]) -> None:
    """Pursues a subgoal in every environment, side by side, so that the worker acts in all of them at once."""
    for env, action in zip(envs, actions, strict=True):
        env.begin(action)
    running = list(envs)
    while running:
        told = [cast(Pursuit, env.pursuit).segment.observations[-1] for env in running]
        acts = running[0].plan.worker.act(told, [env.draws for env in running])
        running = [env for env, act in zip(running, acts, strict=True) if not env.follow(act)]


class PlannedVecEnv(DummyVecEnv):
    """Planned environments whose pursuits go side by side."""

    def step_wait(self):
        pursue(cast(list[PlannedEnv], self.envs), self.actions)
        return super().step_wait()
