"""Runs the cells of a recipe: parallel processes, each cell once; whatever was killed goes on.

A finished run is kept as a small JSON file under OUT/runs; the run folders, with ledgers and weights, stay under WORK.
Both accumulate over days: what is there is not done again.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Protocol

import yaml
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cotutor.compare.kept import KeptRun, keep, read_all, read_kept, write
from cotutor.compare.recipe import Cell, Recipe
from cotutor.errors import UserError
from cotutor.report.document import duration
from cotutor.runs.folder import RunFolder, is_finished, made_with
from cotutor.runs.ledger import read
from cotutor.runs.lock import only_one
from cotutor.teachers import ME, PRIVILEGED, SIMPLE

POLL_SECONDS = 0.5
START_SECONDS = 10.0
"""Roughly what loading and the final evaluation take."""
ROUGH_FRAMES_PER_SECOND = {"student": 900.0, "language model": 150.0, "language policy": 18.0}
"""Rough speed on one thread of a laptop's core, by what a method needs; used until a run of it has been timed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    Attributes:
        done: Cells whose runs are kept.
        todo: The others, in the order in which they are begun.
        seconds: Estimated seconds of each of ``todo``.
        timed: Whether the estimate rests on runs of the same method, for each of ``todo``.
    """

    done: list[Cell]
    todo: list[Cell]
    seconds: list[float]
    timed: list[bool]

    def wall_seconds(self, jobs: int) -> float:
        """Returns the estimated seconds on the clock with so many runs at a time."""
        busy = [0.0] * jobs
        for seconds in self.seconds:
            first = busy.index(min(busy))
            busy[first] += seconds
        return max(busy)


class Child(Protocol):
    """A run that is done elsewhere, seen as a process of this one."""

    def poll(self) -> int | None:
        """Returns None while it goes on."""
        ...

    def terminate(self) -> None:
        """Asks it to stop."""
        ...

    def wait(self) -> int:
        """Waits until it has stopped."""
        ...


Start = Callable[[Cell, Path], Child]
"""Begins the run of a cell in a folder, or goes on with what was interrupted there."""


@dataclass
class Process:
    """A run that goes on.

    Attributes:
        cell: What it does.
        folder: Its run folder.
        child: Who does it.
        expected: Seconds that it should take.
    """

    cell: Cell
    folder: Path
    child: Child
    expected: float

    def share(self) -> float:
        """Returns the share of the training that is done."""
        ledger = RunFolder(self.folder).ledger
        if not ledger.exists():
            return 0.0
        try:
            frames = read(ledger, "SELECT max(frames) AS frames FROM rounds")[0]["frames"] or 0
        except UserError:
            return 0.0
        return min(1.0, frames / self.cell.config.frames)


def make_plan(recipe: Recipe, runs: Path) -> Plan:
    """Returns which runs of a recipe are kept in a folder, and what the others will cost.

    Raises:
        UserError: A kept run was made with other settings than the recipe has now.
    """
    done: list[Cell] = []
    todo: list[Cell] = []
    for cell in recipe.cells():
        path = runs / f"{cell.name}.json"
        if path.exists():
            ensure_same(cell, read_kept(path), path)
        (done if path.exists() else todo).append(cell)
    kept = read_all(runs)
    estimates = [_estimate(cell, kept) for cell in todo]
    return Plan(done, todo, [seconds for seconds, _ in estimates], [timed for _, timed in estimates])


def ensure_same(cell: Cell, kept: KeptRun, path: Path) -> None:
    """Raises UserError if a kept run was made with other settings than those of its cell."""
    if kept.settings != cell.settings:
        raise UserError(
            f"{path} was made with other settings than the recipe has now: delete it, or compare into another --out."
        )


def in_a_process(cell: Cell, folder: Path) -> Child:
    """Begins a run in a process of its own, or goes on with one that was interrupted."""
    command = [sys.executable, "-m", "cotutor"]
    if made_with(cell.config, folder):
        command += ["resume", str(folder)]
    else:
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(".log").unlink(missing_ok=True)
        config = folder.with_suffix(".yaml")
        config.write_text(yaml.safe_dump(cell.settings, sort_keys=False, allow_unicode=True), encoding="utf-8")
        command += ["train", "--config", str(config), "--run-dir", str(folder)]
    with folder.with_suffix(".log").open("ab") as log:
        # a session of its own: Ctrl-C reaches this process alone, which then ends its runs
        return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)


def run_recipe(
    recipe: Recipe, out: Path, work: Path, jobs: int, console: Console, start: Start = in_a_process
) -> list[Cell]:
    """Does what is left to do of a recipe and returns the cells that failed; their logs stay beside their folders.

    Args:
        recipe: What to do.
        out: Kept runs go to its folder ``runs``.
        work: Run folders go here.
        jobs: Runs at a time.
        console: Where progress is shown.
        start: Begins a run.

    Raises:
        UserError: Another process is at work in ``work``, or a kept run is not what the recipe says now.
    """
    plan = make_plan(recipe, out / "runs")
    waiting = list(zip(plan.todo, plan.seconds, strict=True))
    going: list[Process] = []
    failed: list[Cell] = []
    with only_one(work, "comparison"), _terminable(), _bar(console, plan) as show:
        try:
            while waiting or going:
                while waiting and len(going) < jobs:
                    cell, expected = waiting.pop(0)
                    if not _keep_if_finished(cell, work, out):
                        folder = cell.folder(work)
                        going.append(Process(cell, folder, start(cell, folder), expected))
                time.sleep(POLL_SECONDS)
                for process in [process for process in going if process.child.poll() is not None]:
                    going.remove(process)
                    if not _keep_if_finished(process.cell, work, out):
                        failed.append(process.cell)
                show(going, waiting, failed)
        finally:
            _stop(going)
    return failed


def _stop(going: Sequence[Process]) -> None:
    for process in going:
        process.child.terminate()
    for process in going:
        process.child.wait()


def _keep_if_finished(cell: Cell, work: Path, out: Path) -> bool:
    """Keeps a finished run; a folder that another recipe's settings made does not count."""
    folder = cell.folder(work)
    if not is_finished(cell.config, folder):
        return False
    write(keep(folder, cell.task, cell.method, cell.settings), out / "runs")
    return True


def _estimate(cell: Cell, kept: Sequence[KeptRun]) -> tuple[float, bool]:
    """Returns the seconds that a cell should take, and whether runs of its method were timed."""
    frames = cell.config.frames
    same = [run for run in kept if run.method == cell.method]
    near = [run for run in same if run.task == cell.task] or same
    if near:
        return frames * median(run.summary.wall_seconds / run.summary.frames for run in near) + START_SECONDS, True
    return frames / ROUGH_FRAMES_PER_SECOND[_need(cell)] + START_SECONDS, False


def _need(cell: Cell) -> str:
    config = cell.config
    if config.arrows.language_policy:
        return "language policy"
    if not config.arrows.teacher or config.teacher in {*PRIVILEGED, *SIMPLE} - {ME}:
        return "student"
    return "language model"


@contextmanager
def _terminable() -> Iterator[None]:
    """Makes SIGTERM an interrupt like Ctrl-C, so that no run is left behind."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _bar(console: Console, plan: Plan):
    """Shows all runs as one bar, in expected seconds, and in plain lines where there is no terminal."""
    total = sum(plan.seconds)
    began = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[now]}"), console=console, disable=not console.is_terminal) as bar:
        line = bar.add_task("comparing", total=total or 1.0, now="")
        said = -1

        def show(going: Sequence[Process], waiting: Sequence[tuple[Cell, float]], failed: Sequence[Cell]) -> None:
            nonlocal said
            done = total - sum(seconds for _, seconds in waiting)
            done -= sum(process.expected * (1.0 - process.share()) for process in going)
            finished = len(plan.todo) - len(waiting) - len(going)
            spent = time.monotonic() - began
            # a second of work says nothing yet about the speed
            left = f"{duration(spent * (total - done) / done)} left" if done > 1.0 else "beginning"
            text = f"{finished}/{len(plan.todo)} runs · {left}" + (f" · {len(failed)} failed" if failed else "")
            bar.update(line, completed=done, now=text)
            if not console.is_terminal and finished != said:
                said = finished
                console.print(text, soft_wrap=True)

        yield show


def plan_table(plan: Plan, jobs: int) -> tuple[Table, str]:
    """Returns what is left to do by task and method, and a sentence on what it will cost."""
    table = Table("task", "method", "runs left", "seconds each", title=f"{len(plan.done)} runs are done")
    rows: dict[tuple[str, str], list[int]] = {}
    for i, cell in enumerate(plan.todo):
        rows.setdefault((cell.task, cell.method), []).append(i)
    for (task, method), places in rows.items():
        seconds = f"{plan.seconds[places[0]]:,.0f}"
        shown = seconds if plan.timed[places[0]] else f"about {seconds}"
        table.add_row(escape(task), escape(method), str(len(places)), shown)
    cost = (
        f"{len(plan.todo)} runs are left: {duration(sum(plan.seconds))} of one core, "
        f"{duration(plan.wall_seconds(jobs))} with {jobs} at a time"
    )
    return table, cost + ("." if all(plan.timed) else '; methods with "about" were not timed here yet.')


def default_jobs() -> int:
    """Returns how many runs at a time suit this machine: one a core."""
    return os.cpu_count() or 1
