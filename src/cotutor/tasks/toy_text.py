"""Gymnasium's toy text worlds as tasks: a frozen lake, a taxi and a cliff.

Their observation is the number of a state of a known map, so words can tell all that there is to know: where the goal
lies and what is beside the agent. Being tables, they have an exact expert: value iteration on their own dynamics.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import numpy as np

from cotutor.errors import UserError
from cotutor.tasks.base import Observation, Task
from cotutor.types import FloatArray

GAMMA = 0.99
"""Discount of the expert, for whom sooner is better."""
TIE = 1e-6
"""Difference of values up to which two actions are equally good."""
LONGEST = 200
"""Steps after which an episode is cut where gymnasium says nothing."""

Place = tuple[int, int]
"""Row and column."""
Table = dict[int, dict[int, list[tuple[float, int, float, bool]]]]
"""For each state and action the outcomes: probability, next state, reward, whether it ends there."""
DIRECTIONS: dict[str, Place] = {"south": (1, 0), "north": (-1, 0), "east": (0, 1), "west": (0, -1)}


class ToyText(Task):
    """A world of gymnasium's toy text.

    Args:
        name: ``toy:FrozenLake`` and the like.
    """

    has_expert = True
    id: str

    def __init__(self, name: str) -> None:
        self.name = name

    def make_env(self) -> gym.Env[Any, Any]:
        env = gym.make(self.id, render_mode="ansi")
        limit = None if env.spec is None else env.spec.max_episode_steps
        return gym.wrappers.TimeLimit(env, LONGEST) if limit is None else env

    def expert_action(self, env: gym.Env[Any, Any]) -> int:
        return int(self._values(env).argmax())

    def right_actions(self, env: gym.Env[Any, Any], actions: tuple[int, ...]) -> frozenset[int]:
        values_A = self._values(env)
        return frozenset(action for action in actions if values_A[action] >= values_A.max() - TIE)

    def picture(self, env: gym.Env[Any, Any]) -> str:
        return str(env.render())

    @cached_property
    def table(self) -> Table:
        """The dynamics, which are known."""
        return self.make_env().get_wrapper_attr("P")

    @cached_property
    def values(self) -> FloatArray:
        """Value of every action in every state, shape (S, A), from :data:`GAMMA`-discounted value iteration."""
        return optimal_values(self.table, GAMMA)

    def _values(self, env: gym.Env[Any, Any]) -> FloatArray:
        return self.values[int(env.get_wrapper_attr("s"))]


def optimal_values(table: Table, gamma: float) -> FloatArray:
    """Returns the optimal action values, shape (S, A), of dynamics in gymnasium's form.

    Args:
        table: The dynamics.
        gamma: Discount per step.
    """
    states, actions = len(table), len(table[0])
    following_SAS, reward_SA = np.zeros((states, actions, states)), np.zeros((states, actions))
    for state, choices in table.items():
        for action, outcomes in choices.items():
            for probability, following, reward, ends in outcomes:
                reward_SA[state, action] += probability * reward
                following_SAS[state, action, following] += probability * (not ends)
    values_SA = np.zeros((states, actions))
    while True:
        improved_SA = reward_SA + gamma * following_SAS @ values_SA.max(axis=1)
        if np.abs(improved_SA - values_SA).max() < TIE / 100:
            return improved_SA
        values_SA = improved_SA


class Grid(ToyText):
    """One goal on a map, with places beside it that are better avoided.

    Attributes:
        rows: The map, a letter a place; the goal is a G.
        mission: What is to be done, as the teacher reads it.
        dangers: Letters of the map that are to be avoided, and what they are called.
        edge: What is beyond the map.
    """

    rows: Sequence[str]
    mission: str
    dangers: Mapping[str, str]
    edge: str

    @cached_property
    def goal(self) -> Place:
        """Where the goal is."""
        return next((y, x) for y, row in enumerate(self.rows) for x, letter in enumerate(row) if letter == "G")

    def describe(self, observation: Observation) -> str:
        rows = self.rows
        here = divmod(int(observation), len(rows[0]))
        parts = [f"Mission: {self.mission}", f"The goal is to the {towards(here, self.goal)}."]
        for name, (dy, dx) in DIRECTIONS.items():
            y, x = here[0] + dy, here[1] + dx
            inside = 0 <= y < len(rows) and 0 <= x < len(rows[0])
            what = self.dangers.get(rows[y][x], "") if inside else self.edge
            parts += [f"To the {name} is {what}."] if what else []
        return " ".join(parts)


class FrozenLake(Grid):
    """``FrozenLake-v1``: slippery ice, on which one step in three goes where it should."""

    actions = ("go west", "go south", "go east", "go north")
    mission = "walk over the frozen lake to the goal without falling into a hole."
    dangers = MappingProxyType({"H": "a hole"})
    edge = "the shore"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.id = "FrozenLake8x8-v1" if name.endswith("8x8") else "FrozenLake-v1"
        self.rows = ["".join(letter.decode() for letter in row) for row in self.make_env().get_wrapper_attr("desc")]


class CliffWalking(Grid):
    """``CliffWalking-v1``: every step costs one, and falling a hundred and the way back. The goal alone ends it."""

    id = "CliffWalking-v1"
    actions = ("go north", "go east", "go south", "go west")
    mission = "walk along the cliff to the goal without falling."
    dangers = MappingProxyType({"C": "the cliff"})
    edge = "a wall"
    rows = ("." * 12, "." * 12, "." * 12, "." + "C" * 10 + "G")

    def succeeded(self, reward: float, terminated: bool) -> bool:
        return terminated


class Taxi(ToyText):
    """``Taxi-v4``: a passenger is to be picked up at one of four places and dropped off at another.

    Of the walls only those on the way are told: the language model takes any direction that it reads for advice, and
    with every wall told its best action is right in 0.30 of the states instead of 0.57 (lab notes).
    """

    id = "Taxi-v4"
    actions = ("go south", "go north", "go east", "go west", "pick up the passenger", "drop off the passenger")
    places: tuple[Place, ...] = ((0, 0), (0, 4), (4, 0), (4, 3))
    in_taxi = len(places)

    def describe(self, observation: Observation) -> str:
        number = int(observation)
        number, destination = divmod(number, 4)
        number, passenger = divmod(number, 5)
        here = divmod(number, 5)
        riding = passenger == self.in_taxi
        target = self.places[destination if riding else passenger]
        direction = towards(here, target)
        at = f"to the {direction}" if direction else "right here"
        if not riding:
            state = f"The passenger is waiting {at}."
        elif direction:
            state = f"The passenger is in the taxi. The destination is {at}."
        else:
            state = f"The passenger is in the taxi. The passenger wants to get out {at}."
        barred = " and ".join(wall for wall in self.walls(int(observation)) if wall in direction.split())
        blocked = f" The way {barred} is blocked." if barred else ""
        return f"Mission: drive the passenger to the destination. {state}{blocked}"

    def walls(self, observation: int) -> list[str]:
        """Returns the directions in which nothing moves from a state."""
        return [name for action, name in enumerate(DIRECTIONS) if self.table[observation][action][0][1] == observation]


WORLDS: dict[str, type[ToyText]] = {
    "FrozenLake": FrozenLake,
    "FrozenLake8x8": FrozenLake,
    "CliffWalking": CliffWalking,
    "Taxi": Taxi,
}


def towards(here: Place, there: Place) -> str:
    """Returns the direction of a place from another one in words."""
    rows, columns = there[0] - here[0], there[1] - here[1]
    parts = ["south" if rows > 0 else "north"] * (rows != 0) + ["east" if columns > 0 else "west"] * (columns != 0)
    return " and ".join(parts)


def make_world(name: str) -> ToyText:
    """Returns the world called ``toy:NAME``.

    Raises:
        UserError: There is none.
    """
    world = name.partition(":")[2]
    if world not in WORLDS:
        raise UserError(f"There is no toy world {world!r}; there are {', '.join(WORLDS)}.")
    return WORLDS[world](name)
