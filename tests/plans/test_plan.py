"""What a pursuit pays, to whom, and that side by side is as good as one by one."""

import numpy as np
import pytest

from cotutor.config import PlanConfig, PPOConfig, TrainConfig
from cotutor.plans.plan import EMPTY_HANDED, PlannedEnv, PlannedVecEnv, pursue
from cotutor.plans.subgoals import DROP, GO, NUMBERS, PICK_UP, PUT, SUBGOALS, Subgoal, offered, potential
from cotutor.tasks.babyai import DROP as DROPS
from cotutor.tasks.babyai import PICK_UP as PICKS_UP
from cotutor.train import build

LIMIT = 12


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


@pytest.mark.parametrize("verb", [GO, PICK_UP, PUT])
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
    contexts = ["Mission: put the red ball next to the blue box. You carry nothing."]
    empty, full = plan.references(contexts)
    assert empty == contexts[0]
    phrases = {option.phrase for reference in (empty, full) for option in plan.options(reference)}
    assert {"drop it", "put it next to the blue box", "pick up the red ball"} <= phrases


def test_a_context_tells_what_is_carried_only_if_it_bears(plan):
    env = facing_a_thing(plan)
    thing = env.seen.ahead
    assert thing is not None
    assert EMPTY_HANDED in plan.describe(env.observation)
    env.observation = env.env.step(PICKS_UP)[0]
    named = {**env.observation, "mission": f"put the {thing.name} next to the red door"}
    assert f"You carry the {thing.name}." in plan.describe(named)
    other = {**env.observation, "mission": "open the red door"}
    assert "You carry something else." in plan.describe(other)
