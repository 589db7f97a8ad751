"""Frames per second of PPO through cotutor against plain Stable-Baselines3 with the same network on the same numbers.

    python benchmarks/student_speed.py [--task babyai:GoToLocal] [--frames 8192] [--pairs 5]

The plain side is Stable-Baselines3's PPO on an environment that only turns the mission into word numbers: no
verbalizer, no ledger, no progress. The two alternate in one process; only the ratio of their medians counts.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import gymnasium as gym
import numpy as np
import torch
from rich.console import Console
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from cotutor.config import TrainConfig
from cotutor.runs.ledger import Ledger
from cotutor.runs.progress import ProgressDisplay
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


def ours(task: Task, config: TrainConfig) -> float:
    """Returns the frames per second of method ``ppo``, ledger and progress included."""
    model = make_ppo(make_envs(task, "image", config.ppo.envs), config)
    with TemporaryDirectory() as folder, ProgressDisplay(Console(quiet=True), config.frames) as display:
        model.set_logger(Logger(folder, []))
        recorder = Recorder(Ledger(Path(folder) / "ledger.sqlite", config.ledger_rows), display)
        began = time.perf_counter()
        model.learn(config.frames, callback=recorder)
        return config.frames / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="babyai:GoToLocal")
    parser.add_argument("--frames", type=int, default=8192)
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    task, config = make_task(arguments.task), TrainConfig(student="image", frames=arguments.frames)
    sides: dict[str, Callable[[Task, TrainConfig], float]] = {"plain": plain, "ours": ours}
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(arguments.pairs):
        for name, side in sides.items():
            speeds[name].append(side(task, config))
    medians = {name: float(np.median(values)) for name, values in speeds.items()}
    for name, values in speeds.items():
        print(f"{name}: median {medians[name]:.0f} frames/s, from {min(values):.0f} to {max(values):.0f}")
    print(f"ratio: {medians['ours'] / medians['plain']:.3f}")


if __name__ == "__main__":
    main()
