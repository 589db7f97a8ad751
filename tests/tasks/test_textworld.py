"""Games of TextWorld, made and played by TextWorld itself, which `make test-all` installs into a place of its own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cotutor
from cotutor.config import TrainConfig
from cotutor.errors import UserError
from cotutor.runs.state import capture, restore
from cotutor.tasks import SpokenEnv, make_task
from cotutor.tasks.base import OFFERED
from cotutor.tasks.contract import check_contract
from cotutor.tasks.textworld import tidy
from cotutor.train import build

TEXTWORLD = Path("build/textworld").resolve()
needed = [pytest.mark.slow, pytest.mark.skipif(not TEXTWORLD.exists(), reason="make test-all installs TextWorld")]
COIN = ("tw-coin_collector", "--level", "3")
COOKING = ("tw-cooking", "--recipe", "1", "--take", "1", "--cook")


def make_game(*words: str) -> None:
    """Makes a game as a user would, in a process of its own."""
    command = [sys.executable, str(TEXTWORLD / "bin" / "tw-make"), *words]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(TEXTWORLD)}, timeout=120)


@pytest.fixture(scope="module")
def games(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("games")
    for game, kind in (("coin.z8", COIN), ("meal.z8", COOKING)):
        make_game(*kind, "--output", str(folder / game), "--silent", "--seed", "1")
    return folder


@pytest.fixture
def installed(monkeypatch) -> None:
    # at the end: what both need, such as numpy, is ours
    monkeypatch.setattr(sys, "path", [*sys.path, str(TEXTWORLD)])


def play(task: cotutor.Task, seed: int) -> tuple[list[str], float]:
    """Returns the expert's commands in an episode, and what they earned."""
    env = task.make_env()
    observation, _ = env.reset(seed=seed)
    commands, earned, over = [], 0.0, False
    while not over:
        assert observation[OFFERED].sum() == len(task.options(task.describe(observation)))
        action = task.expert_action(env)
        commands.append(task.actions[action])
        observation, reward, terminated, truncated, _ = env.step(action)
        earned, over = earned + reward, terminated or truncated
    assert task.succeeded(reward, terminated)
    env.close()
    return commands, earned


class TestGames:
    pytestmark = needed

    @pytest.mark.parametrize("name", ["coin.z8", ""])
    def test_the_contract_is_kept_by_a_game_and_by_a_folder_of_games(self, installed, games, name):
        task = make_task(f"textworld:{games / name}")
        assert [finding.broken for finding in check_contract(task, 150) if finding.broken] == []

    def test_each_episode_plays_one_of_the_games_and_the_walkthrough_wins_it(self, installed, games):
        task = make_task(f"textworld:{games}")
        ways = {tuple(commands): earned for commands, earned in (play(task, seed) for seed in range(6))}
        assert {way[-1] for way in ways} == {"take coin", "eat meal"}
        assert list(ways.values()) == pytest.approx([1.0, 1.0]), "all points of a game are one reward"

    def test_a_context_tells_the_mission_the_room_what_was_read_and_what_can_be_done(self, installed, games):
        task = make_task(f"textworld:{games / 'meal.z8'}")
        env = task.make_env()
        env.reset(seed=0)
        observation, *_ = env.step(task.actions.index("examine cookbook"))
        context = task.describe(observation)
        assert context.startswith("Mission: You are hungry!")
        assert "You are carrying" in context and "Recipe #1" in context and " You can: " in context
        offered = [option.phrase for option in task.options(context)]
        assert "examine cookbook" in offered and "prepare meal" not in offered and "look" not in task.actions
        assert "start reading" in task.picture(env)

    def test_an_episode_can_be_done_again_from_its_seed_and_actions(self, installed, games):
        task, random = make_task(f"textworld:{games}"), np.random.default_rng(0)
        env, fresh = SpokenEnv(task, "text"), SpokenEnv(task, "text")
        told, _ = env.reset(seed=3)
        for _ in range(60):
            told, _, terminated, truncated, _ = env.step(int(random.choice(np.flatnonzero(told[OFFERED]))))
            if terminated or truncated:
                told, _ = env.reset()
        tensors = {}
        restore(fresh, capture(env, tensors), tensors)
        assert all(np.array_equal(values, told[name]) for name, values in fresh.retrace().items())

    def test_a_student_learns_a_game_and_its_shortest_way(self, installed, games):
        config = TrainConfig(task=f"textworld:{games / 'coin.z8'}", student="text", method="ppo", frames=4096)
        pair = build(config)

        def steps() -> float:
            return np.mean([episode["l"] for episode in pair.model.ep_info_buffer])

        pair.model.learn(512)
        began = steps()
        pair.model.learn(config.frames, reset_num_timesteps=False)
        assert steps() < 4 < began - 1
        pair.close()

    def test_a_file_that_is_no_game_is_a_sentence(self, installed, tmp_path):
        for ending in ("z8", "json"):
            (tmp_path / f"game.{ending}").write_text("{}")
        with pytest.raises(UserError, match="TextWorld cannot play"):
            make_task(f"textworld:{tmp_path / 'game.z8'}")


def test_without_a_game_its_description_or_textworld_it_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "textworld", None)
    for where in (tmp_path, tmp_path / "game.z8"):
        with pytest.raises(UserError, match="There is no game at"):
            make_task(f"textworld:{where}")
    (tmp_path / "game.z8").touch()
    with pytest.raises(UserError, match=r"there is no game\.json"):
        make_task(f"textworld:{tmp_path}")
    (tmp_path / "game.json").touch()
    with pytest.raises(UserError, match=r"pip install 'cotutor\[textworld\]'"):
        make_task(f"textworld:{tmp_path}")
    with pytest.raises(UserError, match="speaks in one way only"):
        make_task(f"textworld:{tmp_path}", positions="exact")


def test_what_a_game_says_becomes_one_plain_line():
    assert tidy("\n-= Kitchen =-\nA caf\u00e9 \n table.\n\n>     -= Kitchen =-0/1") == "Kitchen. A caf? table."
