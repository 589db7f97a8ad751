"""Runs that are really killed, stopped, torn and locked out end as if nothing had happened, or say why not."""

import json
import multiprocessing
import os
import random
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
import torch._dynamo
from rich.console import Console
from safetensors.torch import load_file
from tests.ledgers import rounds_of

from cotutor.climb import climb, parse_ladder
from cotutor.config import TrainConfig, from_values
from cotutor.errors import UserError
from cotutor.runs import checkpoint
from cotutor.runs.folder import RunFolder, open_unfinished
from cotutor.runs.ledger import read
from cotutor.runs.lock import only_one
from cotutor.runs.summary import TIMES
from cotutor.tasks.base import Task
from cotutor.train import resume, train

SMALL = {
    "method": "mutual",
    "teacher": "bow",
    "frames": 1536,
    "checkpoint_seconds": 1e-6,
    "threads": 1,
    "eval_episodes": 4,
    "teacher_eval_episodes": 2,
    "agreement_states": 16,
    "replays": 1,
    "ppo": {"envs": 8, "steps": 32},
    "lessons": {"every": 2},
    "trust": {"trial_every": 2},
}
KILLS = 20


def config_of(**settings) -> TrainConfig:
    return from_values({**SMALL, **settings})


def act(config: TrainConfig, path: Path, log: Path) -> None:
    """Begins a run, or goes on with it, as a process of its own; it ends with 130 if it was stopped."""
    torch.set_num_threads(1)
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            if (path / "config.yaml").exists():
                resume(path, Console(file=file, width=1000))
            else:
                train(replace(config, run_dir=path), Console(file=file, width=1000))
        except checkpoint.Stopped as stopped:
            print(stopped, file=file, flush=True)
            os._exit(130)
        except UserError as error:
            print(error, file=file, flush=True)
            os._exit(2)


def process_of(config: TrainConfig, path: Path):
    return forked(act, config, path, path.with_suffix(".log"))


def forked(work, *arguments):
    """Starts a process with everything imported already, so that it is in the middle of its work at once."""
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    return process


def finish(config: TrainConfig, path: Path) -> str:
    process = process_of(config, path)
    process.join(240)
    log = path.with_suffix(".log").read_text()
    assert process.exitcode == 0, log
    return log


def stop_after(rounds: int, config: TrainConfig, path: Path, sign: signal.Signals) -> int:
    """Sends a signal once the ledger has so many more rounds and returns the exit code."""
    rounds += rounds_of(path)
    process = process_of(config, path)
    for _ in range(12000):
        if process.exitcode is not None or rounds_of(path) >= rounds:
            break
        time.sleep(0.01)
    os.kill(process.pid, sign)
    process.join(120)
    return process.exitcode


def outcome(path: Path):
    """Returns everything that a finished run left, the times aside."""
    folder = RunFolder(path)
    summary = {name: value for name, value in json.loads(folder.summary.read_text()).items() if name not in TIMES}
    weights = {
        str(file.relative_to(path)): {name: tensor.tolist() for name, tensor in load_file(file).items()}
        for file in sorted(path.rglob("*.safetensors"))
    }
    tables = {
        table: [{k: row[k] for k in row.keys() if "seconds" not in k} for row in read(folder.ledger, query)]  # noqa: SIM118
        for table, query in (
            ("rounds", "SELECT * FROM rounds"),
            ("episodes", "SELECT * FROM episodes"),
            ("consultations", "SELECT * FROM consultations"),
        )
    }
    texts = [(path / name).read_text() for name in ("dialogue/state.json", "replays.json") if (path / name).exists()]
    return summary, weights, tables, texts


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody interrupted."""
    path = tmp_path_factory.mktemp("whole") / "run"
    finish(config_of(), path)
    return outcome(path)


def test_a_run_that_is_killed_over_and_over_ends_like_one_that_was_not(tmp_path, whole):
    instants, kills, number = random.Random(0), 0, 0
    while kills < KILLS:
        path = tmp_path / str(number)
        while not RunFolder(path).summary.exists():
            process = process_of(config_of(), path)
            process.join(instants.uniform(0.2, 2.0) if kills < KILLS else 240)
            if process.exitcode is None:
                process.kill()
                process.join()
                kills += 1
            else:
                assert process.exitcode == 0, path.with_suffix(".log").read_text()
                assert not RunFolder(path).checkpoints.exists()
        assert outcome(path) == whole
        # the last kill may have come between the summary and the end
        with pytest.raises(UserError, match="is finished"):
            open_unfinished(path)
        assert not RunFolder(path).checkpoints.exists()
        number += 1


METHODS = {
    "ppo": {"method": "ppo"},
    "oracle, image": {"teacher": "oracle", "student": "image"},
    "asked at once": {"asking": {"at_once": True, "per_round": 8}, "lessons": {"every": 2}},
    "asked beside": {"asking": {"beside": True, "per_round": 8}, "lessons": {"every": 2}},
    "annealed": {"method": "annealed", "teacher": "oracle"},
    "bc": {"method": "bc", "teacher": "oracle", "rivals": {"cloning_share": 0.75}},
    "hints": {"method": "hints", "teacher": "oracle"},
    "llm-alone": {"method": "llm-alone", "teacher": "oracle", "frames": 6144},
    "plans": {
        "task": "babyai:PutNextLocal",
        "frames": 1024,
        "plans": {"enabled": True, "decisions": 2},
        "ppo": {"envs": 4, "steps": 32},
        "rehearse": ["babyai:GoToRedBallNoDists"],
    },
}
LONG = ("bc", "llm-alone")


@pytest.mark.parametrize("method", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in METHODS])
def test_whatever_the_method_a_run_that_was_stopped_goes_on(method, tmp_path):
    config = config_of(**{"frames": 1024, **METHODS[method]})
    finish(config, tmp_path / "whole")
    for sign in (signal.SIGTERM, signal.SIGINT):
        assert stop_after(1, config, tmp_path / "stopped", sign) == 130
    finish(config, tmp_path / "stopped")
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")


def test_a_run_that_is_stopped_in_its_last_round_ends_as_if_it_had_not_been(tmp_path, whole):
    """It is over with the round; if it is measured already when the signal comes, that ends it at once."""
    path = tmp_path / "run"
    assert stop_after(6, config_of(), path, signal.SIGTERM) in (0, -signal.SIGTERM)
    if not RunFolder(path).summary.exists():
        finish(config_of(), path)
    assert outcome(path) == whole


LADDER = parse_ladder(
    "two rungs",
    """
about: two rungs, the first of which chance masters
settings: {}
methods: {mutual: {}}
rungs:
  - {task: "babyai:GoToRedBallNoDists", frames: 512, mastered: 0.01}
  - {task: "babyai:GoToRedBall", frames: 1024, mastered: 0.01}
""",
)


def act_on_a_ladder(out: Path) -> None:
    """Climbs, or goes on with a climb, as a process of its own."""
    torch.set_num_threads(1)
    settings = {name: value for name, value in SMALL.items() if name != "frames"}
    assert len(list(climb(LADDER, out, settings, Console(quiet=True)))) == 2


def test_a_climb_that_is_killed_goes_on_in_the_middle_of_a_rung(tmp_path):
    """The second rung is a run that goes on from another, and rehearses what that learnt."""
    process = forked(act_on_a_ladder, tmp_path / "whole")
    process.join(240)
    second = tmp_path / "killed" / "02-GoToRedBall"
    killed = forked(act_on_a_ladder, tmp_path / "killed")
    while killed.is_alive() and rounds_of(second) < 2:
        time.sleep(0.01)
    killed.kill()
    killed.join()
    assert checkpoint.whole(RunFolder(second)) and not RunFolder(second).summary.exists()
    again = forked(act_on_a_ladder, tmp_path / "killed")
    again.join(240)
    assert process.exitcode == again.exitcode == 0
    for rung in ("01-GoToRedBallNoDists", "02-GoToRedBall"):
        assert outcome(tmp_path / "killed" / rung) == outcome(tmp_path / "whole" / rung)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"teacher": "smollm2", "lessons": {"every": 2, "steps": 3}, "asking": {"per_round": 8}},
        {
            "task": "varied:Fetch2",
            "teacher": "smollm2",
            "verbalizer": {"restate": True},
            "lessons": {"every": 2, "steps": 3},
            "asking": {"per_round": 8},
        },
        {
            "method": "llm-policy",
            "teacher": "smollm2",
            "frames": 256,
            "llm_policy": {"envs": 4, "steps": 8, "batch_size": 16, "epochs": 1},
        },
    ],
    ids=["mutual", "restating", "llm-policy"],
)
def test_a_run_with_a_real_language_model_goes_on(settings, tmp_path):
    config = config_of(**settings)
    finish(config, tmp_path / "whole")
    for sign in (signal.SIGKILL, signal.SIGTERM):
        stop_after(2, config, tmp_path / "stopped", sign)
    finish(config, tmp_path / "stopped")
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "whole")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that was stopped in the middle, with two checkpoints."""
    path = tmp_path_factory.mktemp("stopped") / "run"
    assert stop_after(2, config_of(), path, signal.SIGTERM) == 130
    assert "this goes on: cotutor resume" in path.with_suffix(".log").read_text()
    assert len(checkpoint.whole(RunFolder(path))) == 2
    return path


def copied(stopped: Path, tmp_path: Path) -> Path:
    return shutil.copytree(stopped, tmp_path / "run")


def test_a_checkpoint_changed_by_one_bit_is_refused_in_favour_of_the_one_before(stopped, tmp_path, whole):
    path = copied(stopped, tmp_path)
    latest = checkpoint.whole(RunFolder(path))[0]
    for file in sorted(each for each in latest.rglob("*") if each.is_file()):
        sound = file.read_bytes()
        for _ in range(8):
            place, bit = secrets.randbelow(len(sound)), 1 << secrets.randbelow(8)
            file.write_bytes(sound[:place] + bytes([sound[place] ^ bit]) + sound[place + 1 :])
            assert not checkpoint.is_sound(latest)
        file.write_bytes(sound[: len(sound) // 2])
        assert not checkpoint.is_sound(latest)
        file.unlink()
        assert not checkpoint.is_sound(latest)
        file.write_bytes(sound)
        assert checkpoint.is_sound(latest)
    with (latest / checkpoint.TENSORS).open("r+b") as file:
        file.seek(1000)
        file.write(b"torn")
    log = finish(config_of(), path)
    assert f"The checkpoint {latest} is damaged and thrown away." in log
    assert outcome(path) == whole


def test_without_any_checkpoint_a_run_begins_again(stopped, tmp_path, whole):
    path = copied(stopped, tmp_path)
    shutil.rmtree(RunFolder(path).checkpoints)
    assert "the run begins again" in finish(config_of(), path)
    assert outcome(path) == whole


def full_disk(path: Path, room: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    act(config_of(), path, path.with_suffix(".log"))


@pytest.mark.parametrize("room", [10_000, 400_000], ids=["the ledger", "a checkpoint"])
def test_a_full_disk_is_told_in_a_sentence_and_the_run_goes_on_when_there_is_room(room, tmp_path, whole):
    path = tmp_path / "run"
    process = multiprocessing.get_context("fork").Process(target=full_disk, args=(path, room))
    process.start()
    process.join(120)
    log = path.with_suffix(".log").read_text()
    assert process.exitcode == 2, log
    assert f"The run in {path} cannot be written: " in log and f"cotutor resume {path}" in log
    finish(config_of(), path)
    assert outcome(path) == whole


def test_two_processes_do_not_work_on_one_run(stopped, tmp_path):
    path = copied(stopped, tmp_path)
    with only_one(path, "run"), pytest.raises(UserError, match="Another run is at work in"):
        resume(path, Console(quiet=True))


def test_what_cannot_go_on_is_told_in_a_sentence(stopped, tmp_path):
    with pytest.raises(UserError, match="is not the folder of a run"):
        resume(tmp_path, Console(quiet=True))
    path = copied(stopped, tmp_path)
    latest = checkpoint.whole(RunFolder(path))[0]
    state = json.loads((latest / checkpoint.STATE).read_text())
    (latest / checkpoint.STATE).write_text(json.dumps(state | {"cotutor": "0.0.0"}))
    (latest / checkpoint.CHECKSUMS).write_text(json.dumps(checkpoint.checksums(latest)))
    with pytest.raises(UserError, match=r"was begun with cotutor 0\.0\.0"):
        resume(path, Console(quiet=True))
    RunFolder(path).summary.write_text("{}")
    with pytest.raises(UserError, match="is finished"):
        resume(path, Console(quiet=True))
    assert not RunFolder(path).checkpoints.exists(), "what a kill at the very end has left"


class Forgetful(gym.Env):
    """Its randomness is not gymnasium's, so it cannot be brought back."""

    action_space = gym.spaces.Discrete(2)
    observation_space = gym.spaces.Box(0, 1, (4,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.frombuffer(secrets.token_bytes(4), dtype=np.uint8).astype(np.float32) / 255, {}

    def step(self, action):
        return self.reset()[0], float(secrets.randbelow(2)), secrets.randbelow(8) == 0, False, {}


class Unrepeatable(Task):
    name = "unrepeatable"
    actions = ("left", "right")

    def make_env(self):
        return Forgetful()

    def describe(self, observation):
        return f"It is {observation[0]:.1f}."


def test_an_environment_that_cannot_be_brought_back_is_told_in_a_sentence(tmp_path):
    config = config_of(task=f"{__name__}:Unrepeatable", agreement_states=1)
    assert stop_after(1, config, tmp_path / "run", signal.SIGTERM) == 130
    with pytest.raises(UserError, match="is not where it was"):
        resume(tmp_path / "run", Console(quiet=True))


def test_the_command_stops_with_130_says_how_to_go_on_and_goes_on(tmp_path):
    path = tmp_path / "run"
    flags = ["--teacher", "bow", "--frames", "2048", "--ppo.envs", "8", "--ppo.steps", "32", "--threads", "1"]
    flags += ["--eval-episodes", "4", "--teacher-eval-episodes", "2", "--agreement-states", "8", "--replays", "0"]
    command = [sys.executable, "-m", "cotutor"]
    process = subprocess.Popen([*command, "train", *flags, "--run-dir", str(path)], stdout=subprocess.PIPE, text=True)
    while rounds_of(path) < 2 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopping when this round is over" in said and f"cotutor resume {path}" in said
    again = subprocess.run([*command, "resume", str(path)], capture_output=True, text=True, timeout=120, check=True)
    assert "begins again" not in again.stdout and (path / "report.html").is_file()
    assert rounds_of(path) == 8
