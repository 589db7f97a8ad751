"""What a pursuit pays, to whom, and that side by side is as good as one by one."""

import re

import numpy as np
import pytest

from cotutor.config import PlanConfig, PPOConfig, TrainConfig
from cotutor.plans.plan import EMPTY_HANDED, Plan, PlannedEnv, PlannedVecEnv, pursue
from cotutor.plans.subgoals import (
    DROP,
    EXPLORE,
    GO,
    MISSION,
    NUMBERS,
    PICK_UP,
    PUT,
    SUBGOALS,
    Subgoal,
    offered,
    potential,
)
from cotutor.tasks import make_task
from cotutor.tasks.babyai import DROP as DROPS
from cotutor.tasks.babyai import PICK_UP as PICKS_UP
from cotutor.tasks.base import OFFERED
from cotutor.train import build
from tests.plans.test_subgoals import seen, thing

LIMIT = 12
WAITS = 6
"""The action that does nothing here."""


@pytest.fixture(scope="module")
def plan():
    config = TrainConfig(
        task="babyai:PutNextLocal",
        teacher="uniform",
        ppo=PPOConfig(envs=2, steps=32, batch_size=32),
        plans=PlanConfig(enabled=True, limit=LIMIT),
        threads=1,
    )
    return build(config).task


def facing_a_thing(plan) -> PlannedEnv:
    """An environment whose agent has something portable right in front of it."""
    env = plan.spoken("text")
    draws = np.random.default_rng(0)
    for seed in range(20):
        env.reset(seed=seed)
        for _ in range(30):
            if env.seen.ahead is not None:
                return env
            env.observation = env.env.step(int(draws.integers(3)))[0]
    raise AssertionError("nothing to face")


def context_of(plan, observation) -> str:
    """The context of one to whom nothing happened before."""
    return plan.describe({**observation, "told": plan.tell(observation), "tried": ()})


@pytest.mark.parametrize("verb", [GO, PICK_UP, PUT, EXPLORE])
def test_shaping_pays_the_same_whatever_is_done(plan, verb: str):
    """Σ γ^t (paid − earned) = γ^T·Φ_T − Φ_0: it depends on no action, so the best policy stays the best."""
    gamma, draws, met = plan.worker.ppo.gamma, np.random.default_rng(1), 0
    for seed in range(24):
        env = plan.spoken("text")
        env.reset(seed=seed)
        if verb == PUT:
            env = facing_a_thing(plan)
            env.observation = env.env.step(PICKS_UP)[0]
        chosen = [subgoal for subgoal in sorted(offered(env.seen), key=NUMBERS.__getitem__) if subgoal.verb == verb]
        if not chosen:
            continue
        env.begin(NUMBERS[chosen[0]])
        before = env.pursuit.potential
        while not env.follow(int(draws.integers(6))):
            pass
        pursuit = env.pursuit
        met += 1
        paid = sum(gamma**t * reward for t, reward in enumerate(pursuit.segment.rewards))
        earned = gamma ** (pursuit.duration - 1) * pursuit.achieved * (1 - 0.9 * pursuit.duration / LIMIT)
        assert paid - earned == pytest.approx(gamma**pursuit.duration * pursuit.potential - before)
        ended = len(pursuit.segment.observations) == pursuit.duration
        assert pursuit.potential == (0.0 if ended else potential(pursuit.subgoal, env.seen))
    assert met >= 3


def test_picking_up_and_dropping_for_ever_earns_the_planner_nothing(plan):
    env = facing_a_thing(plan)
    thing = env.seen.ahead
    assert thing is not None
    for _ in range(4):
        for subgoal, action in ((Subgoal(PICK_UP, thing.name), PICKS_UP), (Subgoal(DROP), DROPS)):
            env.begin(NUMBERS[subgoal])
            assert env.follow(action)
            _, reward, terminated, _, info = env.step(NUMBERS[subgoal])
            assert info["achieved"]
            assert (reward, terminated) == (0.0, False)


def test_pursuits_side_by_side_are_those_one_by_one(plan):
    """Every environment has draws of its own, so company changes nothing."""
    together, alone = ([plan.spoken("text") for _ in range(3)] for _ in range(2))
    for envs in (together, alone):
        for seed, env in enumerate(envs):
            env.reset(seed=seed)
    actions = [max(NUMBERS[subgoal] for subgoal in offered(env.seen)) for env in together]
    pursue(together, actions)
    for env, action in zip(alone, actions, strict=True):
        pursue([env], [action])
    for one, other in zip(together, alone, strict=True):
        assert one.pursuit.segment.actions == other.pursuit.segment.actions
        assert one.pursuit.duration == other.pursuit.duration


def test_the_worker_keeps_every_step_that_is_counted(plan):
    plan.worker.segments.clear()
    envs = PlannedVecEnv([lambda: PlannedEnv(plan, learning=True)] * 2)
    envs.seed(0)
    envs.reset()
    explore = next(n for n, subgoal in enumerate(SUBGOALS) if subgoal.verb == "explore")
    durations = [info["duration"] for _ in range(2) for info in envs.step(np.array([explore, explore]))[3]]
    assert [len(segment.actions) for segment in plan.worker.segments] == durations
    plan.worker.segments.clear()


def test_a_teacher_is_calibrated_on_empty_and_on_full_hands(plan):
    contexts = ["You carry nothing. Mission: put the red ball next to the blue box."]
    empty, full = plan.references(contexts)
    assert empty == contexts[0]
    phrases = {option.phrase for reference in (empty, full) for option in plan.options(reference)}
    assert {"drop it", "put it next to the blue box", "pick up the red ball"} <= phrases


def test_a_context_tells_what_is_carried_only_if_it_bears(plan):
    env = facing_a_thing(plan)
    ahead = env.seen.ahead
    assert ahead is not None
    assert EMPTY_HANDED in context_of(plan, env.observation)
    env.observation = env.env.step(PICKS_UP)[0]
    named = {**env.observation, "mission": f"put the {ahead.name} next to the red door"}
    assert f"You carry the {ahead.name}." in context_of(plan, named)
    other = {**env.observation, "mission": "open the red door"}
    assert "You carry something else." in context_of(plan, other)


def test_where_a_mission_gives_a_side_the_sides_of_all_it_may_mean_are_told(plan):
    env = facing_a_thing(plan)
    ball = next(thing for thing in env.seen.things if thing.sides)
    located = {**env.observation, "mission": f"pick up the {ball.type} on your left"}
    context = context_of(plan, located)
    for known in env.seen.things:
        told = f"There is a {known.name} {' and '.join(known.sides)}." in context
        assert told == (known.type == ball.type)
    assert "There is" not in context_of(plan, {**located, "mission": f"pick up the {ball.type}"})


def test_what_lies_before_a_door_is_told_while_the_door_matters(plan):
    door, ball = thing("blue door", 2, 0, "locked"), thing("red ball", 1, 0)
    barred = {"seen": seen(ball, door), "done": (), "mission": "pick up the green box"}
    assert "The red ball blocks the blue door." in context_of(plan, barred)
    assert "blocks" not in context_of(plan, {**barred, "seen": seen(thing("red ball", 1, 1), door)})
    opened, box = thing("blue door", 2, 0, "open"), thing("green box", 4, 1)
    assert "The red ball blocks the blue door." in context_of(plan, {**barred, "seen": seen(ball, opened, box)})
    assert "blocks" not in context_of(plan, {**barred, "seen": seen(ball, opened, thing("green box", 0, 1))})
    assert "blocks" not in context_of(plan, {**barred, "seen": seen(opened, thing("green box", 3, 0))})
    assert "blocks" not in context_of(plan, {**barred, "seen": seen(thing("blue key", 1, 0), door)})
    assert "blocks" not in context_of(plan, {**barred, "mission": "pick up the red ball"})


def test_of_many_doors_those_that_can_be_opened_are_told(plan):
    near, far = thing("blue door", 1, 0, "open"), thing("red door", 3, 0, "open")
    lacking = {"done": (), "mission": "pick up the green box"}
    one_closed = context_of(plan, {**lacking, "seen": seen(near, far, thing("grey door", 5, 0, "closed"))})
    assert "The grey door is closed." in one_closed
    assert "open" not in one_closed
    all_open = context_of(plan, {**lacking, "seen": seen(near, far)})
    assert "The blue door is open." in all_open
    assert "red door" not in all_open


def test_a_mission_of_several_parts_is_told_with_what_was_done(plan):
    env = facing_a_thing(plan)
    ahead = env.seen.ahead
    subgoal = Subgoal(PICK_UP, ahead.name)
    env.begin(NUMBERS[subgoal])
    env.follow(PICKS_UP)
    env.step(NUMBERS[subgoal])
    mission = f"go to the red box after you pick up the {ahead.name}"
    compound = {**env.observation, "mission": mission, "done": env.done}
    assert f"Done: pick up the {ahead.name}. Mission:" in context_of(plan, compound)
    assert "Done" not in context_of(plan, {**compound, "mission": "go to the red box"})
    env.reset(seed=0)
    assert env.done == ()


def test_what_was_tried_in_vain_is_told_and_not_offered_until_something_changes(plan):
    env = facing_a_thing(plan)
    ahead = env.seen.ahead
    missed, other = Subgoal(MISSION), Subgoal(PICK_UP, ahead.name)
    env._speak({})

    def pursued(subgoal: Subgoal, action: int) -> tuple[str, set[int]]:
        env.begin(NUMBERS[subgoal])
        while not env.follow(action):
            pass
        observation, *_, info = env.step(NUMBERS[subgoal])
        return info["context"], set(np.flatnonzero(observation[OFFERED]))

    context, found = pursued(missed, WAITS)
    assert "Tried in vain: finish the mission. Mission:" in context
    assert NUMBERS[missed] not in found
    context, found = pursued(other, WAITS)
    assert f"Tried in vain: pick up the {ahead.name}. Mission:" in context
    assert not {NUMBERS[missed], NUMBERS[other]} & found
    everything = tuple(offered(env.seen))
    left = plan.arrays({**env.observation, "tried": everything})[OFFERED]
    assert set(np.flatnonzero(left)) == {NUMBERS[subgoal] for subgoal in everything[:-1]}  # all but the latest
    context, found = pursued(other, PICKS_UP)
    assert "Tried" not in context
    assert NUMBERS[missed] in found


@pytest.mark.parametrize("name", ["babyai:OpenDoor", "babyai:PickupLoc", "balrog:PickUpThenGoToDist"])
def test_a_context_is_never_cut(plan, name: str):
    """The mission stands at its end, where a text that is too long would lose it."""
    env = Plan(make_task(name, memory=True), plan.worker, plan.config).spoken("text")
    draws, longest = np.random.default_rng(0), 0
    for seed in range(12):
        observation, info = env.reset(seed=seed)
        context = info["context"]
        for _ in range(12):
            longest = max(longest, len(re.findall(r"[^\W_]+", context)))
            observation, _, terminated, truncated, info = env.step(draws.choice(np.flatnonzero(observation[OFFERED])))
            context = info["context"]
            if terminated or truncated:
                break
    assert 15 < longest <= env.plan.max_words
