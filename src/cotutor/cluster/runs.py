"""Whole runs as tasks of Ray: each where there is room, and elsewhere again if its machine is lost."""

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from cotutor.cluster.actors import LIVES, connect
from cotutor.cluster.files import Files, read_files, write_files
from cotutor.compare.recipe import Cell
from cotutor.config import from_values
from cotutor.runs.folder import RunFolder, made_with
from cotutor.runs.lock import BusyError
from cotutor.train import resume, train

LEAVING_SECONDS = 60.0
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
        self.task = ray.remote(num_cpus=1, max_calls=1, max_retries=LIVES - 1)(carry_out)

    def __call__(self, cell: Cell, folder: Path) -> "RemoteRun":
        return RemoteRun(self.task.remote(cell.settings, folder.resolve(), Path.cwd()), folder)


class RemoteRun:
    """A run that goes on somewhere (:class:`cotutor.compare.runner.Child`).

    Args:
        reference: Ray's promise of what it leaves in its folder.
        folder: Where that is put.
    """

    def __init__(self, reference: Any, folder: Path) -> None:
        import ray  # noqa: PLC0415

        self.ray = ray
        self.reference = reference
        self.folder = folder

    def poll(self) -> int | None:
        done, _ = self.ray.wait([self.reference], timeout=0)
        return self.wait() if done else None

    def terminate(self) -> None:
        self.ray.cancel(self.reference)

    def wait(self) -> int:
        from ray.exceptions import RayError  # noqa: PLC0415

        try:
            files: Any = self.ray.get(self.reference)
        except RayError as error:
            with self.folder.with_suffix(".log").open("a", encoding="utf-8") as log:
                log.write(f"{error}\n")
            return 1
        if not RunFolder(self.folder).summary.exists():
            write_files(files, self.folder)
        return 0


def carry_out(settings: dict[str, Any], path: Path, here: Path) -> Files:
    """Does a run where this is called, or goes on with what was done of it in its folder, and returns its files.

    Args:
        settings: The run's configuration, by name.
        path: Its folder. Where machines share it, a run goes on from its last checkpoint, else it begins again.
        here: The working folder, to which names of files in the settings are relative.
    """
    os.chdir(here)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".log").open("a", encoding="utf-8") as log:
        _begin_or_go_on(settings, path, Console(file=log))
    return read_files(path)


def _begin_or_go_on(settings: dict[str, Any], path: Path, console: Console) -> None:
    config = replace(from_values(settings), run_dir=path)
    until = time.monotonic() + LEAVING_SECONDS
    while not (RunFolder(path).summary.exists() and made_with(config, path)):
        try:
            if made_with(config, path):
                resume(path, console)
            else:
                shutil.rmtree(path, ignore_errors=True)
                train(config, console)
        except BusyError:
            if time.monotonic() > until:
                raise
            time.sleep(1.0)
