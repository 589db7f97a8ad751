"""The runs behind the results: tasks x students x methods x teachers x seeds, in parallel processes, resumable.

    python recipes/matrix.py [--only NAME ...] [--arms LABEL ...] [--seeds 0 1 2 3 4] [--jobs 2] [--out results/loop]

A finished run (it has a summary.json) is never run again, a broken one is. The summaries go to OUT/runs/*.json and the
tables, which say n, to OUT/README.md.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import bootstrap

from cotutor.runs.ledger import read

EARLY = 2000
"""Frames that count as early."""


@dataclass(frozen=True)
class Arm:
    """A line of a table: a method with its teacher."""

    label: str
    method: str
    teacher: str = "smollm2"
    student: str | None = None

    @property
    def file_name(self) -> str:
        return self.label.replace(", ", "-").replace(" ", "-")


@dataclass(frozen=True)
class Experiment:
    """A table: arms on one task with one kind of student."""

    name: str
    task: str
    student: str
    frames: int
    arms: tuple[Arm, ...]


PAPER_ARMS = (
    Arm("mutual", "mutual"),
    Arm("ppo", "ppo"),
    Arm("one-way", "one-way"),
    Arm("mutual, random teacher", "mutual", "random"),
    Arm("mutual, uniform teacher", "mutual", "uniform"),
)
LOCAL_ARMS = (
    Arm("mutual", "mutual"),
    Arm("mutual, random teacher", "mutual", "random"),
    Arm("mutual, uniform teacher", "mutual", "uniform"),
    Arm("mutual, bag-of-words teacher", "mutual", "bow"),
    Arm("ppo", "ppo"),
    Arm("ppo that reads the context", "ppo", student="text"),
    Arm("mutual, untrained teacher", "mutual", "untrained"),
)
EXPERIMENTS = (
    Experiment("paper-image", "babyai:GoToRedBallNoDists", "image", 30_000, PAPER_ARMS),
    Experiment("local-image", "babyai:GoToLocal", "image", 66_000, LOCAL_ARMS),
    Experiment("paper-text", "babyai:GoToRedBallNoDists", "text", 16_000, PAPER_ARMS),
)


def command(experiment: Experiment, arm: Arm, seed: int, folder: Path) -> list[str]:
    """Returns the command of one run."""
    return [
        str(Path(sys.executable).parent / "cotutor"), "train", "--task", experiment.task, "--method", arm.method,
        "--teacher", arm.teacher, "--student", arm.student or experiment.student, "--seed", str(seed),
        "--frames", str(experiment.frames), "--threads", "1", "--run-dir", str(folder),
    ]  # fmt: skip


def run(experiment: Experiment, arm: Arm, seed: int, out: Path, work: Path) -> None:
    """Does one run unless it is done already."""
    name = f"{experiment.name}--{arm.file_name}--{seed}"
    kept, folder = out / "runs" / f"{name}.json", work / name
    if kept.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with (work / f"{name}.log").open("w") as log:
        done = subprocess.run(command(experiment, arm, seed, folder), stdout=log, stderr=log, check=False)
    if done.returncode == 0:
        keep(folder, kept)
    print(f"{name}: exit {done.returncode}, {time.monotonic() - began:.0f} s", flush=True)


def keep(folder: Path, kept: Path) -> None:
    """Keeps the summary of a finished run, with the success of its first training episodes from the ledger."""
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    query = f"SELECT avg(success) AS success FROM episodes WHERE NOT trial AND frames <= {EARLY}"
    summary["early_success"] = read(folder / "ledger.sqlite", query)[0]["success"]
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def interval(values: list[float]) -> str:
    """Returns mean and 95% bootstrap interval (percentile, 9,999 resamples) as text."""
    if len(values) < 2 or min(values) == max(values):
        return f"{np.mean(values):.2f}"
    ends = bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    return f"{np.mean(values):.2f} [{ends.low:.2f}, {ends.high:.2f}]"


def median_frames(runs: list[dict[str, Any]], threshold: str) -> str:
    """Returns the median of frames to a threshold; a run that never got there counts as later than all that did."""
    reached = [run["frames_to_success"][threshold] for run in runs]
    middle = float(np.median([float("inf") if frames is None else frames for frames in reached]))
    shown = "never" if np.isinf(middle) else f"{middle:,.0f}"
    return f"{shown} ({sum(frames is not None for frames in reached)}/{len(runs)})"


def mean(runs: list[dict[str, Any]], field: str, digits: int) -> str:
    """Returns the mean of a field as text, a dash where no run has it."""
    values = [run[field] for run in runs if run[field] is not None]
    return f"{np.mean(values):.{digits}f}" if values else "–"


COLUMNS: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "n": lambda runs: str(len(runs)),
    f"first {EARLY:,} frames": lambda runs: mean(runs, "early_success", 2),
    "frames to 50%": lambda runs: median_frames(runs, "0.5"),
    "frames to 90%": lambda runs: median_frames(runs, "0.9"),
    "frames to 95%": lambda runs: median_frames(runs, "0.95"),
    "pair": lambda runs: interval([run["pair_success"] for run in runs]),
    "student alone": lambda runs: interval([run["student_success"] for run in runs]),
    "teacher before": lambda runs: mean(runs, "teacher_success_before", 2),
    "teacher after": lambda runs: mean(runs, "teacher_success_after", 2),
    "agreement before": lambda runs: mean(runs, "bot_agreement_before", 2),
    "agreement after": lambda runs: mean(runs, "bot_agreement_after", 2),
    "its ceiling": lambda runs: mean(runs, "agreement_ceiling", 2),
    "trust": lambda runs: mean(runs, "trust", 2),
    "asked": lambda runs: mean(runs, "contexts_asked", 0),
    "seconds": lambda runs: mean(runs, "wall_seconds", 0),
    "teacher's": lambda runs: mean(runs, "teacher_seconds", 0),
}


def table(experiment: Experiment, out: Path) -> str:
    """Returns the table of an experiment in Markdown, from the summaries that are there."""
    lines = [f"| arm | {' | '.join(COLUMNS)} |", "| --- " * (len(COLUMNS) + 1) + "|"]
    for arm in experiment.arms:
        paths = sorted((out / "runs").glob(f"{experiment.name}--{arm.file_name}--*.json"))
        runs = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        if runs:
            lines.append(f"| {arm.label} | {' | '.join(column(runs) for column in COLUMNS.values())} |")
    return "\n".join(lines)


def write_tables(out: Path) -> None:
    """Writes OUT/README.md from the summaries that are there."""
    parts = [
        "# Results of the loop",
        "Made by `python recipes/matrix.py` from the summaries in `runs/`. Frames: median over runs (a run that never "
        "got there counts as later than all that did; in brackets how many did), over the last 100 training episodes. "
        "First frames: success of the training episodes that ended in them. Success: mean over runs and 95% bootstrap "
        "interval, 128 held-out episodes a run, actions drawn. "
        "Seconds were measured with two runs side by side on two cores and say little.",
    ]
    for experiment in EXPERIMENTS:
        title = (
            f"## {experiment.name}: {experiment.task}, `--student {experiment.student}`, {experiment.frames:,} frames"
        )
        parts += [title, table(experiment, out)]
    (out / "README.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[experiment.name for experiment in EXPERIMENTS])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--arms", nargs="*", help="labels of the arms to run; all by default")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("results/loop"))
    parser.add_argument("--work", type=Path, default=Path("runs/matrix"))
    arguments = parser.parse_args()
    chosen = [experiment for experiment in EXPERIMENTS if experiment.name in arguments.only]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for experiment in chosen:
            for seed in arguments.seeds:
                for arm in experiment.arms:
                    if arguments.arms is None or arm.label in arguments.arms:
                        pool.submit(run, experiment, arm, seed, arguments.out, arguments.work)
    write_tables(arguments.out)


if __name__ == "__main__":
    main()
