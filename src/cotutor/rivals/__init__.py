"""The rivals: published ways in which a language model reaches a student, on our tasks, students and evaluation.

Each module names its source and every departure from it. All of them are one-way: nothing that the student finds out
comes back to the teacher. They put the same questions to the same teacher within the same budget as our own methods.
"""

from collections.abc import Callable

from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv

from cotutor.config import TrainConfig
from cotutor.errors import UserError
from cotutor.loop import Loop
from cotutor.rivals import acting, annealing, cloning, hints
from cotutor.tasks.base import OFFERED, Task

MAKERS: dict[str, Callable[[VecEnv, Task, TrainConfig], tuple[PPO, Loop]]] = {
    "acting": acting.make,
    "annealing": annealing.make,
    "cloning": cloning.make,
    "hints": hints.make,
}
UNMASKED = frozenset({"annealing", "hints"})
"""Rivals whose policies are their own, and would do what is not offered."""


def make_rival(name: str, envs: VecEnv, task: Task, config: TrainConfig) -> tuple[PPO, Loop]:
    """Makes the student and the loop of a rival.

    Args:
        name: Its module here.
        envs: Environments that speak; in this process, if the teacher looks into them.
        task: Their task.
        config: The run.

    Raises:
        UserError: The configuration names something unknown, or the rival cannot do without what is not offered.
    """
    if name in UNMASKED and OFFERED in task.array_spaces():
        raise UserError(
            f"In {task.name} not everything can always be done, which the method {config.method} does not respect: "
            "choose another one."
        )
    return MAKERS[name](envs, task, config)
