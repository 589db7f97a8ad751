"""The contexts in which one changed the other's mind."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from pathlib import Path
from sqlite3 import Row

import numpy as np
from typing_extensions import TypedDict

from cotutor.reading import checked, reading
from cotutor.replays import Moment, Replay
from cotutor.runs.ledger import read

MOST = 2000
"""Contexts of either kind that the page holds."""

NOTICED = 0.005
"""Smallest total-variation distance that counts as a change."""


@dataclass(frozen=True, slots=True)
class OptionChange:
    """What became of one option.

    Attributes:
        phrase: The option's words.
        before: Its probability before.
        after: Its probability after.
        evidence: What the change rests on, one figure per column.
    """

    phrase: str
    before: float
    after: float
    evidence: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class ContextChange:
    """What became of a distribution over the options of one context.

    Attributes:
        context: The context.
        options: Its options.
        trust: Trust in the advice there.
        times: How often the teacher was asked about it, or how often its advice changed the choice.
        visits: Decayed visits that the change rests on, or steps of the replays in it.
        where: Episode and step, both from 1, of the first replayed step in which the choice changed.
    """

    context: str
    options: tuple[OptionChange, ...]
    trust: float
    times: int
    visits: float
    where: tuple[int, int] | None = None

    @property
    def distance(self) -> float:
        """Total-variation distance between before and after."""
        return 0.5 * sum(abs(option.after - option.before) for option in self.options)

    @property
    def weight(self) -> float:
        """The distance, weighted mildly by visits: ten times the visits count about one more."""
        return self.distance * (1 + log10(1 + self.visits))


def changed_advice(ledger: Path) -> list[ContextChange]:
    """Returns the contexts in which the student changed the teacher's advice, the largest change first.

    Before is the first consultation that the ledger still has, as a rule before any feedback; after is the last one,
    after the dialogue. Feedback is forgotten when it has been taught, so the evidence (visits and advantage per option,
    the advantage None where the option was never taken) is that of the consultation with most visits.
    """
    grouped: dict[tuple[str, str], list[Consulted]] = {}
    query = "SELECT context, options, calibrated, revised, visits, advantage, trust FROM consultations ORDER BY rowid"
    with reading("ledger", ledger):
        for row in read(ledger, query):
            entry = _consulted(row)
            grouped.setdefault((entry["context"], row["options"]), []).append(entry)
    return _largest([change for rows in grouped.values() if (change := _advice_change(rows)).distance >= NOTICED])


class Consulted(TypedDict):
    """A row of the ledger's consultations."""

    context: str
    options: list[str]
    calibrated: list[float]
    revised: list[float]
    visits: list[float]
    advantage: list[float]
    trust: float


def _consulted(row: Row) -> Consulted:
    """Returns a row of the ledger as data.

    Raises:
        ValueError: It is damaged.
    """
    lists = {name: json.loads(row[name]) for name in ("options", "calibrated", "revised", "visits", "advantage")}
    entry = checked(Consulted, {**lists, "context": row["context"], "trust": row["trust"]})
    if len({len(lists[name]) for name in lists}) != 1:
        raise ValueError("a consultation has lists of different lengths")
    return entry


def changed_choices(replays: Sequence[Replay]) -> list[ContextChange]:
    """Returns the contexts of replayed steps in which the advice changed the student's choice, largest change first.

    The choice is the most probable action. Before is the policy without the advice, after is the pair, both a mean over
    the steps in which the two choose differently; the evidence is what was advised, None where the teacher was
    not asked.
    """
    met: dict[str, int] = {}
    swayed: dict[str, list[tuple[int, int, Moment]]] = {}
    for episode, replay in enumerate(replays, start=1):
        for step, moment in enumerate(replay.moments, start=1):
            context = moment.question.context
            met[context] = met.get(context, 0) + 1
            if moment.swayed:
                swayed.setdefault(context, []).append((episode, step, moment))
    return _largest([_choice_change(steps, met[context]) for context, steps in swayed.items()])


def _largest(changes: list[ContextChange]) -> list[ContextChange]:
    return sorted(changes, key=lambda change: (-change.weight, change.context))


def _advice_change(rows: list[Consulted]) -> ContextChange:
    evidence = max(rows, key=lambda row: sum(row["visits"]))
    visits = evidence["visits"]
    options = zip(
        rows[-1]["options"],
        rows[0]["calibrated"],
        rows[-1]["revised"],
        ((n, advantage if n > 0 else None) for n, advantage in zip(visits, evidence["advantage"], strict=True)),
        strict=True,
    )
    changes = tuple(OptionChange(*option) for option in options)
    return ContextChange(rows[-1]["context"], changes, rows[-1]["trust"], len(rows), sum(visits))


def _choice_change(steps: list[tuple[int, int, Moment]], met: int) -> ContextChange:
    episode, step, first = steps[0]
    free_A = np.mean([moment.free_A for *_, moment in steps if moment.free_A is not None], axis=0)
    acted_A = np.mean([moment.acted_A for *_, moment in steps], axis=0)
    advised_O = [moment.revised_O for *_, moment in steps if moment.revised_O is not None]
    evidence = np.mean(advised_O, axis=0).tolist() if advised_O else [None] * len(first.question.options)
    options = tuple(
        OptionChange(option.phrase, float(free_A[option.action]), float(acted_A[option.action]), (advised,))
        for option, advised in zip(first.question.options, evidence, strict=True)
    )
    return ContextChange(first.question.context, options, first.trust or 0.0, len(steps), met, (episode, step))
