"""The contexts in which the student changed the teacher's mind."""

import json
from dataclasses import dataclass
from math import log10
from pathlib import Path
from sqlite3 import Row

from cotutor.runs.ledger import read

MOST = 10


@dataclass(frozen=True, slots=True)
class OptionChange:
    """What became of one option.

    Attributes:
        phrase: The option's words.
        before: Its probability in the first consultation, before any feedback.
        after: Its probability in the last consultation, after the dialogue.
        visits: Decayed number of times that the student took it.
        advantage: The advantage measured.
    """

    phrase: str
    before: float
    after: float
    visits: float
    advantage: float


@dataclass(frozen=True, slots=True)
class ContextChange:
    """What became of the advice in one context.

    Attributes:
        context: The context.
        options: Its options.
        trust: Trust at the last consultation.
        consultations: How often the teacher was consulted about it.
    """

    context: str
    options: tuple[OptionChange, ...]
    trust: float
    consultations: int

    @property
    def distance(self) -> float:
        """Total-variation distance of the advice before and after."""
        return 0.5 * sum(abs(option.after - option.before) for option in self.options)

    @property
    def weight(self) -> float:
        """The distance, weighted mildly by visits: ten times the visits count about one more."""
        return self.distance * (1 + log10(1 + sum(option.visits for option in self.options)))


def largest_changes(ledger: Path) -> list[ContextChange]:
    """Returns the contexts in which the advice changed most, the largest change first, at most :data:`MOST`.

    Feedback is forgotten when it has been taught, so the evidence shown is that of the consultation with most visits.
    """
    grouped: dict[tuple[str, str], list[Row]] = {}
    query = "SELECT context, options, calibrated, revised, visits, advantage, trust FROM consultations ORDER BY rowid"
    for row in read(ledger, query):
        grouped.setdefault((row["context"], row["options"]), []).append(row)
    changes = [change for rows in grouped.values() if (change := _change(rows)).distance >= 0.005]
    return sorted(changes, key=lambda change: (-change.weight, change.context))[:MOST]


def _change(rows: list[Row]) -> ContextChange:
    evidence = max(rows, key=lambda row: sum(json.loads(row["visits"])))
    columns = (
        json.loads(rows[-1]["options"]),
        json.loads(rows[0]["calibrated"]),
        json.loads(rows[-1]["revised"]),
        json.loads(evidence["visits"]),
        json.loads(evidence["advantage"]),
    )
    options = tuple(OptionChange(*values) for values in zip(*columns, strict=True))
    return ContextChange(rows[-1]["context"], options, rows[-1]["trust"], len(rows))
