"""How methods are drawn, in a comparison of runs and in one of climbs: the subject in front, its controls dashed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cotutor.compare.statistics import Claim, estimate, iqm
from cotutor.compare.table import signed
from cotutor.report.document import legible
from cotutor.report.figures import Figure, Trace

COLOURS = 6
"""Colours of the page beside the subject's; beyond them lines of one kind are dotted."""
MOST_LINES = 8
"""Methods that the curves show at first; of more, only the subject and its controls."""
SYMBOLS = {"solid": "circle", "dash": "diamond", "dashdot": "square", "dot": "x"}
"""Marks of methods, by the dash of their lines."""


@dataclass(frozen=True, slots=True)
class Line:
    """How a method is drawn in the curves of a task.

    Attributes:
        method: Its name.
        key: Its number among the recipe's methods, as text.
        kind: ``subject``, ``control`` or ``rival``.
        colour: A CSS variable.
        dash: plotly's name of the dash.
        shown: Whether it is shown at first.
    """

    method: str
    key: str
    kind: str
    colour: str
    dash: str
    shown: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """The subject's area minus another method's, to be drawn.

    Attributes:
        line: The other method.
        claim: The claim.
        text: Difference and interval.
        low: Lower end of the interval, in percent of the drawing's width.
        middle: The difference, likewise.
        high: Upper end, likewise.
    """

    line: Line
    claim: Claim
    text: str
    low: float
    middle: float
    high: float


def draw(kinds: Mapping[str, str], present: Collection[str]) -> dict[str, Line]:
    """Returns how the methods that are present are drawn.

    Args:
        kinds: ``subject``, ``control`` or ``rival``, by method; all that may come, so that each keeps its colour.
        present: Those that have runs.
    """
    dashes = {"subject": ("solid",), "control": ("dash", "dashdot"), "rival": ("solid", "dot")}
    few = len(present) <= MOST_LINES
    lines = {}
    for key, (method, kind) in enumerate(kinds.items()):
        if method in present:
            number = [other for other in kinds if kinds[other] == kind].index(method)
            colour = "--pair" if kind == "subject" else f"--m{number % COLOURS}"
            dash = dashes[kind][number // COLOURS % len(dashes[kind])]
            lines[method] = Line(method, str(key), kind, colour, dash, few or kind != "rival")
    return lines


def place(claims: Sequence[Claim], lines: Mapping[str, Line]) -> tuple[list[Gap], float]:
    """Returns the gaps between subject and others, controls first and the least first, and the place of zero."""
    low = min([0.0, *(claim.difference.low for claim in claims)])
    high = max([0.0, *(claim.difference.high for claim in claims)])
    margin = 0.04 * (high - low) or 1.0

    def percent(value: float) -> float:
        return round(100 * (value - low + margin) / (high - low + 2 * margin), 2)

    gaps = [
        Gap(lines[claim.other], claim, signed(found), percent(found.low), percent(found.value), percent(found.high))
        for claim in claims
        for found in [claim.difference]
    ]
    return sorted(gaps, key=lambda gap: (gap.line.kind, gap.middle)), percent(0.0)


def success_figure(
    name: str,
    title: str,
    caption: str,
    values: Mapping[str, Sequence[Sequence[float]]],
    lines: Mapping[str, Line],
    rows: Sequence[str],
) -> Figure:
    """Returns a plot of success by task, from above, and by method: interquartile means with 95% intervals.

    Args:
        name: The figure's name.
        title: Its title.
        caption: Its caption.
        values: For each method the success of its runs on each task; empty where there are none.
        lines: How the methods are drawn.
        rows: The tasks.
    """
    traces: list[Trace] = []
    for i, (method, by_task) in enumerate(values.items()):
        line = lines[method]
        found = {row: estimate(iqm, values) for row, values in enumerate(by_task) if values}
        shift = 0.6 * ((i + 0.5) / len(values) - 0.5)
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": method,
                "legendgroup": line.key,
                "visible": line.shown,
                "x": [entry.value for entry in found.values()],
                "y": [row + shift for row in found],
                "marker": {"color": f"var({line.colour})", "size": 10, "symbol": SYMBOLS[line.dash]},
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": [entry.high - entry.value for entry in found.values()],
                    "arrayminus": [entry.value - entry.low for entry in found.values()],
                    "color": f"var({line.colour})",
                },
                "hovertemplate": "%{x:.2f}",
            }
        )
    layout = {
        "hovermode": "closest",
        "xaxis": {"title": {"text": "success"}, "range": [-0.02, 1.02], "tickformat": ".0%"},
        "yaxis": {
            "tickvals": list(range(len(rows))),
            "ticktext": list(rows),
            "range": [len(rows) - 0.5, -0.5],
            "title": {"text": ""},
        },
    }
    return Figure(name, title, caption, traces, layout)


def legible_figure(figure: Figure) -> Figure:
    """Returns a figure in whose texts, which come from recipes, plotly finds no markup."""
    return Figure(
        figure.name, figure.title, figure.caption, _bare(legible(figure.traces)), _bare(legible(figure.layout))
    )


def _bare(data: Any) -> Any:
    if isinstance(data, str):
        return data.replace("<", "‹").replace(">", "›")
    if isinstance(data, dict):
        return {name: _bare(value) for name, value in data.items()}
    return [_bare(value) for value in data] if isinstance(data, list) else data
