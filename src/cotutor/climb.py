"""Climbing: rung after rung, the same teacher and the same student, each run going on from the one before.

about: one sentence
settings: {student: text, plans: {enabled: true}}   # of every rung; names and values as in the configuration of a run
rungs:                                              # the easiest first
  - {task: "babyai:GoToLocal", frames: 100000, mastered: 0.9}

A rung ends when its frames are spent, or when the success over the last 100 training episodes (trials left out) is half
way between ``mastered`` and 1: a mean over 100 episodes wavers, and reaches any level below that by luck. It is
mastered if the pair's success in held-out episodes is ``mastered`` or more. If not, the climb is over, for nothing is
built on what was not learnt. Every rung is a run with a folder of its own, and a finished one is never run again.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from cotutor.config import TrainConfig, from_values, from_yaml, merge, validate
from cotutor.errors import UserError
from cotutor.report import write_report
from cotutor.runs.folder import RunFolder, read_summary
from cotutor.runs.summary import Summary
from cotutor.shipped import parse, read
from cotutor.tasks import make_task
from cotutor.train import train

Settings = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rung:
    """A level of a ladder.

    Attributes:
        task: Its task.
        frames: Frames that it may take.
        mastered: Success of the pair in held-out episodes that counts as mastery.
    """

    task: str
    frames: int
    mastered: float


@dataclass(frozen=True, slots=True)
class Ladder:
    """Tasks, each harder than the one before.

    Attributes:
        name: Its name.
        about: What it is about.
        settings: What is set for every rung.
        rungs: The easiest first.
    """

    name: str
    about: str
    settings: Settings
    rungs: tuple[Rung, ...]

    def configs(self, out: Path, settings: Settings) -> list[TrainConfig]:
        """Returns the configuration of each rung's run, its folder below ``out``.

        Raises:
            UserError: A setting is unknown or out of range.
        """
        folders = [out / f"{number:02}-{rung.task.rpartition(':')[2]}" for number, rung in enumerate(self.rungs, 1)]
        starts = [None, *map(str, folders)]
        above = [*(rung.task for rung in self.rungs[1:]), ""]
        configs = []
        for rung, folder, start, harder in zip(self.rungs, folders, starts, above, strict=False):
            own: Settings = {"task": rung.task, "frames": rung.frames, "enough": (1 + rung.mastered) / 2}
            own |= {"run_dir": str(folder), "start": start, "transfer_task": harder}
            config = from_values(merge(self.settings, settings, own))
            validate(config)
            configs.append(config)
        return configs


@dataclass(frozen=True, slots=True)
class Climbed:
    """A rung that was tried.

    Attributes:
        rung: Which one.
        folder: Its run's.
        summary: What its run came to.
    """

    rung: Rung
    folder: RunFolder
    summary: Summary

    @property
    def mastered(self) -> bool:
        """Whether it was mastered, judged by the held-out episodes."""
        return self.summary.pair_success >= self.rung.mastered


def load_ladder(name: str) -> Ladder:
    """Reads a ladder: one that is shipped, by its name, or a YAML file.

    Raises:
        UserError: There is none of that name, or it is not a ladder; one sentence says where.
    """
    return parse_ladder(*read("ladder", name))


def parse_ladder(name: str, text: str) -> Ladder:
    """Makes a ladder of its YAML.

    Raises:
        UserError: It is not a ladder; one sentence says where.
    """
    values = parse("ladder", name, text)
    if not isinstance(values, dict) or set(values) != {"about", "settings", "rungs"}:
        raise UserError(f"The ladder {name} must have about, settings and rungs, and nothing else.")
    if not isinstance(values["settings"], dict) or not isinstance(values["rungs"], list) or not values["rungs"]:
        raise UserError(f"The ladder {name} must have a mapping of settings and a list of rungs.")
    rungs = tuple(_rung(name, number, rung) for number, rung in enumerate(values["rungs"], 1))
    ladder = Ladder(name, str(values["about"]), values["settings"], rungs)
    try:
        ladder.configs(Path(name), {})
    except UserError as error:
        raise UserError(f"The ladder {name}: {error}") from error
    return ladder


def climb(ladder: Ladder, out: Path, settings: Settings, console: Console) -> Iterator[Climbed]:
    """Yields the rungs one after the other, as far as they are mastered, and the first that is not.

    Raises:
        UserError: A setting is out of range, or a rung's folder holds a run with other settings.
    """
    configs = ladder.configs(out, settings)
    for rung in ladder.rungs:
        make_task(rung.task)
    for rung, config in zip(ladder.rungs, configs, strict=True):
        folder = RunFolder(config.run_dir or out)
        if not folder.summary.is_file():
            shutil.rmtree(folder.path, ignore_errors=True)
            console.print(f"[bold]{rung.task}[/]", highlight=False)
            train(config, console)
        elif _alike(from_yaml(folder.config)) != _alike(config):
            raise UserError(f"The run in {folder.path} was made with other settings: choose another --out.")
        if not (folder.path / "report.html").is_file():
            write_report(folder.path)
        climbed = Climbed(rung, folder, read_summary(folder))
        yield climbed
        if not climbed.mastered:
            return


def _alike(config: TrainConfig) -> TrainConfig:
    """Returns a rung's configuration without what depends on where the climb is, and on what comes after it."""
    return replace(config, run_dir=None, start=None, transfer_task="", threads=0)


def _rung(ladder: str, number: int, values: Any) -> Rung:
    if not isinstance(values, dict) or set(values) != {"task", "frames", "mastered"}:
        raise UserError(f"The ladder {ladder} must have task, frames and mastered at rung {number}, and nothing else.")
    mastered = values["mastered"]
    if not isinstance(mastered, int | float) or not 0 < mastered <= 1:
        raise UserError(f"The ladder {ladder} has {mastered} as mastered at rung {number}, but it must be in (0, 1].")
    return Rung(str(values["task"]), values["frames"], float(mastered))
