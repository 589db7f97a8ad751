"""The page of a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cotutor.config import PATHS, TrainConfig, from_yaml, to_yaml
from cotutor.replays import encode, read_replays
from cotutor.report.changes import MOST, ContextChange, changed_advice, changed_choices
from cotutor.report.document import duration, legible, write_page
from cotutor.report.figures import cost_figures, learning_figure, trust_figures
from cotutor.report.verdict import percent, verdict
from cotutor.runs.folder import RunFolder, read_summary
from cotutor.runs.summary import Summary

TEACHER_SETTINGS = (
    "teacher",
    "teacher_eval_episodes",
    "agreement_states",
    "dtype",
    "dialogue",
    "trust",
    "asking",
    "served",
    "lessons",
    "guidance",
    "shots",
    "rivals",
    "llm_policy",
)


@dataclass(frozen=True, slots=True)
class Tile:
    """A key figure.

    Attributes:
        label: What it is.
        value: The figure.
        note: What to know about it.
        before: The same figure before training, for one that training may change.
    """

    label: str
    value: str
    note: str
    before: str | None = None


def write_report(run: Path) -> Path:
    """Writes ``report.html`` into a finished run's folder.

    Args:
        run: A folder with ``summary.json``, ``config.yaml``, ``ledger.sqlite`` and, if it kept any, ``replays.json``.

    Returns:
        The page: one file that opens offline.

    Raises:
        UserError: One of the three is missing or cannot be read, or ``replays.json`` is there and cannot be.
    """
    summary = read_summary(RunFolder(run))
    config = from_yaml(run / "config.yaml")
    ledger = run / "ledger.sqlite"
    taught = summary.teacher is not None
    learning = learning_figure(ledger, taught, summary.agreement_ceiling)
    trust = trust_figures(ledger, config.trust.margin) if taught else []
    cost = cost_figures(ledger, taught)
    replays = read_replays(run / "replays.json") if (run / "replays.json").is_file() else []
    changes = {"advice": changed_advice(ledger), "choice": changed_choices(replays)} if taught else {}
    moments = [moment for replay in replays for moment in replay.moments]
    return write_page(
        run / "report.html",
        "report.html.jinja",
        (learning, *trust, *cost),
        ("dom.js", *["replays.js"] * bool(replays), *["changes.js"] * taught),
        summary=summary,
        verdict=verdict(summary),
        tiles=key_figures(summary),
        learning=learning,
        trust=trust,
        cost=cost,
        taught=taught,
        replays=replays,
        replay_data=legible([encode(replay) for replay in replays]),
        changes={name: legible([table_row(change) for change in found[:MOST]]) for name, found in changes.items()},
        found={name: len(found) for name, found in changes.items()},
        most=MOST,
        steps={"all": len(moments), "swayed": sum(moment.swayed for moment in moments)},
        config=settings(config, taught),
    )


def key_figures(summary: Summary) -> list[Tile]:
    """Returns the tiles of a run; without a teacher only the student's."""
    first_95 = summary.frames_to_success.get("0.95")
    reached = Tile(
        "Frames to 95%", "never" if first_95 is None else f"{first_95:,}", f"of {summary.frames:,} in training"
    )
    alone = Tile(
        "Student alone",
        percent(summary.student_success),
        f"{percent(summary.student_success_greedy)} greedily · return {summary.student_return:.2f}",
    )
    if summary.teacher is None:
        return [alone, reached, Tile("Training", duration(summary.wall_seconds), f"{summary.rounds:,} rounds")]
    pair = Tile(
        "Pair",
        percent(summary.pair_success),
        f"{percent(summary.pair_success_greedy)} greedily · return {summary.pair_return:.2f}",
    )
    tiles = [pair, alone]
    if summary.teacher_success_after is not None:
        tiles.append(_change("Teacher alone", summary.teacher_success_before, summary.teacher_success_after, "success"))
    if summary.bot_agreement_after is not None:
        ceiling = summary.agreement_ceiling
        note = "of states" if ceiling is None else f"of states · at most {percent(ceiling)} possible"
        tiles.append(
            _change("Teacher agrees with bot", summary.bot_agreement_before, summary.bot_agreement_after, note)
        )
    tiles.append(reached)
    for name, measured in summary.transfer.items():
        note = f"student alone {percent(measured['student'])} · never trained on"
        tiles.append(Tile(f"Pair on {name}", percent(measured["pair"]), note))
    if summary.teacher_seconds is not None and summary.wall_seconds > 0:
        share = min(1.0, summary.teacher_seconds / summary.wall_seconds)
        tiles.append(Tile("Teacher's share of time", percent(share), f"of {duration(summary.wall_seconds)}"))
    if summary.contexts_asked is not None:
        met = "" if summary.distinct_contexts is None else f"{summary.distinct_contexts:,} distinct met · "
        tiles.append(
            Tile("Contexts asked", f"{summary.contexts_asked:,}", f"{met}{summary.teacher_updates or 0} updates")
        )
    return tiles


def settings(config: TrainConfig, taught: bool) -> str:
    """Returns the configuration as YAML, without where the run took place and what had no effect without a teacher."""
    values = yaml.safe_load(to_yaml(config))
    without = {*PATHS, "ray", *([] if taught else TEACHER_SETTINGS)}
    return yaml.safe_dump({name: value for name, value in values.items() if name not in without}, sort_keys=False)


def table_row(change: ContextChange) -> dict[str, Any]:
    """Returns a row of the table of contexts as its script reads it."""
    return {
        "context": change.context,
        "options": [
            [option.phrase, *(_short(v) for v in (option.before, option.after)), [_short(v) for v in option.evidence]]
            for option in change.options
        ],
        "moved": _short(change.distance),
        "trust": _short(change.trust),
        "visits": _short(change.visits),
        "times": change.times,
        "where": change.where,
    }


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _change(label: str, before: float | None, after: float, note: str) -> Tile:
    return Tile(label, percent(after), note, before=None if before is None else percent(before))
