"""The page of all benchmarks that were kept: a table over time, and how cost grows."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cotutor.report.document import write_page
from cotutor.report.figures import Figure

Found = dict[str, Any]
DEFAULT = "trie of 384"


def of_lamorel(found: Found) -> float:
    """Returns our contexts per second over those of Lamorel at its best."""
    scorers = found["teacher"]["scorers"]
    rivals = [figure["contexts_per_second"] for name, figure in scorers.items() if name.startswith("lamorel")]
    return scorers[DEFAULT]["contexts_per_second"] / max(rivals)


def to_most(method: str) -> Callable[[Found], str]:
    """Returns what tells the seconds and frames of a method until nine episodes of ten succeed."""

    def tell(found: Found) -> str:
        runs = found["thresholds"]["runs"][method]
        reached = [run for run in runs if run["frames"] is not None]
        frames = statistics.median(run["frames"] or float("inf") for run in runs)
        seconds = statistics.median(run["seconds"] if run["frames"] is not None else float("inf") for run in runs)
        return f"{seconds:.0f} s, {frames:,.0f} frames ({len(reached)} of {len(runs)})"

    return tell


def growth(name: str, figure: str) -> Callable[[Found], float]:
    """Returns what tells how much larger a figure is in the last row of a table than in the first."""
    return lambda found: found["growth"][name][-1][figure] / found["growth"][name][0][figure]


def last(name: str, figure: str) -> Callable[[Found], float]:
    """Returns what tells a figure of the last row of a table."""
    return lambda found: found["growth"][name][-1][figure]


def replicas(found: Found) -> float:
    """Returns how much faster two replicas of the teacher answer than one."""
    speeds = {row["replicas"]: row["contexts_per_second"] for row in found["cluster"]["figures"]["teachers"]}
    return speeds[2] / speeds[1]


def actors(slowness: float) -> Callable[[Found], float]:
    """Returns what tells how much faster four actors step environments than this process."""

    def tell(found: Found) -> float:
        rows = found["cluster"]["figures"]["envs"]
        speeds = {row["actors"]: row["frames_per_second"] for row in rows if row["step_milliseconds"] == slowness}
        return speeds[4] / speeds[0]

    return tell


def after_a_loss(found: Found) -> float:
    """Returns the seconds that the loss of an actor costs."""
    return found["cluster"]["figures"]["seconds_after_a_loss"]


ROWS: dict[str, tuple[str, Callable[[Found], Any]]] = {
    "scoring: times a padded row per option (to be 6)": (
        "{:.1f}",
        lambda f: f["teacher"]["scorers"][DEFAULT]["times_plain"],
    ),
    "scoring: times Lamorel at its best (to be 2.5)": ("{:.1f}", of_lamorel),
    "scoring: share of the limit of matrix products (to be 85%)": (
        "{:.0%}",
        lambda f: f["teacher"]["scorers"][DEFAULT]["share_of_limit"],
    ),
    "scoring: tokens computed per context": (
        "{:.1f}",
        lambda f: f["teacher"]["scorers"][DEFAULT]["tokens_per_context"],
    ),
    "ppo: frames/s of plain Stable-Baselines3's (to be 97%)": (
        "{:.0%}",
        lambda f: f["student"]["sides"]["ppo"]["of_plain"],
    ),
    "mutual, once it knows: the same (to be 85%)": ("{:.0%}", lambda f: f["student"]["sides"]["mutual"]["of_plain"]),
    "mutual, lessons and questions left out": (
        "{:.0%}",
        lambda f: f["student"]["sides"]["mutual"]["of_plain_without_teacher"],
    ),
    "mutual whose server fails: frames/s of ppo's (to be 90%)": (
        "{:.0%}",
        lambda f: f["faults"]["sides"]["mutual, server that fails"]["of_ppo"],
    ),
    "ppo: to 90%": ("{}", to_most("ppo")),
    "mutual: to 90%": ("{}", to_most("mutual")),
    "ppo that reads the context: to 90%": ("{}", to_most("ppo that reads the context")),
    "mutual that reads the context: to 90%": ("{}", to_most("mutual that reads the context")),
    "64 options cost so many times 2": ("{:.1f}", growth("options", "milliseconds")),
    "2,048 words cost so many times 32": ("{:.0f}", growth("words", "milliseconds")),
    "a million contexts: look-up, µs": ("{:.1f}", last("contexts", "lookup_microseconds")),
    "a million contexts: update, µs a step": ("{:.1f}", last("contexts", "update_microseconds")),
    "a million contexts: peak of memory, MB": ("{:,.0f}", last("contexts", "peak_megabytes")),
    "4 actors of Ray, steps of 0 ms: times this process": ("{:.2f}", actors(0.0)),
    "4 actors of Ray, steps of 20 ms: times this process": ("{:.2f}", actors(20.0)),
    "2 replicas of the teacher: times one": ("{:.2f}", replicas),
    "an actor lost: seconds until it is replaced": ("{:.1f}", after_a_loss),
    "peak of memory, scoring, MB": ("{:,.0f}", lambda f: f["teacher"]["peak_megabytes"]),
    "peak of memory, mutual and ppo, MB": ("{:,.0f}", lambda f: f["student"]["peak_megabytes"]),
}


def write_history(folder: Path) -> Path:
    """Writes ``report.html`` into a folder of results, and returns it."""
    kept = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"), reverse=True)]
    head = ["", *(found["date"][:16].replace("T", " ") for found in kept)]
    rows = [[name, *(cell(found, template, tell) for found in kept)] for name, (template, tell) in ROWS.items()]
    return write_page(
        folder / "report.html",
        "history.html.jinja",
        growth_figures(kept[0]),
        templates=Path(__file__).parent,
        last=kept[0],
        table=(head, rows),
    )


def cell(found: Found, template: str, tell: Callable[[Found], Any]) -> str:
    """Returns a cell, empty where a run did not measure it."""
    try:
        return template.format(tell(found))
    except (KeyError, ValueError):
        return ""


def growth_figures(found: Found) -> list[Figure]:
    """Returns how cost grows in one run, one plot for each of its tables."""
    wanted = {
        "options": ("options", "milliseconds", "Scoring: milliseconds a context, by options"),
        "words": ("context_tokens", "milliseconds", "Scoring: milliseconds a context, by its tokens"),
        "contexts": ("contexts", "lookup_microseconds", "Memory: microseconds a look-up, by contexts remembered"),
        "envs": ("envs", "frames_per_second", "Environments: frames per second, by how many step together"),
    }
    tables = found.get("growth", {})
    return [
        Figure(
            name,
            title,
            f"From {tables[name][0][x]:,} to {tables[name][-1][x]:,}, in the latest run.",
            [
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": y,
                    "x": [row[x] for row in tables[name]],
                    "y": [row[y] for row in tables[name]],
                    "line": {"color": "var(--pair)"},
                }
            ],
            {
                "xaxis": {
                    "type": "log",
                    "tickvals": [row[x] for row in tables[name]],
                    "title": {"text": x.replace("_", " ")},
                },
                "yaxis": {"rangemode": "tozero", "title": {"text": y.replace("_", " ")}},
            },
        )
        for name, (x, y, title) in wanted.items()
        if name in tables
    ]
