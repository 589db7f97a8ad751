"""A question as tokens."""

from dataclasses import dataclass

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from cotutor.types import Question


@dataclass(frozen=True, slots=True)
class Prompt:
    """The tokens of one question.

    Attributes:
        context_T: Tokens of the context with the template around it, at least one.
        options: Tokens of each option, at least one each.
    """

    context_T: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model makes of one question; differentiable.

    Attributes:
        scores_O: Log-likelihoods of the options, float32.
        hidden_D: Last hidden state at the context's last token, of an encoder-decoder the encoder's, in the model's
            precision.
    """

    scores_O: Tensor
    hidden_D: Tensor


class Prompter:
    """Turns questions into tokens; context and option apart, so that an option's tokens are the same everywhere.

    Args:
        tokenizer: A tokenizer of transformers.
        template: The text around the context, which stands for ``{context}`` in it.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: str) -> None:
        self.tokenizer = tokenizer
        self.template = template
        self._options: dict[str, tuple[int, ...]] = {}

    def __call__(self, question: Question) -> Prompt:
        text = self.template.replace("{context}", question.context)
        return Prompt(tuple(self.tokenizer(text)["input_ids"]), tuple(self._option(o.phrase) for o in question.options))

    def _option(self, phrase: str) -> tuple[int, ...]:
        if phrase not in self._options:
            self._options[phrase] = tuple(self.tokenizer(f" {phrase}", add_special_tokens=False)["input_ids"])
        return self._options[phrase]
