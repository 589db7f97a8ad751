"""A person at the terminal as the teacher: ``--teacher me``."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cotutor.teachers.base import Teacher
from cotutor.text import plain
from cotutor.types import Feedback, FloatArray, Question

ANSWERS = "answers.json"
LEAD = 3.0
"""By how much what the person said leads, in nats: 0.91 of the advice where one of three options was said."""
SHOWN = 8
PROMPT = "Best (a number, or several that are as good; Enter: no idea; q: no more questions): "


class Human(Teacher):
    """Asks whoever sits at the terminal, once about a context, and shows what came of the answers.

    A person who wants no more questions, or has gone (end of input), finds all options equally good from then on.

    Args:
        console: Where to ask.

    Attributes:
        answers: The phrases said in each context, none where the person did not know.
    """

    listens = True

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self.answers: dict[str, list[str]] = {}
        self.present = True

    def score(self, questions: Sequence[Question]) -> list[FloatArray]:
        for question in questions:
            if self.present and question.context not in self.answers:
                self._ask(question)
        return [self._score(question) for question in questions]

    def hear(self, trust: float, feedback: Mapping[Question, Feedback]) -> None:
        said = {
            question: answer
            for question, answer in feedback.items()
            if self.answers.get(question.context) and answer.visits_O.any()
        }
        if not self.present or not said:
            return
        often = sorted(said, key=lambda question: -said[question].visits_O.sum())[:SHOWN]
        table = Table(title=f"What came of your advice, which is trusted {trust:.2f} of 1", title_justify="left")
        for heading in ("context", "you said", "what was tried: times, and gain over the others"):
            table.add_column(heading)
        for question in often:
            said_here = ", ".join(self.answers[question.context])
            table.add_row(
                *(Text(plain(text)) for text in (question.context, said_here, _tried(question, said[question])))
            )
        self.console.print(table)

    def rest(self) -> None:
        self.present = False

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ANSWERS).write_text(json.dumps(self.answers, indent=2) + "\n", encoding="utf-8")

    def load(self, folder: Path) -> None:
        self.answers = json.loads((folder / ANSWERS).read_text(encoding="utf-8"))

    def _score(self, question: Question) -> FloatArray:
        said = self.answers.get(question.context, [])
        return np.array([LEAD * (option.phrase in said) for option in question.options])

    def _ask(self, question: Question) -> None:
        phrases = [option.phrase for option in question.options]
        self.console.print(Text(f"\n{plain(question.context)}", style="bold"))
        self.console.print(Text("  ".join(f"{i} {plain(phrase)}" for i, phrase in enumerate(phrases, 1))))
        while True:
            try:
                typed = self.console.input(Text(PROMPT)).split()
            except EOFError:
                typed = ["q"]
            if typed == ["q"]:
                self.present = False
                return
            if all(number.isdecimal() and 1 <= int(number) <= len(phrases) for number in typed):
                self.answers[question.context] = [phrases[int(number) - 1] for number in typed]
                return
            self.console.print(f"Type numbers from 1 to {len(phrases)}, Enter or q.")


def _tried(question: Question, feedback: Feedback) -> str:
    tried = zip(question.options, feedback.visits_O, feedback.advantage_O, strict=True)
    return ", ".join(f"{o.phrase} {visits:.0f} ({gain:+.2f})" for o, visits, gain in tried if round(visits) > 0)
