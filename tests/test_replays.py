"""Episodes kept step by step: real runs, the simulator's own grid, and the way through JSON."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from cotutor.config import PPOConfig, TrainConfig
from cotutor.errors import UserError
from cotutor.evaluation import run_episodes
from cotutor.inspect import load, replays_of_run
from cotutor.replays import Replay, read_replays, record, write_replays
from cotutor.tasks import SpokenEnv, make_task
from cotutor.tasks.base import HELD_OUT_SEED, Task
from cotutor.tasks.scene import Scene
from cotutor.train import train

TINY = TrainConfig(
    task="babyai:GoToLocal",
    frames=1024,
    student="image",
    threads=1,
    eval_episodes=4,
    teacher_eval_episodes=4,
    agreement_states=8,
    replays=3,
    ppo=PPOConfig(envs=16, steps=32),
)


def run(folder, **changes):
    return train(dataclasses.replace(TINY, run_dir=folder, **changes), Console(file=io.StringIO()))[0]


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    return run(tmp_path_factory.mktemp("oracle") / "run", teacher="oracle")


@pytest.fixture(scope="module")
def bow(tmp_path_factory):
    return run(tmp_path_factory.mktemp("bow") / "run", teacher="bow")


@pytest.fixture(scope="module")
def ppo(tmp_path_factory):
    return run(tmp_path_factory.mktemp("ppo") / "run", method="ppo")


@pytest.mark.parametrize(
    "name", ["babyai:GoToLocal", "babyai:UnlockPickup", "minigrid:LavaGapS5", "minigrid:Fetch-5x5-N2"]
)
def test_the_scene_is_the_simulators_grid_cell_by_cell(name):
    task = make_task(name)
    env = SpokenEnv(task, "text")
    env.reset(seed=5)
    for action in np.random.default_rng(1).integers(0, 6, size=60):
        scene, level = task.scene(env), env.unwrapped
        assert (scene.width, scene.height) == (level.width, level.height)
        assert (*scene.agent, scene.direction) == (*level.agent_pos, level.agent_dir)
        for place, item in enumerate(scene.cells):
            cell = level.grid.get(place % scene.width, place // scene.width)
            assert (item is None) == (cell is None)
            if item is not None:
                assert (item.type, item.colour) == (cell.type, cell.color)
            if item is not None and item.type == "door":
                assert ["open", "closed", "locked"].index(item.state) == cell.encode()[2]
        held = level.carrying
        assert (scene.carried and (scene.carried.type, scene.carried.colour)) == (held and (held.type, held.color))
        assert set(scene.seen) == highlighted(level)
        if any(env.step(int(action))[2:4]):
            env.reset(seed=6)


def highlighted(level) -> set[int]:
    """The cells that the simulator itself draws lighter, read from its pictures."""
    lit, plain = level.get_frame(highlight=True, tile_size=8), level.get_frame(highlight=False, tile_size=8)
    lighter = (lit != plain).any(axis=2).reshape(level.height, 8, level.width, 8).any(axis=(1, 3))
    return set(np.flatnonzero(lighter).tolist())


def test_replays_are_the_first_episodes_of_the_evaluation(oracle):
    pair, config = load(oracle.path)
    successes, returns = run_episodes(pair.task, config.student, pair.actor, 3, HELD_OUT_SEED, greedy=False)
    replays = read_replays(oracle.replays)
    assert [replay.seed for replay in replays] == [HELD_OUT_SEED, HELD_OUT_SEED + 1, HELD_OUT_SEED + 2]
    assert [sum(moment.reward for moment in replay.moments) for replay in replays] == pytest.approx(returns, abs=1e-4)
    assert [replay.success for replay in replays] == successes.tolist()


def test_the_actions_lead_from_each_view_to_the_next(bow):
    for replay in read_replays(bow.replays):
        task = make_task(TINY.task)
        env = SpokenEnv(task, "image")
        _, info = env.reset(seed=replay.seed)
        for moment in replay.moments:
            assert task.scene(env) == moment.view
            assert moment.told == info["context"]
            assert moment.question == task.question(info["context"])
            _, reward, terminated, truncated, info = env.step(moment.action)
            assert reward == pytest.approx(moment.reward, abs=1e-4)
        assert terminated or truncated
        assert task.scene(env) == replay.end


def test_what_an_oracle_says_is_what_the_bot_does(oracle):
    for replay in read_replays(oracle.replays):
        env = SpokenEnv(make_task(TINY.task), "image")
        env.reset(seed=replay.seed)
        for moment in replay.moments:
            assert moment.own_O is not None
            assert moment.question.options[int(np.argmax(moment.own_O))].action == env.expert_action()
            env.step(moment.action)


def test_probabilities_are_those_of_teacher_and_student(bow):
    pair, _ = load(bow.path)
    assert pair.adviser is not None
    moments = [moment for replay in read_replays(bow.replays) for moment in replay.moments]
    asked = [moment for moment in moments if moment.own_O is not None]
    assert asked
    for moment in asked:
        context = moment.question.context
        assert moment.own_O == pytest.approx(pair.adviser.answers[context].own_O, abs=1e-4)
        assert moment.revised_O == pytest.approx(pair.adviser.revised(context), abs=1e-4)
        assert moment.trust == pytest.approx(pair.adviser.trust.of(context), abs=1e-4)
    for moment in moments:
        assert sum(moment.free_A or ()) == pytest.approx(1, abs=1e-3)
        assert sum(moment.acted_A) == pytest.approx(1, abs=1e-3)


def test_the_pair_is_the_free_policy_tilted_by_trusted_advice(oracle):
    """π(a|s) ∝ f(a|s) · T(a|c)^trust, from the kept figures alone."""
    swayed = 0
    for moment in (moment for replay in read_replays(oracle.replays) for moment in replay.moments):
        assert moment.free_A is not None and moment.revised_O is not None and moment.trust is not None
        advice_A = np.zeros(len(moment.acted_A))
        for option, share in zip(moment.question.options, moment.revised_O, strict=True):
            advice_A[option.action] += share
        offered = [option.action for option in moment.question.options]
        log_A = np.full(len(advice_A), np.log(advice_A[offered] + 1e-4).mean())
        log_A[offered] = np.log(advice_A[offered] + 1e-4)
        tilted_A = np.array(moment.free_A) * np.exp(moment.trust * log_A)
        assert tilted_A / tilted_A.sum() == pytest.approx(moment.acted_A, abs=0.02)
        assert moment.swayed == (np.argmax(moment.free_A) != np.argmax(moment.acted_A))
        swayed += moment.swayed
    assert swayed > 0


def test_ppo_has_nothing_of_a_teacher(ppo):
    for moment in (moment for replay in read_replays(ppo.replays) for moment in replay.moments):
        assert moment.own_O is moment.revised_O is moment.trust is moment.free_A is None
        assert not moment.swayed


def there_and_back(replay: Replay, path: Path) -> Replay:
    write_replays(path, [replay])
    (read,) = read_replays(path)
    return read


def test_there_and_back_through_a_file_and_small(bow, tmp_path):
    pair, config = load(bow.path)
    replays = record(pair, config.student, 2, HELD_OUT_SEED + 50)
    for replay in replays:
        assert there_and_back(replay, tmp_path / "replays.json") == replay
        assert (tmp_path / "replays.json").stat().st_size / len(replay.moments) < 60_000 / 64


def test_doors_and_loads_survive(bow, tmp_path):
    """Walks with the bot of a level in which doors open and things are carried."""
    task = make_task("babyai:UnlockPickup")
    env = SpokenEnv(task, "text")
    env.reset(seed=0)
    template = read_replays(bow.replays)[0]
    moments, over = [], False
    while not over:
        moments.append(dataclasses.replace(template.moments[0], view=task.scene(env)))
        over = any(env.step(env.expert_action())[2:4])
    replay = dataclasses.replace(template, moments=tuple(moments), end=task.scene(env))
    states = {item.state for moment in moments for item in moment.view.cells if item is not None}
    assert {"locked", "open"} <= states
    assert any(moment.view.carried is not None for moment in moments)
    assert there_and_back(replay, tmp_path / "replays.json") == replay


def test_a_task_without_a_scene_shows_its_picture(ppo, monkeypatch, tmp_path):
    pair, config = load(ppo.path)
    monkeypatch.setattr(type(pair.task), "scene", Task.scene)
    (replay,) = record(pair, config.student, 1, HELD_OUT_SEED)
    assert isinstance(replay.end, str) and "WG" in replay.end
    assert there_and_back(replay, tmp_path / "replays.json") == replay


def test_what_a_run_kept_is_used_and_more_are_acted_afresh(oracle):
    kept = read_replays(oracle.replays)
    assert replays_of_run(oracle.path, None) == kept
    assert replays_of_run(oracle.path, 2) == kept[:2]
    more = replays_of_run(oracle.path, 4)
    assert len(more) == 4
    assert [replay.seed for replay in more[:3]] == [replay.seed for replay in kept]
    assert isinstance(more[3].end, Scene)
    with pytest.raises(UserError, match="at least 1"):
        replays_of_run(oracle.path, 0)


@pytest.mark.parametrize("content", ["", "{}x", '[{"seed": 1}]', "[3]"])
def test_broken_replays_are_the_users_error(tmp_path, content):
    path = tmp_path / "replays.json"
    path.write_text(content)
    with pytest.raises(UserError, match="cannot be read"):
        read_replays(path)
