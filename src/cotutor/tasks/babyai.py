"""Every level of BabyAI and MiniGrid as a task: what the agent sees, as a few sentences relative to the agent.

The verbalizer is abstract on purpose. Each distinct context has to be scored by a language model, so a context says
only what bears on the next action: where the mission's objects are, roughly, what is carried, and what is in the way.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Literal, get_args

import gymnasium as gym
import minigrid  # noqa: F401  (registers its levels)
import numpy as np
from minigrid.core.constants import COLOR_NAMES, IDX_TO_OBJECT
from minigrid.core.world_object import Box as BoxObject
from minigrid.core.world_object import Door, WorldObj
from minigrid.minigrid_env import MiniGridEnv
from numpy.typing import NDArray

import cotutor.tasks.balrog  # noqa: F401  (registers BALROG's)
from cotutor.errors import UserError
from cotutor.tasks.babyai_expert import GuidedEnv, right_actions
from cotutor.tasks.base import Observation, Task
from cotutor.tasks.scene import Item, Scene
from cotutor.tasks.seen import EXPLORE, FREE, PORTABLE, SIDES, Place, Remembering, Seen, Thing, things_in
from cotutor.tasks.variations import make_level, split
from cotutor.types import Option

FAMILIES = {"babyai": "BabyAI", "minigrid": "MiniGrid", "balrog": "BALROG"}
PREFIXES = tuple(f"{family}-" for family in FAMILIES.values())
"""How the full ids of levels begin."""
ACTIONS = ("turn left", "turn right", "go forward", "pick up", "drop", "open", "done")
LEFT, RIGHT, FORWARD, PICK_UP, DROP, OPEN = range(6)

Positions = Literal["coarse", "exact"]
MAP = 13
"""Cells along a side of the map of what was seen, the agent in its middle."""
PROBED_RESETS = 12
"""Resets in which a new task looks for locked doors and for boxes that hide something."""


NOUN = re.compile(
    rf"\b(?:({'|'.join(COLOR_NAMES)}) )?(object|ball|box|key|door|goal|lava)\b(?: ({'|'.join(SIDES.values())})\b)?"
)
MANIPULATES = re.compile(r"\b(pick up|fetch|put|place|unlock|use the key)\b")
PUTS = re.compile(r"\b(put|place)\b")
OPENS = re.compile(r"\b(open|unbar|unlock)\b")
CLOSED_ON_THE_WAY = re.compile(r"\bA (closed|locked)\b")

VOCABULARY = tuple(
    re.findall(
        r"\w+",
        """
        a after ahead an and at avoid ball behind blocks blue box carry closed door end fetch find forward free from
        front get go goal green grey hallway in is key lava left locked matching mission more must near next none not
        object of on open opening pick purple put reach red right room rooms sight something square step steps straight
        the then there to traverse unlock up use wall way yellow you your 1 2 3 4 5 6 7 8 9
        """,
    )
)
REMEMBERED = ("back", "drop", EXPLORE, "it")
"""Words that come up only where the agent remembers what it saw, or is instructed by a plan."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a task speaks.

    Attributes:
        positions: ``"coarse"`` ("ahead on the left") or ``"exact"`` ("3 steps forward and 2 steps left").
        focus: Whether only what matters for the mission is mentioned.
        helpers: Types of objects that may lead to a mission object that is not in sight.
    """

    positions: Positions
    focus: bool
    helpers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object as the mission names it; ``None`` matches any colour, ``"object"`` any type, no side any side."""

    colour: str | None
    type: str
    side: str = ""

    @property
    def name(self) -> str:
        return self.type if self.colour is None else f"{self.colour} {self.type}"

    @property
    def phrase(self) -> str:
        """The name, and the side if there is one."""
        return f"{self.name} {self.side}".strip()

    def names(self, thing: Thing) -> bool:
        """Tells whether colour and type are right, wherever the thing is."""
        right_type = thing.type in (*PORTABLE, "door") if self.type == "object" else thing.type == self.type
        return right_type and self.colour in (None, thing.colour)

    def matches(self, thing: Thing) -> bool:
        """Tells whether it may be what is meant, as far as is known."""
        return self.names(thing) and (not self.side or thing.start is None or self.side in thing.sides)


class BabyAI(Task):
    """A level of BabyAI, MiniGrid or BALROG.

    Args:
        name: ``babyai:GoToLocal`` or ``minigrid:DoorKey-5x5`` for the newest version of a level, or a full id; with
            ``+synonyms`` or ``+large`` for a variation (:mod:`cotutor.tasks.variations`).
        positions: Whether contexts give places coarsely or to the step.
        focus: Whether contexts leave out what does not matter for the mission.
        memory: Whether contexts tell what was seen earlier in the episode, too.

    Raises:
        UserError: If there is no such level, or it needs a package that is not installed.
    """

    def __init__(self, name: str, positions: Positions = "coarse", focus: bool = True, memory: bool = False) -> None:
        if positions not in get_args(Positions):
            raise UserError(f"Positions are 'coarse' or 'exact', not {positions!r}.")
        self.name = name
        self.memory = memory
        level, self.variations = split(name)
        self.id = level_id(level)
        env = self.make_env()
        try:
            self.locks, self.hides = _probe(env)
        except gym.error.DependencyNotInstalled as error:
            raise UserError(f"The level {name} cannot be made: {error}.") from error
        helpers = ("door", *["key"] * self.locks, *["box"] * self.hides)
        self.style = Style(positions, focus, helpers)
        assert isinstance(env.action_space, gym.spaces.Discrete)
        assert isinstance(env.observation_space, gym.spaces.Dict)
        self.view: tuple[int, ...] = env.observation_space["image"].shape or ()
        self.actions = ACTIONS[: int(env.action_space.n)]
        self.vocabulary = (*VOCABULARY, *REMEMBERED) if memory else VOCABULARY
        self.max_words = 64 if focus else 192
        self.has_expert = not self.id.startswith("MiniGrid-") and not self.hides

    def make_env(self) -> gym.Env[Any, Any]:
        env = GuidedEnv(make_level(self.id, self.variations))
        return Remembering(env) if self.memory else env

    def array_spaces(self) -> dict[str, gym.Space[Any]]:
        # high is not 255, or Stable-Baselines3 would take the grid for a photograph
        spaces: dict[str, gym.Space[Any]] = {
            "image": gym.spaces.Box(0, 15, self.view, dtype=np.uint8),
            "direction": gym.spaces.Box(0, 3, (1,), dtype=np.uint8),
        }
        if self.memory:
            spaces["map"] = gym.spaces.Box(0, 1, (3 * MAP**2,), dtype=np.uint8)
        return spaces

    def arrays(self, observation: Observation) -> dict[str, NDArray[Any]]:
        arrays = {"image": observation["image"], "direction": np.array([observation["direction"]], dtype=np.uint8)}
        if self.memory:
            arrays["map"] = _map(observation["seen"], observation["mission"])
        return arrays

    def instruction(self, observation: Observation) -> str:
        return observation["mission"]

    def describe(self, observation: Observation) -> str:
        image, seen = observation["image"], observation.get("seen")
        # what was seen is hardly ever the same twice, and large
        tell = _describe if seen is None else _describe.__wrapped__
        return tell(self.style, observation["mission"], image.tobytes(), image.shape[0], seen)

    def options(self, context: str) -> tuple[Option, ...]:
        mission, _, seen = context.partition(". ")
        manipulates = self.locks or MANIPULATES.search(mission) is not None
        offered = {
            LEFT: True,
            RIGHT: True,
            FORWARD: True,
            PICK_UP: manipulates,
            DROP: self.locks or PUTS.search(mission) is not None or "You carry" in seen,
            OPEN: self.locks or OPENS.search(mission) is not None or CLOSED_ON_THE_WAY.search(seen) is not None,
        }
        return tuple(Option(phrase, action) for action, phrase in enumerate(self.actions) if offered.get(action, False))

    def picture(self, env: gym.Env[Any, Any]) -> str:
        return _level(env).pprint_grid()

    def scene(self, env: gym.Env[Any, Any]) -> Scene:
        level = _level(env)
        _, visible = level.gen_obs_grid()
        places = [(x, y) for y in range(level.height) for x in range(level.width)]
        views = [level.relative_coords(x, y) for x, y in places]
        return Scene(
            level.width,
            level.height,
            cells=tuple(None if cell is None else _drawn(cell) for cell in level.grid.grid),
            agent=(int(level.agent_pos[0]), int(level.agent_pos[1])),
            direction=int(level.agent_dir),
            seen=tuple(place for place, view in enumerate(views) if view is not None and visible[view]),
            carried=None if level.carrying is None else _drawn(level.carrying),
        )

    def expert_action(self, env: gym.Env[Any, Any]) -> int:
        return env.get_wrapper_attr("bot_action")()

    def right_actions(self, env: gym.Env[Any, Any], actions: tuple[int, ...]) -> frozenset[int]:
        return right_actions(_level(env), actions)


def level_names() -> tuple[str, ...]:
    """Returns the short name of every level that is registered, as :class:`BabyAI` takes it."""
    ids = (re.fullmatch(rf"({'|'.join(FAMILIES.values())})-(.+)-v\d+", id) for id in gym.registry)
    return tuple(dict.fromkeys(f"{match[1].lower()}:{match[2]}" for match in ids if match))


def level_id(name: str) -> str:
    """Returns the id under which the level called ``name`` is registered.

    Raises:
        UserError: If there is no such level; the message names those that are spelt alike.
    """
    if name in gym.registry and name.startswith(PREFIXES):
        return name
    family, _, level = name.partition(":")
    pattern = re.compile(rf"{FAMILIES.get(family)}-{re.escape(level)}-v(\d+)")
    versions = [match for match in map(pattern.fullmatch, gym.registry) if match]
    if versions:
        return max(versions, key=lambda match: int(match[1]))[0]
    short = name if ":" in name else ":".join(name.split("-", 1))
    near = difflib.get_close_matches(short.lower(), known := {known.lower(): known for known in level_names()})
    hint = (
        f" did you mean {' or '.join(known[match] for match in near)}?" if near else " try babyai:GoToRedBallNoDists."
    )
    raise UserError(f"There is no level called {name!r};{hint}")


def _level(env: gym.Env[Any, Any]) -> MiniGridEnv:
    level = env.unwrapped
    assert isinstance(level, MiniGridEnv)
    return level


def _drawn(cell: WorldObj) -> Item:
    state = ""
    if isinstance(cell, Door):
        state = "open" if cell.is_open else "locked" if cell.is_locked else "closed"
    return Item(cell.type, cell.color, state)


def _probe(env: gym.Env[Any, Any]) -> tuple[bool, bool]:
    """Returns whether doors of this level may be locked, and whether boxes may hide something."""
    locks = hides = False
    for seed in range(PROBED_RESETS):
        env.reset(seed=seed)
        for cell in _level(env).grid.grid:
            locks |= isinstance(cell, Door) and bool(cell.is_locked)
            hides |= isinstance(cell, BoxObject) and cell.contains is not None
    return locks, hides


@lru_cache(maxsize=65536)
def _describe(style: Style, mission: str, image: bytes, size: int, seen: Seen | None) -> str:
    """Returns the context of one observation, its square image given as bytes, and of what was seen before if told."""
    if seen is None:
        things = sorted(things_in(image, size), key=lambda thing: thing.distance)
        carried = things.pop(0) if things and things[0].distance == (0, 0, 0) else None
    else:
        things, carried = list(seen.things), seen.carried
    meant = {want: _meant(want, mission, things) for want in wanted(mission)}
    found = {
        want: named[0] if named else None
        for want, named in meant.items()
        if named or carried is None or not want.matches(carried)
    }
    missing = [want for want, thing in found.items() if thing is None]
    if style.focus:
        sentences = {thing: f"The {thing.adjective}{want.name}" for want, thing in found.items() if thing is not None}
        if missing or any(thing.state == "locked" for thing in sentences):
            helpers = _helpers(style, things, carried)
            sentences |= {thing: with_article(thing.plain_name) for thing in helpers if thing not in sentences}
    else:
        sentences = {thing: with_article(thing.adjective + thing.name) for thing in things}
    text = [f"Mission: {mission or 'none'}."]
    text += [f"{name} is {place_of(thing.place, style.positions)}." for thing, name in sentences.items()]
    text += [f"The {want.phrase} is not in sight." for want in missing]
    if missing or mission == EXPLORE:
        text += _room(style, image, size, seen)
    if carried is not None:
        text += _load(style, mission, carried)
    ahead = next((thing for thing in things if thing.ahead), None)
    if ahead is None or ahead not in sentences:
        text.append(_way(ahead, IDX_TO_OBJECT[image[3 * (size // 2 * size + size - 2)]]))
    if ahead is None and carried is not None and PUTS.search(mission):
        goal = wanted(mission)[-1]
        if any(goal.matches(thing) and thing.beside_ahead for thing in things):
            text.append(f"The square ahead is next to the {goal.name}.")
    return " ".join(text)


@lru_cache(maxsize=4096)
def wanted(mission: str) -> tuple[Wanted, ...]:
    """Returns the objects that a mission names, in its order, each once."""
    found = (
        Wanted(None if noun in ("goal", "lava") else colour or None, noun, side)
        for colour, noun, side in NOUN.findall(mission)
    )
    return tuple(dict.fromkeys(found))


def _meant(want: Wanted, mission: str, things: Sequence[Thing]) -> list[Thing]:
    """Returns what may be meant, in their order; where the mission opens doors only closed ones, if there are any."""
    named = [thing for thing in things if want.matches(thing)]
    closed = [thing for thing in named if thing.state != "open"] if OPENS.search(mission) else []
    return closed or named


def _map(seen: Seen, mission: str) -> NDArray[np.uint8]:
    """Returns, flat, what is known around the agent: what blocks, where the first thing named is, and the others.

    Who explores sees in place of the first thing where the nearest unseen cell is.
    """
    layers = np.zeros((3, MAP, MAP), dtype=np.uint8)

    def mark(layer: int, place: Place) -> None:
        x, y = place[0] + MAP // 2, place[1] + MAP // 2
        if 0 <= x < MAP and 0 <= y < MAP:
            layers[layer, x, y] = 1

    for place in seen.blocked:
        mark(0, place)
    if mission == EXPLORE and seen.frontier is not None:
        mark(1, seen.frontier)
    for number, want in enumerate(wanted(mission)):
        for thing in _meant(want, mission, seen.things):
            mark(min(number, 1) + 1, thing.place)
    return layers.flatten()


def _helpers(style: Style, things: list[Thing], carried: Thing | None) -> Iterator[Thing]:
    """Yields the nearest object of each type that may help; with a key in hand neither keys nor boxes do."""
    for kind in style.helpers:
        if kind == "door" or carried is None or carried.type != "key":
            yield from islice((thing for thing in things if thing.type == kind), 1)


def _load(style: Style, mission: str, carried: Thing) -> Iterator[str]:
    """Yields what is carried, if it bears on the mission."""
    if not style.focus or carried.type in style.helpers or any(want.matches(carried) for want in wanted(mission)):
        yield f"You carry the {carried.name}."
    elif "key" in style.helpers or MANIPULATES.search(mission):
        yield "You carry something."


def place_of(place: Place, positions: Positions) -> str:
    """Returns where a place is, seen from the agent."""
    right, forward = place[0], -place[1]
    side = "right" if right > 0 else "left"
    if positions == "exact":
        steps = ((abs(forward), "forward" if forward > 0 else "back"), (abs(right), side))
        return " and ".join(f"{n} step{'s' * (n > 1)} {way}" for n, way in steps if n)
    if place == (0, 0):
        return "where you stand"
    if forward < 0:
        return f"behind you on the {side}" if right else "behind you"
    if right == 0:
        return "right in front of you" if forward == 1 else "straight ahead"
    return f"on your {side}" if forward == 0 else f"ahead on the {side}"


def _room(style: Style, image: bytes, size: int, seen: Seen | None) -> Iterator[str]:
    """Yields where there is more to be found: where the nearest unseen cell is, or which side is the wider one."""
    if seen is None and (side := _wider_side(image, size)):
        yield f"There is more room on your {side}."
    elif seen is not None and seen.frontier is not None:
        yield f"There is more room {place_of(seen.frontier, style.positions)}."


def _wider_side(image: bytes, size: int) -> str:
    """Returns the side on which more cells beside the agent are open, nothing if neither."""
    row = [IDX_TO_OBJECT[image[3 * (column * size + size - 1)]] in ("wall", "unseen") for column in range(size)]
    left, right = row[: size // 2][::-1], row[size // 2 + 1 :]
    room_left, room_right = ([*side, True].index(True) for side in (left, right))
    return "left" if room_left > room_right else "right" if room_right > room_left else ""


def _way(ahead: Thing | None, kind: str) -> str:
    """Returns what is in the cell ahead, whose object, if any, has no sentence of its own yet."""
    if kind in FREE or (ahead is not None and ahead.state == "open"):
        return "The way ahead is free."
    if ahead is None:
        return "A wall blocks the way."
    if ahead.type == "door":
        return f"A {ahead.plain_name} blocks the way."
    return "Lava is right in front of you." if ahead.type == "lava" else "Something blocks the way."


def with_article(name: str) -> str:
    return f"{'An' if name[0] in 'aeiou' else 'A'} {name}"
