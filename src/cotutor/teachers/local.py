"""A language model on this machine as teacher, causal or an encoder-decoder, fine-tuned with LoRA."""

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import huggingface_hub.utils
import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from peft.helpers import disable_input_dtype_casting
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import Parameter
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from cotutor.errors import UserError
from cotutor.hardware import choose_device, choose_dtype
from cotutor.scoring import Prompter, Reading, make_scorer
from cotutor.tasks.base import Task
from cotutor.teachers.base import Teacher
from cotutor.teachers.calibration import CALIBRATION, Calibration
from cotutor.teachers.learning import take_steps
from cotutor.types import FloatArray, Lesson, Question

TEMPLATE = f"{{context}}\n{Task.cue}"
ADAPTER = "adapter_model.safetensors"
OPTIMIZER = "optimizer.safetensors"
ROW_TOKENS = {"cpu": 384, "cuda": 4096}
"""Tokens in a packed row: more of them means fewer passes, and on CUDA more pairs that do not see each other."""


@dataclass(frozen=True, slots=True)
class LocalConfig:
    """How a local language model reads, advises and learns.

    Attributes:
        template: The text around a context, which stands for ``{context}`` in it.
        temperature: Divides calibrated scores; above one makes advice less certain.
        rank: Rank of the LoRA matrices.
        learning_rate: Step size of Adam.
        batch_size: Lessons in one gradient step.
        row_tokens: Most tokens in one packed row; by default what :data:`ROW_TOKENS` says of the device.
        dtype: ``auto``, ``bfloat16`` or ``float32``; ``auto`` takes bfloat16 where the hardware computes in it.
        untrained: Whether to start from random weights of the same architecture (a control).
    """

    template: str = TEMPLATE
    temperature: float = 1.0
    rank: int = 8
    learning_rate: float = 5e-4
    batch_size: int = 8
    row_tokens: int | None = None
    dtype: str = "auto"
    untrained: bool = False


class LocalTeacher(Teacher):
    """A language model whose advice is a calibrated softmax over exact option likelihoods.

    The base model is never changed: lessons train LoRA matrices, without which it is the reference teacher.

    Args:
        model: A folder or the id of a model on a hub, with weights in safetensors.
        seed: Seeds the LoRA matrices, the order of lessons and, if ``config.untrained``, the weights.
        config: How it reads, advises and learns.

    Attributes:
        calibration: The bias of each phrase, that of the reference teacher, frozen once learnt.

    Raises:
        UserError: The model cannot be loaded.
    """

    can_learn = True

    def __init__(self, model: str | Path, seed: int = 0, config: LocalConfig | None = None) -> None:
        self.config = config or LocalConfig()
        self.seed = seed
        self.calibration = Calibration()
        device = choose_device()
        dtype = choose_dtype(self.config.dtype, device)
        tokenizer, base = _load(str(model), dtype, seed if self.config.untrained else None)
        torch.nn.Module.to(base, device)
        self.model: PreTrainedModel | PeftModel = base.eval()
        self.prompter = Prompter(tokenizer, self.config.template)
        self.scorer = make_scorer(base, self.prompter, self.config.row_tokens or ROW_TOKENS[device.type])
        self.optimizer: torch.optim.Adam | None = None

    @property
    def tokens(self) -> int:
        return self.scorer.tokens

    def score(self, questions: Sequence[Question]) -> list[FloatArray]:
        with torch.no_grad():
            return [scores_O.cpu().numpy().astype(np.float64) for scores_O in self._scores(questions)]

    def reference_scores(self, questions: Sequence[Question]) -> list[FloatArray]:
        """Returns what :meth:`score` would return before the first lesson."""
        if not isinstance(self.model, PeftModel):
            return self.score(questions)
        with self.model.disable_adapter():
            return self.score(questions)

    def reference(self, questions: Sequence[Question]) -> list[FloatArray]:
        return self.advice(questions, self.reference_scores(questions))

    def calibrate(self, questions: Sequence[Question]) -> None:
        self.calibration.learn(questions, self.reference_scores(questions))

    def advice(self, questions: Sequence[Question], scores: Sequence[FloatArray]) -> list[FloatArray]:
        logits = [self._calibrated(q, torch.as_tensor(s)) for q, s in zip(questions, scores, strict=True)]
        return [logits_O.softmax(dim=0).numpy() for logits_O in logits]

    def learn(self, lessons: Sequence[Lesson], steps: int) -> float:
        loss = take_steps(
            self.optimizer or self.start_learning(),
            self._logits,
            lessons,
            steps=steps,
            batch_size=self.config.batch_size,
            seed=(self.seed, self.version),
        )
        self.version += 1
        return loss

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        saved = {"version": self.version, "bias": self.calibration.bias}
        (folder / CALIBRATION).write_text(json.dumps(saved, indent=2) + "\n")
        if isinstance(self.model, PeftModel) and self.optimizer:
            self.model.save_pretrained(str(folder), save_embedding_layers=False)
            state = self.optimizer.state_dict()["state"]
            save_file(
                {f"{i}.{key}": tensor for i, entries in state.items() for key, tensor in entries.items()},
                folder / OPTIMIZER,
            )

    def load(self, folder: Path) -> None:
        saved = json.loads((folder / CALIBRATION).read_text())
        self.version, self.calibration = saved["version"], Calibration(saved["bias"])
        if isinstance(self.model, PeftModel):
            self.model, self.optimizer = self.model.unload(), None
        if (folder / ADAPTER).exists():
            optimizer = self.start_learning()
            set_peft_model_state_dict(self.model, load_file(folder / ADAPTER))
            optimizer.load_state_dict(optimizer.state_dict() | {"state": _nested(load_file(folder / OPTIMIZER))})

    def encode(self, questions: Sequence[Question]) -> list[Reading]:
        """Returns calibrated logits and hidden states with their gradients, for whoever trains this model further."""
        with self._precision():
            readings = self.scorer.read([self.prompter(question) for question in questions])
        return [
            Reading(self._calibrated(question, reading.scores_O), reading.hidden_D)
            for question, reading in zip(questions, readings, strict=True)
        ]

    def add_lora(self) -> list[Parameter]:
        """Adds LoRA matrices, which change nothing yet, and returns them."""
        rank = self.config.rank
        kind = "SEQ_2_SEQ_LM" if self.model.config.is_encoder_decoder else "CAUSAL_LM"
        lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type=kind)
        with _seeded(self.seed), warnings.catch_warnings():
            # peft still asks transformers by a name that is going out of use
            warnings.simplefilter("ignore", FutureWarning)
            self.model = cast(PeftModel, get_peft_model(cast(PreTrainedModel, self.model), lora)).eval()
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def _scores(self, questions: Sequence[Question]) -> list[Tensor]:
        with self._precision():
            return self.scorer([self.prompter(question) for question in questions])

    def _precision(self) -> ExitStack:
        """Computes the LoRA matrices, which are kept in float32, in the precision of the model that they adapt.

        Else every layer's input and output are converted to float32 and back, which costs more than the layer.
        """
        computing = ExitStack()
        if isinstance(self.model, PeftModel):
            computing.enter_context(disable_input_dtype_casting(self.model))
            low = self.model.dtype != torch.float32
            computing.enter_context(torch.autocast(self.model.device.type, self.model.dtype, enabled=low))
        return computing

    def _logits(self, lessons: Sequence[Lesson]) -> list[Tensor]:
        questions = [lesson.question for lesson in lessons]
        return [self._calibrated(q, scores_O) for q, scores_O in zip(questions, self._scores(questions), strict=True)]

    def _calibrated(self, question: Question, scores_O: Tensor) -> Tensor:
        """Returns (scores - bias) / temperature, shape (O,)."""
        return (scores_O - scores_O.new_tensor(self.calibration.of(question))) / self.config.temperature

    def start_learning(self) -> torch.optim.Adam:
        """Adds LoRA matrices, which change nothing yet, and their optimiser."""
        self.optimizer = torch.optim.Adam(self.add_lora(), lr=self.config.learning_rate)
        return self.optimizer


def _load(name: str, dtype: torch.dtype, random_seed: int | None) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Returns tokenizer and model, the latter with random weights if ``random_seed`` is given."""
    logging.disable_progress_bar()
    huggingface_hub.utils.logging.set_verbosity_error()
    safe: dict[str, Any] = {"trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, **safe)
        config = AutoConfig.from_pretrained(name, **safe)
        kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        if random_seed is None:
            return tokenizer, kind.from_pretrained(name, dtype=dtype, use_safetensors=True, **safe)
        with _seeded(random_seed):
            return tokenizer, kind.from_config(config, dtype=dtype, **safe)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"No language model could be loaded from {name!r}: {reason}") from error


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seeds torch for a while and gives back the state it had."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _nested(flat: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """Returns ``{"0.step": t}`` as ``{0: {"step": t}}``."""
    nested: dict[int, dict[str, Tensor]] = {}
    for name, tensor in flat.items():
        number, key = name.split(".")
        nested.setdefault(int(number), {})[key] = tensor
    return nested
