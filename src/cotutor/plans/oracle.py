"""The oracle of plans: it takes missions apart by their structure."""

from typing import Any

from minigrid.envs.babyai.core.verifier import OpenInstr, PickupInstr, PutNextInstr

from cotutor.plans.subgoals import DROP, EXPLORE, GO, OPEN, PICK_UP, PUT, Subgoal, can_open
from cotutor.tasks.babyai_expert import remaining
from cotutor.tasks.seen import SIDES, Seen, Thing


def parse(level: Any, seen: Seen) -> Subgoal:
    """Returns what someone does next who takes the mission apart by its structure: the oracle of plans.

    Args:
        level: The level, whose instructions are read.
        seen: What the agent knows.
    """
    part = remaining(level.instrs)[0]
    if isinstance(part, PutNextInstr):
        return _put(seen, part)
    opens = isinstance(part, OpenInstr)
    target = _find(seen, part.desc, opens)  # pyright: ignore[reportAttributeAccessIssue]
    if target is None:
        return _discover(seen)
    if barrier := seen.barrier(target):
        return _take(seen, barrier[1])
    if isinstance(part, PickupInstr):
        return _take(seen, target)
    return _unlock(seen, target) if opens else Subgoal(GO, target.name)


def _put(seen: Seen, part: PutNextInstr) -> Subgoal:
    moved, fixed = _find(seen, part.desc_move), _find(seen, part.desc_fixed)
    for target in (fixed, moved):
        if target is not None and (barrier := seen.barrier(target)):
            return _take(seen, barrier[1])
    if seen.carried is not None and _matches(seen.carried, part.desc_move):
        return Subgoal(PUT, fixed.name) if fixed else _discover(seen)
    if moved is None:
        return _discover(seen)
    return _take(seen, moved)


def _matches(thing: Thing, description: Any) -> bool:
    there = description.loc is None or SIDES[description.loc] in thing.sides
    return there and description.type in (None, thing.type) and description.color in (None, thing.colour)


def _find(seen: Seen, description: Any, opens: bool = False) -> Thing | None:
    """Returns the nearest thing that is described, and if it is to be opened is not open."""
    meant = (thing for thing in seen.things if _matches(thing, description))
    return next((thing for thing in meant if not (opens and thing.state == "open")), None)


def _discover(seen: Seen) -> Subgoal:
    """Returns how to see more: through doors that are not open yet, else by exploring."""
    doors = [thing for thing in seen.things if thing.type == "door" and thing.state != "open"]
    return min((_unlock(seen, door) for door in doors), key=lambda way: way.verb == EXPLORE, default=Subgoal(EXPLORE))


def _unlock(seen: Seen, door: Thing) -> Subgoal:
    """Returns what leads to a door's being open: away with what lies before it, then the key, then the door."""
    if barring := seen.blocking(door):
        return _take(seen, barring)
    if can_open(seen, door):
        return Subgoal(OPEN, door.name)
    found = next((thing for thing in seen.things if thing.name == f"{door.colour} key"), None)
    return _take(seen, found) if found else Subgoal(EXPLORE)


def _take(seen: Seen, thing: Thing) -> Subgoal:
    """Returns what leads to holding a thing: with full hands what they hold has to go first."""
    return Subgoal(DROP) if seen.carried is not None else Subgoal(PICK_UP, thing.name)
