"""A language model with random weights that is made and asked in milliseconds; its tokens are words."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast


def causal(words: int) -> PreTrainedModel:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=words, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            initializer_range=0.2,
        )
    )  # fmt: skip


def save_tiny(path: Path, words: Sequence[str], make: Callable[[int], PreTrainedModel] = causal) -> Path:
    """Writes a model whose vocabulary is these words; the first of them stands for every other."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token=words[0]).save_pretrained(path)
    torch.manual_seed(0)
    make(len(words)).save_pretrained(path)
    return path
