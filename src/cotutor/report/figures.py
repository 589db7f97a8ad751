"""The report's plots, as plotly's JSON. Colours are CSS variables, which the page resolves for light and dark."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from sqlite3 import Row
from typing import Any

from cotutor.runs.ledger import read
from cotutor.runs.summary import FIRST_POINT, WINDOW

TRIAL_WINDOW = 25
MOST_POINTS = 600
TRUST = "How sure the student's own measurements are that following the advice pays, 0 to 1; it starts at zero."

Trace = dict[str, Any]
Point = tuple[int, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot with what is to be said about it.

    Attributes:
        name: Its name in the page.
        title: What it shows.
        caption: How to read it, in one or two sentences.
        traces: plotly's traces.
        layout: What differs from the page's common layout.
    """

    name: str
    title: str
    caption: str
    traces: list[Trace]
    layout: dict[str, Any]


def learning_figure(ledger: Path, taught: bool, ceiling: float | None) -> Figure:
    """Success in training and, where there is a teacher, its agreement with the bot."""
    episodes = read(ledger, "SELECT frames, trial, success FROM episodes ORDER BY rowid")
    training = success_curve([row for row in episodes if not row["trial"]], WINDOW)
    trials = [row for row in episodes if row["trial"]]
    traces = [_line("pair" if taught else "student", training, "--pair", hover="%{y:.0%}")]
    caption = f"Success over the last {WINDOW} training episodes (the first points: at least {FIRST_POINT})."
    if taught and len(trials) >= 2 * TRIAL_WINDOW:
        curve = success_curve(trials, TRIAL_WINDOW)
        traces.append(_line("trial episodes", curve, "--trial", width=1.5, dash="dot", hover="%{y:.0%}"))
        caption += f" Trial episodes, over the last {TRIAL_WINDOW}, act without the advice (on probation: with it)."
    agreement = [
        row
        for row in read(ledger, "SELECT frames, teacher_agreement, teacher_updates FROM rounds ORDER BY round")
        if row["teacher_agreement"] is not None
    ]
    if taught and agreement:
        traces.append(_agreement(agreement))
        caption += " The teacher: share of fixed states in which its best option is right; large dots are its updates."
        if ceiling is not None:
            ends = [(0, ceiling), (max(row["frames"] for row in [*agreement, *episodes]), ceiling)]
            traces.append(_line("ceiling of the contexts", ends, "--teacher", width=1, dash="dash", hover="%{y:.0%}"))
    return Figure("learning", "Learning", caption, traces, _layout("share", range=[-0.02, 1.02], tickformat=".0%"))


def climb_figure(rungs: Sequence[tuple[str, Path, int]]) -> Figure:
    """Success in training on each rung of a climb, given by task, ledger and frames, over the frames of all of them."""
    traces, before = [], 0
    for number, (task, ledger, frames) in enumerate(rungs):
        episodes = read(ledger, "SELECT frames, success FROM episodes WHERE NOT trial ORDER BY rowid")
        curve = [(before + at, success) for at, success in success_curve(episodes, WINDOW)]
        traces.append(_line(task, curve, ("--pair", "--trust", "--teacher")[number % 3], hover="%{y:.0%}"))
        before += frames
    caption = f"Success over the last {WINDOW} training episodes of each rung, over the frames of the whole climb."
    layout = _layout("share", range=[-0.02, 1.02], tickformat=".0%")
    return Figure("climb", "The climb", caption, traces, layout)


def trust_figures(ledger: Path, margin: float) -> list[Figure]:
    """Trust in the advice, and the gain that it rests on."""
    rounds = read(ledger, "SELECT frames, trust, gain FROM rounds ORDER BY round")
    trust = [_line("trust", _points(rounds, "trust"), "--trust", hover="%{y:.2f}")]
    gain = [_line("gain per step", _points(rounds, "gain"), "--trust", hover="%{y:.3f}")]
    if rounds:
        ends = [(rounds[0]["frames"], margin), (rounds[-1]["frames"], margin)]
        gain.append(_line("margin", ends, "--trial", width=1, dash="dash", hover="%{y}"))
    return [
        Figure(
            "trust",
            "Trust",
            TRUST,
            trust,
            _layout("trust", range=[-0.02, 1.02]),
        ),
        Figure(
            "gain",
            "Gain",
            "What following the advice gains per step, in standard deviations of the advantage, as the "
            "student measured it; trust is earned above the margin.",
            gain,
            _layout("gain"),
        ),
    ]


def cost_figures(ledger: Path, taught: bool) -> list[Figure]:
    """What training took."""
    rounds = read(ledger, "SELECT frames, seconds, asked, teacher_seconds FROM rounds ORDER BY round")
    wall = _line("all of training", _points(rounds, "seconds"), "--pair", hover="%{y:.1f} s")
    time = Figure("seconds", "Time", "Wall-clock seconds of training.", [wall], _layout("seconds"))
    if not taught:
        return [time]
    teacher = _line("the teacher's part", _points(rounds, "teacher_seconds"), "--teacher", hover="%{y:.1f} s")
    asked = _line("contexts asked", _points(rounds, "asked"), "--teacher", hover="%{y:,}")
    caption = "Wall-clock seconds of training, and those of them that asking and teaching the teacher took."
    return [
        Figure("asked", "Questions", "Contexts put to the teacher so far.", [asked], _layout("contexts")),
        Figure("seconds", "Time", caption, [wall, teacher], _layout("seconds")),
    ]


def success_curve(episodes: Sequence[Row], window: int) -> list[Point]:
    """Returns (frames, success over the last ``window`` episodes), at most :data:`MOST_POINTS` evenly spaced points."""
    totals = [0, *accumulate(row["success"] for row in episodes)]
    first = min(FIRST_POINT, window)
    curve = [
        (row["frames"], (totals[i] - totals[max(0, i - window)]) / min(i, window))
        for i, row in enumerate(episodes, start=1)
        if i >= first
    ]
    if len(curve) <= MOST_POINTS:
        return curve
    return [curve[round(i * (len(curve) - 1) / (MOST_POINTS - 1))] for i in range(MOST_POINTS)]


def _agreement(rounds: Sequence[Row]) -> Trace:
    points = _points(rounds, "teacher_agreement")
    updates = [row["teacher_updates"] or 0 for row in rounds]
    updated = [now > before for before, now in zip([0, *updates[:-1]], updates, strict=True)]
    trace = _line("teacher agrees with the bot", points, "--teacher", hover="%{y:.0%}")
    marker = trace["marker"] | {"size": [9 if new else 4 for new in updated]}
    return trace | {"mode": "lines+markers", "marker": marker}


def _points(rounds: Sequence[Row], column: str) -> list[Point]:
    return [(row["frames"], row[column]) for row in rounds if row[column] is not None]


def _line(
    name: str, points: Sequence[Point], colour: str, *, hover: str, width: float = 2.5, dash: str = "solid"
) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines" if len(points) > 1 else "markers",
        "name": name,
        "x": [frames for frames, _ in points],
        "y": [round(value, 5) for _, value in points],
        "line": {"color": f"var({colour})", "width": width, "dash": dash},
        "marker": {"color": f"var({colour})"},
        "hovertemplate": hover,
    }


def _layout(y_title: str, **y_axis: Any) -> dict[str, Any]:
    return {"yaxis": {"title": {"text": y_title}, "rangemode": "tozero", **y_axis}}
