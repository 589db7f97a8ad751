"""What a comparison keeps of a run: its summary and its curve, small enough to be committed."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cotutor.reading import read_json, reading
from cotutor.runs.folder import RunFolder, read_summary, write_whole
from cotutor.runs.ledger import read
from cotutor.runs.summary import Summary

MOST_POINTS = 256
COLUMNS = ("frames", "seconds", "success", "trust", "gain", "asked", "teacher_seconds", "teacher_agreement")


@dataclass(frozen=True, slots=True)
class Curve:
    """A run over time, T points that are rounds of its ledger; the first is the first round's end.

    Attributes:
        frames: Environment steps so far.
        seconds: Seconds of training so far.
        success: Success over the last 100 training episodes (trials left out), None before the first 20 ended.
        trust: Trust over all contexts, None without a teacher that is trusted.
        gain: Mean gain per step of following the advice, in units of the running scale, None likewise.
        asked: Contexts put to the teacher so far, None without one.
        teacher_seconds: Seconds that the teacher took so far, None without one.
        teacher_agreement: Agreement of the teacher with the bot where it was measured, else None.
    """

    frames: list[int]
    seconds: list[float]
    success: list[float | None]
    trust: list[float | None]
    gain: list[float | None]
    asked: list[int | None]
    teacher_seconds: list[float | None]
    teacher_agreement: list[float | None]


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A finished run of a comparison.

    Attributes:
        task: Name of the recipe's task ("local-image").
        method: Name of the recipe's method ("mutual, random teacher").
        seed: The run's seed.
        settings: What the recipe set, by configuration name.
        summary: What the run came to.
        curve: How it came there.
    """

    task: str
    method: str
    seed: int
    settings: dict[str, Any]
    summary: Summary
    curve: Curve = field(repr=False)


def file_name(task: str, method: str, seed: int) -> str:
    """Returns the name under which a run is kept, without a suffix."""
    words = "".join(character if character.isalnum() else " " for character in method).split()
    return f"{task}--{'-'.join(words)}--{seed}"


def keep(run: Path, task: str, method: str, settings: dict[str, Any]) -> KeptRun:
    """Reads what is to be kept of a finished run from its folder."""
    folder = RunFolder(run)
    summary = read_summary(folder)
    return KeptRun(task, method, summary.seed, settings, summary, read_curve(folder.ledger))


def read_curve(ledger: Path) -> Curve:
    """Reads a run's curve from its ledger: every round, or so many of them evenly spaced, the last included."""
    rows = read(ledger, f"SELECT {', '.join(COLUMNS)} FROM rounds ORDER BY round")
    measured = [i for i, row in enumerate(rows) if row["teacher_agreement"] is not None]
    kept = sorted({*_evenly(len(rows), MOST_POINTS), *measured})
    columns: dict[str, Any] = {name: [_rounded(rows[i][name]) for i in kept] for name in COLUMNS}
    return Curve(**columns)


def write(run: KeptRun, folder: Path) -> Path:
    """Writes a run into a folder of kept runs, at once or not at all, and returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{file_name(run.task, run.method, run.seed)}.json"
    values = asdict(run)
    curve = values.pop("curve")
    lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(column)}" for name, column in curve.items())
    write_whole(target, json.dumps(values, indent=2)[:-2] + ',\n  "curve": {\n' + lines + "\n  }\n}\n")
    return target


def read_kept(path: Path) -> KeptRun:
    """Reads a kept run.

    Raises:
        UserError: The file is none.
    """
    with reading("kept run", path, " Delete it, and it is run again."):
        return read_json(KeptRun, path)


def read_all(folder: Path) -> list[KeptRun]:
    """Reads all kept runs of a folder, in the order of their file names."""
    return [read_kept(path) for path in sorted(folder.glob("*.json"))]


def _evenly(count: int, most: int) -> Sequence[int]:
    return range(count) if count <= most else [round(i * (count - 1) / (most - 1)) for i in range(most)]


def _rounded(value: float | int | None) -> float | int | None:
    return round(value, 4) if isinstance(value, float) else value
