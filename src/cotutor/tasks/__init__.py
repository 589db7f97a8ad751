"""Tasks by name: the environments that can speak."""

import importlib.metadata
import inspect
from typing import Any

from cotutor.errors import UserError
from cotutor.own import is_own, make_own, own_class
from cotutor.tasks.actions import enumerated
from cotutor.tasks.babyai import FAMILIES, PREFIXES, BabyAI, level_names
from cotutor.tasks.base import SpokenEnv, Task
from cotutor.tasks.textworld import PREFIX as TEXTWORLD
from cotutor.tasks.textworld import TextWorld
from cotutor.tasks.toy_text import WORLDS, make_world
from cotutor.tasks.varied import LEVELS, Varied

__all__ = ["SpokenEnv", "Task", "enumerated", "make_task", "task_names"]

ENTRY_POINTS = "cotutor.tasks"
"""Group of the entry points by which a package offers tasks."""


def make_task(name: str, **options: Any) -> Task:
    """Returns the task called ``name``.

    Args:
        name: One of :func:`task_names`, the full id of a level, such as ``BabyAI-GoToLocal-v0``, ``textworld:FILE``,
            or a task of the user's own: ``module:Class``, ``file.py:Class``, or the entry point of an installed
            package.
        **options: How a level speaks, such as ``positions="exact"``; varied levels always name all that is in view,
            whatever ``focus`` says, and other worlds speak in one way only.

    Raises:
        UserError: If there is no such task or option.
    """
    defaults = {option.name: option.default for option in inspect.signature(BabyAI).parameters.values()}
    if unknown := options.keys() - defaults.keys():
        raise UserError(
            f"The task {name} has no option {', '.join(sorted(unknown))}; it has positions, focus and memory."
        )
    if name.partition(":")[0] in FAMILIES or name.startswith(PREFIXES):
        return BabyAI(name, **options)
    if options.get("memory"):
        raise UserError(f"The task {name} has no memory of what was seen, which --verbalizer.memory and plans need.")
    if name.startswith("varied:"):
        return Varied(name, options.get("positions", "coarse"))
    if changed := [option for option, value in options.items() if value != defaults[option]]:
        raise UserError(f"The task {name} speaks in one way only: leave out --verbalizer.{changed[0]}.")
    if name.startswith(TEXTWORLD):
        return TextWorld(name)
    return make_world(name) if name.startswith("toy:") else own_task(name)


def task_names() -> tuple[str, ...]:
    """Returns the name of every task, those of installed packages included."""
    offered = importlib.metadata.entry_points(group=ENTRY_POINTS)
    return (*level_names(), *LEVELS, *(f"toy:{world}" for world in WORLDS), *(point.name for point in offered))


def own_task(name: str) -> Task:
    """Returns a task of the user's own, which is called ``name`` if it has no name.

    Args:
        name: ``module:Class`` (the folder that one is in counts, too), ``file.py:Class``, or an entry point's name.

    Raises:
        UserError: There is none, or it is no task.
    """
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS, name=name):
        try:
            return _made(name, point.load())
        except (ImportError, AttributeError, SyntaxError) as error:
            raise UserError(f"The installed task {name} ({point.value}) cannot be imported: {error}.") from error
    if not is_own(name):
        return BabyAI(name)  # there is none: the error names what is spelt alike
    return _made(name, own_class("task", name))


def _made(name: str, kind: Any) -> Task:
    task = make_own("task", name, kind, Task)
    if not task.actions:
        raise UserError(f"The task {name} does not name its actions: say actions = ('the first', 'the second', ...).")
    task.name = task.name or name
    return task
