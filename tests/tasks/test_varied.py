"""Levels with varied language."""

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from minigrid.core.constants import IDX_TO_COLOR, IDX_TO_OBJECT, OBJECT_TO_IDX
from minigrid.core.world_object import Ball

from cotutor.errors import UserError
from cotutor.tasks import make_task, task_names
from cotutor.tasks.check import check_task
from cotutor.tasks.varied import LEVELS, MEANINGS, PLAIN, TAUGHT, UNSEEN, Language, Varied
from cotutor.tasks.words import Words

SAYS = re.compile(r"(\w+) (ball|box) is ([^.]*)\.")
PLACES = {
    "right in front of you": lambda forward, right: (forward, right) == (1, 0),
    "straight ahead": lambda forward, right: forward > 1 and right == 0,
    "ahead on the left": lambda forward, right: forward > 0 and right < 0,
    "ahead on the right": lambda forward, right: forward > 0 and right > 0,
    "on your left": lambda forward, right: forward == 0 and right < 0,
    "on your right": lambda forward, right: forward == 0 and right > 0,
}


def walk(task: Varied, states: int) -> Iterator[tuple[gym.Env[Any, Any], dict[str, Any]]]:
    """Yields states of random episodes."""
    rng, env = np.random.default_rng(0), task.make_env()
    observation, _ = env.reset(seed=0)
    for _ in range(states):
        yield env, observation
        observation, _, terminated, truncated, _ = env.step(rng.choice(4, p=(0.25, 0.25, 0.4, 0.1)))
        if terminated or truncated:
            observation, _ = env.reset()


def words_of(language: Language) -> set[str]:
    return {word for mission in every(language) for word in mission.split()}


def every(language: Language) -> dict[str, tuple[str, str]]:
    """Returns every mission of a language with the object that it means."""
    return {
        mission: (colour, noun)
        for colour, noun in product(language.colours, language.nouns)
        for mission in language.missions(colour, noun)
    }


def test_a_mission_is_a_verb_a_colour_and_a_noun_in_one_of_two_orders() -> None:
    missions = TAUGHT.missions("red", "ball")
    assert {"grab the crimson sphere", "lift the ball that is maroon", "pick up the red ball"} <= set(missions)
    assert len(set(missions)) == len(missions) == 4 * 3 * 3 * 2
    assert PLAIN.missions("red", "ball") == ("pick up the red ball",)
    assert len(MEANINGS) == len(PLAIN.colours) * len(PLAIN.nouns)


@pytest.mark.parametrize("language", [PLAIN, TAUGHT, UNSEEN])
def test_a_mission_means_one_object(language: Language) -> None:
    told = [m for c, n in product(language.colours, language.nouns) for m in language.missions(c, n)]
    assert len(told) == len(set(told))


def test_unseen_missions_share_no_word_of_content_with_taught_ones() -> None:
    assert words_of(TAUGHT) & words_of(UNSEEN) == {"the", "that", "is"}
    assert UNSEEN.colours.keys() == TAUGHT.colours.keys() == PLAIN.colours.keys()
    assert UNSEEN.nouns.keys() == TAUGHT.nouns.keys() == PLAIN.nouns.keys()


@pytest.mark.parametrize("name", LEVELS)
def test_the_mission_means_what_the_level_rewards(name: str) -> None:
    language = {"plain": PLAIN, "unseen": UNSEEN}.get(name.partition("-")[2], TAUGHT)
    env, meaning = make_task(name).make_env(), every(language)
    level: Any = env.unwrapped
    for seed in range(60):
        observation, _ = env.reset(seed=seed)
        assert meaning[observation["mission"]] == (level.instrs.desc.color, level.instrs.desc.type)
        objects = [(thing.color, thing.type) for thing in level.room_grid[0][0].objs]
        assert len(set(objects)) == len(objects) == int(name[len("varied:Fetch")])
        assert meaning[observation["mission"]] in objects


def test_the_seed_decides_room_and_words_and_the_language_only_the_words() -> None:
    def begin(name: str) -> list[tuple[str, str]]:
        env = make_task(name).make_env()
        return [(env.reset(seed=seed)[0]["mission"], str(env.unwrapped)) for seed in range(20)]

    taught, unseen = begin("varied:Fetch2"), begin("varied:Fetch2-unseen")
    assert taught == begin("varied:Fetch2")
    assert [room for _, room in taught] == [room for _, room in unseen]
    assert not {mission for mission, _ in taught} & {mission for mission, _ in unseen}
    assert len({mission for mission, _ in taught}) > 12


def test_the_context_names_all_that_is_in_view_and_nothing_else() -> None:
    task = Varied("varied:Fetch3")
    for _, observation in walk(task, 400):
        image = observation["image"]
        mission, _, seen = task.describe(observation).partition(". ")
        assert mission == f"Mission: {observation['mission']}"
        shown = {
            (IDX_TO_COLOR[image[column, row, 1]], IDX_TO_OBJECT[image[column, row, 0]]): (6 - row, column - 3)
            for column, row in np.ndindex(7, 7)
            if image[column, row, 0] in (OBJECT_TO_IDX["ball"], OBJECT_TO_IDX["box"])
        }
        said = SAYS.findall(seen)
        assert {(colour, noun) for colour, noun, _ in said} == shown.keys()
        assert all(PLACES[place](*shown[colour, noun]) for colour, noun, place in said)
        assert seen == "Nothing is in sight." if not shown else "sight" not in seen


def test_the_mission_changes_nothing_in_the_rest_of_the_context() -> None:
    task = Varied("varied:Fetch2")
    for _, observation in walk(task, 100):
        rests = {task.describe({**observation, "mission": m}).partition(". ")[2] for m in ("a", *MEANINGS)}
        assert len(rests) == 1


def test_what_the_agent_cannot_see_does_not_change_the_text() -> None:
    task, changed = Varied("varied:Fetch2"), 0
    for env, observation in walk(task, 200):
        level: Any = env.unwrapped
        behind = level.agent_pos - level.dir_vec
        if level.grid.get(*behind) is None:
            level.grid.set(*behind, Ball("red"))
            unseen = level.gen_obs()
            level.grid.set(*behind, None)
            assert task.describe(unseen) == task.describe(observation)
            changed += 1
    assert changed > 50


def test_another_object_ends_the_episode_without_reward() -> None:
    env = make_task("varied:Fetch2").make_env()
    level: Any = env.unwrapped
    for right in (True, False):
        env.reset(seed=4)
        level.agent_pos, level.agent_dir = (1, 1), 0
        for place, cell in enumerate(level.grid.grid):
            if cell is not None and cell.type != "wall":
                level.grid.grid[place] = None
        wanted = next(
            thing
            for thing in level.room_grid[0][0].objs
            if ((thing.color, thing.type) == (level.instrs.desc.color, level.instrs.desc.type)) == right
        )
        level.grid.set(2, 1, wanted)
        _, reward, terminated, truncated, _ = env.step(3)
        assert terminated and not truncated
        assert (float(reward) > 0) == right


@pytest.mark.parametrize("name", LEVELS)
def test_the_expert_succeeds(name: str) -> None:
    task = make_task(name)
    env = task.make_env()
    for seed in range(10):
        env.reset(seed=seed)
        over = False
        while not over:
            _, reward, terminated, truncated, _ = env.step(task.expert_action(env))
            over = terminated or truncated
        assert terminated and float(reward) > 0


def test_contexts_tell_what_to_do_to_one_who_knows_the_words() -> None:
    plain, varied = check_task(make_task("varied:Fetch2-plain"), 500), check_task(make_task("varied:Fetch2"), 500)
    assert plain.ceiling is not None and plain.ceiling > 0.95
    assert plain.per_thousand < 600
    assert varied.per_thousand > plain.per_thousand


def test_the_student_knows_the_words_of_training_and_shares_places_for_the_others() -> None:
    task, unseen = make_task("varied:Fetch2"), make_task("varied:Fetch2-unseen")
    assert task.vocabulary == unseen.vocabulary
    words = Words(task.vocabulary, task.max_words)
    for _, observation in walk(Varied("varied:Fetch2", positions="exact"), 100):
        for context in (task.describe(observation), Varied("varied:Fetch2", "exact").describe(observation)):
            assert set(re.findall(r"\w+", context.lower())) <= words.numbers.keys()
            assert len(context.split()) <= task.max_words
    assert not (words_of(UNSEEN) - {"the", "that", "is"}) & words.numbers.keys()


def test_spaces_and_options() -> None:
    task = make_task("varied:Fetch2")
    observation, _ = task.make_env().reset(seed=1)
    assert gym.spaces.Dict(task.array_spaces()).contains(task.arrays(observation))
    phrases = [option.phrase for option in task.options(task.describe(observation))]
    assert phrases == ["turn left", "turn right", "go forward", "pick up"]


def test_names() -> None:
    assert set(LEVELS) <= set(task_names())
    with pytest.raises(UserError, match="varied:Fetch2"):
        make_task("varied:Fetch9")
    with pytest.raises(UserError, match="exact"):
        make_task("varied:Fetch2", positions="fine")
