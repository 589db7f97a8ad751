"""Teachers, and how to make one by name."""

from pathlib import Path

from cotutor.embedded import Progress, embedded_model, tell
from cotutor.errors import UserError
from cotutor.tasks.base import Task
from cotutor.teachers.base import Teacher
from cotutor.teachers.bow import BagOfWords
from cotutor.teachers.scripted import Adversarial, Oracle, Random, Uniform

__all__ = ["Adversarial", "BagOfWords", "Oracle", "Random", "Teacher", "Uniform", "make_teacher"]

NAMES = "smollm2, untrained, bow, oracle, adversarial, random, uniform, hf:ORG/MODEL or a folder"
PRIVILEGED = {"oracle": Oracle, "adversarial": Adversarial}
SIMPLE = {"bow": BagOfWords, "random": Random, "uniform": lambda _: Uniform()}


def make_teacher(
    name: str,
    task: Task,
    seed: int = 0,
    *,
    dtype: str = "auto",
    restate: bool = False,
    shots: int = 0,
    progress: Progress = tell,
) -> Teacher:
    """Makes a teacher.

    Args:
        name: ``smollm2`` (the embedded model), ``untrained`` (the same with random weights), ``bow``, ``oracle``,
            ``adversarial``, ``random``, ``uniform``, ``hf:ORG/MODEL``, or the folder of a model.
        task: What is to be taught.
        seed: Of everything that the teacher draws.
        dtype: Precision of a language model: ``auto``, ``bfloat16`` or ``float32``.
        restate: Whether it first says in plain words what a mission means.
        shots: Worked examples in a language model's prompt (:mod:`cotutor.scoring.shots`); other teachers need none.
        progress: Is told what is being done while the embedded model is made.

    Raises:
        UserError: The name is unknown, the model cannot be loaded, the task has no expert to ask or to learn from, or
            there is nothing to restate or nobody who can.
    """
    if restate and not task.meanings:
        raise UserError(f"The missions of {task.name} are in plain words already: leave out --verbalizer.restate.")
    if restate and (name in PRIVILEGED or name in SIMPLE):
        raise UserError(f"The teacher {name!r} cannot restate missions: take a language model.")
    if name in PRIVILEGED:
        if not task.has_expert:
            raise UserError(f"The teacher {name!r} needs a task with an expert, and {task.name} has none.")
        return PRIVILEGED[name](task)
    if name in SIMPLE:
        return SIMPLE[name](seed)
    if name in ("smollm2", "untrained"):
        return _local(embedded_model(progress), task, seed, dtype, restate, shots, untrained=name == "untrained")
    if name.startswith("hf:") or Path(name).is_dir():
        return _local(name.removeprefix("hf:"), task, seed, dtype, restate, shots)
    raise UserError(f"There is no teacher {name!r}; there are {NAMES}.")


def _local(
    model: str | Path, task: Task, seed: int, dtype: str, restate: bool, shots: int, untrained: bool = False
) -> Teacher:
    # transformers and peft take seconds to import, which teachers without a language model should not cost
    from cotutor.scoring.shots import examples  # noqa: PLC0415
    from cotutor.teachers.local import LocalConfig, LocalTeacher  # noqa: PLC0415
    from cotutor.teachers.restating import Restating  # noqa: PLC0415

    template = f"{{context}}\n{task.cue}"
    template = examples(task, shots, template) + template
    teacher = LocalTeacher(model, seed, LocalConfig(template=template, dtype=dtype, untrained=untrained))
    return Restating(teacher, task.meanings) if restate else teacher
