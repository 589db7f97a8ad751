"""What an agent remembers of an episode: a map of what it saw, kept by dead reckoning from its own observations."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
from minigrid.core.constants import IDX_TO_COLOR, IDX_TO_OBJECT, STATE_TO_IDX
from numpy.typing import NDArray

LEFT, RIGHT, FORWARD = range(3)
STATES = {number: state for state, number in STATE_TO_IDX.items()}
PORTABLE = ("ball", "box", "key")
FREE = ("empty", "floor", "goal")
HEADINGS = ((0, -1), (1, 0), (0, 1), (-1, 0))
"""One step ahead for each heading, as (x, y); the next one is to the right."""
SIDES = {"front": "in front of you", "behind": "behind you", "left": "on your left", "right": "on your right"}
"""What missions say of where something was when the agent started, by minigrid's names."""

EXPLORE = "explore"
"""The instruction to see more of the world."""

Place = tuple[int, int]
"""A cell as (x, y): steps to the right of the agent and steps back, it being at (0, 0) and heading for (0, -1)."""


@dataclass(frozen=True, slots=True)
class Thing:
    """An object as the agent knows it.

    Attributes:
        type: Its type, such as ``"ball"``.
        colour: Its colour.
        state: Of a door: ``"open"``, ``"closed"`` or ``"locked"``.
        forward: Steps ahead of the agent, negative behind it.
        right: Steps to the right of the agent, negative to the left.
        start: Where it was at first, seen from where the agent was then; None where nobody remembers.
    """

    type: str
    colour: str
    state: str
    forward: int
    right: int
    start: Place | None = None

    @property
    def distance(self) -> tuple[int, int, int]:
        """Steps to the object; of two equally near ones the one more ahead comes first, then the one on the left."""
        return abs(self.forward) + abs(self.right), abs(self.right), self.right

    @property
    def adjective(self) -> str:
        """The state of a door with a blank after it, nothing for other objects."""
        return f"{self.state} " if self.type == "door" else ""

    @property
    def name(self) -> str:
        """Colour and type; there is but one colour of goal and lava."""
        return self.type if self.type in ("goal", "lava") else f"{self.colour} {self.type}"

    @property
    def plain_name(self) -> str:
        """The name without a colour that no key depends on."""
        plain = self.type == "box" or (self.type == "door" and self.state != "locked")
        return self.adjective + (self.type if plain else self.name)

    @property
    def place(self) -> Place:
        """Where it is."""
        return self.right, -self.forward

    @property
    def sides(self) -> tuple[str, ...]:
        """Where it was at first, in the words of missions; nothing where nobody remembers.

        Minigrid's missions mean only things in the room where the agent started; of rooms nothing is known here.
        """
        if self.start is None:
            return ()
        x, y = self.start
        is_there = {"front": y < 0, "behind": y > 0, "left": x < 0, "right": x > 0}
        return tuple(SIDES[side] for side in SIDES if is_there[side])

    @property
    def ahead(self) -> bool:
        """Whether it is in the cell right in front of the agent."""
        return (self.forward, self.right) == (1, 0)

    @property
    def beside_ahead(self) -> bool:
        """Whether it is next to the cell right in front of the agent."""
        return abs(self.forward - 1) + abs(self.right) == 1

    def beside(self, other: "Thing") -> bool:
        """Tells whether the two are in cells that share an edge."""
        return abs(self.forward - other.forward) + abs(self.right - other.right) == 1


@dataclass(frozen=True, slots=True)
class Seen:
    """What the agent knows by now.

    Attributes:
        things: Every object seen so far, where it was last seen; nearest first, a carried one left out.
        carried: What the agent holds.
        cells: How many cells it has seen.
        frontier: The nearest cell, by the steps that lead there, that was not seen and borders on one that can be
            entered; None where all that can be reached was seen.
        blocked: The cells known that cannot be entered.
    """

    things: tuple[Thing, ...]
    carried: Thing | None
    cells: int
    frontier: Place | None
    blocked: frozenset[Place]

    @property
    def ahead(self) -> Thing | None:
        """The object right in front of the agent."""
        return next((thing for thing in self.things if thing.ahead), None)

    def blocking(self, door: Thing) -> Thing | None:
        """Returns what has to be taken away before one can open ``door`` or go through it.

        What is at the sides of a door is wall, so whatever lies beside it lies where one has to pass. The key of a
        locked door does not count, for it is taken anyway.
        """
        key = f"{door.colour} key" if door.state == "locked" else ""
        return next((thing for thing in self.things if thing.beside(door) and thing.name != key), None)

    def barrier(self, target: Thing) -> tuple[Thing, Thing] | None:
        """Returns an open door on the way to ``target`` and what blocks it, if that is something else."""
        for door in self.things:
            if door.type == "door" and door.state == "open":
                blocking = self.blocking(door)
                if blocking is not None and blocking != target and _parts(door, blocking, target):
                    return door, blocking
        return None


def _parts(door: Thing, blocking: Thing, target: Thing) -> bool:
    """Tells whether a door lies between the agent and ``target``; where one passes, ``blocking`` lies beside it."""
    ahead, right = blocking.forward - door.forward, blocking.right - door.right
    agent = -door.forward * ahead - door.right * right
    beyond = (target.forward - door.forward) * ahead + (target.right - door.right) * right
    return agent * beyond <= 0


class SeenMap:
    """Where the agent is and what it saw, relative to where it started.

    It reads nothing but observations and the agent's own actions, so it knows no more than the agent could.
    """

    def __init__(self, image: NDArray[Any]) -> None:
        self.x = self.y = self.heading = 0
        self.known: set[tuple[int, int]] = {(0, 0)}
        self.enterable: set[tuple[int, int]] = {(0, 0)}
        self.objects: dict[tuple[int, int], Thing] = {}
        self.origins: dict[tuple[int, int], tuple[int, int]] = {}
        self.carried: Thing | None = None
        self.carried_from: tuple[int, int] | None = None
        self.look(image)

    def act(self, action: int, image: NDArray[Any]) -> None:
        """Follows an action, with the image seen after it."""
        dx, dy = HEADINGS[self.heading]
        ahead = self.x + dx, self.y + dy
        if action in (LEFT, RIGHT):
            self.heading = (self.heading + (1 if action == RIGHT else -1)) % 4
        elif action == FORWARD and ahead in self.enterable:
            self.x, self.y = ahead
        before = self.carried
        self.look(image)
        if before is None and self.carried is not None:
            self.carried_from = self.origins.pop(ahead, ahead)
        elif before is not None and self.carried is None and self.carried_from is not None:
            self.origins[ahead] = self.carried_from

    def look(self, image: NDArray[Any]) -> None:
        """Notes what is in view."""
        size, numbers = image.shape[0], image.tobytes()
        for cell in range(size * size):
            kind, offset = IDX_TO_OBJECT[numbers[3 * cell]], _offset(cell, size)
            if kind == "unseen" or offset == (0, 0):  # where the agent stands, what it carries is drawn
                continue
            place = self._place(*offset)
            self.known.add(place)
            self.objects.pop(place, None)
            self.enterable.discard(place)
            if kind in FREE or (kind == "door" and STATES.get(numbers[3 * cell + 2]) == "open"):
                self.enterable.add(place)
        self.carried = None
        for thing in things_in(numbers, size):
            if (thing.forward, thing.right) == (0, 0):
                self.carried = thing
            else:
                self.objects[self._place(thing.forward, thing.right)] = thing

    def seen(self) -> Seen:
        """Returns what is known, with places relative to the agent."""
        (fx, fy), (rx, ry) = HEADINGS[self.heading], HEADINGS[(self.heading + 1) % 4]

        def relative(place: Place) -> Place:
            dx, dy = place[0] - self.x, place[1] - self.y
            return dx * rx + dy * ry, -dx * fx - dy * fy

        things = []
        for place, thing in self.objects.items():
            right, back = relative(place)
            things.append(replace(thing, forward=-back, right=right, start=self.origins.get(place, place)))
        nearest_first = tuple(sorted(things, key=lambda thing: thing.distance))
        blocked = frozenset(map(relative, self.known - self.enterable))
        carried = None if self.carried is None else replace(self.carried, start=self.carried_from)
        unseen = self._frontier()
        frontier = None if unseen is None else relative(unseen)
        return Seen(nearest_first, carried, len(self.known), frontier, blocked - {(0, 0)})

    def _place(self, forward: int, right: int) -> tuple[int, int]:
        (fx, fy), (rx, ry) = HEADINGS[self.heading], HEADINGS[(self.heading + 1) % 4]
        return self.x + forward * fx + right * rx, self.y + forward * fy + right * ry

    def _frontier(self) -> Place | None:
        (fx, fy), (rx, ry) = HEADINGS[self.heading], HEADINGS[(self.heading + 1) % 4]
        ways = ((fx, fy), (-rx, -ry), (rx, ry), (-fx, -fy))
        queue = deque([(self.x, self.y)])
        reached = set(queue)
        while queue:
            x, y = queue.popleft()
            for place in ((x + dx, y + dy) for dx, dy in ways):
                if place not in self.known:
                    return place
                if place in self.enterable and place not in reached:
                    reached.add(place)
                    queue.append(place)
        return None


def _offset(cell: int, size: int) -> tuple[int, int]:
    """Returns how many steps ahead of the agent, and to its right, a cell of its view is."""
    column, row = divmod(cell, size)
    return size - 1 - row, column - size // 2


def things_in(image: bytes, size: int) -> Iterator[Thing]:
    """Yields every object in view, a carried one at the agent's own place, zero steps away."""
    for cell in range(size * size):
        kind = IDX_TO_OBJECT[image[3 * cell]]
        if kind in (*PORTABLE, "door", "goal", "lava"):
            colour, state = IDX_TO_COLOR[image[3 * cell + 1]], STATES.get(image[3 * cell + 2], "")
            yield Thing(kind, colour, state if kind == "door" else "", *_offset(cell, size))


class Remembering(gym.Wrapper[Any, Any, Any, Any]):
    """Adds ``seen`` (:class:`Seen`) to the observations of a level."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        observation, info = self.env.reset(seed=seed, options=options)
        self.map = SeenMap(observation["image"])
        return {**observation, "seen": self.map.seen()}, info

    def step(self, action: Any):
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.map.act(int(action), observation["image"])
        return {**observation, "seen": self.map.seen()}, reward, terminated, truncated, info
