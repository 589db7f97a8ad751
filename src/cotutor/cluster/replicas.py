"""A teacher of which actors of Ray hold a replica each, and share its questions."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cotutor.cluster.actors import Call, Replaceable, connect, go_to, wait_for_all
from cotutor.cluster.files import Files, read_files, write_files
from cotutor.config import RayConfig
from cotutor.errors import UserError
from cotutor.teachers.base import Teacher
from cotutor.types import FloatArray, Lesson, Question


class Replica:
    """A teacher in an actor.

    Args:
        how: Makes it.
    """

    def __init__(self, how: Callable[[], Teacher]) -> None:
        self.how = how

    def make(self, folder: Path) -> None:
        """Makes it, in a working folder."""
        go_to(folder)
        self.teacher = self.how()

    def can_learn(self) -> bool:
        """Tells whether it learns."""
        return self.teacher.can_learn

    def movable(self) -> bool:
        """Tells whether it is the same elsewhere, and a function of what it is asked."""
        teacher = self.teacher
        reads_itself = type(teacher).read is not Teacher.read
        return not (teacher.privileged or teacher.listens or teacher.remote or reads_itself)

    def do(self, method: str, *arguments: Any) -> tuple[Any, int]:
        """Calls a method of the teacher; returns what came of it, and how many tokens it took."""
        before = self.teacher.tokens
        result = getattr(self.teacher, method)(*arguments)
        return result, self.teacher.tokens - before

    def change(self, method: str, *arguments: Any) -> tuple[Any, int, Files]:
        """The same of a method that changes the teacher; returns also what it saves from then on."""
        return *self.do(method, *arguments), self.state()

    def state(self) -> Files:
        """Returns what the teacher saves."""
        with TemporaryDirectory() as folder:
            self.teacher.save(Path(folder))
            return read_files(Path(folder))

    def version(self) -> int:
        """Returns the teacher's version."""
        return self.teacher.version

    def take_over(self, state: Files) -> None:
        """Makes the teacher what another was that saved ``state``."""
        with TemporaryDirectory() as folder:
            write_files(state, Path(folder))
            self.teacher.load(Path(folder))


class Replicas(Teacher):
    """A teacher whose replicas answer an equal share of the questions each, at the same time.

    One of them learns, and the others take over what it has become; whoever is lost is replaced and does so, too.
    Scores are those of one teacher but for rounding, for other questions are computed together.

    Args:
        make: Makes the teacher.
        config: How many replicas, on which cluster.

    Raises:
        UserError: There is no such cluster, or the teacher cannot be elsewhere: it looks into environments, asks the
            person at the terminal, is behind a server, or reads contexts in a way of its own.
    """

    def __init__(self, make: Callable[[], Teacher], config: RayConfig) -> None:
        connect(config.address)
        self.state: Files | None = None
        self.spent = 0
        self.replicas = [
            Replaceable(
                Replica, (make,), self._taking_over, num_cpus=config.teacher_cores, num_gpus=config.teacher_gpus
            )
            for _ in range(config.teacher_actors)
        ]
        wait_for_all(self.replicas)
        self.can_learn = self.replicas[0].call("can_learn")
        if not self.replicas[0].call("movable"):
            self.close()
            raise UserError("This teacher can only be in this process: leave out --ray.teacher-actors.")

    @property
    def tokens(self) -> int:
        return self.spent

    def score(self, questions: Sequence[Question]) -> list[FloatArray]:
        return self._shared("score", questions)

    def reference(self, questions: Sequence[Question]) -> list[FloatArray]:
        return self._shared("reference", questions)

    def advice(self, questions: Sequence[Question], scores: Sequence[FloatArray]) -> list[FloatArray]:
        advice, _ = self.replicas[0].call("do", "advice", questions, scores)
        return advice

    def calibrate(self, questions: Sequence[Question]) -> None:
        self._change("calibrate", questions)

    def learn(self, lessons: Sequence[Lesson], steps: int) -> float:
        loss = self._change("learn", lessons, steps)
        self.version += 1
        return loss

    def rest(self) -> None:
        for replica in self.replicas:
            replica.call("do", "rest")

    def save(self, folder: Path) -> None:
        write_files(self.replicas[0].call("state") if self.state is None else self.state, folder)

    def load(self, folder: Path) -> None:
        self._take_over(read_files(folder), self.replicas)
        self.version = self.replicas[0].call("version")

    def close(self) -> None:
        for replica in self.replicas:
            replica.close()

    def _change(self, method: str, *arguments: Any) -> Any:
        """Lets one replica change, and the others become what it is."""
        result, tokens, state = self.replicas[0].call("change", method, *arguments)
        self.spent += tokens
        self._take_over(state, self.replicas[1:])
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

    def _take_over(self, state: Files, replicas: Sequence[Replaceable]) -> None:
        self.state = state
        for replica in replicas:
            replica.begin("take_over", state)
        for replica in replicas:
            replica.result()

    def _taking_over(self) -> list[Call]:
        return [] if self.state is None else [("take_over", (self.state,))]
