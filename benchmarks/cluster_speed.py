"""What it costs and brings to step environments, or to ask a teacher, in actors of Ray; on a cluster of this machine.

    python benchmarks/cluster_speed.py [--json FILE]

Environments: MiniGrid as it is, and slowed down by some milliseconds a step, as a simulator would be. All ways take
turns in one process.
"""

import argparse
import json
import os
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv
from teacher_speed import lessons_of, questions_of
from turns import seconds_of, show, take_turns

from cotutor.cluster.envs import RayVecEnv
from cotutor.cluster.replicas import Replicas
from cotutor.config import RayConfig
from cotutor.tasks import make_task
from cotutor.tasks.base import SpokenEnv
from cotutor.teachers import make_teacher

TASK = "babyai:GoToLocal"
ENVS = 16
ACTORS = (1, 2, 4, 8)
SLOWNESS = (0.0, 0.002, 0.02)
FRAMES = 1024
ROUNDS = 3
CONTEXTS = 64


class Slow(SpokenEnv):
    """An environment whose steps take longer, without keeping a core busy."""

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(make_task(name), "text")
        self.seconds = seconds

    def step(self, action: int):
        time.sleep(self.seconds)
        return super().step(action)


def frames_per_second(envs: VecEnv, frames: int) -> float:
    """Returns how fast environments are stepped."""
    steps = max(4, frames // envs.num_envs)
    actions = np.random.default_rng(0).integers(3, size=(steps, envs.num_envs))
    return steps * envs.num_envs / seconds_of(lambda: [envs.step(each) for each in actions])


def of_envs() -> list[dict[str, float]]:
    """Frames per second here (no actors) and in actors."""
    figures = []
    for slowness in SLOWNESS:
        makes = [partial(Slow, TASK, slowness)] * ENVS
        frames = FRAMES if slowness < 0.01 else FRAMES // 8
        ways: dict[int, VecEnv] = {0: DummyVecEnv([*makes]), **{count: RayVecEnv(makes, count) for count in ACTORS}}
        for envs in ways.values():
            envs.seed(0)
            envs.reset()
        sides = {count: partial(frames_per_second, envs, frames) for count, envs in ways.items()}
        speeds = take_turns(sides, ROUNDS)
        for count, each in speeds.items():
            figures.append(
                {"step_milliseconds": 1e3 * slowness, "actors": count, "frames_per_second": statistics.median(each)}
            )
        for envs in ways.values():
            envs.close()
    return figures


def of_loss() -> float:
    """Returns the seconds from the loss of an actor, with four environments, until the next step is taken."""
    envs = RayVecEnv([partial(Slow, TASK, 0.0)] * ENVS, 4)
    envs.seed(0)
    envs.reset()
    frames_per_second(envs, FRAMES)
    seconds = []
    for share in envs.shares[:ROUNDS]:
        share.ray.kill(share.actor)
        seconds.append(seconds_of(lambda: envs.step(np.zeros(ENVS, dtype=int))))
    envs.close()
    return statistics.median(seconds)


def of_teachers() -> list[dict[str, float]]:
    """Contexts per second of the embedded model here and in replicas, and the seconds that an update takes."""
    questions = questions_of(TASK, CONTEXTS * ROUNDS, 7)
    lessons = lessons_of(questions[:16])
    make = partial(make_teacher, "smollm2", make_task(TASK), 0)
    teachers = {0: make(), **{count: Replicas(make, RayConfig(teacher_actors=count)) for count in (1, 2)}}
    seconds: dict[int, list[float]] = {count: [] for count in teachers}
    for i in range(0, len(questions), CONTEXTS):
        for count, teacher in teachers.items():
            seconds[count].append(seconds_of(partial(teacher.score, questions[i : i + CONTEXTS])))
    figures = []
    for count, teacher in teachers.items():
        update = seconds_of(partial(teacher.learn, lessons, 2))
        speed = CONTEXTS / statistics.median(seconds[count])
        figures.append({"replicas": count, "contexts_per_second": speed, "update_seconds": update})
        teacher.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    arguments = parser.parse_args()
    # as in an actor, to which Ray gives one core
    torch.set_num_threads(1)
    here = str(Path(__file__).parent)
    os.environ["PYTHONPATH"] = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray  # noqa: PLC0415

    ray.init(num_cpus=2 * max(ACTORS), include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    figures: dict[str, Any] = {"envs": of_envs(), "seconds_after_a_loss": of_loss(), "teachers": of_teachers()}
    show("environments", figures["envs"])
    show("teachers", figures["teachers"])
    print(f"{figures['seconds_after_a_loss']:.1f} s until an actor that is lost has been replaced")
    if arguments.json:
        about = {"task": TASK, "envs": ENVS, "cores": os.cpu_count()}
        arguments.json.write_text(json.dumps(about | {"figures": figures}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
