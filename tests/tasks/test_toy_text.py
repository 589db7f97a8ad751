"""Gymnasium's toy text worlds in words."""

import numpy as np
import pytest
from gymnasium.spaces import Dict

from cotutor.errors import UserError
from cotutor.tasks import SpokenEnv, make_task
from cotutor.tasks.toy_text import WORLDS, Taxi, optimal_values, towards

NAMES = [f"toy:{world}" for world in WORLDS]


def play(name: str, seed: int) -> tuple[bool, int]:
    """Lets the expert act, and returns whether it succeeded and after how many steps."""
    env = SpokenEnv(make_task(name), "text")
    env.reset(seed=seed)
    for step in range(1, 1000):
        _, _, terminated, truncated, info = env.step(env.expert_action())
        if terminated or truncated:
            return info["is_success"], step
    raise AssertionError("the episode does not end")


@pytest.mark.parametrize("name", ["toy:Taxi", "toy:CliffWalking"])
def test_the_expert_succeeds_where_nothing_is_left_to_chance(name):
    assert all(play(name, seed)[0] for seed in range(10))


def test_the_expert_walks_along_the_cliff_in_the_fewest_steps():
    assert play("toy:CliffWalking", 0) == (True, 13)


def test_on_slippery_ice_the_expert_is_as_good_as_can_be():
    # the best that there is for FrozenLake within 100 steps is known to be 0.74 to 0.82
    assert np.mean([play("toy:FrozenLake", seed)[0] for seed in range(300)]) == pytest.approx(0.78, abs=0.08)


def test_a_time_out_is_no_success():
    env = SpokenEnv(make_task("toy:CliffWalking"), "text")
    env.reset(seed=0)
    while True:
        _, _, terminated, truncated, info = env.step(0)
        if terminated or truncated:
            break
    assert (terminated, truncated, info["is_success"]) == (False, True, False)


def test_values_are_those_of_a_chain_that_is_solved_by_hand():
    # from 0 the first action goes on to 1, the second stays; from 1 the first one ends with a reward of one
    table = {
        0: {0: [(1.0, 1, 0.0, False)], 1: [(1.0, 0, 0.0, False)]},
        1: {0: [(0.5, 1, 1.0, True), (0.5, 0, 0.0, False)], 1: [(1.0, 1, 0.0, False)]},
    }
    found = optimal_values(table, 0.5)
    # V1 = 1/2 + 1/2 · 1/2 · V0 and V0 = 1/2 · V1
    v1 = 0.5 / (1 - 0.125)
    assert found == pytest.approx(np.array([[v1 / 2, v1 / 4], [v1, v1 / 2]]), abs=1e-6)


def test_a_taxi_says_where_the_passenger_is_and_then_where_to():
    task = Taxi("toy:Taxi")

    def state(row: int, column: int, passenger: int, destination: int) -> str:
        return task.describe(((row * 5 + column) * 5 + passenger) * 4 + destination)

    mission = "Mission: drive the passenger to the destination."
    assert state(2, 2, 0, 3) == f"{mission} The passenger is waiting to the north and west."
    assert state(0, 0, 0, 3) == f"{mission} The passenger is waiting right here."
    assert state(0, 0, 4, 1) == f"{mission} The passenger is in the taxi. The destination is to the east."
    assert state(0, 1, 4, 1).endswith("The destination is to the east. The way east is blocked.")
    assert state(4, 3, 4, 3) == f"{mission} The passenger is in the taxi. The passenger wants to get out right here."


def test_the_way_is_blocked_where_nothing_moves():
    task = make_task("toy:Taxi")
    env = task.make_env()
    told = set()
    for seed in range(60):
        state, _ = env.reset(seed=seed)
        for action, name in enumerate(("south", "north", "east", "west")):
            env.unwrapped.s = state
            moved, *_ = env.step(action)
            there, _, blocked = task.describe(state).partition(" The way ")
            if name in there.rpartition("to the ")[2]:
                assert (moved == state) == (name in blocked)
                told.add(moved == state)
    assert told == {True, False}


def test_ice_and_cliff_say_what_is_beside_the_agent():
    lake = make_task("toy:FrozenLake")
    assert lake.describe(0) == (
        "Mission: walk over the frozen lake to the goal without falling into a hole. "
        "The goal is to the south and east. To the north is the shore. To the west is the shore."
    )
    assert "To the south is a hole." in lake.describe(8)
    cliff = make_task("toy:CliffWalking")
    assert cliff.describe(24).endswith("The goal is to the south and east. To the west is a wall.")
    assert "To the south is the cliff." in cliff.describe(25)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("student", ["text", "image"])
def test_the_student_reads_the_number_of_the_state_and_the_words(name, student):
    env = SpokenEnv(make_task(name), student)
    assert isinstance(env.observation_space, Dict)
    observation, _ = env.reset(seed=0)
    for action in range(4):
        assert env.observation_space.contains(observation)
        assert observation["observation"].sum() == 1
        observation, *_ = env.step(action)


def test_directions_are_said_from_here():
    assert towards((2, 2), (0, 0)) == "north and west"
    assert towards((2, 2), (2, 4)) == "east"


def test_what_is_not_there_is_refused_in_a_sentence():
    with pytest.raises(UserError, match="no toy world 'Chess'; there are FrozenLake"):
        make_task("toy:Chess")
    with pytest.raises(UserError, match="speaks in one way only"):
        make_task("toy:Taxi", positions="exact")
    with pytest.raises(UserError, match="no memory"):
        make_task("toy:Taxi", memory=True)
