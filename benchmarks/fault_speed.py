"""Frames per second while the teacher's server fails in one way after the other, against a student without a teacher.

    python benchmarks/fault_speed.py [--frames 8192] [--rounds 5] [--json FILE]

The server, which has a tiny model, and the proxy that fails are those of the tests, in a process of their own; every
second another fault is there. All sides take turns in one process; only the ratios of their medians count.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from turns import Side, take_turns

from cotutor.config import from_values

SECONDS_A_FAULT = 1.0
SETTINGS = {
    "task": "babyai:GoToLocal",
    "threads": 1,
    "served": {"timeout": 1.5, "retries": 1},
}


def fail() -> None:
    """Serves, and fails once a line came in; prints its address and that of the server that goes on being well."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.teachers.faults import proxy_before  # noqa: PLC0415
    from tests.teachers.server import serve  # noqa: PLC0415
    from tests.teachers.test_faults import FAULTS, tiny_teacher  # noqa: PLC0415

    torch.set_num_threads(1)
    with (
        TemporaryDirectory() as folder,
        serve(tiny_teacher(Path(folder))) as server,
        proxy_before(server.url) as proxy,
    ):
        print(proxy.url, flush=True)
        print(server.url, flush=True)
        input()
        for fault in itertools.cycle(FAULTS):
            if fault == "refused":
                proxy.refuse()
                time.sleep(SECONDS_A_FAULT)
                proxy.listen()
            else:
                proxy.fault = fault
                time.sleep(SECONDS_A_FAULT)


def side(method: str, teacher: str, frames: int) -> Side:
    """Returns a method with a teacher, ready to be measured."""
    return Side(from_values({**SETTINGS, "method": method, "teacher": teacher, "frames": frames}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where the figures are written")
    parser.add_argument("--fail", action="store_true", help="only serve, and fail")
    arguments = parser.parse_args()
    if arguments.fail:
        fail()
    torch.set_num_threads(1)
    server = subprocess.Popen(
        [sys.executable, __file__, "--fail"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None and server.stdin is not None
        failing, well = (server.stdout.readline().strip() for _ in range(2))
        sides = {
            "ppo": side("ppo", "smollm2", arguments.frames),
            "mutual, uniform": side("mutual", "uniform", arguments.frames),
            "mutual, server that is well": side("mutual", f"openai:tiny@{well}", arguments.frames),
            "mutual, server that fails": side("mutual", f"openai:tiny@{failing}", arguments.frames),
        }
        server.stdin.write("fail\n")
        server.stdin.flush()
        speeds = take_turns({name: each.frames_per_second for name, each in sides.items()}, arguments.rounds)
        failures = sides["mutual, server that fails"].recorder.failures
    finally:
        server.terminate()
        server.wait()
    medians = {name: statistics.median(each) for name, each in speeds.items()}
    figures = {
        name: {"frames_per_second": median, "of_ppo": median / medians["ppo"], "each": speeds[name]}
        for name, median in medians.items()
    }
    for name, figure in figures.items():
        print(f"{name}: {figure['frames_per_second']:,.0f} frames/s, {figure['of_ppo']:.1%} of ppo")
    print(f"{failures} failures noted")
    if arguments.json:
        about = {"settings": SETTINGS, "frames": arguments.frames, "failures": failures}
        arguments.json.write_text(json.dumps(about | {"sides": figures}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
