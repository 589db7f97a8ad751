"""The runs behind the results: tasks x students x methods x teachers x seeds, in parallel processes, resumable.

    python recipes/matrix.py [--only NAME ...] [--seeds 0 1 2 3 4] [--jobs 2] [--out results/loop]

A finished run (it has a summary.json) is never run again, a broken one is. The summaries go to OUT/runs/*.json and the
tables, which say n, to OUT/README.md.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import bootstrap


@dataclass(frozen=True)
class Arm:
    """A line of a table: a method with its teacher."""

    label: str
    method: str
    teacher: str = "smollm2"
    student: str | None = None


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
    name = f"{experiment.name}--{arm.label.replace(', ', '-').replace(' ', '-')}--{seed}"
    kept, folder = out / "runs" / f"{name}.json", work / name
    if kept.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with (work / f"{name}.log").open("w") as log:
        done = subprocess.run(command(experiment, arm, seed, folder), stdout=log, stderr=log, check=False)
    if done.returncode == 0:
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "summary.json", kept)
        shutil.copy(folder / "ledger.sqlite", work / f"{name}.sqlite")
    print(f"{name}: exit {done.returncode}, {time.monotonic() - began:.0f} s", flush=True)


def interval(values: list[float]) -> str:
    """Returns mean and 95% bootstrap interval (percentile, 9,999 resamples) as text."""
    if len(values) < 2 or min(values) == max(values):
        return f"{np.mean(values):.2f}"
    ends = bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    return f"{np.mean(values):.2f} [{ends.low:.2f}, {ends.high:.2f}]"


def median_frames(runs: list[dict], threshold: str) -> str:
    """Returns the median of frames to a threshold; a run that never got there counts as later than all that did."""
    frames = sorted(float("inf") if r["frames_to_success"][threshold] is None else r["frames_to_success"][threshold] for r in runs)
    middle = frames[len(frames) // 2] if len(frames) % 2 else (frames[len(frames) // 2 - 1] + frames[len(frames) // 2]) / 2
    reached = sum(value < float("inf") for value in frames)
    shown = "never" if middle == float("inf") else f"{middle:,.0f}"
    return f"{shown} ({reached}/{len(frames)})"


def table(experiment: Experiment, out: Path) -> str:
    """Returns the table of an experiment in Markdown, from the summaries that are there."""
    head = (
        "| arm | n | frames to 50% | frames to 90% | frames to 95% | pair | student alone | teacher before → after | "
        "agreement before → after (of ceiling) | trust | contexts asked | seconds (teacher's) |"
    )
    lines = [head, "|" + " --- |" * head.count(" | ") + " --- |"]
    for arm in experiment.arms:
        stem = f"{experiment.name}--{arm.label.replace(', ', '-').replace(' ', '-')}--"
        runs = [json.loads(path.read_text()) for path in sorted((out / "runs").glob(f"{stem}*.json"))]
        if not runs:
            continue

        def mean(field: str, runs: list[dict] = runs) -> float | None:
            values = [run[field] for run in runs if run[field] is not None]
            return float(np.mean(values)) if values else None

        def change(name: str, mean=mean) -> str:
            before, after = mean(f"{name}_before"), mean(f"{name}_after")
            return "–" if before is None or after is None else f"{before:.2f} → {after:.2f}"

        ceiling, trust, asked = mean("agreement_ceiling"), mean("trust"), mean("contexts_asked")
        lines.append(
            f"| {arm.label} | {len(runs)} | {median_frames(runs, '0.5')} | {median_frames(runs, '0.9')} | "
            f"{median_frames(runs, '0.95')} | {interval([r['pair_success'] for r in runs])} | "
            f"{interval([r['student_success'] for r in runs])} | {change('teacher_success')} | {change('bot_agreement')}"
            f"{'' if ceiling is None else f' ({ceiling:.2f})'} | {'–' if trust is None else f'{trust:.2f}'} | "
            f"{'–' if asked is None else f'{asked:.0f}'} | {mean('wall_seconds') or 0:.0f} ({mean('teacher_seconds') or 0:.0f}) |"
        )
    return "\n".join(lines)


def write_tables(out: Path) -> None:
    """Writes OUT/README.md from the summaries that are there."""
    parts = [
        "# Results of the loop",
        "Made by `python recipes/matrix.py` from the summaries in `runs/`. Frames: median over runs (a run that never got "
        "there counts as later than all that did; in brackets how many did), over the last 100 training episodes. "
        "Success: mean over runs and 95% bootstrap interval, 128 held-out episodes a run, actions drawn. "
        "Seconds were measured with two runs side by side on two cores and say little.",
    ]
    for experiment in EXPERIMENTS:
        title = f"## {experiment.name}: {experiment.task}, `--student {experiment.student}`, {experiment.frames:,} frames"
        parts += [title, table(experiment, out)]
    (out / "README.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[experiment.name for experiment in EXPERIMENTS])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("results/loop"))
    parser.add_argument("--work", type=Path, default=Path("runs/matrix"))
    arguments = parser.parse_args()
    chosen = [experiment for experiment in EXPERIMENTS if experiment.name in arguments.only]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for experiment in chosen:
            for seed in arguments.seeds:
                for arm in experiment.arms:
                    pool.submit(run, experiment, arm, seed, arguments.out, arguments.work)
    write_tables(arguments.out)


if __name__ == "__main__":
    main()
