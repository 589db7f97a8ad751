"""Tasks by name: the environments that can speak."""

import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from cotutor.errors import UserError
from cotutor.tasks.actions import enumerated
from cotutor.tasks.babyai import FAMILIES, PREFIXES, BabyAI, level_names
from cotutor.tasks.base import SpokenEnv, Task
from cotutor.tasks.toy_text import WORLDS, make_world
from cotutor.tasks.varied import LEVELS, Varied

__all__ = ["SpokenEnv", "Task", "enumerated", "make_task", "task_names"]

ENTRY_POINTS = "cotutor.tasks"
"""Group of the entry points by which a package offers tasks."""


def make_task(name: str, **options: Any) -> Task:
    """Returns the task called ``name``.

    Args:
        name: One of :func:`task_names`, the full id of a level, such as ``BabyAI-GoToLocal-v0``, or a task of the
            user's own: ``module:Class``, ``file.py:Class``, or the entry point of an installed package.
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
    source, _, called = name.rpartition(":")
    if not source.endswith(".py") and not _is_here(source):
        return BabyAI(name)  # there is none: the error names what is spelt alike
    try:
        module = _from_file(Path(source)) if source.endswith(".py") else importlib.import_module(source)
    except (ImportError, OSError, SyntaxError) as error:
        raise UserError(f"The task {name} cannot be imported: {error}.") from error
    if called not in vars(module):
        raise UserError(f"There is no {called} in {source}: a task is called module:Class.")
    return _made(name, vars(module)[called])


def _from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _is_here(module: str) -> bool:
    """Tells whether there is such a module, the folder that one is in included."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _made(name: str, kind: Any) -> Task:
    if not (isinstance(kind, type) and issubclass(kind, Task)):
        raise UserError(f"The task {name} is no subclass of cotutor.Task.")
    try:
        task = kind()
    except TypeError as error:
        raise UserError(f"The task {name} cannot be made without arguments: {error}.") from error
    task.name = task.name or name
    return task
