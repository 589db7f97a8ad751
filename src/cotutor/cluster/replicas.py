"""A teacher of which actors of Ray hold a replica each, and share its questions."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cotutor.cluster.actors import Call, Replaceable, connect
from cotutor.cluster.files import Files, read_files, write_files
from cotutor.config import RayConfig
from cotutor.errors import UserError
from cotutor.teachers.base import Teacher
from cotutor.types import FloatArray, Lesson, Question


class Replica:
    """A teacher in an actor.

    Args:
        make: Makes it.
    """

    def __init__(self, make: Callable[[], Teacher]) -> None:
        self.teacher = make()

    def traits(self) -> dict[str, bool]:
        """Returns what a run must know about the teacher."""
        teacher = self.teacher
        return {"can_learn": teacher.can_learn, "privileged": teacher.privileged, "listens": teacher.listens}

    def do(self, method: str, *arguments: Any) -> tuple[Any, int]:
        """Calls a method of the teacher; returns what came of it, and how many tokens it took."""
        before = self.teacher.tokens
        result = getattr(self.teacher, method)(*arguments)
        return result, self.teacher.tokens - before

    def state(self) -> Files:
        """Returns what the teacher saves."""
        with TemporaryDirectory() as folder:
            self.teacher.save(Path(folder))
            return read_files(Path(folder))

    def take_over(self, state: Files) -> int:
        """Makes the teacher what another was that saved ``state``; returns its version."""
        with TemporaryDirectory() as folder:
            write_files(state, Path(folder))
            self.teacher.load(Path(folder))
        return self.teacher.version


class Replicas(Teacher):
    """A teacher whose replicas answer an equal share of the questions each, at the same time.

    One of them learns, and the others take over what it has become; whoever is lost is replaced and does so, too.
    Scores are those of one teacher but for rounding, for other questions are computed together.

    Args:
        make: Makes the teacher.
        config: How many replicas, on which cluster.

    Raises:
        UserError: There is no such cluster, or the teacher cannot be elsewhere: it looks into environments, or asks
            the person at the terminal.
    """

    def __init__(self, make: Callable[[], Teacher], config: RayConfig) -> None:
        connect(config.address)
        self.state: Files | None = None
        self.spent = 0
        self.replicas = [
            Replaceable(Replica, (make,), self._taking_over, num_cpus=1, num_gpus=config.teacher_gpus)
            for _ in range(config.teacher_actors)
        ]
        for replica in self.replicas:
            replica.wait_for_room()
        traits = self.replicas[0].call("traits")
        if traits["privileged"] or traits["listens"]:
            raise UserError("This teacher can only be in this process: leave out --ray.teacher-actors.")
        self.can_learn = traits["can_learn"]

    @property
    def tokens(self) -> int:
        return self.spent

    def score(self, questions: Sequence[Question]) -> list[FloatArray]:
        return self._shared("score", questions)

    def reference(self, questions: Sequence[Question]) -> list[FloatArray]:
        return self._shared("reference", questions)

    def advice(self, questions: Sequence[Question], scores: Sequence[FloatArray]) -> list[FloatArray]:
        return self._first("advice", questions, scores)

    def calibrate(self, questions: Sequence[Question]) -> None:
        self._first("calibrate", questions)
        self._take_over(self.replicas[0].call("state"))

    def learn(self, lessons: Sequence[Lesson], steps: int) -> float:
        loss = self._first("learn", lessons, steps)
        self._take_over(self.replicas[0].call("state"))
        return loss

    def rest(self) -> None:
        for replica in self.replicas:
            replica.call("do", "rest")

    def save(self, folder: Path) -> None:
        write_files(self.replicas[0].call("state"), folder)

    def load(self, folder: Path) -> None:
        self._take_over(read_files(folder))

    def close(self) -> None:
        """Ends the actors."""
        for replica in self.replicas:
            replica.close()

    def _first(self, method: str, *arguments: Any) -> Any:
        result, tokens = self.replicas[0].call("do", method, *arguments)
        self.spent += tokens
        return result

    def _shared(self, method: str, questions: Sequence[Question]) -> list[FloatArray]:
        size = max(1, -(-len(questions) // len(self.replicas)))
        parts = [questions[i : i + size] for i in range(0, len(questions), size)]
        asked = self.replicas[: len(parts)]
        for replica, part in zip(asked, parts, strict=True):
            replica.begin("do", method, part)
        results = [replica.result() for replica in asked]
        self.spent += sum(tokens for _, tokens in results)
        return [scores_O for part, _ in results for scores_O in part]

    def _take_over(self, state: Files) -> None:
        self.state = state
        for replica in self.replicas:
            replica.begin("take_over", state)
        self.version = max([replica.result() for replica in self.replicas])

    def _taking_over(self) -> list[Call]:
        return [] if self.state is None else [("take_over", (self.state,))]
