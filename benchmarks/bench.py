"""All benchmarks, one after the other, each in a process of its own; what they found is kept, and put on a page.

    python benchmarks/bench.py [--only student growth] [--lamorel CHECKOUT] [--out results/bench]

A file of results is kept for each time that this is run, by date; the page shows them all. Ratios within one file are
what counts: machines differ, and so does one machine from day to day.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from history import write_history

from cotutor.hardware import accelerator

PARTS = {
    "teacher": ["teacher_speed.py", "--contexts", "64", "--rows", "7", "32", "--row-tokens", "384", "1024"],
    "student": ["student_speed.py"],
    "thresholds": ["thresholds.py"],
    "growth": ["growth.py"],
    "cluster": ["cluster_speed.py"],
    "faults": ["fault_speed.py"],
}


def measure(part: str, more: list[str]) -> dict[str, Any]:
    """Runs a benchmark; returns its figures and the peak of its memory."""
    script, *flags = PARTS[part]
    with TemporaryDirectory() as folder:
        target = Path(folder) / "figures.json"
        command = [sys.executable, str(Path(__file__).with_name(script)), *flags, *more, "--json", str(target)]
        process = subprocess.Popen(command)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{script} ended with {process.returncode}")
        return {
            "command": [script, *flags, *more],
            "peak_megabytes": usage.ru_maxrss / 1e3,
            **json.loads(target.read_text()),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=tuple(PARTS))
    parser.add_argument("--lamorel", type=Path, help="a checkout of Lamorel's repository, whose scorer is timed, too")
    parser.add_argument("--out", type=Path, default=Path("results/bench"))
    arguments = parser.parse_args()
    began = datetime.now(UTC)
    found: dict[str, Any] = {
        "date": began.isoformat(timespec="seconds"),
        "cotutor": version("cotutor"),
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {accelerator() or 'no accelerator'}",
    }
    for part in arguments.only:
        more = ["--lamorel", str(arguments.lamorel)] if part == "teacher" and arguments.lamorel else []
        print(f"— {part}", flush=True)
        found[part] = measure(part, more)
    arguments.out.mkdir(parents=True, exist_ok=True)
    target = arguments.out / f"{began:%Y%m%d-%H%M%S}.json"
    target.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{target}; the page is {write_history(arguments.out)}")


if __name__ == "__main__":
    main()
