"""When a subgoal is offered, achieved or spoilt, on hand-made states."""

from dataclasses import replace

import pytest

from cotutor.plans.subgoals import (
    DROP,
    EXPLORE,
    FAR,
    GO,
    MISSION,
    NUMBERS,
    OPEN,
    PICK_UP,
    PUT,
    STEP,
    SUBGOALS,
    Subgoal,
    achieved,
    offered,
    potential,
    sayable,
    spoilt,
)
from cotutor.tasks.seen import Place, Seen, Thing


def thing(name: str, forward: int, right: int, state: str = "") -> Thing:
    colour, kind = name.split()
    return Thing(kind, colour, state, forward, right)


def seen(
    *things: Thing,
    carried: str = "",
    cells: int = 20,
    frontier: Place | None = None,
    walls: frozenset[Place] = frozenset(),
) -> Seen:
    blocked = walls | {thing.place for thing in things}
    return Seen(things, thing(carried, 0, 0) if carried else None, cells, frontier, blocked)


NOTHING = seen()
BALL, KEY = thing("red ball", 1, 0), thing("grey key", 2, 0)


def holds(subgoal: Subgoal, before: Seen, now: Seen, start: Seen = NOTHING) -> bool:
    return achieved(subgoal, start, before, now)


def test_every_subgoal_has_one_number_and_one_phrase():
    assert len(NUMBERS) == len(SUBGOALS) == len({subgoal.phrase for subgoal in SUBGOALS}) == 69


def test_with_empty_hands_things_are_picked_up_and_with_full_hands_put_down():
    empty = offered(seen(BALL, KEY))
    assert empty == {
        Subgoal(MISSION),
        Subgoal(GO, "grey key"),  # the ball is right in front already
        Subgoal(PICK_UP, "red ball"),
        Subgoal(PICK_UP, "grey key"),
    }
    full = offered(seen(KEY, carried="red ball", frontier=(0, 2)))
    assert full == {
        Subgoal(MISSION),
        Subgoal(EXPLORE),
        Subgoal(DROP),
        Subgoal(GO, "grey key"),
        Subgoal(PUT, "grey key"),
    }


@pytest.mark.parametrize(
    ("state", "carried", "can_open"),
    [
        ("closed", "", True), ("open", "", False), ("locked", "", False),
        ("locked", "red key", False), ("locked", "blue ball", False), ("locked", "blue key", True),
    ],
)  # fmt: skip
def test_doors_are_opened_unless_they_are_open_or_their_key_is_not_in_hand(state: str, carried: str, can_open: bool):
    assert (Subgoal(OPEN, "blue door") in offered(seen(thing("blue door", 3, 0, state), carried=carried))) == can_open


@pytest.mark.parametrize("now", [seen(BALL, KEY), seen(KEY, carried="red ball")])
def test_whatever_is_offered_can_be_said(now: Seen):
    assert offered(now) <= set(sayable(now.carried is not None))


def test_going_is_facing():
    assert holds(Subgoal(GO, "red ball"), NOTHING, seen(BALL))
    assert not holds(Subgoal(GO, "grey key"), NOTHING, seen(BALL, KEY))


def test_picking_up_is_holding_the_right_thing():
    assert holds(Subgoal(PICK_UP, "red ball"), NOTHING, seen(carried="red ball"))
    assert not holds(Subgoal(PICK_UP, "red ball"), NOTHING, seen(carried="red box"))
    assert spoilt(Subgoal(PICK_UP, "red ball"), NOTHING, seen(carried="red box"))


def test_exploring_leads_to_the_nearest_unseen_cell():
    assert potential(Subgoal(EXPLORE), seen(frontier=(0, -4))) == pytest.approx(STEP * (FAR - 3))
    assert potential(Subgoal(EXPLORE), seen(frontier=(0, 1))) == pytest.approx(STEP * (FAR - 2))  # two turns


def test_a_door_without_its_key_leads_nowhere():
    doors = thing("blue door", 1, 0, "locked"), thing("blue door", 4, 0, "closed")
    far = potential(Subgoal(OPEN, "blue door"), seen(*doors))
    assert far < potential(Subgoal(OPEN, "blue door"), seen(*doors, carried="blue key"))
    assert potential(Subgoal(OPEN, "blue door"), seen(doors[0])) == 0


def test_of_two_doors_of_one_colour_the_one_that_is_open_already_is_not_opened():
    def doors(other: str, forward: int) -> tuple[Thing, Thing]:
        return (
            replace(thing("blue door", 1 + forward, 0, "open"), start=(0, -1)),
            replace(thing("blue door", 5 + forward, 0, other), start=(0, -5)),
        )

    start, subgoal = seen(*doors("closed", 0)), Subgoal(OPEN, "blue door")
    assert subgoal in offered(start)
    assert not holds(subgoal, start, start, start)  # not by standing before the open one
    assert potential(subgoal, start) < potential(Subgoal(GO, "blue door"), start)
    assert holds(subgoal, start, seen(*doors("open", -4)), start)


def test_opening_is_facing_an_open_door():
    assert holds(Subgoal(OPEN, "blue door"), NOTHING, seen(thing("blue door", 1, 0, "open")))
    assert not holds(Subgoal(OPEN, "blue door"), NOTHING, seen(thing("blue door", 1, 0, "closed")))


@pytest.mark.parametrize(
    ("forward", "right", "beside"), [(2, 0, True), (1, 1, True), (1, -1, True), (2, 1, False), (3, 0, False)]
)
def test_putting_is_dropping_beside_what_is_named(forward: int, right: int, beside: bool):
    now = seen(thing("red ball", 1, 0), thing("grey key", forward, right))
    assert holds(Subgoal(PUT, "grey key"), seen(carried="red ball"), now) == beside
    assert not holds(Subgoal(PUT, "grey key"), NOTHING, now)


def test_what_was_dropped_is_not_beside_itself():
    assert not holds(Subgoal(PUT, "red ball"), seen(carried="red ball"), seen(BALL))


@pytest.mark.parametrize(("forward", "right", "blocks"), [(0, 0, True), (2, 0, True), (1, 1, True), (2, 1, False)])
def test_what_is_dropped_beside_a_door_is_not_put_away(forward: int, right: int, blocks: bool):
    carrying, now = seen(carried="grey key"), seen(thing("grey key", 1, 0), thing("red door", forward, right, "open"))
    assert holds(Subgoal(DROP), carrying, now) != blocks
    assert spoilt(Subgoal(DROP), carrying, now)
    assert not spoilt(Subgoal(DROP), carrying, carrying)


def test_exploring_is_seeing_new_cells():
    assert not holds(Subgoal(EXPLORE), NOTHING, seen(cells=27), start=seen(cells=20))
    assert holds(Subgoal(EXPLORE), NOTHING, seen(cells=28), start=seen(cells=20))


def test_the_mission_is_not_ours_to_judge():
    assert not holds(Subgoal(MISSION), NOTHING, seen(BALL, carried="red ball"))


def test_the_potential_grows_towards_what_is_named():
    subgoal = Subgoal(GO, "grey key")
    near, far = seen(thing("grey key", 1, 1)), seen(thing("grey key", 4, 3))
    assert potential(subgoal, near) > potential(subgoal, far) > potential(subgoal, NOTHING) == 0
    assert potential(Subgoal(EXPLORE), near) == 0


@pytest.mark.parametrize(
    ("forward", "right", "actions"), [(1, 0, 0), (4, 0, 3), (0, 1, 1), (2, 3, 5), (-1, 0, 2), (-2, -1, 4)]
)
def test_the_potential_counts_turns_and_steps(forward: int, right: int, actions: int):
    state = seen(thing("grey key", forward, right))
    assert potential(Subgoal(GO, "grey key"), state) == pytest.approx(STEP * (FAR - actions))


def test_the_potential_knows_ways_around():
    free, walled = seen(thing("grey key", 3, 0)), seen(thing("grey key", 3, 0), walls=frozenset({(0, -1)}))
    subgoal = Subgoal(GO, "grey key")
    assert potential(subgoal, free) == pytest.approx(STEP * (FAR - 2))
    assert potential(subgoal, walled) == pytest.approx(STEP * (FAR - 7))  # turn, step, turn, three steps, turn


def test_the_potential_of_putting_is_highest_where_dropping_does_it():
    subgoal = Subgoal(PUT, "grey key")
    ready, facing = seen(thing("grey key", 2, 0), carried="red ball"), seen(thing("grey key", 1, 0), carried="red ball")
    assert potential(subgoal, ready) == pytest.approx(STEP * FAR)
    assert potential(subgoal, facing) < potential(subgoal, ready)
