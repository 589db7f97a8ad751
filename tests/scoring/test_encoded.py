"""Scores of an encoder-decoder against a decoder run token by token on one context at a time."""

import pytest
import torch
from tests.scoring.test_scoring import CharacterTokenizer, V, random_prompts, seeded
from torch import Tensor
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from cotutor.scoring import EncodedScorer, Prompt, Prompter, make_scorer


def t5() -> PreTrainedModel:
    shape = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    return T5ForConditionalGeneration(T5Config(vocab_size=V, **shape, decoder_start_token_id=0, initializer_factor=3.0))


def bart() -> PreTrainedModel:
    shape = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in
             (("layers", 2), ("attention_heads", 4), ("ffn_dim", 64))}  # fmt: skip
    return BartForConditionalGeneration(BartConfig(vocab_size=V, d_model=32, **shape, init_std=0.3))


def reference(model: PreTrainedModel, context: tuple[int, ...], option: tuple[int, ...]) -> Tensor:
    """The log-likelihood of ``option`` given ``context``, written out as its definition says."""
    total, written = torch.zeros(()), [model.config.decoder_start_token_id]
    for token in option:
        output = model(input_ids=torch.tensor([context]), decoder_input_ids=torch.tensor([written]))
        total = total + output.logits[0, -1].log_softmax(dim=0)[token]
        written.append(token)
    return total


def expected(model: PreTrainedModel, prompts: list[Prompt]) -> list[Tensor]:
    return [torch.stack([reference(model, p.context_T, option) for option in p.options]) for p in prompts]


@pytest.mark.parametrize("make", [t5, bart])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_scores_equal_separate_passes(make, batch_size):
    model, prompts = seeded(make), random_prompts()
    scorer = EncodedScorer(model, batch_size)
    with torch.no_grad():
        readings = scorer.read(prompts)
        for prompt, reading, scores_O in zip(prompts, readings, expected(model, prompts), strict=True):
            torch.testing.assert_close(reading.scores_O, scores_O, atol=1e-3, rtol=1e-4)
            encoded = model.get_encoder()(input_ids=torch.tensor([prompt.context_T]))[0]
            torch.testing.assert_close(reading.hidden_D, encoded[0, -1], atol=1e-4, rtol=1e-4)
    assert scorer.tokens >= sum(len(p.context_T) + sum(map(len, p.options)) for p in prompts)


def test_gradients_equal_those_of_separate_passes():
    model, prompts = seeded(t5), random_prompts()[:6]
    weights = [torch.linspace(-1, 1, len(prompt.options)) for prompt in prompts]

    def gradients(scores: list[Tensor]) -> list[Tensor]:
        loss = torch.stack([(w * s).sum() for w, s in zip(weights, scores, strict=True)]).sum()
        return list(torch.autograd.grad(loss, list(model.parameters())))

    together, separate = gradients(EncodedScorer(model)(prompts)), gradients(expected(model, prompts))
    for ours, theirs in zip(together, separate, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-2)


def test_it_is_what_an_encoder_decoder_is_scored_with():
    assert isinstance(make_scorer(seeded(t5), Prompter(CharacterTokenizer(), "{context}"), 100), EncodedScorer)
