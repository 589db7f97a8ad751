"""Packed scores against an ordinary forward pass of every (context, option), one at a time."""

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from cotutor.embedded import embedded_model
from cotutor.scoring import Prompt, Prompter, RowScorer, TrieScorer, honours_tree_mask, make_scorer
from cotutor.scoring.trie import Trie, pack
from cotutor.types import Option, Question

V = 300
SMALL = {"vocab_size": V, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}


class CharacterTokenizer:
    """One token a character, with a first token when special tokens are wanted."""

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": [1] * add_special_tokens + [ord(character) % V for character in text]}


def llama() -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(**SMALL, intermediate_size=64, num_key_value_heads=2, initializer_range=0.3))


def qwen2() -> PreTrainedModel:
    return Qwen2ForCausalLM(Qwen2Config(**SMALL, intermediate_size=64, num_key_value_heads=2, initializer_range=0.3))


def gpt2() -> PreTrainedModel:
    return GPT2LMHeadModel(GPT2Config(vocab_size=V, n_embd=32, n_layer=3, n_head=4, initializer_range=0.3))


def mamba() -> PreTrainedModel:
    config = MambaConfig(vocab_size=V, hidden_size=32, num_hidden_layers=2, state_size=4, initializer_range=0.3)
    return MambaForCausalLM(config)


def seeded(make) -> PreTrainedModel:
    torch.manual_seed(0)
    return make().eval()


def reference(model: PreTrainedModel, context: tuple[int, ...], option: tuple[int, ...]) -> Tensor:
    """The log-likelihood of ``option`` after ``context``, written out as its definition says."""
    total = torch.zeros(())
    for i, token in enumerate(option):
        logits_V = model(input_ids=torch.tensor([context + option[:i]])).logits[0, -1]
        total = total + logits_V[token] - logits_V.exp().sum().log()
    return total


def random_prompts() -> list[Prompt]:
    """Shared and foreign prefixes, a context and options that begin others, one-token options, a long context."""
    generator = torch.Generator().manual_seed(0)

    def draw(length: int) -> tuple[int, ...]:
        return tuple(torch.randint(0, V, (length,), generator=generator).tolist())

    head = draw(6)
    options = (draw(1), draw(4), draw(2))
    prefixes = (options[1], options[1][:2], options[1][:1])
    return [
        *(Prompt(head + draw(n), options) for n in (1, 3, 3, 7)),
        Prompt(head, prefixes),
        Prompt((*head, 5), prefixes),
        Prompt(draw(120), options),
        Prompt(draw(1), (draw(1), draw(1))),
        Prompt(head, prefixes),
    ]


@pytest.mark.parametrize("make", [llama, qwen2, gpt2])
@pytest.mark.parametrize("budget", [8, 40, 1000])
def test_packed_scores_equal_separate_forward_passes(make, budget):
    model, prompts = seeded(make), random_prompts()
    with torch.no_grad():
        packed = TrieScorer(model, budget)(prompts)
        for prompt, scores_O in zip(prompts, packed, strict=True):
            for option, score in zip(prompt.options, scores_O, strict=True):
                assert score.item() == pytest.approx(
                    reference(model, prompt.context_T, option).item(), abs=1e-4 * len(option)
                )


@pytest.mark.parametrize(
    "make, scorer", [(llama, TrieScorer), (gpt2, TrieScorer), (llama, RowScorer), (mamba, RowScorer)]
)
def test_hidden_states_equal_those_where_a_plain_pass_over_the_context_ends(make, scorer):
    model, prompts = seeded(make), random_prompts()
    with torch.no_grad():
        for prompt, reading in zip(prompts, scorer(model, 40).read(prompts), strict=True):
            output = model(input_ids=torch.tensor([prompt.context_T]), output_hidden_states=True)
            torch.testing.assert_close(reading.hidden_D, output.hidden_states[-1][0, -1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("make", [llama, gpt2])
def test_gradients_equal_those_of_separate_forward_passes(make):
    model, prompts = seeded(make), random_prompts()[:6]
    weights = [torch.linspace(-1, 1, len(prompt.options)) for prompt in prompts]

    def gradients(scores: list[Tensor]) -> list[Tensor]:
        loss = torch.stack([(w * s).sum() for w, s in zip(weights, scores, strict=True)]).sum()
        return list(torch.autograd.grad(loss, list(model.parameters())))

    separate = [torch.stack([reference(model, p.context_T, option) for option in p.options]) for p in prompts]
    for packed, plain in zip(gradients(TrieScorer(model, 24)(prompts)), gradients(separate), strict=True):
        torch.testing.assert_close(packed, plain, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("make", [llama, gpt2, mamba])
def test_rows_equal_separate_forward_passes(make):
    model, prompts = seeded(make), random_prompts()
    with torch.no_grad():
        for prompt, scores_O in zip(prompts, RowScorer(model, batch_size=5)(prompts), strict=True):
            expected = torch.stack([reference(model, prompt.context_T, option) for option in prompt.options])
            torch.testing.assert_close(scores_O, expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("make, packs", [(llama, True), (qwen2, True), (gpt2, True), (mamba, False)])
def test_probe_finds_out_whether_a_model_can_be_packed(make, packs):
    model, prompter = seeded(make), Prompter(CharacterTokenizer(), "{context}")
    assert honours_tree_mask(model, prompter) is packs
    assert isinstance(make_scorer(model, prompter, 100), TrieScorer if packs else RowScorer)


def test_a_model_that_ignores_the_mask_is_not_packed():
    model = seeded(llama)
    model.set_attn_implementation("eager")  # as models have it whose attention is their own
    forward = model.forward
    model.forward = lambda attention_mask=None, **kwargs: forward(**kwargs)
    prompter = Prompter(CharacterTokenizer(), "{context}")
    assert not honours_tree_mask(model, prompter)


def test_embedded_model_is_scored_exactly():
    model = AutoModelForCausalLM.from_pretrained(embedded_model(), dtype=torch.float32).eval()
    prompts = random_prompts()[:5]
    with torch.no_grad():
        for prompt, scores_O in zip(prompts, TrieScorer(model, 64)(prompts), strict=True):
            for option, score in zip(prompt.options, scores_O, strict=True):
                assert score.item() == pytest.approx(
                    reference(model, prompt.context_T, option).item(), abs=1e-4 * len(option)
                )


def test_a_trie_holds_shared_prefixes_once():
    trie = Trie()
    nodes = trie.insert_prompt(Prompt((1, 2), ((3, 4), (3, 5, 6), (7,))))
    assert trie.tokens == [1, 2, 3, 5]
    assert trie.parents == [-1, 0, 1, 2]
    assert trie.depths == [0, 1, 2, 3]
    assert nodes == [[1, 2], [1, 2, 3], [1]]
    assert trie.visible().int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]


def test_a_node_does_not_see_its_siblings():
    trie = Trie()
    trie.insert((1, 2))
    trie.insert((1, 3))
    assert trie.visible().int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]


def test_rows_keep_to_the_budget_and_lose_no_question():
    prompts = random_prompts()
    packed = list(pack(prompts, budget=40))
    assert sorted(index for _, members in packed for index, _ in members) == list(range(len(prompts)))
    assert all(len(trie.tokens) <= 40 or len(members) == 1 for trie, members in packed)


def test_asking_the_same_twice_costs_nothing():
    model, prompts = seeded(llama), random_prompts()[:3]
    once, twice = TrieScorer(model, 1000), TrieScorer(model, 1000)
    with torch.no_grad():
        once(prompts)
        first, second = twice(prompts + prompts)[:3], twice(prompts)
    assert twice.tokens == 2 * once.tokens
    torch.testing.assert_close(first, second)


def test_an_option_has_the_same_tokens_in_every_context():
    prompter = Prompter(CharacterTokenizer(), "<{context}>")
    prompt = prompter(Question("a{b}", (Option("go", 0), Option("g", 1))))
    assert prompt.context_T == (1, *(ord(c) for c in "<a{b}>"))
    assert prompt.options == (tuple(ord(c) for c in " go"), tuple(ord(c) for c in " g"))
