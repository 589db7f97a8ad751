"""Frames and seconds until training succeeds in nine episodes of ten, starting and loading the model included.

    python benchmarks/thresholds.py [--task babyai:GoToRedBallNoDists] [--seeds 0 1 2] [--json FILE]

Each run is a command of its own, which ends when it gets there (``--enough``) and then measures next to nothing.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cotutor.runs.folder import RunFolder, read_summary

ENOUGH = "0.9"
METHODS = {
    "ppo": ["--method", "ppo", "--student", "image"],
    "mutual": ["--method", "mutual", "--student", "image"],
    "ppo that reads the context": ["--method", "ppo", "--student", "text"],
    "mutual that reads the context": ["--method", "mutual", "--student", "text"],
}
HARDLY_MEASURED = ["--eval-episodes", "1", "--teacher-eval-episodes", "1", "--agreement-states", "1", "--replays", "0"]


def run(task: str, method: str, seed: int, frames: int) -> dict[str, Any]:
    """Returns what a run took; its frames are None if it never got there."""
    with TemporaryDirectory() as parent:
        folder = Path(parent) / "run"
        command = [sys.executable, "-m", "cotutor", "train", "--task", task, *METHODS[method], "--seed", str(seed)]
        command += ["--frames", str(frames), "--enough", ENOUGH, *HARDLY_MEASURED, "--run-dir", str(folder)]
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        summary = read_summary(RunFolder(folder))
    return {
        "seed": seed,
        "frames": summary.frames_to_success[ENOUGH],
        "seconds": seconds,
        "teacher_seconds": summary.teacher_seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="babyai:GoToRedBallNoDists")
    parser.add_argument("--frames", type=int, default=40_000)
    parser.add_argument("--seeds", type=int, nargs="*", default=(0, 1, 2))
    parser.add_argument("--json", type=Path, help="where the figures are written")
    arguments = parser.parse_args()
    runs = {
        method: [run(arguments.task, method, seed, arguments.frames) for seed in arguments.seeds] for method in METHODS
    }
    for method, each in runs.items():
        seconds = statistics.median(one["seconds"] for one in each)
        frames = statistics.median(one["frames"] or arguments.frames for one in each)
        print(f"{method}: {seconds:.0f} s, {frames:,.0f} frames")
    if arguments.json:
        about = {"task": arguments.task, "success": float(ENOUGH), "runs": runs}
        arguments.json.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
