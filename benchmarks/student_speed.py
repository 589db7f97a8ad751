"""Frames per second of cotutor's student against plain Stable-Baselines3 with the same network on the same numbers.

    python benchmarks/student_speed.py [--task babyai:GoToRedBallNoDists] [--frames 8192] [--rounds 5] [--json FILE]

The plain side is Stable-Baselines3's PPO on an environment that only turns the mission into word numbers: no
verbalizer, no ledger, no progress. Ours are ``ppo``, and ``mutual`` with the embedded model. Each is measured when it
masters the paper's task, PPO after ``--warm-ppo`` frames and ``mutual`` after ``--warm``, for who succeeds has short
episodes, and a reset costs as much as nine steps. The graduate, who is taught once a run, is timed apart. All take
turns in one process; only the ratios of their medians count.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import gymnasium as gym
import torch
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor
from turns import Side, seconds_of, take_turns

from cotutor.config import TrainConfig
from cotutor.students.ppo import make_ppo
from cotutor.tasks import Task, make_task
from cotutor.tasks.words import Words


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


def plain(task: Task, config: TrainConfig, warm: int) -> Callable[[], float]:
    """Returns what measures the frames per second of plain Stable-Baselines3 after so many frames."""
    envs = VecMonitor(DummyVecEnv([partial(Plain, task)] * config.ppo.envs))
    model = make_ppo(envs, config)
    model.learn(warm)
    return lambda: config.frames / seconds_of(lambda: model.learn(config.frames, reset_num_timesteps=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="babyai:GoToRedBallNoDists")
    parser.add_argument("--frames", type=int, default=8192)
    parser.add_argument("--warm", type=int, default=16384)
    parser.add_argument("--warm-ppo", type=int, default=40960)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    task = make_task(arguments.task)
    config = TrainConfig(task=arguments.task, student="image", frames=arguments.frames)
    alone = Side(replace(config, method="ppo"))
    alone.learn(arguments.warm_ppo)
    mutual = Side(config)
    mutual.learn(arguments.warm)
    adviser, loop = mutual.pair.adviser, mutual.pair.loop
    assert adviser is not None and loop is not None
    taught = adviser.seconds
    sides = {
        "plain": plain(task, config, arguments.warm_ppo),
        "ppo": alone.frames_per_second,
        "mutual": mutual.frames_per_second,
    }
    speeds = take_turns(sides, arguments.rounds)
    taught = adviser.seconds - taught
    loop.config = config
    graduation = seconds_of(loop.graduate)
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
    print(f"the graduate: {graduation:.1f} s once a run")
    print(f"mutual, lessons and questions left out: {figures['mutual']['of_plain_without_teacher']:.1%} of plain")
    if arguments.json:
        about = {
            "task": arguments.task,
            "frames": arguments.frames,
            "warm": arguments.warm,
            "warm_ppo": arguments.warm_ppo,
        }
        whole = about | {
            "teacher_updates": adviser.teacher.version,
            "graduation_seconds": graduation,
            "sides": figures,
        }
        arguments.json.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
