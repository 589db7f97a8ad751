"""What a person sees while a run goes on: a live line in a terminal, plain lines elsewhere."""

import time
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_EVERY = 5.0


@dataclass(frozen=True, slots=True)
class Glance:
    """A run at one moment.

    Attributes:
        frames: Environment steps so far.
        success: Success of the pair over the last 100 training episodes, None at first.
        without_advice: Success over the last 32 episodes without advice, None where none is known.
        trust: Trust in the advice, None without a teacher.
        teacher_share: The teacher's share of the time so far, None without a teacher.
        asked: Contexts asked so far.
        silent: Whether the teacher did not answer when it was last asked.
    """

    frames: int
    success: float | None
    without_advice: float | None
    trust: float | None
    teacher_share: float | None
    asked: int
    silent: bool = False

    def __str__(self) -> str:
        parts = [f"pair {_percent(self.success)}"]
        if self.trust is not None and self.teacher_share is not None:
            parts.append(f"without advice {_percent(self.without_advice)}")
            parts.append(f"trust {self.trust:.2f}")
            parts.append(f"teacher {self.teacher_share:.0%} of time, {self.asked} contexts")
        if self.silent:
            parts.append("the teacher does not answer")
        return " · ".join(parts)


class ProgressDisplay:
    """Shows a run's progress; a context manager.

    Args:
        console: Where to; a live line if it is a terminal, a line every few seconds if not.
        frames: Frames in all.
        live: Whether a terminal may be written over, which it may not where somebody types.
    """

    def __init__(self, console: Console, frames: int, live: bool = True) -> None:
        self.console = console
        self.live = live and console.is_terminal
        self.frames = frames
        self.began = self.last = time.monotonic()
        self.bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("frames · {task.fields[glance]} ·"),
            TimeRemainingColumn(),
            console=console,
            disable=not self.live,
        )
        self.line = self.bar.add_task("teaching", total=frames, glance="starting")

    def __enter__(self) -> "ProgressDisplay":
        self.bar.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.bar.stop()

    def say(self, words: str) -> None:
        """Shows a sentence above the line."""
        self.console.print(words, highlight=False, soft_wrap=True)

    def show(self, glance: Glance) -> None:
        """Shows the run as it is now."""
        if self.live:
            self.bar.update(self.line, completed=min(glance.frames, self.frames), glance=str(glance))
            return
        now = time.monotonic()
        if now - self.last >= PLAIN_EVERY or glance.frames >= self.frames:
            self.last = now
            left = (now - self.began) * max(self.frames - glance.frames, 0) / glance.frames
            self.console.print(f"{glance.frames}/{self.frames} frames · {glance} · {left:.0f} s left", soft_wrap=True)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
