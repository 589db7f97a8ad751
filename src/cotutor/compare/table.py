"""What a comparison came to: its answer in words, and its tables in Markdown."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isinf

from cotutor.compare.kept import KeptRun
from cotutor.compare.recipe import ComparedTask, Recipe
from cotutor.compare.statistics import (
    FEWEST,
    Claim,
    Estimate,
    area,
    compare,
    estimate,
    frames_to,
    iqm,
    median_of,
    seconds_to,
)

MEASURES: dict[str, str] = {"area": "area under the learning curve", "pair": "success of the pair at the end"}


@dataclass(frozen=True, slots=True)
class Results:
    """The runs that are kept of one task of a recipe.

    Attributes:
        task: The task, with its methods in the order of the recipe.
        runs: The runs by method; methods without any are left out.
    """

    task: ComparedTask
    runs: dict[str, list[KeptRun]]

    @property
    def budget(self) -> int:
        """Frames up to which areas are taken: the smallest budget of the runs, so that all are treated alike."""
        return min(run.summary.frames for runs in self.runs.values() for run in runs)

    @property
    def measures(self) -> dict[str, str]:
        """What methods are compared in, with its name in words: :data:`MEASURES`, and success on :attr:`transfers`."""
        return MEASURES | {task: f"success of the pair on {task}, where nobody was trained" for task in self.transfers}

    def values(self, measure: str, method: str) -> list[float]:
        """Returns one of :attr:`measures` of the runs of a method; empty where none was measured."""
        match measure:
            case "area":
                return [area(run.curve, self.budget) for run in self.runs[method]]
            case "pair":
                return [run.summary.pair_success for run in self.runs[method]]
        return self.transferred(measure, method, "pair")

    @property
    def timed(self) -> "Results":
        """The runs whose seconds can be compared: those on the device that most of them had.

        A processor counts as one device, whichever it is, since older runs do not say.
        """
        devices = Counter(run.summary.accelerator for runs in self.runs.values() for run in runs)
        usual = devices.most_common(1)[0][0]
        alike = {name: [run for run in runs if run.summary.accelerator == usual] for name, runs in self.runs.items()}
        return replace(self, runs=alike)

    @property
    def transfers(self) -> list[str]:
        """The tasks that nobody was trained on and some run was measured on, in the order of the runs."""
        return list(dict.fromkeys(name for runs in self.runs.values() for run in runs for name in run.summary.transfer))

    @property
    def missing(self) -> list[str]:
        """The subject and the controls that have no runs yet."""
        return [method for method in (self.task.subject, *self.task.controls) if method not in self.runs]

    @property
    def compared_transfers(self) -> list[str]:
        """Those of them on which the subject and every control were measured; none where no controls are named."""
        if not self.task.controls or self.missing:
            return []
        named = (self.task.subject, *self.task.controls)
        return [task for task in self.transfers if all(self.values(task, method) for method in named)]

    def transferred(self, task: str, method: str, actor: str) -> list[float]:
        """Returns the success of ``actor`` on one of :attr:`transfers`, of the runs that were measured there."""
        measured = [run.summary.transfer.get(task, {}) for run in self.runs[method]]
        return [found[actor] for found in measured if actor in found]

    def claims(self, measure: str) -> list[Claim]:
        """Returns the subject against every other method that was measured; none if the subject was not."""
        values = {method: found for method in self.runs if (found := self.values(measure, method))}
        subject = self.task.subject
        if subject not in values:
            return []
        return [compare(self.task.name, measure, subject, other, values) for other in values if other != subject]

    def claims_to_controls(self, measure: str) -> list[Claim]:
        """Returns those of :meth:`claims` that are about controls."""
        return [claim for claim in self.claims(measure) if claim.other in self.task.controls]


def at_home(run: KeptRun, actor: str) -> float:
    """Returns the success of one of :data:`ACTORS` on the run's own task."""
    summary = run.summary
    of = {
        "pair": summary.pair_success,
        "student": summary.student_success,
        "teacher": summary.teacher_success_after,
        "untaught": summary.teacher_success_before,
    }
    success = of[actor]
    assert success is not None
    return success


def gather(recipe: Recipe, runs: Sequence[KeptRun]) -> list[Results]:
    """Sorts kept runs by the recipe's tasks and methods; what the recipe does not name is left out."""
    results = []
    for task in recipe.tasks:
        mine = [run for run in runs if run.task == task.name]
        by_method = {method: [run for run in mine if run.method == method] for method in task.methods}
        results.append(Results(task, {method: found for method, found in by_method.items() if found}))
    return results


def headline(results: Results) -> str:
    """Returns the language model's own share in one sentence: the least gap to a control, by every measure."""
    task = results.task
    if not task.controls:
        return "Not asked: no controls are named."
    if results.missing:
        return f"Not known yet: {task.subject} or its controls lack runs."
    said = [f"Of the area, {_share(results, 'area')}", f"of the success at the end, {_share(results, 'pair')}"]
    return f"{'; '.join([*said, *_shares_elsewhere(results)])}."


def _shares_elsewhere(results: Results) -> list[str]:
    """Returns the language model's own share on tasks that nobody was trained on, a clause for those of equal share."""
    shares: dict[str, list[str]] = {}
    for other in results.compared_transfers:
        shares.setdefault(_share(results, other), []).append(other)
    return [f"on {listed(others)}, where nobody was trained, {share}" for share, others in shares.items()]


def _share(results: Results, measure: str) -> str:
    claims = results.claims_to_controls(measure)
    if any(claim.verdict == "too few runs" for claim in claims):
        return "not known yet"
    matched = [f"“{claim.other}”" for claim in claims if claim.verdict != "ahead"]
    if matched:
        names = "any control" if len(matched) == len(claims) > 1 else listed(matched)
        return f"none is shown (not ahead of {names})"
    return signed(min((claim.difference for claim in claims), key=lambda found: found.value))


def answer(results: Results) -> str:
    """Returns what the runs say about the language model's own share, in a sentence or two a measure."""
    task = results.task
    if not task.controls:
        return "Not asked: no controls are named."
    missing = results.missing
    if task.subject in missing or len(missing) == len(task.controls):
        return "What the language model's own share is cannot be said yet: runs are missing."
    said = [_answer(results, measure) for measure in MEASURES]
    if missing:
        said.append(f"No runs yet of {listed(missing)}.")
    return " ".join(said)


def _answer(results: Results, measure: str) -> str:
    task = results.task
    claims = results.claims_to_controls(measure)
    by_verdict: dict[str, list[Claim]] = {}
    for claim in claims:
        by_verdict.setdefault(claim.verdict, []).append(claim)
    name = MEASURES[measure]
    if set(by_verdict) == {"ahead"}:
        least = min(claims, key=lambda claim: claim.difference.value)
        return (
            f"In the {name}, {task.subject} is ahead of every control; the least of these gaps is the language model's "
            f"own share: {signed(least.difference)} against {least.other}."
        )
    if "ahead" not in by_verdict and "too few runs" not in by_verdict:
        behind = f" It is behind {_gaps(by_verdict['behind'])}." if "behind" in by_verdict else ""
        return f"In the {name}, {task.subject} is ahead of no control: no share of language is shown.{behind}"
    words = {
        "ahead": "is ahead of",
        "no difference shown": "is not shown to differ from",
        "behind": "is behind",
        "too few runs": f"has too few runs (fewer than {FEWEST}) to be compared with",
    }
    parts = [f"{words[verdict]} {_gaps(found)}" for verdict, found in by_verdict.items()]
    share = (
        "" if "too few runs" in by_verdict else " So by this measure no share is shown to be the language model's own."
    )
    return f"In the {name}, {task.subject} {'; '.join(parts)}.{share}"


def _gaps(claims: Sequence[Claim]) -> str:
    return listed([f"{claim.other} ({signed(claim.difference)})" for claim in claims])


def listed(names: Sequence[str]) -> str:
    """Returns names as they are listed in a sentence."""
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]


def signed(difference: Estimate, digits: int = 2) -> str:
    """Returns a difference with its interval as text."""
    value, low, high = (f"{number:+.{digits}f}" for number in (difference.value, difference.low, difference.high))
    return f"{value} [{low}, {high}]"


def shown(values: Sequence[float]) -> str:
    """Returns the interquartile mean and its interval as text; the mean alone where there are fewer than two runs."""
    if len(values) < 2:
        return f"{values[0]:.2f}"
    found = estimate(iqm, values)
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def until(values: Sequence[float]) -> str:
    """Returns a median of frames or seconds with how many runs got there as text, a dash where there are no runs."""
    if not values:
        return "–"
    middle, reached = median_of(values)
    return f"{'never' if isinf(middle) else f'{middle:,.0f}'} ({reached}/{len(values)})"


def mean_of(runs: Sequence[KeptRun], field: str, digits: int = 0) -> str:
    """Returns the mean of a field of the summaries as text, a dash where no run has it."""
    return mean([getattr(run.summary, field) for run in runs], digits)


def mean(values: Sequence[float | None], digits: int = 0) -> str:
    """Returns the mean of the values that are known as text, a dash where none is."""
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):,.{digits}f}" if known else "–"


COLUMNS: dict[str, Callable[[Results, str], str]] = {
    "n": lambda results, method: str(len(results.runs[method])),
    "area": lambda results, method: shown(results.values("area", method)),
    "pair": lambda results, method: shown(results.values("pair", method)),
    "student alone": lambda results, method: shown([run.summary.student_success for run in results.runs[method]]),
    "frames to 50%": lambda results, method: until([frames_to(run, 0.5) for run in results.runs[method]]),
    "to 90%": lambda results, method: until([frames_to(run, 0.9) for run in results.runs[method]]),
    "to 95%": lambda results, method: until([frames_to(run, 0.95) for run in results.runs[method]]),
    "seconds to 90%": lambda results, method: until([seconds_to(run, 0.9) for run in results.timed.runs[method]]),
    "teacher before": lambda results, method: mean_of(results.runs[method], "teacher_success_before", 2),
    "after": lambda results, method: mean_of(results.runs[method], "teacher_success_after", 2),
    "agreement before": lambda results, method: mean_of(results.runs[method], "bot_agreement_before", 2),
    "after ": lambda results, method: mean_of(results.runs[method], "bot_agreement_after", 2),
    "ceiling": lambda results, method: mean_of(results.runs[method], "agreement_ceiling", 2),
    "trust": lambda results, method: mean_of(results.runs[method], "trust", 2),
    "asked": lambda results, method: mean_of(results.runs[method], "contexts_asked", 0),
    "tokens": lambda results, method: mean_of(results.runs[method], "teacher_tokens", 0),
    "seconds": lambda results, method: mean_of(results.timed.runs[method], "wall_seconds", 0),
    "teacher's": lambda results, method: mean_of(results.timed.runs[method], "teacher_seconds", 0),
}
ACTORS = {
    "pair": "pair",
    "student": "student alone",
    "teacher": "teacher alone",
    "untaught": "teacher alone, untaught",
}
"""Who is measured on tasks that nobody was trained on, by the names of :attr:`Summary.transfer`."""

OUT_OF_TRAINING = """\
Tasks that nobody was trained on: success in held-out episodes when training is over, and what is claimed of pairs."""

HOW_TO_READ = f"""\
Each line is a method, n its runs (seeds). **area**: mean success in training over all frames (success over the last 100
episodes, trials left out). **pair**, **student alone**: success in 128 held-out episodes when training is over, with
and without the advice. All three are interquartile means with 95% bootstrap intervals. **frames to**, **seconds to**:
median over runs until the success over the last 100 training episodes reached a threshold; a run that never got there
counts as later than all that did, and in brackets stands how many did. **teacher**: success of the teacher alone before
and after; **agreement**: share of fixed states in which its best option is as good as the bot's, and the most that any
map from contexts to options reaches. A difference is claimed with {FEWEST} runs or more on both sides, if its 95%
interval leaves out zero and an exact permutation test rejects equality at 5%; it is not corrected for the number of
comparisons. **asked**, **tokens**: contexts put to the teacher in training, and the tokens that went through its model
for them and for lessons, prefixes that questions share once; a dash where runs are older than the count. Seconds were
measured with several runs side by side and say little; runs with a CUDA device, where most had none, are left out of
them."""


def markdown(recipe: Recipe, runs: Sequence[KeptRun], command: str) -> str:
    """Returns the results of a comparison as Markdown.

    Args:
        recipe: What was compared.
        runs: The runs that are kept of it.
        command: The command that makes these results.
    """
    parts = [f"# {recipe.name}", " ".join(recipe.about.split()), f"Made by `{command}` from the runs in `runs/`."]
    for results in gather(recipe, runs):
        if not results.runs:
            continue
        settings = results.task.settings
        parts += [
            f"## {results.task.name}: `{settings.get('task')}`, {results.budget:,} frames",
            f"**What is the language model's own share?** {answer(results)}",
            grid(*tabulate(results, tuple(COLUMNS))),
            *(_transfers(results) if results.transfers else []),
            *([_claims(results)] if results.task.subject in results.runs and len(results.runs) > 1 else []),
        ]
    return "\n\n".join([*parts, "## How to read this", HOW_TO_READ]) + "\n"


def tabulate(results: Results, names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Returns head and rows, a method each, of a table of some of :data:`COLUMNS`."""
    rows = [[method, *(COLUMNS[name](results, method) for name in names)] for method in results.runs]
    return ["method", *(name.strip() for name in names)], rows


def transfer_table(results: Results) -> tuple[list[str], list[list[str]]]:
    """Returns head and rows of a table of the tasks that nobody was trained on, a row for each method and actor.

    A method that has no teacher is its student alone. There are no rows where nothing else was measured, and all that
    stands in one is of the runs that were.
    """
    head = ["method", "who acts", "n", "its own task", *results.transfers]
    rows = []
    for method, runs in results.runs.items():
        for actor, name in ACTORS.items():
            own = [
                at_home(run, actor) for run in runs if any(actor in found for found in run.summary.transfer.values())
            ]
            if own and not (actor == "pair" and runs[0].summary.teacher is None):
                measured = [results.transferred(task, method, actor) for task in results.transfers]
                cells = [shown(values) if values else "–" for values in (own, *measured)]
                rows.append([method, name, str(len(own)), *cells])
    return head, rows


def _claims(results: Results) -> str:
    rows = []
    areas, pairs = results.claims("area"), results.claims("pair")
    for by_area, by_pair in zip(areas, pairs, strict=True):
        rows.append(
            [
                by_area.other,
                signed(by_area.difference),
                f"{by_area.better.value:.2f}",
                by_area.verdict,
                signed(by_pair.difference),
                f"{by_pair.better.value:.2f}",
                by_pair.verdict,
            ]
        )
    head = [f"{results.task.subject} against", "area", "P(better)", "so", "pair", "P(better) ", "so "]
    return grid(head, rows)


def _transfers(results: Results) -> list[str]:
    """Returns what is told of tasks that nobody was trained on: everybody's success, and what is claimed of pairs."""
    claims = {
        (claim.other, task): f"{signed(claim.difference)} {claim.verdict}"
        for task in results.transfers
        for claim in results.claims(task)
    }
    others = dict.fromkeys(other for other, _ in claims)
    rows = [[other, *(claims.get((other, task), "–") for task in results.transfers)] for other in others]
    head = [f"the pair of {results.task.subject} against", *results.transfers]
    shares = _shares_elsewhere(results)
    return [
        OUT_OF_TRAINING,
        grid(*transfer_table(results)),
        *([f"The language model's own share of the success of the pair: {'; '.join(shares)}."] if shares else []),
        *([grid(head, rows)] if rows else []),
    ]


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.strip().replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
