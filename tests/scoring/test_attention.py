"""Attention by blocks against transformers' own with the whole mask."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from cotutor.scoring import Prompt, RowScorer, TrieScorer
from cotutor.scoring.attention import BLOCK, NAME, bias, cut, trie_attention
from cotutor.scoring.trie import Trie

HEADS, SIZE, WIDTH = 6, 8, 5


def bushy_trie(nodes: int) -> Trie:
    """A trie of ``nodes`` nodes or a few more: sentences that begin alike and end apart."""
    random = torch.Generator().manual_seed(0)
    trie = Trie()
    while len(trie.tokens) < nodes:
        trie.insert([1, 2, 3, *torch.randint(0, 3, (20,), generator=random).tolist()])
    return trie


def small_llama(attention: str) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        attn_implementation=attention,
    )
    return LlamaForCausalLM(config).eval()


def whole(visible_TT: torch.Tensor) -> torch.Tensor:
    return bias(visible_TT, torch.float32)[None, None]


class Layer(nn.Module):
    """What transformers' function asks of a layer."""

    is_causal = True

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.num_key_value_groups = HEADS // groups


@pytest.mark.parametrize("groups", [1, 2, HEADS])
@pytest.mark.parametrize("nodes", [10, BLOCK, 3 * BLOCK + 7])
@pytest.mark.parametrize("scaling", [None, 0.5])
def test_blocks_attend_to_what_the_mask_lets_through(groups, nodes, scaling):
    visible_TT = bushy_trie(nodes).visible()
    torch.manual_seed(0)
    shapes = ((HEADS, SIZE), (groups, SIZE), (groups, WIDTH))
    leaves = [torch.randn(1, n, len(visible_TT), size, requires_grad=True) for n, size in shapes]
    ours, _ = trie_attention(Layer(groups), *leaves, None, blocks=cut(visible_TT, torch.float32), scaling=scaling)
    theirs, _ = sdpa_attention_forward(Layer(groups), *leaves, whole(visible_TT), scaling=scaling)
    assert torch.allclose(ours, theirs, atol=1e-5)
    weight = torch.randn_like(ours)
    for mine, other in zip(
        torch.autograd.grad((ours * weight).sum(), leaves),
        torch.autograd.grad((theirs * weight).sum(), leaves),
        strict=True,
    ):
        assert torch.allclose(mine, other, atol=1e-4)


def test_blocks_leave_out_what_none_of_their_nodes_sees():
    visible_TT = bushy_trie(6 * BLOCK).visible()
    blocks = cut(visible_TT, torch.float32)
    pairs = torch.zeros_like(visible_TT)
    for block in blocks:
        pairs[block.nodes, block.seen_S] = block.bias_BS == 0
    assert torch.equal(pairs, visible_TT)
    assert sum(block.bias_BS.numel() for block in blocks) < 0.4 * visible_TT.numel()


@pytest.mark.parametrize("adds", [{"position_bias": torch.randn(1, HEADS, 30, 30)}, {"dropout": 0.5}])
def test_what_a_model_adds_to_its_scores_is_not_lost(adds):
    torch.manual_seed(0)
    visible_TT = torch.ones(30, 30, dtype=torch.bool).tril()
    tensors = [torch.randn(1, HEADS, 30, SIZE) for _ in range(3)]
    torch.manual_seed(1)
    blocks = cut(visible_TT, torch.float32)
    ours, _ = trie_attention(Layer(HEADS), *tensors, whole(visible_TT), blocks=blocks, **adds)
    torch.manual_seed(1)
    theirs, _ = sdpa_attention_forward(Layer(HEADS), *tensors, whole(visible_TT), **adds)
    assert torch.equal(ours, theirs)


def sentences(seed: int) -> list[Prompt]:
    """Questions that begin alike, with three options each."""
    random = torch.Generator().manual_seed(seed)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(3, 50, (count,), generator=random).tolist())

    return [Prompt((1, 2, *tokens(9)), tuple(tokens(3) for _ in range(3))) for _ in range(8)]


def test_a_row_is_read_by_blocks_alone(monkeypatch):
    monkeypatch.setattr("cotutor.scoring.attention.BLOCK", 8)
    model, prompts = small_llama("sdpa"), sentences(0)
    rows = torch.stack(RowScorer(model)(prompts))
    forward = model.forward
    model.forward = lambda attention_mask=None, **kwargs: forward(**kwargs)
    torch.testing.assert_close(torch.stack(TrieScorer(model, budget=1000)(prompts)), rows, atol=1e-4, rtol=1e-4)


def test_lora_learns_the_same_by_blocks_and_by_rows_in_low_precision(monkeypatch):
    monkeypatch.setattr("cotutor.scoring.attention.BLOCK", 8)
    model = small_llama("sdpa").to(torch.bfloat16)
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    lora = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    gradients = []
    for scorer in (TrieScorer(model, budget=1000), RowScorer(model)):
        with torch.autocast("cpu", torch.bfloat16):
            loss = torch.stack(scorer(sentences(1)))[:, 0].sum()
        gradients.append(torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, lora)]))
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.99


def test_a_model_generates_as_before_outside_of_a_trie():
    plain, ours = small_llama("sdpa"), small_llama("sdpa")
    TrieScorer(ours, budget=64)
    assert ours.config._attn_implementation == NAME
    ids = torch.randint(3, 50, (2, 7), generator=torch.Generator().manual_seed(0))
    settings = {"attention_mask": torch.ones_like(ids), "max_new_tokens": 12, "do_sample": False, "pad_token_id": 0}
    assert torch.equal(plain.generate(ids, **settings), ours.generate(ids, **settings))


def test_a_model_that_was_told_how_to_attend_is_left_alone():
    model = small_llama("eager")
    TrieScorer(model, budget=64)
    assert model.config._attn_implementation == "eager"
