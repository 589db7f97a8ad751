"""The page of climbs compared: how far each method got, and what each rung took."""

from pathlib import Path

from cotutor.climb import Ladder
from cotutor.compare.climbs import Climbs, claims, subject_of, successes, tables, tried, verdict
from cotutor.report.document import write_page
from cotutor.report.figures import Figure, Trace
from cotutor.report.methods import Line, draw, legible_figure, place, success_figure


def write_climbs(ladder: Ladder, climbs: Climbs, target: Path) -> Path:
    """Writes the page of climbs compared.

    Args:
        ladder: What was climbed.
        climbs: The climbs that are kept, at least one.
        target: The file.

    Returns:
        The file: one page that opens offline.
    """
    lines = draw({method: kind_of(ladder, method) for method in dict.fromkeys([*ladder.methods, *climbs])}, climbs)
    rungs = tried(ladder, climbs)
    success = success_figure(
        "rungs",
        "Success on each rung",
        "Success of the pair in held-out episodes at the end of each rung, the easiest at the top: interquartile means "
        "over the climbs that tried it, with 95% intervals.",
        {method: [successes(rung, mine) for rung in rungs] for method, mine in climbs.items()},
        lines,
        [rung.task for rung in rungs],
    )
    gaps, zero = place(claims(ladder, climbs), lines)
    figures = [legible_figure(figure) for figure in (_stairs(ladder, climbs, lines), success)]
    return write_page(
        target,
        "climbs.html.jinja",
        figures,
        name=f"Climbing {ladder.name}",
        about=" ".join(ladder.about.split()),
        subject=subject_of(ladder),
        verdict=verdict(ladder, climbs),
        count=sum(len(mine) for mine in climbs.values()),
        gaps=gaps,
        zero=zero,
        plots=figures,
        tables=tables(ladder, climbs),
    )


def kind_of(ladder: Ladder, method: str) -> str:
    """Returns whether a method is the ladder's ``subject``, a ``control`` of its teacher, or a ``rival``."""
    if method == subject_of(ladder):
        return "subject"
    teacher = ladder.methods.get(method, {}).get("teacher", "oracle")
    return "rival" if teacher == "oracle" else "control"


def _stairs(ladder: Ladder, climbs: Climbs, lines: dict[str, Line]) -> Figure:
    traces: list[Trace] = []
    # the subject last, above the others
    for method, mine in sorted(climbs.items(), key=lambda item: item[0] == subject_of(ladder)):
        for number, climb in enumerate(mine):
            steps = climb.stairs(ladder)
            line = lines[method]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": method,
                    "legendgroup": line.key,
                    "showlegend": number == 0,
                    "x": [frames for frames, _ in steps],
                    "y": [count for _, count in steps],
                    "line": {"color": f"var({line.colour})", "dash": line.dash, "width": 2, "shape": "hv"},
                    "marker": {"color": f"var({line.colour})", "size": 5},
                    "opacity": 0.85,
                    "hovertemplate": f"seed {climb.seed}: %{{y}} after %{{x:,}} frames",
                }
            )
    return Figure(
        "stairs",
        "The climbs",
        "Rungs mastered over the frames of the whole climb, a line for each climb; where one ends flat, the last rung "
        "that it tried was not mastered.",
        traces,
        {"hovermode": "closest", "yaxis": {"title": {"text": "rungs mastered"}, "rangemode": "tozero", "dtick": 1}},
    )
