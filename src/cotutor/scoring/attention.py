"""Attention in a packed trie: a few neighbouring nodes at a time, to what any of them sees.

In a row of 384 nodes a node sees some 70, its ancestors. Attention with a mask over the whole row computes all pairs
and hides most of them; here a block of neighbours, which share most of their ancestors, is compared with the union of
these only. The sums are the same but for rounding. On a CPU that is faster than a kernel that takes any mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "cotutor-trie"
BLOCK = 96
"""Nodes in a block: fewer means more small products, more of them a larger union."""


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring nodes and what they attend to.

    Attributes:
        nodes: Where they stand in the row.
        seen_S: Nodes that any of them sees.
        bias_BS: What is added to the scores of what they see: see :func:`bias`.
    """

    nodes: slice
    seen_S: Tensor
    bias_BS: Tensor


def bias(visible_QK: Tensor, dtype: torch.dtype) -> Tensor:
    """Returns zero where something is visible and the least number of a type where it is not."""
    return torch.zeros_like(visible_QK, dtype=dtype).masked_fill(~visible_QK, torch.finfo(dtype).min)


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
        blocks.append(Block(nodes, seen_S, bias(visible_TT[nodes, seen_S], dtype)))
    return blocks


def attend_by_blocks(model: PreTrainedModel) -> bool:
    """Makes a model on a CPU attend by blocks when it is called with ``blocks``, and tells whether it does.

    Called without, it attends as transformers lets it by default.
    """
    if model.device.type == "cpu" and model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(NAME)
    return model.config._attn_implementation == NAME


def trie_attention(
    module: nn.Module,
    query_1HTD: Tensor,
    key_1GTD: Tensor,
    value_1GTE: Tensor,
    attention_mask: Tensor | None,
    blocks: Sequence[Block] | None = None,
    position_bias: Tensor | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Returns the attention of H heads, which share G keys and values, shape (1, T, H, E), as transformers wants it.

    Without blocks, or where a model adds more to its scores or drops some, it is transformers' own.
    """
    if blocks is None or position_bias is not None or dropout > 0:
        return sdpa_attention_forward(
            module,
            query_1HTD,
            key_1GTD,
            value_1GTE,
            attention_mask,
            position_bias=position_bias,
            dropout=dropout,
            scaling=scaling,
            **others,
        )
    heads, size = query_1HTD.shape[1], query_1HTD.shape[3]
    groups = key_1GTD.shape[1]
    scale = size**-0.5 if scaling is None else scaling
    attended = []
    for block in blocks:
        query_GQD = query_1HTD[0, :, block.nodes].reshape(groups, -1, size)
        key_GDS = key_1GTD[0, :, block.seen_S].transpose(1, 2)
        bias_GQS = block.bias_BS.repeat(heads // groups, 1).expand(groups, -1, -1)
        weights_GQS = torch.baddbmm(bias_GQS, query_GQD, key_GDS, alpha=scale).softmax(dim=-1)
        attended.append((weights_GQS @ value_1GTE[0, :, block.seen_S]).reshape(heads, len(block.bias_BS), -1))
    return torch.cat(attended, dim=1).transpose(0, 1)[None], None


AttentionInterface.register(NAME, trie_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
