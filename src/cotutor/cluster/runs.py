"""Whole runs as tasks of Ray: each where there is room, and elsewhere again if its machine is lost."""

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from cotutor.cluster.actors import LIVES, connect, go_to
from cotutor.cluster.files import Files, read_files, write_files
from cotutor.compare.recipe import Cell
from cotutor.config import TrainConfig, from_values
from cotutor.errors import UserError
from cotutor.runs.folder import is_finished, made_with
from cotutor.runs.lock import BusyError
from cotutor.train import resume, train

LEAVING_SECONDS = 180.0
"""How long a process may take to end whose machine is held to be lost."""


class Cluster:
    """Where the runs of a recipe are spread; begins one when it is called (:data:`cotutor.compare.runner.Start`).

    Args:
        address: Of the cluster (:func:`cotutor.cluster.actors.connect`).
    """

    def __init__(self, address: str) -> None:
        connect(address)
        import ray  # noqa: PLC0415

        self.jobs = max(1, int(ray.cluster_resources().get("CPU", 1)))
        # a worker is left after each run, so that none finds anything of another
        self.task = ray.remote(num_cpus=1, max_calls=1, max_retries=LIVES - 1)(do_run)

    def __call__(self, cell: Cell, folder: Path) -> "RemoteRun":
        if cell.config.ray.env_actors or cell.config.ray.teacher_actors:
            raise UserError("Runs that are spread over a cluster have no actors of their own: leave out ray.*_actors.")
        return RemoteRun(self.task.remote(cell.settings, folder.resolve(), Path.cwd()), cell, folder)


class RemoteRun:
    """A run that goes on somewhere (:class:`cotutor.compare.runner.Child`).

    Args:
        reference: Ray's promise of what it leaves in its folder.
        cell: What it does.
        folder: Where that is put.
    """

    def __init__(self, reference: Any, cell: Cell, folder: Path) -> None:
        import ray  # noqa: PLC0415

        self.ray = ray
        self.reference = reference
        self.cell = cell
        self.folder = folder

    def poll(self) -> int | None:
        done, _ = self.ray.wait([self.reference], timeout=0)
        return self.wait() if done else None

    def terminate(self) -> None:
        self.ray.cancel(self.reference)

    def wait(self) -> int:
        from ray.exceptions import RayError  # noqa: PLC0415

        try:
            self._put(self.ray.get(self.reference))
        except (RayError, OSError) as error:
            with self.folder.with_suffix(".log").open("a", encoding="utf-8") as log:
                log.write(f"{error}\n")
            return 1
        return 0

    def _put(self, files: Files) -> None:
        """Puts a finished run where it is looked for, whole or not at all, unless the folder is shared."""
        if is_finished(self.cell.config, self.folder):
            return
        partial = self.folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        write_files(files, partial)
        shutil.rmtree(self.folder, ignore_errors=True)
        partial.rename(self.folder)


def do_run(settings: dict[str, Any], path: Path, here: Path) -> Files:
    """Does a run where this is called, or goes on with what was done of it in its folder, and returns its files.

    Args:
        settings: The run's configuration, by name.
        path: Its folder. Where machines share it, a run goes on from its last checkpoint, else it begins again.
        here: The working folder, to which names of files in the settings are relative.
    """
    go_to(here)
    path.parent.mkdir(parents=True, exist_ok=True)
    config = replace(from_values(settings), run_dir=path)
    until = time.monotonic() + LEAVING_SECONDS
    with path.with_suffix(".log").open("a", encoding="utf-8") as log:
        while not is_finished(config, path):
            try:
                _begin_or_go_on(config, path, Console(file=log))
            except BusyError:
                if time.monotonic() > until:
                    raise
                time.sleep(1.0)
    return read_files(path)


def _begin_or_go_on(config: TrainConfig, path: Path, console: Console) -> None:
    if made_with(config, path):
        resume(path, console)
    else:
        shutil.rmtree(path, ignore_errors=True)
        train(config, console)
