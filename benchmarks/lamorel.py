"""Lamorel's scorer, from a checkout of its repository, as one more scorer to be timed.

It was written for an earlier transformers, whose key-value caches were tuples; :class:`Legacy` turns one into the other
and nothing else is changed. Its model is ours, so both compute with the same weights in the same precision.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from cotutor.scoring import Reading, Scorer
from cotutor.scoring.prompts import Prompt

SERVER = "lamorel/src/lamorel/server"


class Legacy(nn.Module):
    """A model that takes and gives its key-value cache as tuples of keys and values, one per layer."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, past_key_values: Sequence[tuple[Tensor, Tensor]] | None = None, **inputs: Any) -> dict[str, Any]:
        cache = None
        if past_key_values is not None:
            cache = DynamicCache()
            for layer, (keys, values) in enumerate(past_key_values):
                cache.update(keys, values, layer)
        output = self.model(past_key_values=cache, use_cache=True, **inputs)
        layers = output.past_key_values.layers
        return {"logits": output.logits, "past_key_values": tuple((layer.keys, layer.values) for layer in layers)}


class LamorelScorer(Scorer):
    """Scores like Lamorel's server.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer.
        folder: Where the model is.
        checkout: Lamorel's repository.
        pre_encode: Whether contexts are read once for all of their options.
        minibatch: Rows in a forward pass.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        folder: Path,
        checkout: Path,
        pre_encode: bool,
        minibatch: int,
    ) -> None:
        super().__init__(model)
        sys.path.insert(0, str(checkout / SERVER))
        from llms import HF_LLM  # noqa: PLC0415  # pyright: ignore
        from llms.module_functions.score_module_function import LogScoringModuleFn  # noqa: PLC0415  # pyright: ignore

        arguments = SimpleNamespace(
            seed=0,
            model_type="causal",
            model_path=str(folder),
            pretrained=True,
            pre_encode_inputs=pre_encode,
            minibatch_size=minibatch,
            parallelism=SimpleNamespace(synchronize_gpus_after_scoring=False, empty_cuda_cache_after_scoring=False),
        )
        score = LogScoringModuleFn(0, "causal", pre_encode)
        score.device = "cpu"
        self.llm = HF_LLM(arguments, [0], use_cpu=True)
        self.llm.register_module_functions({"__score": score})
        self.llm._LLM_model = Legacy(model)
        self.tokenizer = tokenizer

    def __call__(self, prompts: Sequence[Prompt]) -> list[Tensor]:
        contexts = [self.tokenizer.decode(prompt.context_T) for prompt in prompts]
        candidates = [[self.tokenizer.decode(option) for option in prompt.options] for prompt in prompts]
        return [scored["__score"] for scored in self.llm(["__score"], contexts, candidates)]

    def read(self, prompts: Sequence[Prompt]) -> list[Reading]:
        raise NotImplementedError("It is only timed.")


def scorers(model: PreTrainedModel, tokenizer: Any, folder: Path, checkout: Path) -> dict[str, Scorer]:
    """Returns Lamorel's scorer at the settings worth trying, by name."""
    if not torch.device("cpu") == model.device:
        raise SystemExit("Lamorel's scorer is timed on the CPU only: leave out --lamorel.")
    return {
        f"lamorel, {'pre-encoded, ' if pre_encode else ''}{minibatch} rows": LamorelScorer(
            model, tokenizer, folder, checkout, pre_encode, minibatch
        )
        for pre_encode, minibatch in ((False, 32), (True, 7), (True, 32), (True, 64))
    }
