"""Frames per second of cotutor's student against plain Stable-Baselines3 with the same network on the same numbers.

    python benchmarks/student_speed.py [--task babyai:GoToRedBallNoDists] [--frames 8192] [--rounds 5] [--json FILE]

The plain side is Stable-Baselines3's PPO on an environment that only turns the mission into word numbers: no
verbalizer, no ledger, no progress. Ours are ``ppo``, and ``mutual`` with the embedded model once it has been asked
about most of what there is: after ``--warm`` frames. All take turns in one process; only the ratios of their medians
count.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import gymnasium as gym
import torch
from rich.console import Console
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from cotutor.attach import attach
from cotutor.config import TrainConfig
from cotutor.runs.ledger import Ledger
from cotutor.runs.progress import ProgressDisplay
from cotutor.students.policies import GuidedPolicy
from cotutor.students.ppo import make_envs, make_ppo
from cotutor.tasks import Task, make_task
from cotutor.tasks.words import Words
from cotutor.train import Recorder


class Plain(gym.ObservationWrapper):
    """The arrays of the observation and the mission's words, nothing else."""

    def __init__(self, task: Task) -> None:
        super().__init__(task.make_env())
        self.task, self.words = task, Words(task.vocabulary, task.max_words)
        self.observation_space = gym.spaces.Dict({**task.array_spaces(), "instruction": self.words.space})

    def observation(self, observation):
        return {
            **self.task.arrays(observation),
            "instruction": self.words.encode(self.task.instruction(observation)),
        }


def plain(task: Task, config: TrainConfig) -> float:
    """Returns the frames per second of plain Stable-Baselines3."""
    envs = VecMonitor(DummyVecEnv([partial(Plain, task)] * config.ppo.envs))
    model = make_ppo(envs, config)
    began = time.perf_counter()
    model.learn(config.frames)
    return config.frames / (time.perf_counter() - began)


def ppo(task: Task, config: TrainConfig) -> float:
    """Returns the frames per second of method ``ppo``, ledger and progress included."""
    model = make_ppo(make_envs(task, "image", config.ppo.envs), config)
    with TemporaryDirectory() as folder, ProgressDisplay(Console(quiet=True), config.frames) as display:
        model.set_logger(Logger(folder, []))
        recorder = Recorder(Ledger(Path(folder) / "ledger.sqlite", config.ledger_rows), display)
        began = time.perf_counter()
        model.learn(config.frames, callback=recorder)
        return config.frames / (time.perf_counter() - began)


class Mutual:
    """Method ``mutual``, which goes on learning from one measurement to the next."""

    def __init__(self, task: Task, config: TrainConfig, warm: int) -> None:
        self.folder = TemporaryDirectory()
        self.frames = config.frames
        guide, self.loop = attach(make_envs(task, config.student, config.ppo.envs), task, config)
        self.model = make_ppo(guide, config, GuidedPolicy)
        self.model.set_logger(Logger(self.folder.name, []))
        self.recorder = Recorder(
            Ledger(Path(self.folder.name) / "ledger.sqlite", config.ledger_rows),
            ProgressDisplay(Console(quiet=True), config.frames),
        )
        self.loop.on_round = self.recorder.keep
        self._learn(warm)

    def __call__(self, task: Task, config: TrainConfig) -> float:
        began = time.perf_counter()
        self._learn(self.frames)
        return self.frames / (time.perf_counter() - began)

    @property
    def teacher_seconds(self) -> float:
        """Seconds that the teacher took so far, lessons included."""
        return self.loop.adviser.seconds

    def _learn(self, frames: int) -> None:
        self.model.learn(frames, callback=CallbackList([self.loop, self.recorder]), reset_num_timesteps=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="babyai:GoToRedBallNoDists")
    parser.add_argument("--frames", type=int, default=8192)
    parser.add_argument("--warm", type=int, default=16384)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    task, config = make_task(arguments.task), TrainConfig(student="image", frames=arguments.frames)
    mutual = Mutual(task, config, arguments.warm)
    sides: dict[str, Callable[[Task, TrainConfig], float]] = {"plain": plain, "ppo": ppo, "mutual": mutual}
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    taught = mutual.teacher_seconds
    for _ in range(arguments.rounds):
        for name, side in sides.items():
            speeds[name].append(side(task, config))
    taught = mutual.teacher_seconds - taught
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    figures = {
        name: {"frames_per_second": medians[name], "of_plain": medians[name] / medians["plain"], "each": values}
        for name, values in speeds.items()
    }
    mine = [arguments.frames / speed for speed in speeds["mutual"]]
    without = len(mine) * arguments.frames / (sum(mine) - taught)
    figures["mutual"]["of_plain_without_teacher"] = without / medians["plain"]
    for name, figure in figures.items():
        print(f"{name}: {figure['frames_per_second']:,.0f} frames/s, {figure['of_plain']:.1%} of plain")
    print(f"mutual, lessons and questions left out: {figures['mutual']['of_plain_without_teacher']:.1%} of plain")
    if arguments.json:
        about = {"task": arguments.task, "frames": arguments.frames, "warm": arguments.warm}
        whole = about | {"teacher_updates": mutual.loop.adviser.teacher.version, "sides": figures}
        arguments.json.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
