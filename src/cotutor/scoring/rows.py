"""Option scores from one padded row per option: slower than the trie, and right for every causal model."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from cotutor.scoring.prompts import Prompt


class RowScorer:
    """Scores every option in a row of its own; differentiable.

    Args:
        model: A causal language model of transformers.
        batch_size: Most rows in one forward pass.

    Attributes:
        tokens: How many tokens went through the model so far, padding included.
    """

    def __init__(self, model: PreTrainedModel, batch_size: int = 32) -> None:
        self.model = model
        self.batch_size = batch_size
        self.tokens = 0

    def __call__(self, prompts: Sequence[Prompt]) -> list[Tensor]:
        """Returns the log-likelihoods of the options, float32, shape (O,), for every question."""
        rows = [(prompt.context_T, option) for prompt in prompts for option in prompt.options]
        batches = [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
        flat_O = torch.cat([self._score_rows(batch) for batch in batches])
        return list(flat_O.split([len(prompt.options) for prompt in prompts]))

    def _score_rows(self, rows: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> Tensor:
        sequences = [torch.tensor(context + option) for context, option in rows]
        tokens_BT = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True).to(self.model.device)
        end_B1 = tokens_BT.new_tensor([[len(sequence)] for sequence in sequences])
        start_B1 = tokens_BT.new_tensor([[len(context)] for context, _ in rows])
        place_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
        self.tokens += tokens_BT.numel()
        # padding is on the right, so without a mask it is seen by padding only
        logits_BTV = self.model(input_ids=tokens_BT, use_cache=False).logits[:, :-1].float()
        logprobs_BT = logits_BTV.log_softmax(dim=-1).gather(2, tokens_BT[:, 1:, None]).squeeze(2)
        is_option_BT = (place_T >= start_B1) & (place_T < end_B1)
        return (logprobs_BT * is_option_BT[:, 1:]).sum(dim=1)
