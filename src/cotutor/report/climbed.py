"""The page of a climb."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from cotutor.climb import Climbed, Ladder, is_mastered
from cotutor.report.document import duration, write_page
from cotutor.report.figures import climb_figure
from cotutor.report.verdict import percent

TITLES = (
    "rung",
    "frames",
    "time",
    "pair",
    "student alone",
    "teacher",
    "next: pair",
    "next: teacher",
    "mastered",
    "at the end",
)


def write_climb(ladder: Ladder, climbs: Sequence[Climbed], out: Path, remembered: Mapping[str, float]) -> Path:
    """Writes ``report.html`` into the folder of a climb and returns it.

    Args:
        ladder: What is climbed.
        climbs: The runs so far.
        out: The climb's folder.
        remembered: Success at the end on the tasks mastered, empty as long as the climb goes on.
    """
    figure = climb_figure([(climbed.rung.task, climbed.folder.ledger, climbed.summary.frames) for climbed in climbs])
    rows = [
        {"cells": cells(climbed, remembered), "link": f"{quote(climbed.folder.path.name)}/report.html"}
        for climbed in climbs
    ]
    return write_page(
        out / "report.html",
        "climb.html.jinja",
        [figure],
        name=f"Climbing {ladder.name}",
        about=ladder.about,
        verdict=verdict(ladder, climbs),
        figure=figure,
        titles=TITLES,
        rows=rows,
        episodes=climbs[-1].summary.eval_episodes,
    )


def verdict(ladder: Ladder, climbs: Sequence[Climbed]) -> str:
    """Returns in one sentence how far the climb got."""
    mastered = sum(is_mastered(rung, climbs) for rung in ladder.rungs)
    frames = sum(climbed.summary.frames for climbed in climbs)
    text = f"{mastered} of {len(ladder.rungs)} rungs are mastered after {frames:,} frames"
    last = climbs[-1]
    if last.mastered:
        return f"{text}."
    return f"{text}; the last one tried is {last.rung.task}, with {percent(last.summary.pair_success)} of success."


def cells(climbed: Climbed, remembered: Mapping[str, float]) -> tuple[str, ...]:
    """Returns the row of a run in the table."""
    summary = climbed.summary
    above = next(iter(summary.transfer.values()), {})
    return (
        climbed.rung.task,
        f"{summary.frames:,}",
        duration(summary.wall_seconds),
        percent(summary.pair_success),
        percent(summary.student_success),
        f"{_share(summary.teacher_success_before)} → {_share(summary.teacher_success_after)}",
        _share(above.get("pair")),
        _share(above.get("teacher")),
        "yes" if climbed.mastered else "no",
        _share(remembered.get(climbed.rung.task)),
    )


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value)
