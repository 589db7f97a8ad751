"""Option scores from one padded row per option: slower than the trie, and right for every causal model."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from cotutor.scoring.prompts import Prompt, Reading
from cotutor.scoring.scorer import Scorer


class RowScorer(Scorer):
    """Scores every option in a row of its own; differentiable.

    Args:
        model: A causal language model of transformers.
        batch_size: Most rows in one forward pass.
    """

    def __init__(self, model: PreTrainedModel, batch_size: int = 32) -> None:
        super().__init__(model)
        self.batch_size = batch_size

    def read(self, prompts: Sequence[Prompt]) -> list[Reading]:
        rows = [(prompt.context_T, option) for prompt in prompts for option in prompt.options]
        batches = [self._read_rows(rows[i : i + self.batch_size]) for i in range(0, len(rows), self.batch_size)]
        sizes = [len(prompt.options) for prompt in prompts]
        scores, hidden = (torch.cat(parts).split(sizes) for parts in zip(*batches, strict=True))
        return [Reading(scores_O, hidden_OD[0]) for scores_O, hidden_OD in zip(scores, hidden, strict=True)]

    def _read_rows(self, rows: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> tuple[Tensor, Tensor]:
        """Returns the scores of rows, shape (B,), and the hidden states where their contexts end, shape (B, D)."""
        sequences = [torch.tensor(context + option) for context, option in rows]
        tokens_BT = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True).to(self.model.device)
        end_B1 = tokens_BT.new_tensor([[len(sequence)] for sequence in sequences])
        start_B1 = tokens_BT.new_tensor([[len(context)] for context, _ in rows])
        place_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
        self.tokens += tokens_BT.numel()
        # padding is on the right, so without a mask it is seen by padding only
        output = self.model(input_ids=tokens_BT, use_cache=False, output_hidden_states=True)
        logprobs_BT = output.logits[:, :-1].float().log_softmax(dim=-1).gather(2, tokens_BT[:, 1:, None]).squeeze(2)
        is_option_BT = (place_T >= start_B1) & (place_T < end_B1)
        row_B = torch.arange(len(rows), device=tokens_BT.device)
        ends_BD = output.hidden_states[-1][row_B, start_B1[:, 0] - 1]
        return (logprobs_BT * is_option_BT[:, 1:]).sum(dim=1), ends_BD
