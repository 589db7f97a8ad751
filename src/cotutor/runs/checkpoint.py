"""Checkpoints: a run that was killed goes on from the last one and ends as if nothing had happened.

A checkpoint is a folder with what changes in a run (:mod:`cotutor.runs.state`), the teacher as it saves itself, and the
checksums of both. It is written beside the others, flushed to the disk and then renamed, so that there is a whole one
or none; two are kept. Environments are no part of it: a fresh one does again what was done since its last reset.
"""

import hashlib
import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper, VecMonitor

from cotutor.cluster.envs import RayVecEnv, RemoteEnv
from cotutor.errors import UserError
from cotutor.plans.plan import PlannedEnv
from cotutor.reading import checked, reading
from cotutor.runs.folder import RunFolder, writing
from cotutor.runs.ledger import Ledger
from cotutor.runs.state import capture, restore
from cotutor.stateful import Stateful
from cotutor.tasks.base import SpokenEnv
from cotutor.teachers.base import Teacher

KEPT = 2
STATE = "state.json"
TENSORS = "state.safetensors"
TEACHER = "teacher"
CHECKSUMS = "checksums.json"


class Stopped(KeyboardInterrupt):
    """A run was asked to stop, and did when the round was over; its message says how it goes on."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read: where it is, and what :func:`cotutor.runs.state.capture` returned."""

    path: Path
    state: dict[str, Any]
    tensors: dict[str, torch.Tensor]


class Checkpoints(BaseCallback):
    """Writes a checkpoint before a rollout now and then, and puts a run where a checkpoint says before its first one.

    It must come after every other callback: what they do before a rollout is done when a checkpoint is written, and
    what they do before the first one is undone when the run is one that goes on.

    Args:
        folder: The run's.
        parts: What changes, by name.
        teacher: The teacher, which keeps itself; None where what it is is among the parts.
        ledger: The run's, cut back to where the checkpoint was written.
        every: Seconds between checkpoints; 0 for none.
        start: The checkpoint to go on from, None for a run that begins.
        stop: Tells whether the run is to stop.
    """

    def __init__(
        self,
        folder: RunFolder,
        parts: dict[str, Any],
        teacher: Teacher | None,
        ledger: Ledger,
        every: float,
        start: Checkpoint | None,
        stop: Callable[[], bool],
    ) -> None:
        super().__init__()
        self.folder = folder
        self.parts = parts
        self.teacher = teacher
        self.ledger = ledger
        self.every = every
        self.start = start
        self.stop = stop
        self.last = time.monotonic()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        assert isinstance(self.model, PPO)
        stop, new = self.stop(), self.model.num_timesteps > 0
        if self.start is not None:
            self._go_on(self.model, self.start)
            self.start, new = None, False
        due = self.every and time.monotonic() - self.last >= self.every
        if new and (stop or due):
            self._write(self.model)
            self.last = time.monotonic()
        if stop:
            frames = self.model.num_timesteps
            raise Stopped(f"Stopped after {frames} frames; this goes on: cotutor resume {self.folder.path}")

    def _write(self, model: PPO) -> None:
        tensors: dict[str, torch.Tensor] = {}
        state = {
            "cotutor": version("cotutor"),
            "ledger": self.ledger.size(),
            "model": capture(model, tensors),
            "environments": [capture(layer, tensors) for layer in layers(model)],
            "parts": {name: capture(part, tensors) for name, part in self.parts.items()},
            "randomness": capture(randomness(), tensors),
        }
        partial = self.folder.checkpoints / "partial"
        shutil.rmtree(partial, ignore_errors=True)
        with writing(self.folder.path):
            (partial / TEACHER).mkdir(parents=True)
            (partial / STATE).write_text(json.dumps(state), encoding="utf-8")
            save_file(tensors, partial / TENSORS)
            if self.teacher is not None:
                self.teacher.save(partial / TEACHER)
            (partial / CHECKSUMS).write_text(json.dumps(checksums(partial)), encoding="utf-8")
            for path in (*files(partial), partial / CHECKSUMS, partial / TEACHER, partial):
                flush(path)
            partial.rename(self.folder.checkpoints / f"{model.num_timesteps:012}")
            flush(self.folder.checkpoints)
        for old in whole(self.folder)[KEPT:]:
            shutil.rmtree(old)

    def _go_on(self, model: PPO, start: Checkpoint) -> None:
        state, tensors = start.state, start.tensors
        with reading("checkpoint", start.path):
            size = checked(dict[str, int], state["ledger"])
            if self.teacher is not None:
                self.teacher.load(start.path / TEACHER)
            restore(model, state["model"], tensors)
            for layer, captured in zip(layers(model), state["environments"], strict=True):
                restore(layer, captured, tensors)
            for name, part in self.parts.items():
                restore(part, state["parts"][name], tensors)
        self.ledger.cut(size)
        with reading("environment of the checkpoint", start.path):
            there = self._retraced(model)
        if not there:
            raise UserError(
                f"The run in {self.folder.path} cannot go on: its environment, given the same randomness and the "
                "same actions, is not where it was; delete the folder to begin again."
            )
        with reading("checkpoint", start.path):
            set_randomness(restore(None, state["randomness"], tensors))

    @staticmethod
    def _retraced(model: PPO) -> bool:
        """Does again what was done in every environment, and tells whether all show what was last seen there."""
        seen = model._last_obs
        assert isinstance(seen, dict)
        retraced = [env.retrace() for env in environments(model)]
        return all(
            np.array_equal(told, seen[name][number])
            for number, observation in enumerate(retraced)
            for name, told in observation.items()
        )


def read_latest(folder: RunFolder, say: Callable[[str], None]) -> Checkpoint | None:
    """Reads the latest checkpoint that is whole, None where there is none; one that is not is thrown away.

    Raises:
        UserError: It cannot be read, or was written by another version of cotutor.
    """
    for path in whole(folder):
        if not is_sound(path):
            say(f"The checkpoint {path} is damaged and thrown away.")
            shutil.rmtree(path)
            continue
        with reading("checkpoint", path):
            state = json.loads((path / STATE).read_text(encoding="utf-8"))
            begun_with = state["cotutor"]
        if begun_with != version("cotutor"):
            raise UserError(
                f"The run in {folder.path} was begun with cotutor {begun_with}, and this is "
                f"{version('cotutor')}: take that one to go on, or delete the folder to begin again."
            )
        return Checkpoint(path, state, load_file(path / TENSORS))
    return None


def whole(folder: RunFolder) -> list[Path]:
    """Returns the checkpoints of a run, the latest first."""
    return sorted(folder.checkpoints.glob("[0-9]*"), reverse=True)


def is_sound(checkpoint: Path) -> bool:
    """Tells whether a checkpoint is as it was written.

    Raises:
        UserError: It cannot be read, which says nothing about what is in it.
    """
    try:
        return checksums(checkpoint) == json.loads((checkpoint / CHECKSUMS).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    except OSError as error:
        raise UserError(f"The checkpoint {checkpoint} cannot be read: {error}.") from error


def files(checkpoint: Path) -> list[Path]:
    """Returns the files of a checkpoint, checksums left out."""
    return sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != CHECKSUMS)


def checksums(checkpoint: Path) -> dict[str, str]:
    """Returns the SHA-256 of each file of a checkpoint."""
    return {
        str(path.relative_to(checkpoint)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files(checkpoint)
    }


def flush(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def layers(model: PPO) -> list[Any]:
    """Returns what changes of a model's environments: those that wrap them all, and each of them."""
    envs, found = model.get_env(), []
    while isinstance(envs, VecEnvWrapper):
        if isinstance(envs, Stateful | VecMonitor):
            found.append(envs)
        envs = envs.venv
    return [*found, *environments(model)]


def environments(model: PPO) -> Iterator[SpokenEnv | PlannedEnv | RemoteEnv]:
    """Yields a model's environments."""
    envs = model.get_env()
    assert envs is not None
    plain = envs.unwrapped
    assert isinstance(plain, DummyVecEnv | RayVecEnv)
    for env in plain.envs:
        assert isinstance(env, SpokenEnv | PlannedEnv | RemoteEnv)
        yield env


def randomness() -> dict[str, Any]:
    """Returns the states of the generators that belong to nobody in particular."""
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_randomness(states: dict[str, Any]) -> None:
    """Puts those generators back."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])
