"""The page of a comparison: the answer first, then curves, costs, arrows and claims."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cotutor.compare.kept import Curve, KeptRun
from cotutor.compare.recipe import Recipe
from cotutor.compare.statistics import estimate, iqm, iqm_band
from cotutor.compare.table import (
    Results,
    answer,
    gather,
    headline,
    shown,
    signed,
    tabulate,
    transfer_table,
)
from cotutor.config import METHODS, from_values
from cotutor.report.document import write_page
from cotutor.report.figures import TRUST, Figure, Trace
from cotutor.report.methods import Gap, Line, draw, legible_figure, place, success_figure
from cotutor.types import FloatArray

POINTS = 64
ENDS = ("n", "pair", "student alone", "teacher before", "after", "agreement before", "after ", "ceiling", "trust")
COSTS = ("n", "area", "frames to 50%", "to 90%", "to 95%", "seconds to 90%", "seconds", "teacher's", "asked", "tokens")
ARROWS = ("advice", "feedback in real time", "lessons", "prior", "distillation")


@dataclass(frozen=True, slots=True)
class TaskView:
    """A part of the page.

    Attributes:
        number: Its place, which ends the names of its plots.
        subject: The method in question.
        title: Its heading.
        headline: The language model's own share in a sentence.
        answer: What the runs say about the language model's own share.
        n: The least and the largest number of runs of a method, as text.
        lines: The methods that have runs.
        gaps: Differences in area, those to controls first, the least first; empty where the subject has no runs.
        zero: Where no difference is, in percent of the drawing's width.
        curves: Plots of success.
        teacher: Plots about the teacher; empty where nothing is known.
        end: Plot of the end of training.
        ends: Head and rows of the table beside it.
        transfer: Plot of the success on tasks that nobody was trained on; None where there are none.
        transfers: Head and rows of the table beside it.
        arrows: A row a method: its name, what each arrow is, and the area.
        costs: Head and rows of the table of costs.
        claims: Head of the table of claims and, by measure, its rows.
    """

    number: int
    subject: str
    title: str
    headline: str
    answer: str
    n: str
    lines: list[Line]
    gaps: list[Gap]
    zero: float
    curves: list[Figure]
    teacher: list[Figure]
    end: Figure
    ends: tuple[list[str], list[list[str]]]
    transfer: Figure | None
    transfers: tuple[list[str], list[list[str]]]
    arrows: list[tuple[str, list[str], str]]
    costs: tuple[list[str], list[list[str]]]
    claims: tuple[list[str], dict[str, list[list[str]]]]


def write_comparison(recipe: Recipe, runs: Sequence[KeptRun], target: Path, command: str) -> Path:
    """Writes the page of a comparison.

    Args:
        recipe: What was compared.
        runs: The runs that are kept of it, at least one.
        target: The file.
        command: The command that makes these results.

    Returns:
        The file: one page that opens offline.
    """
    views = [view_task(i, results) for i, results in enumerate(gather(recipe, runs)) if results.runs]
    figures = [figure for view in views for figure in (*view.curves, *view.teacher, view.end, view.transfer) if figure]
    return write_page(
        target,
        "comparison.html.jinja",
        [legible_figure(figure) for figure in figures],
        ("comparison.js",),
        name=recipe.name,
        about=" ".join(recipe.about.split()),
        command=command,
        count=len(runs),
        views=views,
        arrows=ARROWS,
    )


def view_task(number: int, results: Results) -> TaskView:
    """Returns the part of the page about one task.

    Args:
        number: Its place, for the names of its plots.
        results: Its runs.
    """
    counts = sorted({len(runs) for runs in results.runs.values()})
    task = results.task
    kinds = {
        method: "subject" if method == task.subject else "control" if method in task.controls else "rival"
        for method in task.methods
    }
    lines = draw(kinds, results.runs)
    gaps, zero = place(results.claims("area"), lines)
    title = f"{task.name}: {task.settings.get('task')}, {results.budget:,} frames"
    return TaskView(
        number,
        task.subject,
        title,
        headline(results),
        answer(results),
        " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1]))),
        list(lines.values()),
        gaps,
        zero,
        _success_figures(number, results, lines),
        _teacher_figures(number, results, lines),
        _end_figure(number, results),
        tabulate(results, ENDS),
        _transfer_figure(number, results, lines) if results.transfers else None,
        transfer_table(results),
        [_arrows(results, method) for method in results.runs],
        tabulate(results, COSTS),
        _claims(results),
    )


def _success_figures(number: int, results: Results, lines: dict[str, Line]) -> list[Figure]:
    share = {"yaxis": {"title": {"text": "success"}, "range": [-0.02, 1.02], "tickformat": ".0%"}, "showlegend": False}
    read = "Success over the last 100 training episodes: interquartile mean over runs and pointwise 95% interval. "
    seconds = {**share, "xaxis": {"title": {"text": "seconds"}}}
    return [
        Figure(
            f"frames-{number}",
            "Success over frames",
            read.rstrip(),
            _bands(results, lines, lambda curve: curve.frames, _success),
            share,
        ),
        Figure(
            f"seconds-{number}",
            "Success over seconds",
            read + "Runs shared the machine, so seconds are rough; the teacher's are among them. "
            "Runs on another device than most are left out.",
            _bands(results.timed, lines, lambda curve: curve.seconds, _success),
            seconds,
        ),
    ]


def _teacher_figures(number: int, results: Results, lines: dict[str, Line]) -> list[Figure]:
    wanted: list[tuple[str, str, str, Callable[[Curve], Sequence[float | None]], dict[str, Any]]] = [
        (
            "agreement",
            "The teacher by itself",
            "Share of fixed states in which its best option is as good as the bot's, by its weights alone.",
            lambda curve: curve.teacher_agreement,
            {"range": [-0.02, 1.02], "tickformat": ".0%", "title": {"text": "agreement"}},
        ),
        (
            "trust",
            "Trust in the advice",
            TRUST,
            lambda curve: curve.trust,
            {"range": [-0.02, 1.02], "title": {"text": "trust"}},
        ),
        (
            "gain",
            "Gain of following the advice",
            "Per step, in standard deviations of the advantage, as the student measured it.",
            lambda curve: curve.gain,
            {"title": {"text": "gain"}},
        ),
    ]
    figures = []
    for name, title, caption, column, axis in wanted:
        traces = _bands(results, lines, lambda curve: curve.frames, column)
        if traces:
            figures.append(Figure(f"{name}-{number}", title, caption, traces, {"yaxis": axis, "showlegend": False}))
    return figures


def _success(curve: Curve) -> list[float]:
    """Returns the success in training, zero before there was any episode to tell."""
    return [value or 0.0 for value in curve.success]


def _bands(
    results: Results,
    lines: dict[str, Line],
    x: Callable[[Curve], Sequence[float]],
    y: Callable[[Curve], Sequence[float | None]],
) -> list[Trace]:
    traces: list[Trace] = []
    # the subject last, above the others
    for method, runs in sorted(results.runs.items(), key=lambda item: item[0] == results.task.subject):
        curves = [curve for run in runs if len(curve := _known(x(run.curve), y(run.curve))) > 1]
        if not curves:
            continue
        grid_P = np.linspace(max(curve[0, 0] for curve in curves), min(curve[-1, 0] for curve in curves), POINTS)
        values_NP = np.stack([np.interp(grid_P, curve[:, 0], curve[:, 1]) for curve in curves])
        traces += _band(lines[method], grid_P, values_NP)
    return traces


def _known(x: Sequence[float], y: Sequence[float | None]) -> FloatArray:
    """Returns the points at which there is a value, shape (P, 2)."""
    return np.array([(a, b) for a, b in zip(x, y, strict=True) if b is not None], dtype=np.float64).reshape(-1, 2)


def _band(line: Line, grid_P: FloatArray, values_NP: FloatArray) -> list[Trace]:
    subject = line.kind == "subject"
    middle_P, low_P, high_P = iqm_band(values_NP)
    common = {
        "type": "scatter",
        "mode": "lines",
        "legendgroup": line.key,
        "visible": line.shown,
        "x": [float(f"{x:.5g}") for x in grid_P],
    }
    edge = {**common, "line": {"width": 0}, "hoverinfo": "skip", "name": line.method}
    filled = {"fill": "tonexty", "fillcolor": f"var({line.colour}){'40' if subject else '1a'}"}
    return [
        {**edge, "y": _rounded(low_P)},
        {**edge, "y": _rounded(high_P), **filled},
        {
            **common,
            "y": _rounded(middle_P),
            "name": f"{line.method} (n={len(values_NP)})",
            "line": {"color": f"var({line.colour})", "dash": line.dash, "width": 3.5 if subject else 1.8},
            "hovertemplate": "%{y:.2f}",
        },
    ]


def _end_figure(number: int, results: Results) -> Figure:
    traces: list[Trace] = []
    names = list(results.runs)
    for kind, colour, symbol, values in (
        ("pair", "var(--pair)", "circle", {m: [run.summary.pair_success for run in results.runs[m]] for m in names}),
        (
            "student alone",
            "var(--teacher)",
            "diamond",
            {m: [run.summary.student_success for run in results.runs[m]] for m in names},
        ),
    ):
        shift = 0.16 if kind == "pair" else -0.16
        dots = [(value, i + shift) for i, m in enumerate(names) for value in values[m]]
        found = [estimate(iqm, values[m]) for m in names]
        traces += [
            {
                "type": "scatter",
                "mode": "markers",
                "name": f"{kind}, a run",
                "x": [x for x, _ in dots],
                "y": [y for _, y in dots],
                "marker": {"color": colour, "size": 6, "opacity": 0.4, "symbol": symbol},
                "hovertemplate": "%{x:.2f}",
                "showlegend": False,
            },
            {
                "type": "scatter",
                "mode": "markers",
                "name": kind,
                "x": [entry.value for entry in found],
                "y": [i + shift for i in range(len(names))],
                "marker": {"color": colour, "size": 10, "symbol": symbol},
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": [entry.high - entry.value for entry in found],
                    "arrayminus": [entry.value - entry.low for entry in found],
                    "color": colour,
                },
                "hovertemplate": "%{x:.2f}",
            },
        ]
    return Figure(
        f"end-{number}",
        "When training is over",
        "Success in held-out episodes: faint marks are runs, large ones interquartile means with 95% intervals.",
        traces,
        {
            "hovermode": "closest",
            "xaxis": {"title": {"text": "success"}, "range": [-0.02, 1.02], "tickformat": ".0%"},
            "yaxis": {
                "tickvals": list(range(len(names))),
                "ticktext": names,
                "range": [len(names) - 0.5, -0.5],
                "title": {"text": ""},
            },
        },
    )


def _transfer_figure(number: int, results: Results, lines: dict[str, Line]) -> Figure:
    """Returns the success of the pairs by task: their own, and those that nobody was trained on."""
    others = results.transfers
    values = {
        method: [results.values("pair", method), *(results.values(other, method) for other in others)]
        for method in results.runs
    }
    return success_figure(
        f"transfer-{number}",
        "Out of training",
        "Success of pair (or student, where there is no teacher) in held-out episodes, interquartile means with 95% "
        "intervals: on the task itself, at the top, and on tasks that nobody was trained on.",
        values,
        lines,
        [str(results.task.settings.get("task")), *others],
    )


def _arrows(results: Results, method: str) -> tuple[str, list[str], str]:
    config = from_values({**results.task.settings, **results.task.methods[method]})
    arrows = METHODS[config.method]
    area = shown(results.values("area", method))
    if arrows.language_policy:
        return method, ["is the policy", *["no"] * 4], area
    if arrows.rival is not None:
        return method, ["in its own way", *["no"] * 4], area
    taught = arrows.teacher
    on = (
        taught,
        arrows.realtime and config.dialogue.depth > 0,
        arrows.lasting,
        taught and config.guidance.prior,
        taught and config.guidance.distillation,
    )
    return method, ["yes" if arrow else "no" for arrow in on], area


def _claims(results: Results) -> tuple[list[str], dict[str, list[list[str]]]]:
    head = [f"{results.task.subject} against", "difference", "P(better)", "p", "n", "so"]
    rows = {
        name: [
            [
                claim.other,
                signed(claim.difference),
                f"{claim.better.value:.2f} [{claim.better.low:.2f}, {claim.better.high:.2f}]",
                f"{claim.p:.3f}",
                str(claim.difference.n),
                claim.verdict,
            ]
            for claim in claims
        ]
        for measure, name in results.measures.items()
        if (claims := results.claims(measure))
    }
    return head, rows


def _rounded(values_P: FloatArray) -> list[float]:
    return [round(float(value), 4) for value in values_P]
