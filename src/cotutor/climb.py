"""Climbing: rung after rung, the same teacher and the same student, each run going on from the one before.

about: one sentence
settings: {student: text, plans: {enabled: true}}   # of every rung; names and values as in the configuration of a run
methods:                                            # who climbs, each with settings of its own
  mutual: {method: mutual}
turn: 50000                                         # left out: a rung is done in one go, and the next one follows
rungs:                                              # the easiest first
  - {task: "babyai:GoToLocal", frames: 100000, mastered: 0.9}
like: babyai                                        # left out: what is not said here is as in that ladder

A rung ends when its frames are spent, or when the success over the last 100 training episodes (trials left out) is half
way between ``mastered`` and 1: a mean over 100 episodes wavers, and reaches any level below that by luck. It is
mastered if the pair's success in held-out episodes is ``mastered`` or more. If not, it goes on with the frames that are
left; when there are none the climb is over, for nothing is built on what was not learnt. The latest rungs that are
mastered are rehearsed by some of the environments of later ones, and all are measured once more at the end. A climb is
made of runs, each with a folder of its own, and a finished one is never run again.

With ``turn`` the next rung is chosen by learning progress: the climb is made of turns of so many frames, and each goes
to the rung whose success changed most between its last two turns (Matiisen et al. 2017, "Teacher-Student Curriculum
Learning"), or to the first rung not tried yet where none changed by ``STANDSTILL``; that keeps the hard ones for later,
and lets a rung wait that does not move. A rung that has spent its frames gets no turn any more, and the climb is over
when none can have one.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from typing_extensions import TypedDict

from cotutor.config import TrainConfig, from_values, from_yaml, merge, validate
from cotutor.errors import UserError
from cotutor.inspect import success_on
from cotutor.reading import read_json, reading
from cotutor.report import write_report
from cotutor.runs.folder import RunFolder, read_summary, write_whole
from cotutor.runs.summary import Summary
from cotutor.shipped import parse, read
from cotutor.tasks import make_task
from cotutor.train import resume, train

Settings = dict[str, Any]

STANDSTILL = 0.05
"""Change of success between two turns below which a rung does not move."""
AT_THE_END = "remembered.json"


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

    def is_met_by(self, summary: Summary) -> bool:
        """Tells whether a run mastered it, judged by the pair's held-out episodes."""
        return summary.pair_success >= self.mastered


@dataclass(frozen=True, slots=True)
class Ladder:
    """Tasks, each harder than the one before.

    Attributes:
        name: Its name.
        about: What it is about.
        settings: What is set for every rung.
        methods: Who may climb, by name, with settings of their own.
        rungs: The easiest first.
        turn: Frames of a turn where rungs are chosen by learning progress; 0 where one follows the other.
    """

    name: str
    about: str
    settings: Settings
    methods: dict[str, Settings]
    rungs: tuple[Rung, ...]
    turn: int = 0

    def settings_of(self, method: str) -> Settings:
        """Returns the settings of one who climbs.

        Raises:
            UserError: The ladder has no such method.
        """
        if method not in self.methods:
            raise UserError(
                f"The ladder {self.name} has no method {method!r}: choose one of {', '.join(self.methods)}."
            )
        return merge(self.settings, self.methods[method])

    def config(self, rung: Rung, climbs: Sequence["Climbed"], out: Path, settings: Settings) -> TrainConfig:
        """Returns the configuration of the next run, its folder below ``out``.

        Args:
            rung: What it is to learn.
            climbs: The runs before it.
            out: The climb's folder.
            settings: What is set for every rung of this climb.

        Raises:
            UserError: A setting is unknown or out of range.
        """
        spent = frames_spent(rung, climbs)
        above = self.rungs[self.rungs.index(rung) + 1 :]
        own: Settings = {
            "task": rung.task,
            "frames": min(self.turn or rung.frames, rung.frames - spent),
            "enough": (1 + rung.mastered) / 2,
            "run_dir": str(out / f"{len(climbs) + 1:02}-{rung.task.rpartition(':')[2]}"),
            "start": str(climbs[-1].folder.path) if climbs else None,
            "rehearse": list(dict.fromkeys(each.rung.task for each in climbs if each.mastered and each.rung != rung)),
            "transfer": [each.task for each in above[:1] if not self.turn],
        }
        config = from_values(merge(settings, own))
        validate(config)
        return config

    def next_rung(self, climbs: Sequence["Climbed"]) -> Rung | None:
        """Returns what to learn next; None when all is mastered, or nothing more can be tried."""
        left = [rung for rung in self.rungs if not is_mastered(rung, climbs)]
        if not self.turn:
            return left[0] if left and frames_spent(left[0], climbs) < left[0].frames else None
        open_rungs = [rung for rung in left if frames_spent(rung, climbs) < rung.frames]
        tried = [rung for rung in open_rungs if frames_spent(rung, climbs)]
        moving = max(tried, key=lambda rung: progress(rung, climbs), default=None)
        if moving is not None and (progress(moving, climbs) >= STANDSTILL or len(tried) == len(open_rungs)):
            return moving
        return next((rung for rung in open_rungs if rung not in tried), None)


@dataclass(frozen=True, slots=True)
class Climbed:
    """A run of a climb.

    Attributes:
        rung: What it was to learn.
        folder: Its folder.
        summary: What it came to.
    """

    rung: Rung
    folder: RunFolder
    summary: Summary

    @property
    def mastered(self) -> bool:
        """Whether the rung was mastered."""
        return self.rung.is_met_by(self.summary)


def frames_spent(rung: Rung, climbs: Sequence[Climbed]) -> int:
    """Returns how many frames a rung took so far."""
    return sum(climbed.summary.frames for climbed in climbs if climbed.rung == rung)


def is_mastered(rung: Rung, climbs: Sequence[Climbed]) -> bool:
    """Tells whether a rung was mastered when it was last tried."""
    return next((climbed.mastered for climbed in reversed(climbs) if climbed.rung == rung), False)


def progress(rung: Rung, climbs: Sequence[Climbed]) -> float:
    """Returns how much a rung's success changed between its last two turns; before the first it counts as zero."""
    history = [0.0, *(climbed.summary.pair_success for climbed in climbs if climbed.rung == rung)]
    return abs(history[-1] - history[-2])


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
    if not isinstance(values, dict) or set(values) - {"turn"} != {"about", "settings", "methods", "rungs"}:
        raise UserError(
            f"The ladder {name} must have about, settings, methods and rungs, and nothing else but turn and like."
        )
    methods = values["methods"] if isinstance(values["methods"], dict) else {}
    if not methods or not all(isinstance(each, dict) for each in (values["settings"], *methods.values())):
        raise UserError(f"The ladder {name} must have a mapping of settings, and one for each of its methods.")
    if not isinstance(values["rungs"], list) or not values["rungs"]:
        raise UserError(f"The ladder {name} must have a list of rungs.")
    turn = values.get("turn", 0)
    if type(turn) is not int or turn < 0:
        raise UserError(f"The ladder {name} has {turn!r} as turn, but it must be a number of frames.")
    rungs = tuple(_rung(name, number, rung) for number, rung in enumerate(values["rungs"], 1))
    ladder = Ladder(
        name, str(values["about"]), values["settings"], {str(each): methods[each] for each in methods}, rungs, turn
    )
    try:
        for method in ladder.methods:
            for rung in rungs:
                config = ladder.config(rung, [], Path(name), ladder.settings_of(method))
                if config.arrows.rival is not None or config.arrows.language_policy:
                    raise UserError(f"the method {config.method} cannot go on from another run, so it cannot climb.")
    except UserError as error:
        raise UserError(f"The ladder {name}: {error}") from error
    return ladder


def climb(
    ladder: Ladder, out: Path, settings: Settings, console: Console, rungs: int | None = None
) -> Iterator[Climbed]:
    """Yields the runs one after the other, as long as there is something to learn that was not tried in vain.

    Args:
        ladder: What is climbed.
        out: The climb's folder.
        settings: What is set for every rung: those of one of the ladder's methods, and what this climb sets.
        console: Where to show progress.
        rungs: The climb stops before the rung after so many; by default it goes on to the last.

    Raises:
        UserError: A setting is out of range, the ladder has not so many rungs, or a run's folder holds one with other
            settings.
    """
    if rungs is not None and not 1 <= rungs <= len(ladder.rungs):
        raise UserError(f"The ladder {ladder.name} has {len(ladder.rungs)} rungs, so {rungs} cannot be climbed.")
    ladder.config(ladder.rungs[0], [], out, settings)
    for rung in ladder.rungs:
        make_task(rung.task)
    climbs: list[Climbed] = []
    while (rung := ladder.next_rung(climbs)) in ladder.rungs[:rungs]:
        config = ladder.config(rung, climbs, out, settings)
        folder = RunFolder(config.run_dir or out)
        if not folder.summary.is_file():
            console.print(f"[bold]{rung.task}[/]", highlight=False)
            if folder.config.is_file() and from_yaml(folder.config) == config:
                resume(folder.path, console)
            else:
                _clear(out, len(climbs))
                train(config, console)
        elif _alike(from_yaml(folder.config)) != _alike(config):
            raise UserError(f"The run in {folder.path} was made with other settings: choose another --out.")
        if not folder.report.is_file():
            write_report(folder.path)
        climbs.append(Climbed(rung, folder, read_summary(folder)))
        yield climbs[-1]


class Remembered(TypedDict):
    """``remembered.json``: success by task when the climb ended at a run."""

    run: str
    success: dict[str, float]


def remembered(climbs: Sequence[Climbed], out: Path, console: Console) -> dict[str, float]:
    """Returns the pair's success, when the climb is over, on every task that it mastered on its way.

    It is measured once, and then read from ``remembered.json`` as long as the climb ends at the same run.
    """
    last, kept = climbs[-1], out / AT_THE_END
    if kept.is_file():
        with reading("file", kept):
            known = read_json(Remembered, kept)
        if known["run"] == last.folder.path.name:
            return known["success"]
    tasks = dict.fromkeys(climbed.rung.task for climbed in climbs if climbed.mastered)
    with console.status("measuring what is remembered of the rungs before"):
        success = success_on(last.folder.path, tasks, last.summary.eval_episodes)
    write_whole(kept, json.dumps({"run": last.folder.path.name, "success": success}, indent=2) + "\n")
    return success


def _clear(out: Path, done: int) -> None:
    """Removes what a climb left after its first ``done`` runs: it grew out of a run that is not there any more."""
    for folder in out.glob("[0-9][0-9]-*"):
        if int(folder.name[:2]) > done and RunFolder(folder).config.is_file():
            shutil.rmtree(folder)
    (out / AT_THE_END).unlink(missing_ok=True)


def _alike(config: TrainConfig) -> TrainConfig:
    """Returns a run's configuration without what depends on where the climb is, and on what comes after it."""
    return replace(config, run_dir=None, start=None, transfer=(), threads=0)


def _rung(ladder: str, number: int, values: Any) -> Rung:
    if not isinstance(values, dict) or set(values) != {"task", "frames", "mastered"}:
        raise UserError(f"The ladder {ladder} must have task, frames and mastered at rung {number}, and nothing else.")
    frames, mastered = values["frames"], values["mastered"]
    if type(frames) is not int or frames < 1:
        raise UserError(
            f"The ladder {ladder} has {frames!r} as frames at rung {number}, but it must be a number of them."
        )
    if not isinstance(mastered, int | float) or not 0 < mastered <= 1:
        raise UserError(f"The ladder {ladder} has {mastered} as mastered at rung {number}, but it must be in (0, 1].")
    return Rung(str(values["task"]), frames, float(mastered))
