"""The verbalizer of BabyAI and MiniGrid, against hand-made views and against the simulator."""

import re
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from minigrid.core.constants import COLOR_TO_IDX, IDX_TO_COLOR, IDX_TO_OBJECT, OBJECT_TO_IDX, STATE_TO_IDX
from minigrid.core.world_object import Ball

from cotutor.errors import UserError
from cotutor.tasks import make_task, task_names
from cotutor.tasks.babyai import BabyAI, level_id
from cotutor.tasks.words import Words

LEVELS = sorted(id for id in gym.registry if id.startswith(("BabyAI-", "MiniGrid-")))
GO_TO = "go to the red ball"
FREE = "The way ahead is free."


def view(*things: tuple[str, int, int], mission: str = GO_TO) -> dict[str, Any]:
    """Returns an observation of an open space with things such as ``("red ball", forward, right)`` in it."""
    image = np.zeros((7, 7, 3), dtype=np.uint8)
    image[..., 0] = OBJECT_TO_IDX["empty"]
    for name, forward, right in things:
        *state, colour, kind = name.split()
        number = STATE_TO_IDX[state[0]] if state else 0
        image[3 + right, 6 - forward] = OBJECT_TO_IDX[kind], COLOR_TO_IDX[colour], number
    return {"image": image, "direction": 0, "mission": mission}


@pytest.fixture(scope="module")
def coarse() -> BabyAI:
    return BabyAI("babyai:GoToLocal")


@pytest.fixture(scope="module")
def locked() -> BabyAI:
    return BabyAI("babyai:UnlockPickup")


@pytest.mark.parametrize(
    ("forward", "right", "place"),
    [
        (3, 0, "straight ahead"),
        (3, -2, "ahead on the left"),
        (1, -1, "ahead on the left"),
        (6, 3, "ahead on the right"),
        (0, -1, "on your left"),
        (0, 3, "on your right"),
    ],
)
def test_coarse_places(coarse: BabyAI, forward: int, right: int, place: str) -> None:
    context = coarse.describe(view(("red ball", forward, right)))
    assert context == f"Mission: {GO_TO}. The red ball is {place}. {FREE}"


def test_what_is_named_in_front_needs_no_second_sentence(coarse: BabyAI) -> None:
    assert coarse.describe(view(("red ball", 1, 0))) == f"Mission: {GO_TO}. The red ball is right in front of you."


@pytest.mark.parametrize(
    ("forward", "right", "place"),
    [
        (3, -2, "3 steps forward and 2 steps left"),
        (1, 1, "1 step forward and 1 step right"),
        (0, -1, "1 step left"),
        (2, 0, "2 steps forward"),
    ],
)
def test_exact_places(forward: int, right: int, place: str) -> None:
    task = BabyAI("babyai:GoToLocal", positions="exact")
    assert f"The red ball is {place}." in task.describe(view(("red ball", forward, right)))


@pytest.mark.parametrize(
    ("thing", "sentence"),
    [
        ("grey wall", "A wall blocks the way."),
        ("blue box", "Something blocks the way."),
        ("closed blue door", "A closed door blocks the way."),
        ("locked blue door", "A locked blue door blocks the way."),
        ("open blue door", FREE),
        ("red lava", "Lava is right in front of you."),
        ("green goal", FREE),
    ],
)
def test_what_blocks_the_way(coarse: BabyAI, thing: str, sentence: str) -> None:
    assert coarse.describe(view((thing, 1, 0), ("red ball", 4, 1))).endswith(f"on the right. {sentence}")


def test_only_the_nearest_match_of_the_mission_is_named(coarse: BabyAI) -> None:
    things = ("blue ball", 2, 1), ("red ball", 3, -1), ("red ball", 5, 0), ("red key", 1, 2)
    assert coarse.describe(view(*things)) == f"Mission: {GO_TO}. The red ball is ahead on the left. {FREE}"
    anything = coarse.describe(view(*things, mission="go to the red object"))
    assert "The red object is ahead on the right." in anything
    assert "The ball is ahead on the right." in coarse.describe(view(*things, mission="go to a ball"))


def test_out_of_sight(coarse: BabyAI) -> None:
    assert coarse.describe(view()) == f"Mission: {GO_TO}. The red ball is not in sight. {FREE}"
    walled = coarse.describe(view(("grey wall", 0, -2)))
    assert walled == f"Mission: {GO_TO}. The red ball is not in sight. There is more room on your right. {FREE}"
    assert "more room on your left" in coarse.describe(view(("grey wall", 0, 1), ("grey wall", 0, -3)))


def test_doors_have_states(locked: BabyAI) -> None:
    for state in STATE_TO_IDX:
        context = locked.describe(view((f"{state} red door", 2, 1), mission="open the red door"))
        assert f"The {state} red door is ahead on the right." in context


def test_of_two_doors_of_one_colour_the_closed_one_is_to_be_opened(locked: BabyAI) -> None:
    doors = ("open red door", 2, 1), ("closed red door", 4, -1)
    assert "The closed red door is ahead on the left." in locked.describe(view(*doors, mission="open the red door"))
    assert "The open red door is ahead on the right." in locked.describe(view(*doors, mission="go to the red door"))


def test_keys_and_doors_help_to_what_is_out_of_sight(locked: BabyAI) -> None:
    mission = "pick up the grey box"
    context = locked.describe(view(("locked blue door", 3, 0), ("blue key", 1, -1), mission=mission))
    assert "A locked blue door is straight ahead. A blue key is ahead on the left." in context
    seen = locked.describe(view(("open blue door", 3, 0), ("blue key", 1, -1), ("grey box", 5, 0), mission=mission))
    assert seen == f"Mission: {mission}. The grey box is straight ahead. {FREE}"


def test_what_is_carried(coarse: BabyAI, locked: BabyAI) -> None:
    mission = "put the red ball next to the blue key"
    context = coarse.describe(view(("red ball", 0, 0), ("blue key", 2, 0), mission=mission))
    assert context == (
        f"Mission: {mission}. The blue key is straight ahead. You carry the red ball. {FREE} "
        "The square ahead is next to the blue key."
    )
    far = coarse.describe(view(("red ball", 0, 0), ("blue key", 3, 0), mission=mission))
    assert far == f"Mission: {mission}. The blue key is straight ahead. You carry the red ball. {FREE}"
    assert "You carry something." in coarse.describe(view(("grey box", 0, 0), mission=mission))
    assert "carry" not in coarse.describe(view(("grey box", 0, 0)))
    assert "You carry the grey key." in locked.describe(view(("grey key", 0, 0), mission="pick up the grey box"))


def test_without_focus_all_objects_are_listed_by_nearness() -> None:
    task = BabyAI("babyai:GoToLocal", focus=False)
    context = task.describe(view(("red ball", 5, 0), ("open blue door", 0, 2), ("grey box", 0, 0), ("green key", 1, 0)))
    assert context == (
        f"Mission: {GO_TO}. A green key is right in front of you. An open blue door is on your right. "
        "A red ball is straight ahead. You carry the grey box."
    )


@pytest.mark.parametrize(
    ("level", "mission", "phrases"),
    [
        ("GoToLocal", "go to the red ball", "turn left,turn right,go forward"),
        ("PickupLoc", "pick up the red ball", "turn left,turn right,go forward,pick up"),
        ("PutNextLocal", "put the red ball next to the key", "turn left,turn right,go forward,pick up,drop"),
        ("OpenDoor", "open the red door", "turn left,turn right,go forward,open"),
        ("UnlockPickup", "pick up the red box", "turn left,turn right,go forward,pick up,drop,open"),
    ],
)
def test_options_follow_from_the_mission(level: str, mission: str, phrases: str) -> None:
    task = BabyAI(f"babyai:{level}")
    options = task.options(task.describe(view(mission=mission)))
    assert ",".join(option.phrase for option in options) == phrases
    assert all(task.actions[option.action] == option.phrase for option in options)


def test_options_follow_from_the_state(coarse: BabyAI) -> None:
    def phrases(*things: tuple[str, int, int], mission: str = GO_TO) -> set[str]:
        return {option.phrase for option in coarse.options(coarse.describe(view(*things, mission=mission)))}

    assert "open" in phrases(("closed blue door", 3, 0))
    assert "open" not in phrases(("closed blue door", 3, 0), ("red ball", 2, 1))
    assert "drop" in phrases(("blue box", 0, 0), mission="pick up the red ball")


def walk(task: BabyAI, states: int, seed: int = 0) -> Iterator[tuple[gym.Env[Any, Any], dict[str, Any]]]:
    """Yields states of random episodes, over all actions of the environment."""
    rng, env = np.random.default_rng(seed), task.make_env()
    observation, _ = env.reset(seed=seed)
    for _ in range(states):
        yield env, observation
        observation, _, terminated, truncated, _ = env.step(rng.choice(6, p=(0.2, 0.2, 0.3, 0.1, 0.1, 0.1)))
        if terminated or truncated:
            observation, _ = env.reset()


@pytest.mark.parametrize(
    "level", ["GoToLocal", "PutNextLocal", "UnlockPickup", "KeyCorridorS3R2", "BlockedUnlockPickup"]
)
def test_the_full_exact_text_is_the_image_cell_by_cell(level: str) -> None:
    task = BabyAI(f"babyai:{level}", positions="exact", focus=False)
    told = re.compile(r"(?:An?|the) (?:(open|closed|locked) )?(\w+) (ball|box|key|door)(?: is (.*?))?\.")
    for _, observation in walk(task, 300):
        context = task.describe(observation).partition(". ")[2]
        said = set()
        listed = re.sub(r"The [^.]* is not in sight\.|The square ahead [^.]*\.", "", context)
        for state, colour, kind, place in told.findall(listed):
            steps = {way: int(n) for n, way in re.findall(r"(\d) steps? (\w+)", place)}
            said.add((kind, colour, state, steps.get("forward", 0), steps.get("right", 0) - steps.get("left", 0)))
        shown = set()
        states = {number: state for state, number in STATE_TO_IDX.items()}
        for column, row in np.ndindex(7, 7):
            number, colour, state = observation["image"][column, row]
            if (kind := IDX_TO_OBJECT[number]) in ("ball", "box", "key", "door"):
                shown.add((kind, IDX_TO_COLOR[colour], states[state] if kind == "door" else "", 6 - row, column - 3))
        assert said == shown, context
        if beside := re.search(r"The square ahead is next to the (\w+) (\w+)\.", context):
            named = [(forward, right) for kind, colour, _, forward, right in shown if (colour, kind) == beside.groups()]
            assert any(abs(forward - 1) + abs(right) == 1 for forward, right in named), context


@pytest.mark.parametrize("level", ["GoToLocal", "PutNextLocal", "UnlockPickup", "OpenDoor", "GoTo"])
def test_the_focused_text_says_only_what_is_in_the_image(level: str) -> None:
    task = BabyAI(f"babyai:{level}")
    told = re.compile(r"(?:The|An?) (?:(open|closed|locked) )?(?:(\w+) )?(ball|box|key|door) is ([^.]*)\.")
    places = {
        "right in front of you": lambda forward, right: (forward, right) == (1, 0),
        "straight ahead": lambda forward, right: forward > 1 and right == 0,
        "ahead on the left": lambda forward, right: forward > 0 and right < 0,
        "ahead on the right": lambda forward, right: forward > 0 and right > 0,
        "on your left": lambda forward, right: forward == 0 and right < 0,
        "on your right": lambda forward, right: forward == 0 and right > 0,
    }
    for _, observation in walk(task, 300):
        image = observation["image"]
        for state, colour, kind, place in told.findall(task.describe(observation).partition(". ")[2]):
            matches = [
                (6 - row, column - 3)
                for column, row in np.ndindex(7, 7)
                if image[column, row, 0] == OBJECT_TO_IDX[kind]
                and (not colour or image[column, row, 1] == COLOR_TO_IDX[colour])
                and (not state or image[column, row, 2] == STATE_TO_IDX[state])
                and (column, row) != (3, 6)
            ]
            assert (not matches) if place == "not in sight" else any(places[place](*match) for match in matches)


def test_what_the_agent_cannot_see_does_not_change_the_text(coarse: BabyAI) -> None:
    changed = 0
    for env, observation in walk(coarse, 200):
        level: Any = env.unwrapped
        behind = level.agent_pos - level.dir_vec
        if level.grid.get(*behind) is None:
            level.grid.set(*behind, Ball("red"))
            unseen = level.gen_obs()
            level.grid.set(*behind, None)
            assert (unseen["image"] == observation["image"]).all()
            assert coarse.describe(unseen) == coarse.describe(observation)
            changed += 1
    assert changed > 50


@pytest.mark.parametrize("id", LEVELS)
def test_every_level_speaks(id: str) -> None:
    try:
        task = make_task(id)
    except UserError as error:
        assert "WFC" in id and "pip install" in str(error)
        return
    env = task.make_env()
    assert isinstance(env.action_space, gym.spaces.Discrete)
    spaces, words = gym.spaces.Dict(task.array_spaces()), Words(task.vocabulary, task.max_words)
    observation, _ = env.reset(seed=3)
    for step in range(20):
        context = task.describe(observation)
        options = task.options(context)
        assert len(options) >= 2
        assert all(env.action_space.contains(option.action) for option in options)
        assert set(re.findall(r"\w+", context.lower())) <= words.numbers.keys()
        assert spaces.contains(task.arrays(observation))
        observation, _, terminated, truncated, _ = env.step(options[step % len(options)].action)
        if terminated or truncated:
            break


def test_the_short_name_means_the_newest_version() -> None:
    assert level_id("babyai:GoToObjS6") == "BabyAI-GoToObjS6-v1"
    assert level_id("minigrid:MultiRoom-N4-S5") == "MiniGrid-MultiRoom-N4-S5-v1"
    assert level_id("BabyAI-GoToLocal-v0") == "BabyAI-GoToLocal-v0"
    assert {"babyai:GoToLocal", "minigrid:DoorKey-5x5"} <= set(task_names())
    assert len(set(task_names())) == len(task_names())


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("babyai:GoToLocl", "babyai:GoToLocal"),
        ("babyai:gotolocal", "babyai:GoToLocal"),
        ("BabyAI-GoToLocal-v9", "babyai:GoToLocal"),
        ("minigrid:DoorKey", "minigrid:DoorKey-5x5"),
        ("GoToLocal", "babyai:GoToLocal"),
        ("atari:Q", "babyai:GoToRedBallNoDists"),
    ],
)
def test_unknown_levels_are_reported_with_near_matches(name: str, near: str) -> None:
    with pytest.raises(UserError, match=re.escape(near)):
        make_task(name)


def test_unknown_options_are_reported() -> None:
    with pytest.raises(UserError, match="exact"):
        make_task("babyai:GoToLocal", positions="fine")
    with pytest.raises(UserError, match="focus"):
        make_task("babyai:GoToLocal", colours=False)


@pytest.mark.parametrize(
    "level",
    ["GoToLocal", "PickupLoc", "OpenDoor", "UnlockPickup", "PutNextLocal", "BlockedUnlockPickup", "UnlockToUnlock"],
)
def test_the_expert_succeeds(level: str) -> None:
    task = BabyAI(f"babyai:{level}")
    env, successes = task.make_env(), 0
    for seed in range(20):
        env.reset(seed=seed)
        over = False
        while not over:
            _, reward, terminated, truncated, _ = env.step(task.expert_action(env))
            over = terminated or truncated
        successes += terminated and float(reward) > 0
    assert successes == 20


def test_right_actions_leave_the_environment_alone_and_shorten_the_way() -> None:
    task = BabyAI("babyai:UnlockPickup")
    env = task.make_env()
    level: Any = env.unwrapped
    for seed in range(5):
        env.reset(seed=seed)
        over = False
        while not over:
            before = str(level), level.step_count, level.carrying
            right = task.right_actions(env, tuple(range(6)))
            assert (str(level), level.step_count, level.carrying) == before
            assert right
            _, reward, terminated, truncated, _ = env.step(min(right))
            over = terminated or truncated
        assert terminated and float(reward) > 0


def test_both_turns_are_right_when_the_goal_is_behind(coarse: BabyAI) -> None:
    env = BabyAI("babyai:GoToRedBallNoDists").make_env()
    level: Any = env.unwrapped
    env.reset(seed=0)
    for place, cell in enumerate(level.grid.grid):
        if cell is not None and cell.type == "ball":
            level.grid.grid[place] = None
    level.agent_pos, level.agent_dir = (3, 3), 0
    level.put_obj(Ball("red"), 1, 3)
    level.instrs.reset_verifier(level)
    assert coarse.right_actions(env, (0, 1, 2)) == {0, 1}
