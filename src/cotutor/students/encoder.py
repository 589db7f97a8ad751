"""The student's network: symbolic image, direction, instruction and (with ``student="text"``) the teacher's context."""

import gymnasium as gym
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from cotutor.students.spaces import entries


class TextEncoder(nn.Module):
    """Words to a vector, order included: embeddings with positions, a convolution over three words, a maximum.

    Args:
        words: Number of word numbers, padding included.
        length: Words in a text.
        width: Size of the vector.
    """

    def __init__(self, words: int, length: int, width: int) -> None:
        super().__init__()
        self.word = nn.Embedding(words, width, padding_idx=0)
        self.position = nn.Parameter(torch.randn(length, width) * 0.1)
        self.trigram = nn.Linear(3 * width, width)

    def forward(self, text_BT: Tensor) -> Tensor:
        """Encodes word numbers, shape (B, T), into vectors, shape (B, width)."""
        text_BT = text_BT.long()
        length = max(1, int((text_BT != 0).sum(dim=1).max()))
        text_BT = text_BT[:, :length]
        embedded = self.word(text_BT) + self.position[:length]
        written = (text_BT != 0).unsqueeze(-1)
        embedded = embedded * written
        padded = nn.functional.pad(embedded, (0, 0, 1, 1))
        windows = torch.cat([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]], dim=-1)
        return (torch.relu(self.trigram(windows)) * written).amax(dim=1)


class Encoder(BaseFeaturesExtractor):
    """Encodes the Dict observation of :class:`cotutor.tasks.base.SpokenEnv`.

    Each cell of the image is the sum of the embeddings of its three numbers (object, colour, state); two convolutions
    follow, the first modulated by the instruction (FiLM, Perez et al. 2018, as in BabyAI 1.1). Every entry of the
    observation that is in the space is read, so the same class serves ``student="text"`` and ``student="image"``, and
    tasks without an image.

    Args:
        observation_space: The Dict space; an ``image`` must have shape (width, height, channels) of small integers, and
            needs an ``instruction`` beside it; what is neither text nor image is a vector of numbers.
        width: Size of every embedding.
        features_dim: Size of the result.
        layer_norm: Normalise the features before their nonlinearity (Ba et al. 2016). Without it they grow for as long
            as the student learns; after four rungs of a ladder the policy's units had nearly all saturated and nothing
            new was learnt (lab notes; Lyle et al. 2023, "Understanding plasticity in neural networks").
    """

    def __init__(
        self, observation_space: gym.spaces.Dict, width: int = 32, features_dim: int = 128, layer_norm: bool = False
    ) -> None:
        super().__init__(observation_space, features_dim)
        spaces = entries(observation_space)
        self.texts = [name for name in ("instruction", "context") if name in spaces]
        self.numbers = [name for name in spaces if name not in (*self.texts, "image")]
        self.has_image = "image" in spaces
        flat = width * len(self.texts) + sum(int(spaces[name].shape[0]) for name in self.numbers)
        if self.has_image:
            columns, rows, channels = spaces["image"].shape
            self.values = int(spaces["image"].high.max()) + 1
            self.cell = nn.EmbeddingBag(channels * self.values, width // 2, mode="sum")
            self.offsets: Tensor
            self.register_buffer("offsets", torch.arange(channels) * self.values)
            self.first = nn.Conv2d(width // 2, width, 3)
            self.second = nn.Conv2d(width, width, 3)
            flat += width * (columns - 4) * (rows - 4)
        self.text = nn.ModuleDict(
            {name: TextEncoder(int(spaces[name].high.max()) + 1, spaces[name].shape[0], width) for name in self.texts}
        )
        if self.has_image:
            # after the texts: which weights a seed draws depends on the order
            self.film = nn.Linear(width, 2 * width)
        norm = [nn.LayerNorm(features_dim)] if layer_norm else []
        self.join = nn.Sequential(nn.Linear(flat, features_dim), *norm, nn.ReLU())

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Encodes a batch of observations into features, shape (B, features_dim)."""
        texts = {name: self.text[name](observations[name]) for name in self.texts}
        numbers = [observations[name].float() for name in self.numbers]
        images = [self._see(observations["image"], texts["instruction"])] if self.has_image else []
        return self.join(torch.cat([*images, *texts.values(), *numbers], dim=1))

    def _see(self, image: Tensor, instruction_BW: Tensor) -> Tensor:
        image = image.long() + self.offsets
        cells = self.cell(image.flatten(0, 2)).unflatten(0, image.shape[:3]).permute(0, 3, 1, 2)
        scale, shift = self.film(instruction_BW)[:, :, None, None].chunk(2, dim=1)
        return torch.relu(self.second(torch.relu(self.first(cells) * (1 + scale) + shift))).flatten(1)
