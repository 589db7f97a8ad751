"""A teacher that first says in plain words what the mission means, and then reads the context with those words."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cotutor.teachers.base import Teacher
from cotutor.teachers.local import LocalTeacher
from cotutor.types import FloatArray, Lesson, Option, Question

RESTATED = "restated.json"
CUE = "In other words:"


class Restating(Teacher):
    """Restates missions, once each, by a question to the teacher itself, whose options are the plain missions.

    The untaught teacher is asked, so lessons do not change what words mean. Its scores are calibrated like any advice
    (Zhao et al. 2021), with two departures: the reference is every mission met so far, which needs neither reward nor
    answer, and it is never frozen, for nothing is taught about it. A context read so is the same for every paraphrase
    of a mission: asked once, and its feedback pooled.

    Args:
        teacher: Who restates and advises.
        meanings: The missions in plain words.
    """

    can_learn = True

    def __init__(self, teacher: LocalTeacher, meanings: tuple[str, ...]) -> None:
        self.teacher = teacher
        self.options = tuple(Option(meaning, number) for number, meaning in enumerate(meanings))
        self.scores: dict[str, FloatArray] = {}

    @property
    def tokens(self) -> int:
        return self.teacher.tokens

    def read(self, contexts: Sequence[str]) -> list[str]:
        told = [context.removeprefix("Mission: ").partition(". ") for context in super().read(contexts)]
        plain = self.restate([mission for mission, _, _ in told])
        return [f"Mission: {mission}. {seen}" for mission, (_, _, seen) in zip(plain, told, strict=True)]

    def restate(self, missions: Sequence[str]) -> list[str]:
        """Returns each mission in plain words; one that is in plain words already stays as it is."""
        plain = {option.phrase for option in self.options}
        new = [m for m in dict.fromkeys(missions) if m not in self.scores and m not in plain]
        if new:
            questions = [Question(f"Mission: {mission}. {CUE}", self.options) for mission in new]
            self.scores |= dict(zip(new, self.teacher.reference_scores(questions), strict=True))
        bias_O = np.mean(list(self.scores.values()), axis=0) if self.scores else 0.0
        return [
            mission if mission in plain else self.options[int((self.scores[mission] - bias_O).argmax())].phrase
            for mission in missions
        ]

    def score(self, questions: Sequence[Question]) -> list[FloatArray]:
        return self.teacher.score(questions)

    def calibrate(self, questions: Sequence[Question]) -> None:
        self.teacher.calibrate(questions)

    def advice(self, questions: Sequence[Question], scores: Sequence[FloatArray]) -> list[FloatArray]:
        return self.teacher.advice(questions, scores)

    def reference(self, questions: Sequence[Question]) -> list[FloatArray]:
        return self.teacher.reference(questions)

    def learn(self, lessons: Sequence[Lesson], steps: int) -> float:
        loss = self.teacher.learn(lessons, steps)
        self.version = self.teacher.version
        return loss

    def save(self, folder: Path) -> None:
        self.teacher.save(folder)
        scores = {mission: scores_O.tolist() for mission, scores_O in self.scores.items()}
        (folder / RESTATED).write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")

    def load(self, folder: Path) -> None:
        self.teacher.load(folder)
        self.version = self.teacher.version
        scores = json.loads((folder / RESTATED).read_text(encoding="utf-8"))
        self.scores = {mission: np.array(scores_O) for mission, scores_O in scores.items()}
