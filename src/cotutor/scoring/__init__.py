"""Option scoring: exact for local models, as exact as it can be for served ones."""

import torch
from transformers import PreTrainedModel

from cotutor.scoring.encoded import EncodedScorer
from cotutor.scoring.prompts import Prompt, Prompter, Reading
from cotutor.scoring.rows import RowScorer
from cotutor.scoring.scorer import Scorer
from cotutor.scoring.trie import TrieScorer
from cotutor.types import Option, Question

__all__ = ["EncodedScorer", "Prompt", "Prompter", "Reading", "RowScorer", "Scorer", "TrieScorer", "make_scorer"]

PROBE_OPTIONS = tuple(
    Option(phrase, 0) for phrase in ("open the door with the key", "open the box", "walk to the door")
)
PROBE = [Question(context, PROBE_OPTIONS) for context in ("The door is locked and you hold a key.", "The box is red.")]


def make_scorer(model: PreTrainedModel, prompter: Prompter, budget: int) -> Scorer:
    """Returns a packing scorer where ``model`` proves that it honours the tree's mask, else one row per option.

    An encoder-decoder has a scorer of its own, for its options are no continuations of the context.
    """
    if model.config.is_encoder_decoder:
        return EncodedScorer(model)
    return TrieScorer(model, budget) if honours_tree_mask(model, prompter) else RowScorer(model)


@torch.no_grad()
def honours_tree_mask(model: PreTrainedModel, prompter: Prompter) -> bool:
    """Tells whether packed scores of two small questions equal those of plain rows.

    Equality is only as fine as the model's precision, so it is judged against what the wrong context would change.
    """
    prompts = [prompter(question) for question in PROBE]
    try:
        packed_CO = torch.stack(TrieScorer(model, budget=256)(prompts))
    except (TypeError, ValueError, RuntimeError, IndexError):
        return False
    plain_CO = torch.stack(RowScorer(model)(prompts))
    wrong_context = (plain_CO.flip(0) - plain_CO).abs().max()
    return bool((packed_CO - plain_CO).abs().max() < 0.1 * wrong_context)
