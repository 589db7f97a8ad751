"""A task's environment as the student sees it."""

import numpy as np
import pytest

from cotutor.tasks import SpokenEnv, make_task

TASKS = ["babyai:GoToLocal", "babyai:UnlockPickup", "minigrid:DoorKey-5x5", "minigrid:Dynamic-Obstacles-5x5"]


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("student", ["text", "image"])
def test_observations_are_inside_the_space_and_the_teachers_context_is_in_info(name: str, student: str) -> None:
    env = SpokenEnv(make_task(name), student)
    observation, info = env.reset(seed=0)
    assert ("context" in observation) == (student == "text")
    for step in range(50):
        assert env.observation_space.contains(observation)
        assert info["context"].startswith("Mission: ")
        if student == "text":
            assert (observation["context"] == env.words.encode(info["context"])).all()
        observation, _, terminated, truncated, info = env.step(step % 3)
        assert ("is_success" in info) == (terminated or truncated)
        if terminated or truncated:
            observation, info = env.reset()


def test_success_is_a_mission_accomplished_and_a_time_out_is_none() -> None:
    env = SpokenEnv(make_task("babyai:GoToRedBallNoDists"), "text")
    env.reset(seed=0)
    over = False
    while not over:
        _, reward, terminated, truncated, info = env.step(env.expert_action())
        over = terminated or truncated
    assert terminated and reward > 0 and info["is_success"] is True
    env.reset(seed=0)
    over = False
    while not over:
        _, _, terminated, truncated, info = env.step(0)
        over = terminated or truncated
    assert truncated and info["is_success"] is False


def test_death_is_no_success() -> None:
    env = SpokenEnv(make_task("minigrid:LavaGapS5"), "text")
    for seed in range(20):
        env.reset(seed=seed)
        for action in (2, 2, 1, 2, 0, 2, 2, 2):
            _, reward, terminated, _, info = env.step(action)
            if terminated:
                assert info["is_success"] is (reward > 0)
                break


@pytest.mark.parametrize("name", TASKS)
def test_episodes_follow_from_the_seed(name: str) -> None:
    def episode() -> list[tuple[str, float, dict[str, np.ndarray]]]:
        env = SpokenEnv(make_task(name), "text")
        observation, info = env.reset(seed=11)
        steps = [(info["context"], 0.0, observation)]
        for action in np.random.default_rng(0).integers(0, 3, size=30):
            observation, reward, terminated, truncated, info = env.step(action)
            steps.append((info["context"], reward, observation))
            if terminated or truncated:
                break
        return steps

    for (context, reward, arrays), (context_2, reward_2, arrays_2) in zip(episode(), episode(), strict=True):
        assert (context, reward) == (context_2, reward_2)
        assert all((arrays[key] == arrays_2[key]).all() for key in arrays)


def test_stable_baselines3_takes_no_part_for_a_photograph() -> None:
    preprocessing = pytest.importorskip("stable_baselines3.common.preprocessing")
    env = SpokenEnv(make_task("babyai:GoToLocal"), "text")
    assert not any(preprocessing.is_image_space(space) for space in env.observation_space.spaces.values())
