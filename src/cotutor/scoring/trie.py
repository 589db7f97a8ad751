"""Exact option scores from a token trie: what several questions share is computed once.

The sequences (context + option) of a batch are merged into a trie whose nodes are tokens. A trie is packed into one row
without padding: a node attends to itself and its ancestors only, and its position is its depth, so every node sees
exactly what it would see in a row of its own. Questions are sorted by their tokens, so that neighbours share long
prefixes, and cut into rows of about ``budget`` nodes.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from cotutor.scoring.attention import attend_by_blocks, bias, cut
from cotutor.scoring.prompts import Prompt, Reading
from cotutor.scoring.scorer import Scorer

ROOT = -1


class Trie:
    """Token sequences that share their prefixes.

    Attributes:
        tokens: Token of each node; parents come before their children.
        parents: Parent of each node, ``ROOT`` for a first token.
        depths: Number of ancestors of each node.
    """

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.depths: list[int] = []
        self._children: dict[tuple[int, int], int] = {}

    def insert(self, tokens: Sequence[int], start: int = ROOT) -> list[int]:
        """Adds ``tokens`` below the node ``start`` and returns their nodes."""
        nodes = []
        for token in tokens:
            node = self._children.get((start, token))
            if node is None:
                node = self._children[start, token] = len(self.tokens)
                self.tokens.append(token)
                self.parents.append(start)
                self.depths.append(0 if start == ROOT else self.depths[start] + 1)
            nodes.append(node)
            start = node
        return nodes

    def insert_prompt(self, prompt: Prompt) -> list[list[int]]:
        """Adds a question and returns, for each option, the nodes whose logits predict its tokens.

        An option's last token predicts nothing that is asked for, so it gets no node.
        """
        end = self.insert(prompt.context_T)[-1]
        return [[end, *self.insert(option[:-1], end)] for option in prompt.options]

    def visible(self) -> Tensor:
        """Returns what each node attends to, its ancestors and itself: boolean, shape (T, T)."""
        visible_TT = torch.eye(len(self.tokens), dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent != ROOT:
                visible_TT[node] |= visible_TT[parent]
        return visible_TT


def pack(prompts: Sequence[Prompt], budget: int) -> Iterator[tuple[Trie, list[tuple[int, list[list[int]]]]]]:
    """Cuts questions into tries of at most ``budget`` nodes; a question that is larger alone gets a trie of its own.

    Yields:
        A trie, and for every question in it its index in ``prompts`` and the predicting nodes of its options.
    """
    trie, members = Trie(), []
    previous: tuple[int, ...] = ()
    for index in sorted(range(len(prompts)), key=lambda i: (prompts[i].context_T, prompts[i].options)):
        prompt = prompts[index]
        if members and len(trie.tokens) + _new_nodes(prompt, previous) > budget:
            yield trie, members
            trie, members = Trie(), []
        members.append((index, trie.insert_prompt(prompt)))
        previous = prompt.context_T
    if members:
        yield trie, members


def _new_nodes(prompt: Prompt, previous: tuple[int, ...]) -> int:
    """Returns an upper bound of the nodes that ``prompt`` adds after its neighbour in sorted order."""
    shared = next((i for i, (a, b) in enumerate(zip(prompt.context_T, previous, strict=False)) if a != b), None)
    shared = min(len(prompt.context_T), len(previous)) if shared is None else shared
    return len(prompt.context_T) - shared + sum(len(option) - 1 for option in prompt.options)


class TrieScorer(Scorer):
    """Scores options with one forward pass of batch size one per trie; differentiable.

    Args:
        model: A causal language model of transformers that honours a 4-D attention mask and position ids.
        budget: Most tokens in a row; a longer question has a row of its own.
    """

    def __init__(self, model: PreTrainedModel, budget: int) -> None:
        super().__init__(model)
        self.budget = budget
        self.by_blocks = attend_by_blocks(model)

    def read(self, prompts: Sequence[Prompt]) -> list[Reading]:
        readings: dict[int, Reading] = {}
        for trie, members in pack(prompts, self.budget):
            indices = [index for index, _ in members]
            read = self._read_trie(trie, [nodes for _, nodes in members], [prompts[i] for i in indices])
            readings.update(zip(indices, read, strict=True))
        return [readings[i] for i in range(len(prompts))]

    def _read_trie(self, trie: Trie, nodes: list[list[list[int]]], prompts: Sequence[Prompt]) -> list[Reading]:
        """Returns the readings of the questions in one trie."""
        predicting = [option for question in nodes for option in question]
        predicted = [option for prompt in prompts for option in prompt.options]
        kept = sorted({node for option in predicting for node in option})
        row = {node: k for k, node in enumerate(kept)}
        logits_KV, hidden_TD = self._forward(trie, kept)
        logprobs_KV = logits_KV.float().log_softmax(dim=-1)
        row_T = logprobs_KV.new_tensor([row[node] for option in predicting for node in option], dtype=torch.long)
        token_T = row_T.new_tensor([token for option in predicted for token in option])
        option_T = row_T.new_tensor([o for o, tokens in enumerate(predicted) for _ in tokens])
        flat_O = logprobs_KV.new_zeros(len(predicted)).index_add(0, option_T, logprobs_KV[row_T, token_T])
        scores = flat_O.split([len(prompt.options) for prompt in prompts])
        ends_CD = hidden_TD[[question[0][0] for question in nodes]]
        return [Reading(scores_O, hidden_D) for scores_O, hidden_D in zip(scores, ends_CD, strict=True)]

    def _forward(self, trie: Trie, kept: list[int]) -> tuple[Tensor, Tensor]:
        """Returns the logits at the nodes ``kept``, shape (K, V), and the last hidden states, shape (T, D)."""
        device, dtype = self.model.device, self.model.dtype
        self.tokens += len(trie.tokens)
        visible_TT = trie.visible().to(device)
        blocks = {"blocks": cut(visible_TT, dtype)} if self.by_blocks else {}
        output = self.model(
            input_ids=torch.tensor([trie.tokens], device=device),
            position_ids=torch.tensor([trie.depths], device=device),
            attention_mask=bias(visible_TT, dtype)[None, None],
            logits_to_keep=torch.tensor(kept, device=device),
            use_cache=False,
            output_hidden_states=True,
            **blocks,
        )
        return output.logits[0], output.hidden_states[-1][0]
