"""Subgoals in words: what a plan is made of, when each is offered, and when it is achieved.

All of it is judged by what the agent has seen and holds (:class:`cotutor.tasks.seen.Seen`), never by the simulator.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from minigrid.core.constants import COLOR_NAMES

from cotutor.tasks.seen import EXPLORE, HEADINGS, PORTABLE, Place, Seen, Thing

GO, PICK_UP, PUT, OPEN, DROP, MISSION = (
    "go to the",
    "pick up the",
    "put it next to the",
    "open the",
    "drop it",
    "finish the mission",
)
STEP, FAR = 0.03, 16
"""Potential of every action less to take, and the number of actions from which on there is none."""
NEW_CELLS = 8
"""Cells never seen before that make an exploration."""


@dataclass(frozen=True, slots=True)
class Subgoal:
    """One thing to do.

    Attributes:
        verb: What to do.
        name: Colour and type of the object that it is done with; nothing where there is none.
    """

    verb: str
    name: str = ""

    @property
    def phrase(self) -> str:
        """The words that teacher and student read."""
        return f"{self.verb} {self.name}".strip()

    def names(self, thing: Thing) -> bool:
        """Tells whether ``thing`` is what the subgoal is about."""
        return thing.name == self.name


THINGS = tuple(f"{colour} {kind}" for kind, colour in product(PORTABLE, COLOR_NAMES))
DOORS = tuple(f"{colour} door" for colour in COLOR_NAMES)
SUBGOALS = (
    Subgoal(MISSION),
    Subgoal(EXPLORE),
    Subgoal(DROP),
    *(Subgoal(GO, name) for name in (*THINGS, *DOORS)),
    *(Subgoal(PICK_UP, name) for name in THINGS),
    *(Subgoal(PUT, name) for name in THINGS),
    *(Subgoal(OPEN, name) for name in DOORS),
)
NUMBERS = {subgoal: number for number, subgoal in enumerate(SUBGOALS)}


def sayable(carrying: bool) -> list[Subgoal]:
    """Returns every subgoal that makes sense with full or with empty hands, whatever is in sight."""
    wrong = (PICK_UP,) if carrying else (PUT, DROP)
    return [subgoal for subgoal in SUBGOALS if subgoal.verb not in wrong]


def offered(seen: Seen) -> set[Subgoal]:
    """Returns the subgoals that can be pursued now, as far as the agent knows.

    Only who holds its key can open a locked door: else "open the blue door" comes to mean "take a key and open it",
    which is right where there is one key, and wrong on the next rung, where there are several (lab notes).
    """
    found = {Subgoal(MISSION)}
    if seen.frontier is not None:
        found.add(Subgoal(EXPLORE))
    if seen.carried is not None:
        found.add(Subgoal(DROP))
    for thing in seen.things:
        if seen.ahead is None or seen.ahead.name != thing.name:
            found.add(Subgoal(GO, thing.name))
        if thing.type in PORTABLE:
            found.add(Subgoal(PICK_UP if seen.carried is None else PUT, thing.name))
        if can_open(seen, thing):
            found.add(Subgoal(OPEN, thing.name))
    return found & NUMBERS.keys()


def can_open(seen: Seen, thing: Thing) -> bool:
    """Tells whether something is a door that is closed, or locked with its key in hand."""
    has_key = seen.carried is not None and seen.carried.name == f"{thing.colour} key"
    return thing.state == "closed" or (thing.state == "locked" and has_key)


def achieved(subgoal: Subgoal, start: Seen, before: Seen, now: Seen) -> bool:
    """Tells whether a step achieved a subgoal; the mission itself is the environment's to judge.

    Args:
        subgoal: What is pursued.
        start: What was known when the pursuit began.
        before: What was known before the step.
        now: What is known after it.
    """
    facing = now.ahead is not None and subgoal.names(now.ahead)
    return {
        MISSION: False,
        EXPLORE: now.cells >= start.cells + NEW_CELLS,
        DROP: now.carried is None and not _blocks_a_door(now),
        GO: facing,
        PICK_UP: now.carried is not None and subgoal.names(now.carried),
        PUT: before.carried is not None and now.carried is None and _next_to(subgoal, now),
        OPEN: _opened(subgoal, start, now),
    }[subgoal.verb]


def _opened(subgoal: Subgoal, start: Seen, now: Seen) -> bool:
    """Tells whether right in front is an open door that is named and was not known to be open at the start.

    Where something was at first is what tells doors of one colour apart.
    """
    door = now.ahead
    if door is None or not subgoal.names(door) or door.state != "open":
        return False
    return door.start not in {thing.start for thing in start.things if thing.state == "open"}


def _next_to(subgoal: Subgoal, now: Seen) -> bool:
    """Tells whether what lies right in front, just dropped, is beside what the subgoal names."""
    return any(subgoal.names(thing) and thing.beside_ahead for thing in now.things)


def _blocks_a_door(now: Seen) -> bool:
    """Tells whether what lies right in front, just dropped, lies where one has to pass to go through a door."""
    return any(thing.type == "door" and thing.beside_ahead for thing in now.things)


def spoilt(subgoal: Subgoal, start: Seen, now: Seen) -> bool:
    """Tells whether a subgoal cannot be achieved any more, since something was picked up or dropped otherwise."""
    return subgoal.verb in (PICK_UP, PUT, DROP) and (start.carried is None) != (now.carried is None)


def potential(subgoal: Subgoal, seen: Seen) -> float:
    """Returns how promising a state is for a subgoal: the fewer actions are left, the more.

    A difference of potentials, discounted, leaves the optimal policy as it is (Ng, Harada & Russell 1999). This one is
    a function of the instruction and of what the agent knows, both of which the worker reads. It is positive, so that
    giving up, where the potential counts as zero, costs what was gained; a negative one paid for any end until the
    critic knew better (lab notes).
    """
    goals = _goals(subgoal, seen)
    return STEP * (FAR - _actions_until_facing(goals, seen.blocked)) if goals else 0.0


def _goals(subgoal: Subgoal, seen: Seen) -> set[Place]:
    """Returns the places any of which one has to face to achieve a subgoal, none where nobody knows."""
    if subgoal.verb == EXPLORE:
        return set() if seen.frontier is None else {seen.frontier}
    meant = (thing for thing in seen.things if subgoal.names(thing))
    if subgoal.verb == OPEN:
        meant = (thing for thing in meant if can_open(seen, thing))
    nearest = next(meant, None)
    if nearest is None:
        return set()
    return set(_beside(nearest.place)) - seen.blocked if subgoal.verb == PUT else {nearest.place}


def _beside(place: Place) -> Iterator[Place]:
    return ((place[0] + dx, place[1] + dy) for dx, dy in HEADINGS)


def _actions_until_facing(goals: set[Place], blocked: frozenset[Place]) -> int:
    """Returns how many turns and steps bring one of ``goals`` right in front of the agent, ``FAR`` at most.

    What was not seen yet is taken to be free.
    """
    agents = {((0, 0), 0)}
    known = set(agents)
    for actions in range(FAR):
        following = set()
        for (x, y), heading in agents:
            ahead = x + HEADINGS[heading][0], y + HEADINGS[heading][1]
            if ahead in goals:
                return actions
            following |= {((x, y), (heading + 1) % 4), ((x, y), (heading - 1) % 4)}
            if ahead not in blocked:
                following.add((ahead, heading))
        agents = following - known
        known |= agents
    return FAR
