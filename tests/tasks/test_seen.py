"""The map of what was seen, cell by cell against the simulator."""

import numpy as np
import pytest

from cotutor.tasks.babyai import BabyAI


@pytest.mark.parametrize("name", ["babyai:PutNextLocal", "babyai:UnlockPickup", "babyai:GoToObjMaze"])
def test_what_is_remembered_is_where_the_simulator_has_it(name: str):
    env = BabyAI(name, memory=True).make_env()
    draws, checked = np.random.default_rng(0), 0
    for seed in range(8):
        observation, _ = env.reset(seed=seed)
        level = env.unwrapped
        for _ in range(100):
            seen = observation["seen"]
            for thing in seen.things:
                cell = level.grid.get(
                    *(level.agent_pos + thing.forward * level.dir_vec + thing.right * level.right_vec)
                )
                assert (cell.type, cell.color) == (thing.type, thing.colour)
                checked += 1
            carried = level.carrying
            assert (carried is None) == (seen.carried is None)
            assert carried is None or seen.carried.name == f"{carried.color} {carried.type}"
            observation, _, terminated, truncated, _ = env.step(int(draws.integers(6)))
            if terminated or truncated:
                break
    assert checked > 1000


def test_a_room_seen_whole_has_no_frontier_and_a_closed_door_hides_one():
    env = BabyAI("babyai:UnlockPickup", memory=True).make_env()
    observation, _ = env.reset(seed=3)
    seen = [observation["seen"]]
    for _ in range(4):
        observation, *_ = env.step(1)
        seen.append(observation["seen"])
    assert [known.cells for known in seen] == sorted(known.cells for known in seen)
    assert not seen[-1].frontier


def test_places_behind_are_told():
    task = BabyAI("babyai:GoToLocal", memory=True)
    env = task.make_env()
    observation, _ = env.reset(seed=0)
    contexts = []
    for _ in range(4):
        contexts.append(task.describe(observation))
        observation, *_ = env.step(1)
    assert any("behind you" in context for context in contexts)
    assert task.describe(observation) == contexts[0] or "not in sight" in contexts[0]
