"""Climbs compared: what is kept of each, how far each got, and the tables over all of them.

A climb goes on as long as it masters its rungs, so a method has fewer climbs on a rung the harder it is, and those the
better ones. What is compared therefore counts every climb: the rungs that it mastered, and frames and seconds to 90%,
in which a climb that never came so far is later than all that did.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import inf, isinf
from pathlib import Path
from typing import Any

from cotutor.climb import Climbed, Ladder, Rung
from cotutor.compare.kept import KeptRun, file_name, keep, read_all, write
from cotutor.compare.statistics import FEWEST, Claim, compare, frames_to, seconds_to
from cotutor.compare.table import grid, mean, shown, signed, until

THRESHOLD = 0.9


@dataclass(frozen=True, slots=True)
class Climb:
    """A climb that is kept.

    Attributes:
        method: Who climbed, as it is called in the tables.
        seed: Its seed.
        runs: Its runs, in their order.
    """

    method: str
    seed: int
    runs: list[KeptRun]

    def on(self, rung: Rung) -> list[KeptRun]:
        """Returns the runs of a rung."""
        return [run for run in self.runs if run.summary.task == rung.task]

    def masters(self, rung: Rung) -> bool:
        """Tells whether a rung was mastered when it was last tried."""
        return any(rung.is_met_by(run.summary) for run in self.on(rung)[-1:])

    def count(self, ladder: Ladder) -> int:
        """Returns how many rungs were mastered."""
        return sum(self.masters(rung) for rung in ladder.rungs)

    def frames_to(self, rung: Rung) -> float:
        """Returns the frames on a rung until success in training was at :data:`THRESHOLD`, infinite if it never was."""
        return _until(self.on(rung), frames_to, lambda run: run.summary.frames)

    def seconds_to(self, rung: Rung) -> float:
        """Returns the seconds of training on a rung until then, infinite likewise."""
        return _until(self.on(rung), seconds_to, lambda run: run.curve.seconds[-1])

    def stairs(self, ladder: Ladder) -> list[tuple[int, int]]:
        """Returns frames and rungs mastered so far, at the beginning and after each run."""
        steps, frames = [(0, 0)], 0
        for i, run in enumerate(self.runs, 1):
            frames += run.summary.frames
            steps.append((frames, replace(self, runs=self.runs[:i]).count(ladder)))
        return steps

    def before(self, rung: Rung, actor: str) -> float | None:
        """Returns the success of ``actor`` on a rung when it was next, before a frame of it, None if unknown."""
        found = [run.summary.transfer[rung.task] for run in self.runs if rung.task in run.summary.transfer]
        return found[-1].get(actor) if found and self.on(rung) else None


Climbs = dict[str, list[Climb]]
"""The climbs by method, in the order of the ladder's methods."""


def keep_climb(ladder: Ladder, climbs: Sequence[Climbed], method: str, settings: dict[str, Any], out: Path) -> Climbs:
    """Keeps the runs of a climb in place of an earlier one like it, and writes ``README.md`` over all that is kept.

    Args:
        ladder: What is climbed.
        climbs: The climb's runs so far.
        method: Who climbs, as it is to be called in the table.
        settings: What was set for every rung.
        out: The folder.

    Returns:
        All climbs that are kept there.
    """
    for earlier in (out / "runs").glob(f"{file_name('*', method, climbs[0].summary.seed)}.json"):
        earlier.unlink()
    for climbed in climbs:
        write(keep(climbed.folder.path, climbed.folder.path.name, method, settings), out / "runs")
    kept = gather(ladder, read_all(out / "runs"))
    (out / "README.md").write_text(markdown(ladder, kept), encoding="utf-8")
    return kept


def gather(ladder: Ladder, runs: Sequence[KeptRun]) -> Climbs:
    """Sorts kept runs into climbs; those of methods that the ladder does not name come last."""
    names = list(dict.fromkeys([*ladder.methods, *(run.method for run in runs)]))
    ordered = sorted(runs, key=lambda run: (names.index(run.method), run.seed, int(run.task.partition("-")[0])))
    climbs = [
        Climb(method, seed, list(climb))
        for (method, seed), climb in groupby(ordered, lambda run: (run.method, run.seed))
    ]
    return {method: list(mine) for method, mine in groupby(climbs, lambda climb: climb.method)}


def subject_of(ladder: Ladder) -> str:
    """Returns the method that the others are compared with: the ladder's first."""
    return next(iter(ladder.methods))


def counted(ladder: Ladder, climbs: Climbs) -> dict[str, list[float]]:
    """Returns how many rungs each climb of a method mastered, by method."""
    return {method: [float(climb.count(ladder)) for climb in mine] for method, mine in climbs.items()}


def tried(ladder: Ladder, climbs: Climbs) -> list[Rung]:
    """Returns the rungs that some climb tried."""
    return [rung for rung in ladder.rungs if any(climb.on(rung) for mine in climbs.values() for climb in mine)]


def claims(ladder: Ladder, climbs: Climbs) -> list[Claim]:
    """Returns the rungs that the subject mastered against those of every other method; none if it has no climbs."""
    subject, counts = subject_of(ladder), counted(ladder, climbs)
    if subject not in counts:
        return []
    return [compare(ladder.name, "rungs", subject, other, counts) for other in counts if other != subject]


def leads(ladder: Ladder, climbs: Climbs) -> dict[str, list[Claim]]:
    """Returns for each rung the thousands of frames by which the subject is at 90% before every other method.

    A climb that never is, or never came to the rung, counts as if the rung's frames had just sufficed.
    """
    subject = subject_of(ladder)
    if subject not in climbs or len(climbs) == 1:
        return {}
    found = {}
    for rung in tried(ladder, climbs):
        left = {
            method: [(rung.frames - min(climb.frames_to(rung), rung.frames)) / 1000 for climb in mine]
            for method, mine in climbs.items()
        }
        found[rung.task] = [compare(rung.task, "frames", subject, other, left) for other in left if other != subject]
    return found


def verdict(ladder: Ladder, climbs: Climbs) -> str:
    """Returns in a sentence or two how far the subject got, and what the others are to it."""
    subject = subject_of(ladder)
    if subject not in climbs:
        return f"Nothing can be said yet: {subject} has no climbs."
    counts = counted(ladder, climbs)[subject]
    text = f"{subject} mastered {shown(counts)} of {len(ladder.rungs)} rungs in {len(counts)} climbs."
    gaps = [f"{claim.other} {signed(claim.difference)} ({claim.verdict})" for claim in claims(ladder, climbs)]
    return f"{text} Its rungs minus those of: {'; '.join(gaps)}." if gaps else text


def tables(ladder: Ladder, climbs: Climbs) -> dict[str, tuple[list[str], list[list[str]]]]:
    """Returns head and rows of each table by its title: a column a method, a row a rung that was tried."""
    head = ["", *(f"{method} (n={len(mine)})" for method, mine in climbs.items())]
    made = {"How far": (head, [["rungs mastered", *map(shown, counted(ladder, climbs).values())]])}
    rungs = tried(ladder, climbs)
    for title, cell in CELLS.items():
        made[title] = (head, [[rung.task, *(cell(rung, mine) for mine in climbs.values())] for rung in rungs])
    if lead := leads(ladder, climbs):
        others = ["", *(claim.other for claim in next(iter(lead.values())))]
        rows = [
            [rung, *(f"{signed(claim.difference, 0)} {claim.verdict}" for claim in mine)] for rung, mine in lead.items()
        ]
        made[f"Thousands of frames by which {subject_of(ladder)} is at 90% earlier"] = (others, rows)
    return made


def markdown(ladder: Ladder, climbs: Climbs) -> str:
    """Returns the results of climbs as Markdown."""
    parts = [
        f"# Climbing {ladder.name}",
        " ".join(ladder.about.split()),
        "Made from the runs in `runs/`.",
        verdict(ladder, climbs),
    ]
    for title, table in tables(ladder, climbs).items():
        parts += [f"## {title}", grid(*table)]
    return "\n\n".join([*parts, "## How to read this", HOW_TO_READ]) + "\n"


HOW_TO_READ = f"""\
A climb goes on as long as it masters its rungs, so that what was not reached was not tried. **Rungs mastered**:
interquartile mean over climbs with its 95% bootstrap interval; a difference is claimed with {FEWEST} climbs or more on
both sides, if its interval leaves out zero and an exact permutation test rejects equality at 5%. **Mastered**: in how
many of the climbs that tried a rung the pair mastered it, judged by held-out episodes. **Success**: of the pair in
those episodes, at the end of the rung, interquartile mean over the climbs that tried it. **Frames** and **seconds to
90%** are those of the rung itself, until the success over the last 100 training episodes was so high: the median over
all climbs, one that never got there being later than all that did, and in brackets how many did. **Earlier**: the
difference of interquartile means, where a climb that never got there counts with all frames that the rung allows; of
so many comparisons one in twenty is claimed by chance. **Before it was
trained**: success on a rung when it was next, after all rungs before it and before a frame of it. **Teacher alone**:
the teacher as the only planner, untaught, when the rung was next, and after it; means."""


def _until(
    runs: Sequence[KeptRun], reached: Callable[[KeptRun, float], float], whole: Callable[[KeptRun], float]
) -> float:
    spent = 0.0
    for run in runs:
        here = reached(run, THRESHOLD)
        if not isinf(here):
            return spent + here
        spent += whole(run)
    return inf


def _mastered(rung: Rung, climbs: Sequence[Climb]) -> str:
    tries = [climb for climb in climbs if climb.on(rung)]
    return f"{sum(climb.masters(rung) for climb in tries)}/{len(tries)}" if tries else "not reached"


def successes(rung: Rung, climbs: Sequence[Climb]) -> list[float]:
    """Returns the pair's success in held-out episodes at the end of a rung, of the climbs that tried it."""
    return [climb.on(rung)[-1].summary.pair_success for climb in climbs if climb.on(rung)]


def _shown(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return shown(known) if known else "–"


def _teacher(rung: Rung, climbs: Sequence[Climb]) -> str:
    tries = [climb for climb in climbs if climb.on(rung)]
    stages = (
        [climb.on(rung)[0].summary.teacher_success_before for climb in tries],
        [climb.before(rung, "teacher") for climb in tries],
        [climb.on(rung)[-1].summary.teacher_success_after for climb in tries],
    )
    means = [mean(stage, 2) for stage in stages]
    return " → ".join(means) if set(means) != {"–"} else "–"


CELLS: dict[str, Callable[[Rung, Sequence[Climb]], str]] = {
    "Mastered": _mastered,
    "Success at the end of each rung": lambda rung, climbs: _shown(successes(rung, climbs)),
    "Frames to 90%": lambda rung, climbs: until([climb.frames_to(rung) for climb in climbs]),
    "Seconds to 90%": lambda rung, climbs: until([climb.seconds_to(rung) for climb in climbs]),
    "Success of the pair before a rung was trained": lambda rung, climbs: _shown(
        [climb.before(rung, "pair") for climb in climbs]
    ),
    "Teacher alone: untaught → when the rung was next → after it": _teacher,
}
