"""Teachers, and how to make one by name."""

from pathlib import Path

from cotutor.config import ServedConfig
from cotutor.embedded import Progress, embedded_model, tell
from cotutor.errors import UserError
from cotutor.own import is_own, make_own, own_class
from cotutor.tasks.base import Task
from cotutor.teachers.base import Teacher
from cotutor.teachers.bow import BagOfWords
from cotutor.teachers.human import Human
from cotutor.teachers.scripted import Adversarial, Oracle, Random, Turncoat, Uniform

__all__ = [
    "ME",
    "Adversarial",
    "BagOfWords",
    "Human",
    "Oracle",
    "Random",
    "Teacher",
    "Turncoat",
    "Uniform",
    "make_teacher",
]

NAMES = (
    "smollm2, me, untrained, bow, oracle, adversarial, turncoat, random, uniform, hf:ORG/MODEL, openai:MODEL[@URL], a "
    "folder or your own module:Class"
)
ME = "me"
SERVED = "openai:"
PRIVILEGED = {"oracle": Oracle, "adversarial": Adversarial, "turncoat": Turncoat}
SIMPLE = {"bow": BagOfWords, "random": Random, "uniform": lambda _: Uniform(), ME: lambda _: Human()}


def make_teacher(
    name: str,
    task: Task,
    seed: int = 0,
    *,
    dtype: str = "auto",
    restate: bool = False,
    shots: int = 0,
    served: ServedConfig | None = None,
    progress: Progress = tell,
) -> Teacher:
    """Makes a teacher.

    Args:
        name: ``smollm2`` (the embedded model), ``me`` (a person at the terminal), ``untrained`` (the embedded model
            with random weights), ``bow``, ``oracle``, ``adversarial``, ``turncoat``, ``random``, ``uniform``,
            ``hf:ORG/MODEL``, the folder of a model, ``openai:MODEL`` or ``openai:MODEL@URL`` for one behind an
            OpenAI-compatible server, or ``module:Class`` or ``file.py:Class`` for one of the user's own, which is made
            with ``task`` and ``seed``.
        task: What is to be taught.
        seed: Of everything that the teacher draws.
        dtype: Precision of a language model: ``auto``, ``bfloat16`` or ``float32``.
        restate: Whether it first says in plain words what a mission means.
        shots: Worked examples in a language model's prompt (:mod:`cotutor.scoring.shots`); other teachers need none.
        served: How a server is asked.
        progress: Is told what is being done while the embedded model is made.

    Raises:
        UserError: The name is unknown, the model cannot be loaded, the task has no expert to ask or to learn from, or
            there is nothing to restate or nobody who can.
    """
    if restate and not task.meanings:
        raise UserError(f"The missions of {task.name} are in plain words already: leave out --verbalizer.restate.")
    if restate and (name in PRIVILEGED or name in SIMPLE or name.startswith(SERVED) or is_own(name)):
        raise UserError(f"The teacher {name!r} cannot restate missions: take a language model on this machine.")
    if name in PRIVILEGED:
        if not task.has_expert:
            raise UserError(f"The teacher {name!r} needs a task with an expert, and {task.name} has none.")
        return PRIVILEGED[name](task)
    if name in SIMPLE:
        return SIMPLE[name](seed)
    if name in ("smollm2", "untrained"):
        return _local(embedded_model(progress), task, seed, dtype, restate, shots, untrained=name == "untrained")
    if name.startswith(SERVED):
        return _served(name.removeprefix(SERVED), task, seed, dtype, shots, served or ServedConfig())
    if name.startswith("hf:") or Path(name).is_dir():
        return _local(name.removeprefix("hf:"), task, seed, dtype, restate, shots)
    if is_own(name):
        return make_own("teacher", name, own_class("teacher", name), Teacher, task=task, seed=seed)
    raise UserError(f"There is no teacher {name!r}; there are {NAMES}.")


# transformers, peft and openai take seconds to import, which teachers without a language model should not cost


def _local(
    model: str | Path, task: Task, seed: int, dtype: str, restate: bool, shots: int, untrained: bool = False
) -> Teacher:
    from cotutor.teachers.local import LocalConfig, LocalTeacher  # noqa: PLC0415
    from cotutor.teachers.restating import Restating  # noqa: PLC0415

    config = LocalConfig(template=_template(task, shots), dtype=dtype, untrained=untrained)
    teacher = LocalTeacher(model, seed, config)
    return Restating(teacher, task.meanings) if restate else teacher


def _served(name: str, task: Task, seed: int, dtype: str, shots: int, config: ServedConfig) -> Teacher:
    template = _template(task, shots)
    if config.weights:
        from cotutor.teachers.swapping import Swapping  # noqa: PLC0415

        return Swapping(name, template, config, seed, dtype)
    from cotutor.teachers.served import ServedTeacher  # noqa: PLC0415

    return ServedTeacher(name, template, config)


def _template(task: Task, shots: int) -> str:
    from cotutor.scoring.shots import examples  # noqa: PLC0415

    template = f"{{context}}\n{task.cue}"
    return examples(task, shots, template) + template
