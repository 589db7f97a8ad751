"""The folder of a run: what is in it, and how it is written and read without any pickle."""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file
from stable_baselines3.common.policies import BasePolicy
from typing_extensions import TypedDict

from cotutor.adviser import Adviser, Answer
from cotutor.config import TrainConfig, from_yaml, to_yaml
from cotutor.errors import UserError
from cotutor.reading import read_json, reading
from cotutor.runs.state import Tensors, fill, own_tensors
from cotutor.runs.summary import Summary
from cotutor.trust import Evidence


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of a run.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.sqlite"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def replays(self) -> Path:
        return self.path / "replays.json"

    @property
    def student(self) -> Path:
        return self.path / "student.safetensors"

    @property
    def graduate(self) -> Path:
        return self.path / "graduate.safetensors"

    @property
    def worker(self) -> Path:
        return self.path / "worker.safetensors"

    @property
    def teacher(self) -> Path:
        return self.path / "teacher"

    @property
    def dialogue(self) -> Path:
        return self.path / "dialogue"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"


class AnswerState(TypedDict):
    """An :class:`Answer` as JSON."""

    scores: list[float]
    own: list[float]
    advice: list[float]
    version: int


class DialogueState(TypedDict):
    """What an adviser knows as JSON, but for the feedback; see :class:`Trust` for what it is."""

    contexts: list[str]
    answers: dict[str, AnswerState]
    overall: Evidence
    by_context: dict[str, tuple[float, float]]
    gain_spread: float
    arms: dict[str, list[float]]


def create(config: TrainConfig) -> RunFolder:
    """Makes the folder of a new run and writes its configuration.

    Raises:
        UserError: The folder exists, or cannot be made.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    path = config.run_dir or Path("runs") / f"{stamp}-{config.method}-{os.getpid()}"
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"The run folder {path} cannot be made: {error.strerror}.") from error
    folder = RunFolder(path)
    write_whole(folder.config, to_yaml(config))
    return folder


def made_with(config: TrainConfig, path: Path) -> bool:
    """Tells whether a folder is that of a run with a configuration, wherever it says that the folder is."""
    written = RunFolder(path).config
    return written.exists() and replace(from_yaml(written), run_dir=None) == replace(config, run_dir=None)


def is_finished(config: TrainConfig, path: Path) -> bool:
    """Tells whether a folder is that of a finished run with a configuration."""
    return RunFolder(path).summary.exists() and made_with(config, path)


def ensure_free(config: TrainConfig) -> None:
    """Raises UserError if the folder that was asked for exists."""
    if config.run_dir is not None and config.run_dir.exists():
        raise UserError(f"The run folder {config.run_dir} exists already: choose another --run-dir.")


def open_run(path: Path) -> tuple[RunFolder, TrainConfig]:
    """Opens a finished run.

    Raises:
        UserError: ``path`` is not the folder of a finished run.
    """
    folder = RunFolder(path)
    if not folder.summary.is_file():
        raise UserError(f"{path} is not the folder of a finished run: it has no summary.json.")
    return folder, from_yaml(folder.config)


def open_unfinished(path: Path) -> tuple[RunFolder, TrainConfig]:
    """Opens a run that was begun and not finished; of a finished one it removes what a kill at the very end has left.

    Raises:
        UserError: ``path`` is not the folder of one.
    """
    folder = RunFolder(path)
    if not folder.config.is_file():
        raise UserError(f"{path} is not the folder of a run: it has no config.yaml.")
    if folder.summary.is_file():
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
        raise UserError(f"The run in {path} is finished: there is nothing to go on with.")
    return folder, from_yaml(folder.config)


def write_summary(folder: RunFolder, summary: Summary) -> None:
    """Writes the summary at once or not at all."""
    write_whole(folder.summary, json.dumps(asdict(summary), indent=2) + "\n")


@contextmanager
def writing(run: Path) -> Iterator[None]:
    """Raises UserError, in one sentence, where what is written inside finds a full disk or a folder to read only."""
    try:
        yield
    except (OSError, SafetensorError, sqlite3.Error) as error:
        raise UserError(
            f"The run in {run} cannot be written: {error}. When it can, this goes on: cotutor resume {run}"
        ) from error


def write_whole(path: Path, text: str) -> None:
    """Writes a file at once or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def read_summary(folder: RunFolder) -> Summary:
    """Reads ``summary.json``.

    Raises:
        UserError: It is missing or not a summary.
    """
    with reading("summary", folder.summary):
        return read_json(Summary, folder.summary)


def save_student(folder: RunFolder, policy: BasePolicy, graduate: BasePolicy, worker: BasePolicy | None) -> None:
    """Writes the weights of the student's policy, of the graduate if that is another, and of who pursues its plans."""
    if worker is not None:
        save_file(_contiguous(worker), folder.worker)
    save_file(_contiguous(policy), folder.student)
    if graduate is not policy:
        save_file(_contiguous(graduate), folder.graduate)


def load_student(folder: RunFolder, policy: BasePolicy, graduate: BasePolicy, worker: BasePolicy | None) -> None:
    """Reads what :func:`save_student` wrote into policies of the same shape.

    Raises:
        UserError: A file is missing, or is not of such a policy.
    """
    load_pair(folder, policy, worker)
    if graduate is not policy:
        _load(graduate, folder.graduate)


def load_pair(folder: RunFolder, policy: BasePolicy, worker: BasePolicy | None) -> None:
    """Reads what acts in the pair, to learn on from there.

    Raises:
        UserError: A file is missing, or is not of such a policy.
    """
    if worker is not None:
        _load(worker, folder.worker)
    _load(policy, folder.student)


def _load(policy: BasePolicy, path: Path) -> None:
    with reading("weights", path):
        fill(policy, load_file(path))


def save_dialogue(folder: RunFolder, adviser: Adviser) -> None:
    """Writes the teacher, and what the pair knows beside its weights: answers, feedback memory and trust."""
    folder.teacher.mkdir(exist_ok=True)
    adviser.teacher.save(folder.teacher)
    folder.dialogue.mkdir(exist_ok=True)
    memory, trust = adviser.memory, adviser.trust
    save_arrays({"feedback": memory.sums.in_use}, folder.dialogue / "memory.safetensors")
    state: DialogueState = {
        "contexts": list(memory.sums.rows),
        "answers": {
            context: {
                "scores": answer.scores_O.tolist(),
                "own": answer.own_O.tolist(),
                "advice": answer.advice_O.tolist(),
                "version": answer.version,
            }
            for context, answer in adviser.answers.items()
        },
        "overall": trust.overall,
        "by_context": dict(zip(trust.by_context.rows, trust.by_context.in_use.tolist(), strict=True)),
        "gain_spread": trust.gain_spread,
        "arms": {str(advised): stats.tolist() for advised, stats in trust.arms.stats.items()},
    }
    (folder.dialogue / "state.json").write_text(json.dumps(state, default=asdict), encoding="utf-8")


def load_dialogue(folder: RunFolder, adviser: Adviser) -> None:
    """Reads what :func:`save_dialogue` wrote into a fresh adviser.

    Raises:
        UserError: A file is missing, or is not of such an adviser.
    """
    with reading("teacher", folder.teacher):
        adviser.teacher.load(folder.teacher)
    memory, trust = adviser.memory, adviser.trust
    path = folder.dialogue / "memory.safetensors"
    with reading("dialogue", folder.dialogue):
        state = read_json(DialogueState, folder.dialogue / "state.json")
        memory.sums.fill(state["contexts"], load_arrays(path)["feedback"])
        adviser.answers = {context: _answer(adviser, context, entry) for context, entry in state["answers"].items()}
        trust.overall = state["overall"]
        trust.by_context.fill([*state["by_context"]], np.array([*state["by_context"].values()]).reshape(-1, 2))
        trust.gain_spread = state["gain_spread"]
        trust.arms.stats = {advised: np.array(state["arms"][str(advised)]).reshape(3) for advised in (True, False)}


def _answer(adviser: Adviser, context: str, entry: AnswerState) -> Answer:
    scores_O, own_O, advice_O = np.array([entry["scores"], entry["own"], entry["advice"]])
    if len(scores_O) != len(adviser.task.options(context)):
        raise ValueError(f"an answer has {len(scores_O)} options, but not so many are offered")
    return Answer(scores_O, own_O, advice_O, entry["version"])


def _contiguous(policy: BasePolicy) -> Tensors:
    return {name: value.contiguous() for name, value in own_tensors(policy).items()}
