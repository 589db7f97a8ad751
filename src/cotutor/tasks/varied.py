"""Levels whose missions are paraphrased: to know what is meant, one has to know the language.

``varied:Fetch2`` is a room of 4 x 4 cells with two different objects. The mission is to pick up one of them; picking up
the other ends the episode without reward, as in MiniGrid's Fetch, so that one who does not understand the mission is
right half of the time. The mission is told in words drawn for the episode ("grab the sphere that is crimson"), while
the context names all that is in view in plain words ("A red ball is straight ahead.") and does not say which is meant.
 ``varied:Fetch2-plain`` is the same level in plain words, ``varied:Fetch2-unseen`` in words that no mission of
``varied:Fetch2`` uses.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, get_args

import gymnasium as gym
from minigrid.envs.babyai.core.roomgrid_level import RoomGridLevel
from minigrid.envs.babyai.core.verifier import ObjDesc, PickupInstr

from cotutor.errors import UserError
from cotutor.tasks.babyai import ACTIONS, DROP, BabyAI, Positions, place_of, with_article
from cotutor.tasks.babyai_expert import GuidedEnv
from cotutor.tasks.base import Observation
from cotutor.tasks.seen import things_in
from cotutor.types import Option

VIEW = (7, 7, 3)
ROOM_SIZE = 6
"""Cells along a wall, corners included."""

OPTIONS = tuple(Option(phrase, action) for action, phrase in enumerate(ACTIONS[:DROP]))


@dataclass(frozen=True, slots=True)
class Language:
    """The words in which missions are told.

    Attributes:
        verbs: Words for "pick up".
        colours: The words for each colour.
        nouns: The words for each type of object.
        orders: How a verb, a colour and a noun make a mission.
    """

    verbs: tuple[str, ...]
    colours: dict[str, tuple[str, ...]]
    nouns: dict[str, tuple[str, ...]]
    orders: tuple[str, ...] = ("{verb} the {colour} {noun}", "{verb} the {noun} that is {colour}")

    def missions(self, colour: str, noun: str) -> tuple[str, ...]:
        """Returns every way to tell the mission to pick up this object."""
        words = product(self.orders, self.verbs, self.colours[colour], self.nouns[noun])
        return tuple(order.format(verb=verb, colour=hue, noun=thing) for order, verb, hue, thing in words)


PLAIN = Language(
    verbs=("pick up",),
    colours={colour: (colour,) for colour in ("red", "green", "blue", "yellow")},
    nouns={noun: (noun,) for noun in ("ball", "box")},
    orders=("{verb} the {colour} {noun}",),
)
TAUGHT = Language(
    verbs=("pick up", "grab", "take", "lift"),
    colours={
        "red": ("red", "crimson", "maroon"),
        "green": ("green", "emerald", "jade"),
        "blue": ("blue", "azure", "sapphire"),
        "yellow": ("yellow", "golden", "mustard"),
    },
    nouns={"ball": ("ball", "sphere", "marble"), "box": ("box", "crate", "carton")},
)
UNSEEN = Language(
    verbs=("fetch", "collect", "get"),
    colours={
        "red": ("scarlet", "ruby"),
        "green": ("lime", "olive"),
        "blue": ("navy", "cobalt"),
        "yellow": ("lemon", "amber"),
    },
    nouns={"ball": ("orb", "globe"), "box": ("chest", "container")},
)
LANGUAGES = {"": TAUGHT, "-plain": PLAIN, "-unseen": UNSEEN}
LEVELS = {f"varied:Fetch{objects}{suffix}": (objects, suffix) for objects in (2, 3) for suffix in LANGUAGES}

MEANINGS = tuple(PLAIN.missions(colour, noun)[0] for noun, colour in product(PLAIN.nouns, PLAIN.colours))
"""Every mission in plain words."""

TOLD = """
    mission a is straight ahead right in front of you on the left your nothing sight 1 2 3 4 5 6 step steps forward and
"""
VOCABULARY = tuple(
    dict.fromkeys(
        word
        for colour, noun in product(TAUGHT.colours, TAUGHT.nouns)
        for text in (TOLD, *TAUGHT.missions(colour, noun))
        for word in text.split()
    )
)


class Fetch(RoomGridLevel):
    """A room with a few different objects, one of which is to be picked up; another one ends the episode.

    Args:
        objects: How many objects.
        language: The words of the missions; the same seed gives the same room in every language.
    """

    def __init__(self, objects: int, language: Language) -> None:
        self.objects = objects
        self.language = language
        super().__init__(num_rows=1, num_cols=1, room_size=ROOM_SIZE)

    def gen_mission(self) -> None:
        self.place_agent()
        kinds = list(product(PLAIN.nouns, PLAIN.colours))
        for noun, colour in self._rand_subset(kinds, self.objects):
            self.add_object(0, 0, noun, colour)
        self.check_objs_reachable()
        noun, colour = self._rand_elem([(thing.type, thing.color) for thing in self.room_grid[0][0].objs])
        self.target = colour, noun
        self.instrs = PickupInstr(ObjDesc(noun, colour), strict=True)

    def _gen_grid(self, width: int, height: int) -> None:
        super()._gen_grid(width, height)
        self.mission = self._rand_elem(self.language.missions(*self.target))


class Varied(BabyAI):
    """A level with varied language.

    Args:
        name: One of ``LEVELS``.
        positions: Whether contexts give places coarsely or to the step.

    Raises:
        UserError: If there is no such level.
    """

    has_expert = True
    actions = ACTIONS
    vocabulary = VOCABULARY
    max_words = 48
    view = VIEW
    memory = False
    meanings = MEANINGS

    def __init__(self, name: str, positions: Positions = "coarse") -> None:
        if name not in LEVELS:
            raise UserError(f"There is no level called {name!r}; there are {', '.join(LEVELS)}.")
        if positions not in get_args(Positions):
            raise UserError(f"Positions are 'coarse' or 'exact', not {positions!r}.")
        self.name = name
        self.positions: Positions = positions

    def make_env(self) -> gym.Env[Any, Any]:
        objects, suffix = LEVELS[self.name]
        return GuidedEnv(Fetch(objects, LANGUAGES[suffix]))

    def describe(self, observation: Observation) -> str:
        image = observation["image"]
        return _describe(self.positions, observation["mission"], image.tobytes(), image.shape[0])

    def options(self, context: str) -> tuple[Option, ...]:
        return OPTIONS


@lru_cache(maxsize=65536)
def _describe(positions: Positions, mission: str, image: bytes, size: int) -> str:
    """Returns the context of one observation, whose square image is given as bytes."""
    things = sorted(things_in(image, size), key=lambda thing: thing.distance)
    seen = [f"{with_article(thing.name)} is {place_of(thing.place, positions)}." for thing in things]
    return " ".join([f"Mission: {mission}.", *(seen or ["Nothing is in sight."])])
