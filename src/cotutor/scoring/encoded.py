"""Option scores of an encoder-decoder: a context is encoded once, and every option decoded beside it."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from cotutor.scoring.prompts import Prompt, Reading
from cotutor.scoring.scorer import Scorer

UNSCORED = -100
"""Label of padding, which transformers takes for no token."""


class EncodedScorer(Scorer):
    """Scores every option by the decoder, given the encoded context; differentiable.

    Args:
        model: An encoder-decoder of transformers, of the T5 family or of BART's.
        batch_size: Most options in one pass of the decoder, if no question has more.
    """

    def __init__(self, model: PreTrainedModel, batch_size: int = 64) -> None:
        super().__init__(model)
        self.batch_size = batch_size

    def read(self, prompts: Sequence[Prompt]) -> list[Reading]:
        readings: list[Reading] = []
        most = max(len(prompt.options) for prompt in prompts)
        together = max(1, self.batch_size // most)
        for first in range(0, len(prompts), together):
            readings += self._read(prompts[first : first + together])
        return readings

    def _read(self, prompts: Sequence[Prompt]) -> list[Reading]:
        device = self.model.device
        contexts = [torch.tensor(prompt.context_T, device=device) for prompt in prompts]
        options = [torch.tensor(option, device=device) for prompt in prompts for option in prompt.options]
        sizes = [len(prompt.options) for prompt in prompts]
        context_CT = pad_sequence(contexts, batch_first=True)
        label_OT = pad_sequence(options, batch_first=True, padding_value=UNSCORED)
        length_C = torch.tensor([len(context) for context in contexts], device=device)
        seen_CT = torch.arange(context_CT.shape[1], device=device) < length_C[:, None]
        self.tokens += context_CT.numel() + label_OT.numel()
        encoded_CTD = cast(Any, self.model).get_encoder()(input_ids=context_CT, attention_mask=seen_CT)[0]
        of_O = torch.repeat_interleave(torch.arange(len(prompts), device=device), torch.tensor(sizes, device=device))
        logits_OTV = self.model(
            encoder_outputs=BaseModelOutput(encoded_CTD[of_O]), attention_mask=seen_CT[of_O], labels=label_OT
        ).logits
        scored_OT = label_OT != UNSCORED
        token_OT = label_OT.clamp(min=0)
        logprobs_OT = logits_OTV.float().log_softmax(dim=-1).gather(2, token_OT[..., None]).squeeze(2)
        scores = (logprobs_OT * scored_OT).sum(dim=1).split(sizes)
        last_CD = encoded_CTD[torch.arange(len(prompts), device=device), length_C - 1]
        return [Reading(scores_O, hidden_D) for scores_O, hidden_D in zip(scores, last_CD, strict=True)]
