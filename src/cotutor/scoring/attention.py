"""Attention in a packed trie: a few neighbouring nodes at a time, to what any of them sees.

In a row of 384 nodes a node sees some 70, its ancestors. Attention with a mask over the whole row computes all pairs
and hides most of them; here a block of neighbours, which share most of their ancestors, is compared with the union of
these only. The sums are the same, and on a CPU, where no kernel knows such a mask, so is what they are computed with.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "cotutor-trie"
BLOCK = 64
"""Nodes in a block: fewer means more small products, more of them a larger union."""
ADDED = ("softcap", "position_bias", "s_aux")
"""What some models add to their scores, by transformers' names for it."""


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring nodes and what they attend to.

    Attributes:
        nodes: Where they stand in the row.
        seen_S: Nodes that any of them sees.
        bias_BS: Zero where a node sees another, the least number of its type where not.
    """

    nodes: slice
    seen_S: Tensor
    bias_BS: Tensor


_BLOCKS: ContextVar[Sequence[Block] | None] = ContextVar("blocks", default=None)


def cut(visible_TT: Tensor, dtype: torch.dtype) -> list[Block]:
    """Cuts a row into blocks.

    Args:
        visible_TT: What each node attends to, boolean.
        dtype: Type of the attention scores.
    """
    blocks = []
    for start in range(0, len(visible_TT), BLOCK):
        nodes = slice(start, start + BLOCK)
        seen_S = visible_TT[nodes].any(dim=0).nonzero()[:, 0]
        hidden_BS = ~visible_TT[nodes, seen_S]
        blocks.append(Block(nodes, seen_S, hidden_BS.to(dtype).masked_fill(hidden_BS, torch.finfo(dtype).min)))
    return blocks


def attend_by_blocks(model: PreTrainedModel) -> None:
    """Makes a model on a CPU attend as :func:`attending` says; outside of it, and elsewhere, as it did before."""
    if model.device.type == "cpu" and model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(NAME)


@contextmanager
def attending(model: PreTrainedModel, visible_TT: Tensor) -> Iterator[None]:
    """Lets a model that attends by blocks do so for the one row that it reads meanwhile.

    Args:
        model: The model, on which :func:`attend_by_blocks` may have had an effect or not.
        visible_TT: What each node of the row attends to, boolean.
    """
    by_blocks = model.config._attn_implementation == NAME
    token = _BLOCKS.set(cut(visible_TT, model.dtype) if by_blocks else None)
    try:
        yield
    finally:
        _BLOCKS.reset(token)


def trie_attention(
    module: nn.Module,
    query_1HTD: Tensor,
    key_1GTD: Tensor,
    value_1GTD: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[Tensor, None]:
    """Returns the attention of H heads, which share G keys and values, shape (1, T, H, D), as transformers wants it.

    What a model adds to its scores (a bias, a soft cap) it gets from transformers' own function, as does whoever reads
    no trie.
    """
    blocks = _BLOCKS.get()
    if blocks is None or dropout > 0 or any(others.get(name) is not None for name in ADDED):
        return sdpa_attention_forward(
            module, query_1HTD, key_1GTD, value_1GTD, attention_mask, scaling=scaling, dropout=dropout, **others
        )
    heads, size = query_1HTD.shape[1], query_1HTD.shape[3]
    groups = key_1GTD.shape[1]
    query_HTD = query_1HTD[0] * (size**-0.5 if scaling is None else scaling)
    attended = []
    for block in blocks:
        query_GQD = query_HTD[:, block.nodes].reshape(groups, -1, size)
        key_GDS = key_1GTD[0, :, block.seen_S].transpose(1, 2)
        bias_GQS = block.bias_BS.repeat(heads // groups, 1).expand(groups, -1, -1)
        weights_GQS = torch.baddbmm(bias_GQS, query_GQD, key_GDS).softmax(dim=-1)
        attended.append((weights_GQS @ value_1GTD[0, :, block.seen_S]).reshape(heads, -1, size))
    return torch.cat(attended, dim=1).transpose(0, 1)[None], None


AttentionInterface.register(NAME, trie_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
