"""What someone does next who takes the mission apart, told what is known."""

import gymnasium as gym
import pytest

from cotutor.plans.oracle import parse
from cotutor.plans.subgoals import DROP, EXPLORE, OPEN, PICK_UP, Subgoal
from cotutor.tasks import make_task
from tests.plans.test_subgoals import seen, thing

DOOR = thing("blue door", 2, 0, "locked")
KEY, BALL_BEFORE_DOOR = thing("blue key", 0, 3), thing("red ball", 1, 0)


@pytest.fixture(scope="module")
def level():
    """A level of which only the mission is read: to pick up a box behind a locked door."""
    env: gym.Env = make_task("babyai:UnlockPickup").make_env()
    env.reset(seed=0)
    return env.unwrapped


def test_the_key_comes_before_the_locked_door(level):
    assert parse(level, seen(DOOR, KEY)) == Subgoal(PICK_UP, "blue key")
    assert parse(level, seen(DOOR, carried="blue key")) == Subgoal(OPEN, "blue door")
    assert parse(level, seen(DOOR)) == Subgoal(EXPLORE)


def test_hands_are_emptied_for_the_key(level):
    assert parse(level, seen(DOOR, KEY, carried="red ball")) == Subgoal(DROP)


def test_what_lies_before_a_door_is_taken_away_first(level):
    assert parse(level, seen(BALL_BEFORE_DOOR, DOOR, KEY)) == Subgoal(PICK_UP, "red ball")
    assert parse(level, seen(BALL_BEFORE_DOOR, DOOR, carried="blue key")) == Subgoal(DROP)


def test_what_lies_behind_an_open_door_is_taken_away_if_the_way_leads_through_it(level):
    wanted = level.instrs.desc
    name = f"{wanted.color} {wanted.type}"
    behind, opened = thing("red ball", 3, 0), thing("blue door", 2, 0, "open")
    assert parse(level, seen(opened, behind, thing(name, 4, 1))) == Subgoal(PICK_UP, "red ball")
    assert parse(level, seen(opened, behind, thing(name, 4, 1), carried="blue key")) == Subgoal(DROP)
    assert parse(level, seen(opened, behind, thing(name, 0, 1))) == Subgoal(PICK_UP, name)
    assert parse(level, seen(opened, thing(name, 3, 0))) == Subgoal(PICK_UP, name)


def test_a_key_before_its_own_door_is_the_key(level):
    assert parse(level, seen(thing("blue key", 1, 0), DOOR)) == Subgoal(PICK_UP, "blue key")


def test_of_two_doors_of_one_colour_the_closed_one_is_opened():
    env: gym.Env = make_task("babyai:OpenDoor").make_env()
    env.reset(seed=0)
    wanted = env.unwrapped.instrs.desc
    name = f"{wanted.color or 'blue'} door"
    opened, before, closed = thing(name, 2, 0, "open"), thing("red ball", 1, 0), thing(name, 5, 0, "closed")
    assert parse(env.unwrapped, seen(before, opened, closed)) == Subgoal(OPEN, name)
    assert parse(env.unwrapped, seen(opened)) == Subgoal(EXPLORE)
