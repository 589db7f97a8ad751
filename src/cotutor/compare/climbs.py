"""Climbs compared: what is kept of each, and the table over all of them."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from cotutor.climb import Climbed, Ladder, Rung
from cotutor.compare.kept import KeptRun, file_name, keep, read_all, write
from cotutor.compare.statistics import FEWEST, estimate, iqm
from cotutor.compare.table import grid


def keep_climb(ladder: Ladder, climbs: Sequence[Climbed], method: str, settings: dict[str, Any], out: Path) -> None:
    """Keeps the runs of a climb in place of an earlier one like it, and writes ``README.md`` over all that is kept.

    Args:
        ladder: What is climbed.
        climbs: The climb's runs so far.
        method: Who climbs, as it is to be called in the table.
        settings: What was set for every rung.
        out: The folder.
    """
    for earlier in (out / "runs").glob(f"{file_name('*', method, climbs[0].summary.seed)}.json"):
        earlier.unlink()
    for climbed in climbs:
        write(keep(climbed.folder.path, climbed.folder.path.name, method, settings), out / "runs")
    (out / "README.md").write_text(markdown(ladder, read_all(out / "runs")), encoding="utf-8")


def markdown(ladder: Ladder, runs: Sequence[KeptRun]) -> str:
    """Returns the table of climbs: how far each method came, and what each rung took."""
    climbs = {
        method: [list(climb) for _, climb in groupby(sorted(mine, key=_place), key=lambda run: run.seed)]
        for method, mine in _by_method(runs).items()
    }
    rows = [
        ["climbs", *(str(len(each)) for each in climbs.values())],
        ["rungs mastered", *(_rungs_mastered(ladder, each) for each in climbs.values())],
        *([f"`{rung.task}`", *(_rung(rung, each) for each in climbs.values())] for rung in ladder.rungs),
    ]
    return "\n".join(
        [
            f"# Climbing {ladder.name}",
            "",
            ladder.about,
            "",
            "Made from the runs in `runs/`. A climb goes on as long as it masters its rungs, so that what was not",
            "reached was not tried. Rungs mastered: interquartile mean over the climbs, with its 95% interval",
            f"(stratified bootstrap) from {FEWEST} climbs on. Each rung: in how many of the climbs that tried it the",
            "pair mastered it, judged by held-out episodes; the medians of its success there at the end of the rung",
            "and of the frames and seconds that it took, what came before left out; and the teacher's success as the",
            "only planner, untaught and then.",
            "",
            grid(["", *climbs], rows),
            "",
        ]
    )


def _by_method(runs: Sequence[KeptRun]) -> dict[str, list[KeptRun]]:
    return {method: [run for run in runs if run.method == method] for method in dict.fromkeys(r.method for r in runs)}


def _place(run: KeptRun) -> tuple[int, int]:
    return run.seed, int(run.task.partition("-")[0])


def _tries(rung: Rung, climbs: Sequence[Sequence[KeptRun]]) -> list[list[KeptRun]]:
    """Returns the runs of a rung, of each climb that tried it."""
    tries = [[run for run in climb if run.summary.task == rung.task] for climb in climbs]
    return [runs for runs in tries if runs]


def _rungs_mastered(ladder: Ladder, climbs: Sequence[Sequence[KeptRun]]) -> str:
    counts = [
        float(sum(rung.is_met_by(runs[-1].summary) for rung in ladder.rungs for runs in _tries(rung, [climb])))
        for climb in climbs
    ]
    if len(counts) < FEWEST:
        return ", ".join(f"{count:.0f}" for count in counts)
    found = estimate(iqm, counts)
    return f"{found.value:.1f} [{found.low:.1f}, {found.high:.1f}]"


def _rung(rung: Rung, climbs: Sequence[Sequence[KeptRun]]) -> str:
    tries = _tries(rung, climbs)
    if not tries:
        return "not reached"
    mastered = sum(rung.is_met_by(runs[-1].summary) for runs in tries)
    success = median(runs[-1].summary.pair_success for runs in tries)
    frames = median(sum(run.summary.frames for run in runs) for runs in tries)
    seconds = median(sum(run.summary.wall_seconds for run in runs) for runs in tries)
    before = [runs[0].summary.teacher_success_before for runs in tries]
    after = [runs[-1].summary.teacher_success_after for runs in tries]
    cell = f"{mastered}/{len(tries)} · {success:.2f} · {frames:,.0f} frames · {seconds:,.0f} s"
    taught = [share for share in (*before, *after) if share is not None]
    if len(taught) < 2 * len(tries):
        return cell
    return f"{cell} · teacher {median(taught[: len(tries)]):.2f} → {median(taught[len(tries) :]):.2f}"
