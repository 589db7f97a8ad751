"""What benchmarks share: sides that are measured in turns, and tables of what was found."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import torch
from rich.console import Console
from rich.table import Table
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import Logger

from cotutor.config import TrainConfig
from cotutor.runs.ledger import Ledger
from cotutor.runs.progress import ProgressDisplay
from cotutor.train import Recorder, build

Name = TypeVar("Name")


def seconds_of(work: Callable[[], object]) -> float:
    """Returns how long ``work`` takes, the device's share of it included."""
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def take_turns(sides: Mapping[Name, Callable[[], float]], rounds: int) -> dict[Name, list[float]]:
    """Measures each side once a round, and returns what each gave."""
    found: dict[Name, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            found[name].append(measure())
    return found


class Side:
    """A run that goes on learning from one measurement to the next, ledger and progress included.

    What is taught once when a run ends, to the graduate and the teacher, is not taught.
    """

    def __init__(self, config: TrainConfig) -> None:
        lessons, guidance = replace(config.lessons, graduation=False), replace(config.guidance, graduation_passes=0)
        config = replace(config, lessons=lessons, guidance=guidance)
        self.folder = TemporaryDirectory()
        self.pair = build(config)
        self.pair.model.set_logger(Logger(self.folder.name, []))
        ledger = Ledger(Path(self.folder.name) / "ledger.sqlite", config.ledger_rows)
        self.recorder = Recorder(ledger, ProgressDisplay(Console(quiet=True), config.frames))
        self.callbacks: list[BaseCallback] = [self.recorder]
        if self.pair.loop is not None:
            self.pair.loop.on_round = self.recorder.keep
            self.callbacks.insert(0, self.pair.loop)
        self.frames = config.frames

    def learn(self, frames: int) -> None:
        """Learns for so many frames more."""
        self.pair.model.learn(frames, callback=CallbackList(self.callbacks), reset_num_timesteps=False)

    def frames_per_second(self) -> float:
        """Learns for the frames of its configuration, and returns how fast."""
        return self.frames / seconds_of(lambda: self.learn(self.frames))


def show(title: str, rows: Sequence[Mapping[str, float]]) -> None:
    """Prints figures as a table."""
    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*(f"{value:,.0f}" if value >= 100 else f"{value:.2f}" for value in row.values()))
    Console().print(table)
