"""Recipes: what is compared, as YAML.

about: one sentence, the question
seeds: [0, 1, 2, 3, 4]
settings: {threads: 1}                 # of every run; names and values as in the configuration of a run
methods:                               # a line of the tables each
  mutual: {method: mutual}
  mutual, random teacher: {method: mutual, teacher: random}
subject: mutual                        # the method in question ...
controls: ["mutual, random teacher"]   # ... which is more than these only if it knows something of language
tasks:
  local-image:
    settings: {task: "babyai:GoToLocal", student: image, frames: 66000}
    methods: [mutual]                  # all if left out; subject, controls and seeds can be set here too
like: controls                         # left out: what is not said here is as in that recipe
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cotutor.compare.kept import file_name
from cotutor.config import TrainConfig, from_values, merge, validate
from cotutor.errors import UserError
from cotutor.shipped import parse, read

Settings = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ComparedTask:
    """A task of a recipe: a table, and a part of the page.

    Attributes:
        name: Its name.
        settings: What is set for all its runs.
        methods: The methods compared on it, by name, with their own settings.
        subject: The method in question.
        controls: Those of the methods that say what of its success is not the language model's.
        seeds: The seeds of the runs.
    """

    name: str
    settings: Settings
    methods: dict[str, Settings]
    subject: str
    controls: tuple[str, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a recipe.

    Attributes:
        task: Name of the recipe's task.
        method: Name of the recipe's method.
        seed: The run's seed.
        settings: Everything that the recipe sets, seed included.
    """

    task: str
    method: str
    seed: int
    settings: Settings

    @property
    def name(self) -> str:
        """The name of its files."""
        return file_name(self.task, self.method, self.seed)

    @property
    def config(self) -> TrainConfig:
        """The configuration of the run."""
        return from_values(self.settings)

    def folder(self, work: Path) -> Path:
        """Returns its run folder."""
        return work / self.name


@dataclass(frozen=True, slots=True)
class Recipe:
    """Tasks x methods x seeds.

    Attributes:
        name: Its name.
        about: The question that it asks.
        tasks: What is compared.
    """

    name: str
    about: str
    tasks: tuple[ComparedTask, ...]

    def cells(self) -> list[Cell]:
        """Returns all runs: seed by seed, so that whatever is finished first is a fair comparison."""
        return [
            Cell(task.name, method, seed, merge(task.settings, own, {"seed": seed}))
            for seed in sorted({seed for task in self.tasks for seed in task.seeds})
            for task in self.tasks
            if seed in task.seeds
            for method, own in task.methods.items()
        ]


def load_recipe(name: str) -> Recipe:
    """Reads a recipe: one that is shipped, by its name, or a YAML file.

    Raises:
        UserError: There is none of that name, or it is not a recipe; one sentence says where.
    """
    return parse_recipe(*read("recipe", name))


def parse_recipe(name: str, text: str) -> Recipe:
    """Makes a recipe of its YAML and checks the configuration of each of its runs.

    Raises:
        UserError: It is not a recipe; one sentence says where.
    """
    values = parse("recipe", name, text)
    top = _mapping(name, "top level", values)
    known = {"about", "seeds", "settings", "methods", "subject", "controls", "tasks"}
    _no_others(name, "top level", top, known)
    for key in ("about", "methods", "subject", "tasks"):
        if key not in top:
            raise UserError(f"The recipe {name} has no {key}.")
    tasks = _mapping(name, "tasks", top["tasks"])
    recipe = Recipe(name, str(top["about"]), tuple(_task(name, top, str(task), tasks[task]) for task in tasks))
    for cell in recipe.cells():
        try:
            validate(cell.config)
        except UserError as error:
            raise UserError(f"The recipe {name}, {cell.task}, {cell.method}: {error}") from error
    return recipe


def choose(recipe: Recipe, tasks: list[str], methods: list[str], seeds: list[int]) -> Recipe:
    """Returns the part of a recipe with these tasks, methods and seeds; all of them where a list is empty.

    Raises:
        UserError: There is no such task or method.
    """
    offered = {task.name for task in recipe.tasks}, {method for task in recipe.tasks for method in task.methods}
    for kind, wanted, names in (("task", tasks, offered[0]), ("method", methods, offered[1])):
        for name in wanted:
            if name not in names:
                raise UserError(f"The recipe {recipe.name} has no {kind} {name!r}; it has {'; '.join(sorted(names))}.")
    kept = [
        replace(
            task,
            methods={name: own for name, own in task.methods.items() if not methods or name in methods},
            seeds=tuple(seeds) or task.seeds,
        )
        for task in recipe.tasks
        if not tasks or task.name in tasks
    ]
    return replace(recipe, tasks=tuple(kept))


def _task(recipe: str, top: Settings, name: str, values: Any) -> ComparedTask:
    own = {} if values is None else _mapping(recipe, f"tasks.{name}", values)
    _no_others(recipe, f"tasks.{name}", own, {"settings", "methods", "subject", "controls", "seeds"})
    offered = {
        str(method): {} if settings is None else _mapping(recipe, f"methods.{method}", settings)
        for method, settings in _mapping(recipe, "methods", top["methods"]).items()
    }
    methods = _list(recipe, f"tasks.{name}.methods", own.get("methods", list(offered)), str)
    subject = str(own.get("subject", top["subject"]))
    of_all = [control for control in _list(recipe, "controls", top.get("controls", []), str) if control in methods]
    controls = _list(recipe, f"tasks.{name}.controls", own.get("controls", of_all), str)
    seeds = _list(recipe, f"tasks.{name}.seeds", own.get("seeds", top.get("seeds", [*range(5)])), int)
    for method in (*methods, subject, *controls):
        if method not in offered:
            raise UserError(f"The recipe {recipe} compares {method!r} on {name}, but has no method of that name.")
    return ComparedTask(
        name,
        merge(
            _mapping(recipe, "settings", top.get("settings", {})),
            _mapping(recipe, f"tasks.{name}.settings", own.get("settings", {})),
        ),
        {method: offered[method] for method in methods},
        subject,
        tuple(controls),
        tuple(seeds),
    )


def _mapping(recipe: str, where: str, values: Any) -> Settings:
    if not isinstance(values, dict):
        raise UserError(f"The recipe {recipe} must have a mapping of names to values at {where}.")
    return values


def _list(recipe: str, where: str, values: Any, kind: type) -> list[Any]:
    if not isinstance(values, list) or any(type(each) is not kind for each in values):
        raise UserError(f"The recipe {recipe} must have a list of {kind.__name__} at {where}.")
    return values


def _no_others(recipe: str, where: str, values: Settings, known: set[str]) -> None:
    for name in values:
        if name not in known:
            raise UserError(
                f"The recipe {recipe} has an unknown key {name!s} at {where}; known are {', '.join(sorted(known))}."
            )
