"""A language model behind a server that loads, while it runs, the LoRA matrices that lessons train here."""

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from uuid import uuid4

import numpy as np
import openai
from safetensors import SafetensorError

from cotutor.config import ServedConfig
from cotutor.errors import SilentTeacherError, UserError
from cotutor.scoring.served import exact
from cotutor.teachers.local import LocalConfig, LocalTeacher
from cotutor.teachers.served import ServedTeacher
from cotutor.types import FloatArray, Lesson, Option, Question

COMPARED = Question(
    "Monday, Tuesday, Wednesday", (Option("Thursday", 0), Option("the day after", 1), Option("go to the left", 2))
)
ALIKE = 2.0
"""Nats by which the two may differ in what they say to it, for a server may compute in eight bits."""


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
        UserError: ``name`` leads nowhere, there is no model in ``config.weights`` or another than the served one, or
            the server tells no exact scores, which alone mean the same on both sides.
    """

    can_learn = True

    def __init__(self, name: str, template: str, config: ServedConfig, seed: int, dtype: str) -> None:
        super().__init__(name, template, config)
        if self.way is not exact:
            raise UserError(
                f"The server {self.url} echoes no log-probabilities, so lessons for its model cannot be told: leave out"
                " --served.weights."
            )
        self.base = self.model
        self.local = LocalTeacher(config.weights, seed, LocalConfig(template=template, dtype=dtype))
        ours, theirs = self.local.score([COMPARED]), self.score([COMPARED])
        if np.abs(ours[0] - theirs[0]).max() > ALIKE:
            raise UserError(f"The model in {config.weights} is another than the server's {name!r}: give its own.")
        self._temporary = None if config.adapters else tempfile.TemporaryDirectory(prefix="cotutor-")
        self.folder = Path(config.adapters if self._temporary is None else self._temporary.name).absolute()
        run = f"cotutor-{uuid4().hex[:8]}"
        self.adapters = (f"{run}-{number}" for number in count())
        self.local.start_learning()
        self._publish()

    @property
    def tokens(self) -> int:
        return super().tokens + self.local.tokens

    def reference(self, questions: Sequence[Question]) -> list[FloatArray]:
        return self.advice(questions, self._score(questions, self.base))

    def calibrate(self, questions: Sequence[Question]) -> None:
        self.calibration.learn(questions, self._score(questions, self.base))

    def learn(self, lessons: Sequence[Lesson], steps: int) -> float:
        """Takes a lesson; where the server does not load what was learnt, the copy unlearns it.

        Raises:
            SilentTeacherError: It does not.
        """
        self.local.calibration = self.calibration
        loss = self.local.learn(lessons, steps)
        try:
            self._publish()
        except SilentTeacherError:
            self.local.load(self.folder / self.model)
            raise
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
        if self._temporary is not None:
            self._temporary.cleanup()

    def _publish(self) -> None:
        """Lets the server answer with what the copy has learnt, and from then on has its version."""
        name = next(self.adapters)
        try:
            self._write(name)
            self._tell("load_lora_adapter", {"lora_name": name, "lora_path": str(self.folder / name)})
        except SilentTeacherError:
            shutil.rmtree(self.folder / name, ignore_errors=True)
            raise
        before, self.model, self.version = self.model, name, self.local.version
        if before != self.base:
            self._retire(before)

    def _write(self, name: str) -> None:
        try:
            self.local.save(self.folder / name)
        except (OSError, SafetensorError) as error:
            words = f"No adapter could be written into {self.folder}: {error}. See --served.adapters."
            raise SilentTeacherError("adapter not written", words) from error

    def _retire(self, name: str) -> None:
        """Drops an adapter, which the server may keep if it does not answer: nobody asks for it any more."""
        with suppress(SilentTeacherError):
            self._tell("unload_lora_adapter", {"lora_name": name})
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def _tell(self, what: str, body: dict[str, str]) -> None:
        # not repeated: what was done though the answer got lost would be refused
        client = self.client.with_options(max_retries=0)
        with self._explaining():
            try:
                client.post(f"/{what}", body=body, cast_to=str)
            except (openai.BadRequestError, openai.NotFoundError) as error:
                failed = self._failed(error)
                raise SilentTeacherError(
                    failed.kind,
                    f"{failed} It must load adapters while it runs: start vLLM with --enable-lora and the environment's"
                    f" VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, where it can read {self.folder}; or leave out"
                    " --served.weights.",
                ) from error
