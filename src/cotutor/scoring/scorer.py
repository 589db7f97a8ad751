"""What every way of scoring options with a model on this machine has in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor
from transformers import PreTrainedModel

from cotutor.scoring.prompts import Prompt, Reading


class Scorer(ABC):
    """Reads questions with a language model; differentiable.

    Args:
        model: A language model of transformers.

    Attributes:
        tokens: How many tokens went through the model so far, padding included.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.tokens = 0

    def __call__(self, prompts: Sequence[Prompt]) -> list[Tensor]:
        """Returns the log-likelihoods of the options, float32, shape (O,), for every question."""
        return [reading.scores_O for reading in self.read(prompts)]

    @abstractmethod
    def read(self, prompts: Sequence[Prompt]) -> list[Reading]:
        """Returns scores and hidden state of every question."""
