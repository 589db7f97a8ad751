"""Films of real episodes, of a pair that has just been built and of a finished run."""

import io
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from cotutor.config import PPOConfig, TrainConfig
from cotutor.errors import UserError
from cotutor.evaluation import run_episodes
from cotutor.film import TILE, outcome, pictures, watch, write_film
from cotutor.inspect import load, replays_of_run
from cotutor.replays import Replay, record
from cotutor.tasks import make_task
from cotutor.tasks.base import HELD_OUT_SEED, SpokenEnv
from cotutor.train import build, train

CONFIG = TrainConfig(
    teacher="bow", student="image", threads=1, frames=512, eval_episodes=4, teacher_eval_episodes=4,
    agreement_states=8, replays=2, ppo=PPOConfig(envs=8, steps=32, epochs=1),
)  # fmt: skip


@pytest.fixture(scope="module")
def replays() -> list[Replay]:
    pair = build(CONFIG)
    assert pair.loop is not None
    pair.loop.init_callback(pair.model)
    return record(pair, "image", 2, seed=0)


def shown(replays: list[Replay], terminal: bool) -> str:
    console = Console(file=io.StringIO(), width=100, force_terminal=terminal)
    watch(replays, console, delay=1e-4)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("terminal", [False, True])
def test_every_step_is_shown(replays, terminal) -> None:
    text = shown(replays[:1], terminal)
    steps = len(replays[0].moments)
    assert f"step {steps} of {steps}" in text
    assert "go to the red ball" in text
    assert outcome(replays[0]) in text


def test_hostile_text_stays_text(replays) -> None:
    first = replays[0].moments[0]
    hostile = "[bold red]x[/]\x1b[31mred\u202e"
    moment = replace(first, question=replace(first.question, context=hostile))
    text = shown([replace(replays[0], moments=(moment,))], terminal=False)
    assert "[bold red]x[/]\\u001b[31mred\\u202e" in text
    assert "\x1b" not in text


def test_a_picture_shows_what_the_simulator_draws(replays) -> None:
    task = make_task("babyai:GoToRedBallNoDists")
    env = SpokenEnv(task, "image")
    env.reset(seed=replays[0].seed)
    drawn = env.unwrapped.get_frame(highlight=True, tile_size=TILE)  # type: ignore[attr-defined]
    picture = pictures(replays[0])[0]
    left = (picture.width - drawn.shape[1]) // 2
    grid = np.asarray(picture)[: drawn.shape[0], left : left + drawn.shape[1]]
    assert np.array_equal(grid, drawn)
    assert np.asarray(picture)[drawn.shape[0] :].min() < 128


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_film_has_every_step(replays, tmp_path, suffix) -> None:
    if suffix == ".mp4":
        ffmpeg = pytest.importorskip("imageio_ffmpeg")
    path = tmp_path / f"film{suffix}"
    write_film(replays, path, 0.25)
    frames = sum(len(replay.moments) + 1 for replay in replays)
    if suffix == ".mp4":
        assert ffmpeg.count_frames_and_secs(str(path))[0] == frames
        return
    with Image.open(path) as film:
        seconds = 0
        for i in range(film.n_frames):  # type: ignore[attr-defined]
            film.seek(i)
            seconds += film.info["duration"]
        assert seconds == 250 * frames


def test_mistakes_are_one_sentence(replays, tmp_path, monkeypatch) -> None:
    (tmp_path / "there.gif").write_text("")
    for path, said in (
        (tmp_path / "film.avi", "neither"),
        (tmp_path / "there.gif", "exists already"),
        (tmp_path / "no" / "film.gif", "does not exist"),
    ):
        with pytest.raises(UserError, match=said):
            write_film(replays, path, 0.2)
    spoken = replace(replays[0], moments=(), end="only words")
    with pytest.raises(UserError, match="no grid to draw"):
        write_film([spoken], tmp_path / "film.gif", 0.2)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UserError, match=r"pip install cotutor\[video\]"):
        write_film(replays, tmp_path / "film.mp4", 0.2)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["there.gif"]


def test_the_episodes_are_those_of_the_evaluation_kept_or_acted_again(tmp_path) -> None:
    folder, _ = train(replace(CONFIG, run_dir=tmp_path / "run"), Console(quiet=True))
    kept = replays_of_run(folder.path, None)
    more = replays_of_run(folder.path, 3)
    assert len(kept) == 2
    assert more[:2] == kept
    pair, config = load(folder.path)
    successes, _ = run_episodes(pair.task, config.student, pair.actor, 3, HELD_OUT_SEED, greedy=False)
    assert [replay.success for replay in more] == successes.tolist()
