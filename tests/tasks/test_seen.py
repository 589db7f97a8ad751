"""The map of what was seen, cell by cell against the simulator."""

import numpy as np
import pytest

from cotutor.tasks.babyai import MAP, BabyAI, place_of, wanted
from cotutor.tasks.seen import SeenMap


@pytest.mark.parametrize("name", ["babyai:PutNextLocal", "babyai:UnlockPickup", "babyai:GoToObjMaze"])
def test_what_is_remembered_is_where_the_simulator_has_it(name: str):
    env = BabyAI(name, memory=True).make_env()
    draws, checked, walls, carrying = np.random.default_rng(0), 0, 0, 0
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
            for right, back in seen.blocked:
                cell = level.grid.get(*(level.agent_pos - back * level.dir_vec + right * level.right_vec))
                assert cell is not None
                assert not cell.can_overlap()
                walls += 1
            carried = level.carrying
            carrying += carried is not None
            assert (carried is None) == (seen.carried is None)
            assert carried is None or seen.carried.name == f"{carried.color} {carried.type}"
            observation, _, terminated, truncated, _ = env.step(int(draws.integers(6)))
            if terminated or truncated:
                break
    assert checked > 1000
    assert walls > 1000
    assert carrying or name == "babyai:GoToObjMaze"


def test_whoever_carries_something_leaves_no_walls_behind():
    env = BabyAI("babyai:PutNextLocal", memory=True).make_env()
    observation, _ = env.reset(seed=0)
    level = env.unwrapped
    level.carrying = next(cell for cell in level.grid.grid if cell is not None and cell.type != "wall")
    for _ in range(30):
        observation, *_ = env.step(2 if level.grid.get(*level.front_pos) is None else 1)
    assert observation["seen"].carried is not None
    behind = [
        level.agent_pos - back * level.dir_vec + right * level.right_vec for right, back in observation["seen"].blocked
    ]
    assert all(level.grid.get(*place) is not None for place in behind)


def test_a_door_is_not_forgotten_by_who_stands_in_it():
    env = BabyAI("babyai:GoToDoor", memory=True).make_env()
    env.reset(seed=0)
    level = env.unwrapped
    x, y = next(
        (x, y) for x in range(level.width) for y in range(1, level.height - 1) if _is_door(level.grid.get(x, y))
    )
    inside = -1 if x == level.width - 1 or level.grid.get(x - 1, y) is None else 1
    level.agent_pos, level.agent_dir = (x + inside, y), 0 if inside < 0 else 2
    level.grid.get(x, y).is_open = True
    env.map = SeenMap(level.gen_obs()["image"])
    observation, *_ = env.step(2)
    assert tuple(level.agent_pos) == (x, y)
    assert any(thing.type == "door" and thing.place == (0, 0) for thing in observation["seen"].things)


def _is_door(cell) -> bool:
    return cell is not None and cell.type == "door"


def test_a_room_seen_whole_has_no_frontier_and_a_closed_door_hides_one():
    env = BabyAI("babyai:UnlockPickup", memory=True).make_env()
    observation, _ = env.reset(seed=3)
    seen = [observation["seen"]]
    for _ in range(4):
        observation, *_ = env.step(1)
        seen.append(observation["seen"])
    assert [known.cells for known in seen] == sorted(known.cells for known in seen)
    assert seen[0].frontier is not None
    assert seen[-1].frontier is None


def nearest_unseen(level, known: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """The unseen cells that the fewest steps lead to, over free cells that were seen; places are the simulator's."""
    reached = edge = {tuple(map(int, level.agent_pos))}
    while edge:
        near = {(x + dx, y + dy) for x, y in edge for dx, dy in ((0, 1), (1, 0), (0, -1), (-1, 0))} - reached
        if near - known:
            return near - known
        edge = {place for place in near if level.grid.get(*place) is None or level.grid.get(*place).can_overlap()}
        reached = reached | edge
    return set()


def test_the_frontier_is_the_nearest_unseen_cell():
    env = BabyAI("babyai:GoToObjMaze", memory=True).make_env()
    draws, met = np.random.default_rng(0), 0
    for seed in range(4):
        observation, _ = env.reset(seed=seed)
        level, known = env.unwrapped, set()
        for _ in range(80):
            _, visible = level.gen_obs_grid()
            places = [(x, y) for x in range(level.width) for y in range(level.height)]
            known |= {place for place in places if (view := level.relative_coords(*place)) and visible[view]}
            frontier, nearest = observation["seen"].frontier, nearest_unseen(level, known)
            if frontier is None:
                assert not nearest
            else:
                right, back = frontier
                assert tuple(level.agent_pos - back * level.dir_vec + right * level.right_vec) in nearest
                met += 1
            observation, *_ = env.step(int(draws.choice(6, p=[0.2, 0.1, 0.4, 0, 0, 0.3])))
    assert met > 100


def test_who_explores_reads_and_sees_where_there_is_more():
    task = BabyAI("babyai:UnlockPickup", memory=True)
    env = task.make_env()
    exploring = {**env.reset(seed=3)[0], "mission": "explore"}
    right, back = exploring["seen"].frontier
    assert f"There is more room {place_of((right, back), 'coarse')}." in task.describe(exploring)
    shown = np.argwhere(task.arrays(exploring)["map"].reshape(3, MAP, MAP)[1])
    assert shown.tolist() == [[right + MAP // 2, back + MAP // 2]]
    assert "more room" not in task.describe({**exploring, "mission": "drop it"})
    for _ in range(4):
        observation, *_ = env.step(1)
    assert "more room" not in task.describe({**observation, "mission": "explore"})


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


@pytest.mark.parametrize("name", ["babyai:PickupLoc", "babyai:OpenDoor"])
def test_sides_are_those_of_the_start_wherever_things_are_carried(name: str):
    """What a mission with a side may mean, as far as the agent knows, is what the simulator holds it to mean."""
    env = BabyAI(name, memory=True).make_env()  # a Remembering, whose map is its own
    draws, told, moved = np.random.default_rng(0), 0, 0
    for seed in range(20):
        observation, _ = env.reset(seed=seed)
        level = env.unwrapped
        (want,) = wanted(observation["mission"])
        for _ in range(60):
            seen = observation["seen"]
            for thing in seen.things:
                place = level.agent_pos + thing.forward * level.dir_vec + thing.right * level.right_vec
                meant = any(level.grid.get(*place) is each for each in level.instrs.desc.obj_set)
                assert meant == want.matches(thing)
                told += bool(want.side)
            moved += bool(env.map.origins)
            observation, _, terminated, truncated, _ = env.step(int(draws.integers(5)))
            if terminated or truncated:
                break
    assert told > 100
    assert moved > 50 or name == "babyai:OpenDoor"


def test_what_is_carried_about_keeps_the_side_on_which_it_was():
    env = BabyAI("babyai:PickupLoc", memory=True).make_env()
    observation, _ = env.reset(seed=0)
    level, draws, start = env.unwrapped, np.random.default_rng(0), None
    for _ in range(400):
        ahead = observation["seen"].ahead
        if start is None and ahead is not None:
            start = ahead.start
            observation, *_ = env.step(3)
        elif start is not None and level.grid.get(*level.front_pos) is None and draws.random() < 0.1:
            observation, *_ = env.step(4)
            assert observation["seen"].ahead.start == start
            return
        else:
            observation, *_ = env.step(int(draws.integers(3)))
        assert start is None or observation["seen"].carried.start == start
    raise AssertionError("nothing was ever dropped")
