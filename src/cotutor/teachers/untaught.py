"""What a teacher says to a task before anybody has taught it anything."""

from collections.abc import Sequence

from cotutor.errors import UserError
from cotutor.tasks.base import Task
from cotutor.teachers import make_teacher


def untaught_advice(task: Task, teacher: str, contexts: Sequence[str]) -> list[dict[str, float]]:
    """Returns what a teacher says of every option of the contexts, on which it is calibrated; nothing without one.

    Raises:
        UserError: There is no such teacher, or it looks into environments and not at contexts.
    """
    if not teacher:
        return []
    asked = make_teacher(teacher, task)
    if asked.privileged:
        raise UserError(f"The teacher {teacher} looks into environments and reads no contexts: choose another.")
    questions = [task.question(context) for context in asked.read(contexts)]
    asked.calibrate(questions)
    told = asked.advice(questions, asked.score(questions))
    asked.close()
    return [
        {option.phrase: float(share) for option, share in zip(question.options, advice_O, strict=True)}
        for question, advice_O in zip(questions, told, strict=True)
    ]
