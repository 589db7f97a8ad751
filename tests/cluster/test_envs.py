"""Environments in actors give what the same environments here give, whoever is lost meanwhile."""

from functools import partial

import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv

from cotutor.cluster.envs import RayVecEnv
from cotutor.tasks import make_task
from cotutor.tasks.base import SpokenEnv

ENVS = 6


def makes(name):
    return [partial(SpokenEnv, make_task(name), "text")] * ENVS


def equal(mine, theirs):
    return mine.keys() == theirs.keys() and all(np.array_equal(mine[name], theirs[name]) for name in theirs)


def steps_alike(ray, plain, steps, seed=0):
    random = np.random.default_rng(seed)
    ended = 0
    for _ in range(steps):
        actions = random.integers(plain.action_space.n, size=ENVS)
        (mine, *more), (theirs, *others) = ray.step(actions), plain.step(actions)
        assert equal(mine, theirs)
        assert np.array_equal(more[0], others[0]) and np.array_equal(more[1], others[1])
        for got, expected, over in zip(more[2], others[2], others[1], strict=True):
            if over:
                assert equal(got.pop("terminal_observation"), expected.pop("terminal_observation"))
            assert got == expected
        assert [info["context"] for info in ray.reset_infos] == [info["context"] for info in plain.reset_infos]
        ended += int(others[1].sum())
    return ended


@pytest.fixture
def both(cluster):
    ray, plain = RayVecEnv(makes("babyai:GoToRedBallNoDists"), 4), DummyVecEnv(makes("babyai:GoToRedBallNoDists"))
    ray.seed(3)
    plain.seed(3)
    assert equal(ray.reset(), plain.reset())
    yield ray, plain
    ray.close()


def test_a_share_each_steps_as_if_all_were_here(both):
    ray, plain = both
    assert [len(place) for place in ray.places] == [2, 2, 1, 1]
    assert ray.observation_space == plain.observation_space and ray.action_space == plain.action_space
    assert steps_alike(ray, plain, 150) > 5
    ray.seed(0)
    plain.seed(0)
    assert equal(ray.reset(), plain.reset())
    assert steps_alike(ray, plain, 3) == 0


def test_an_actor_that_dies_is_replaced_and_nothing_else_changes(both):
    ray, plain = both
    steps_alike(ray, plain, 40)
    for share in ray.shares[:2]:
        share.ray.kill(share.actor)
    assert steps_alike(ray, plain, 100, seed=1) > 3
    assert [share.replaced for share in ray.shares] == [1, 1, 0, 0]


def test_a_node_that_dies_is_replaced_and_nothing_else_changes(both, lose_a_node):
    ray, plain = both
    steps_alike(ray, plain, 40)
    lose_a_node(ray.shares[0].actor)
    assert steps_alike(ray, plain, 100, seed=1) > 3
    assert ray.shares[0].replaced >= 1


def test_methods_and_attributes_reach_the_environments_they_are_for(both):
    ray, plain = both
    ray.set_attr("note", 7, indices=[1, 5])
    assert ray.get_attr("note", [1, 5]) == [7, 7]
    assert ray.env_method("expert_action") == plain.env_method("expert_action")
    assert ray.env_is_wrapped(SpokenEnv, [0, 4]) == [True, True]
