"""Tasks by name: the environments that can speak."""

import inspect
from typing import Any

from cotutor.errors import UserError
from cotutor.tasks.babyai import BabyAI, level_names
from cotutor.tasks.base import SpokenEnv, Task
from cotutor.tasks.varied import LEVELS, Varied

__all__ = ["SpokenEnv", "Task", "make_task", "task_names"]


def make_task(name: str, **options: Any) -> Task:
    """Returns the task called ``name``.

    Args:
        name: One of :func:`task_names`, or the full id of a level, such as ``BabyAI-GoToLocal-v0``.
        **options: How the task speaks, such as ``positions="exact"``; varied levels always name all that is in view,
            whatever ``focus`` says.

    Raises:
        UserError: If there is no such task or option.
    """
    if unknown := options.keys() - inspect.signature(BabyAI).parameters.keys():
        raise UserError(
            f"The task {name} has no option {', '.join(sorted(unknown))}; it has positions, focus and memory."
        )
    if name.startswith("varied:"):
        if options.get("memory"):
            raise UserError(
                f"The task {name} has no memory of what was seen, which --verbalizer.memory and plans need."
            )
        return Varied(name, options.get("positions", "coarse"))
    return BabyAI(name, **options)


def task_names() -> tuple[str, ...]:
    """Returns the name of every task."""
    return (*level_names(), *LEVELS)
