"""A language model behind a server that loads, while it runs, the LoRA matrices that lessons train here."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import openai

from cotutor.config import ServedConfig
from cotutor.errors import SilentTeacherError
from cotutor.teachers.local import LocalConfig, LocalTeacher
from cotutor.teachers.served import ServedTeacher
from cotutor.types import FloatArray, Lesson, Question


class Swapping(ServedTeacher):
    """A served model with a copy of it on this machine, which takes the lessons.

    After each of them the server is told to load what was learnt beside its model, by the interface of vLLM
    (``/v1/load_lora_adapter``, open where it runs with ``--enable-lora`` and ``VLLM_ALLOW_RUNTIME_LORA_UPDATING``). So
    answering may take another machine than learning, and both read the same folder.

    Args:
        name: ``MODEL`` or ``MODEL@URL``.
        template: The text around a context.
        config: How the server is asked; ``config.weights`` is the copy.
        seed: Seeds the LoRA matrices and the order of lessons.
        dtype: Precision of the copy.

    Raises:
        SilentTeacherError: As in :class:`cotutor.teachers.served.ServedTeacher`, or it does not load adapters.
        UserError: ``name`` leads nowhere, or there is no model in ``config.weights``.
    """

    can_learn = True

    def __init__(self, name: str, template: str, config: ServedConfig, seed: int, dtype: str) -> None:
        super().__init__(name, template, config)
        self.base = self.model
        self.local = LocalTeacher(config.weights, seed, LocalConfig(template=template, dtype=dtype))
        self.own_folder = not config.adapters
        self.folder = Path(config.adapters or tempfile.mkdtemp(prefix="cotutor-")).absolute()
        self.run = uuid4().hex[:8]
        self.local.start_learning()
        self._publish()

    def reference(self, questions: Sequence[Question]) -> list[FloatArray]:
        return self.advice(questions, self._score(questions, self.base))

    def calibrate(self, questions: Sequence[Question]) -> None:
        self.calibration.learn(questions, self._score(questions, self.base))

    def learn(self, lessons: Sequence[Lesson], steps: int) -> float:
        self.local.calibration = self.calibration
        loss = self.local.learn(lessons, steps)
        self._publish()
        return loss

    def save(self, folder: Path) -> None:
        self.local.calibration = self.calibration
        self.local.save(folder)

    def load(self, folder: Path) -> None:
        self.local.load(folder)
        self.calibration = self.local.calibration
        self._publish()

    def close(self) -> None:
        """Takes the last adapter from the server and this machine."""
        self._retire(self.model)
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _publish(self) -> None:
        """Lets the server answer with what the copy has learnt, and from then on has its version."""
        before, name = self.model, f"cotutor-{self.run}-{self.local.version}"
        self.local.save(self.folder / name)
        self._tell("load_lora_adapter", {"lora_name": name, "lora_path": str(self.folder / name)})
        self.model, self.version = name, self.local.version
        if before not in (self.base, name):
            self._retire(before)

    def _retire(self, name: str) -> None:
        self._tell("unload_lora_adapter", {"lora_name": name})
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def _tell(self, what: str, body: dict[str, str]) -> None:
        try:
            self.client.post(f"/{what}", body=body, cast_to=str)
        except openai.APIStatusError as error:
            failed = self._failed(error)
            raise SilentTeacherError(
                failed.kind,
                f"{failed} It must load adapters while it runs: start vLLM with --enable-lora and the environment's"
                f" VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, where it can read {self.folder}; or leave out"
                " --served.weights.",
            ) from error
        except openai.OpenAIError as error:
            raise self._failed(error) from error
