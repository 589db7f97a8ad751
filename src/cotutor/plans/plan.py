"""A level at the level of plans: its actions are subgoals, and its contexts tell what a plan depends on."""

from typing import Any, cast

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from cotutor.config import PlanConfig
from cotutor.plans.oracle import parse
from cotutor.plans.subgoals import MISSION, NUMBERS, SUBGOALS, THINGS, achieved, offered, potential, sayable, spoilt
from cotutor.plans.worker import Observation as Told
from cotutor.plans.worker import Segment, Worker
from cotutor.tasks.babyai import BabyAI, wanted
from cotutor.tasks.base import Observation, SpokenEnv, Task
from cotutor.tasks.scene import Scene
from cotutor.tasks.seen import Seen
from cotutor.tasks.words import Words
from cotutor.types import Option

EMPTY_HANDED = "You carry nothing."
OWN_WORDS = ("finish", "nothing", "seen", "was", "yet")
"""Words of plans that the level itself does not use."""


class Plan(Task):
    """Plans for a level of BabyAI.

    Args:
        world: The level, with memory of what was seen.
        worker: Who pursues subgoals.
        config: How they are pursued.
    """

    cue = "Plan: 1."
    has_expert = True

    def __init__(self, world: BabyAI, worker: Worker, config: PlanConfig) -> None:
        self.world = world
        self.worker = worker
        self.config = config
        self.name = world.name
        self.actions = tuple(subgoal.phrase for subgoal in SUBGOALS)
        words = " ".join(
            (*self.actions, EMPTY_HANDED, "Mission put next to was not seen yet There is an is locked closed")
        )
        self.vocabulary = (*world.vocabulary, *words.lower().replace(".", "").split())
        self.max_words = 64

    def spoken(self, student: str) -> "PlannedEnv":
        return PlannedEnv(self, learning=False)

    def make_env(self) -> gym.Env[Any, Any]:
        return self.world.make_env()

    def arrays(self, observation: Observation) -> dict[str, NDArray[Any]]:
        mask_A = np.zeros(len(SUBGOALS), dtype=np.float32)
        mask_A[[NUMBERS[subgoal] for subgoal in offered(observation["seen"])]] = 1.0
        return {"offered": mask_A}

    def array_spaces(self) -> dict[str, gym.Space[Any]]:
        return {"offered": gym.spaces.Box(0.0, 1.0, (len(SUBGOALS),), dtype=np.float32)}

    def instruction(self, observation: Observation) -> str:
        return observation["mission"]

    def describe(self, observation: Observation) -> str:
        seen: Seen = observation["seen"]
        mission = observation["mission"]
        carried = EMPTY_HANDED if seen.carried is None else f"You carry the {seen.carried.name}."
        known = [
            f"The {want.name} was not seen yet."
            for want in wanted(mission)
            if not any(map(want.matches, (*seen.things, *([seen.carried] if seen.carried else []))))
        ]
        doors = [thing for thing in seen.things if thing.type == "door"]
        known += [f"The {door.name} is {door.state}." for door in doors]
        locks = {door.colour for door in doors if door.state == "locked"}
        known += [f"There is a {thing.name}." for thing in seen.things if thing.type == "key" and thing.colour in locks]
        return " ".join([f"Mission: {mission}.", carried, *dict.fromkeys(known)])

    def options(self, context: str) -> tuple[Option, ...]:
        return tuple(
            Option(subgoal.phrase, NUMBERS[subgoal])
            for subgoal in sayable(carrying=EMPTY_HANDED not in context)
            if subgoal.name in THINGS or " door " in context or not subgoal.name
        )

    def picture(self, env: gym.Env[Any, Any]) -> str:
        return self.world.picture(env)

    def scene(self, env: gym.Env[Any, Any]) -> Scene:
        return self.world.scene(env)

    def expert_action(self, env: gym.Env[Any, Any]) -> int:
        return NUMBERS[parse(env.unwrapped, env.get_wrapper_attr("seen"))]


class PlannedEnv(gym.Wrapper[Any, int, Any, int]):
    """A level as whoever plans sees it: an action is a subgoal, a step its pursuit.

    The reward of a step is the mission's own, discounted over the pursuit; achieving a subgoal earns nothing here.
    ``info["duration"]`` says how many steps of the environment it took, ``info["achieved"]`` whether it was achieved.

    Args:
        plan: The level at the level of plans.
        learning: Whether the worker keeps the steps to learn from.
    """

    def __init__(self, plan: Plan, learning: bool) -> None:
        # an observation with a subgoal in the mission's place is spoken like any other; the steps are taken below that
        self.instructed = SpokenEnv(plan.world, plan.worker.student)
        super().__init__(self.instructed.env)
        self.plan = plan
        self.worker = plan.worker
        self.learning = learning
        self.draws = np.random.default_rng()
        self.words = Words(plan.vocabulary, plan.max_words)
        self.action_space = cast(gym.Space[int], gym.spaces.Discrete(len(SUBGOALS)))
        self.observation_space = gym.spaces.Dict({**plan.array_spaces(), "context": self.words.space})

    @property
    def seen(self) -> Seen:
        """What the agent knows now."""
        return self.observation["seen"]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        if seed is not None:
            self.draws = np.random.default_rng(seed)
        self.observation, info = self.env.reset(seed=seed, options=options)
        return self._speak(info)

    def step(self, action: int):
        subgoal, start, segment = SUBGOALS[int(action)], self.seen, Segment()
        total, discount, steps = 0.0, 1.0, 0
        while True:
            told = self._instruct(subgoal.phrase)
            act, value, log_prob = self.worker.act(told, self.draws)
            before = self.seen
            self.observation, reward, terminated, truncated, info = self.env.step(act)
            steps += 1
            total += discount * float(reward)
            discount *= self.plan.config.gamma
            reached = achieved(subgoal, start, before, self.seen)
            paid = float(reward) if subgoal.verb == MISSION else reached * (1.0 - 0.9 * steps / self.plan.config.limit)
            ended = reached or terminated or spoilt(subgoal, start, self.seen)
            after = 0.0 if ended else potential(subgoal, self.seen)
            paid += self.worker.ppo.gamma * after - potential(subgoal, before)
            segment.add(told, act, paid, value, log_prob)
            if ended or truncated or steps >= self.plan.config.limit:
                break
        if self.learning:
            segment.last_value = 0.0 if ended else self.worker.act(self._instruct(subgoal.phrase), self.draws)[1]
            self.worker.keep(segment)
        if terminated or truncated:
            info["is_success"] = bool(terminated and float(reward) > 0)
        info |= {"duration": steps, "achieved": reached}
        return *self._speak(info)[:1], total, terminated, truncated, info

    def _instruct(self, instruction: str) -> Told:
        """Returns the observation as the worker reads it, with the instruction in the mission's place."""
        told = instruction if instruction != MISSION else self.observation["mission"]
        return self.instructed.speak({**self.observation, "mission": told})[0]

    def _speak(self, info: dict[str, Any]) -> tuple[Told, dict[str, Any]]:
        info["context"] = self.plan.describe(self.observation)
        arrays = self.plan.arrays(self.observation)
        return {**arrays, "context": self.words.encode(info["context"])}, info
