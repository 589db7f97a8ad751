"""Text as numbers for the student's network: a word is a number, and order is kept."""

import re
import zlib
from functools import lru_cache

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

HASHED_PLACES = 64
FREE_PLACES = 1024
"""Hashed places where no vocabulary is known in advance."""


def split(text: str) -> list[str]:
    """Returns the words of a text, as the student reads them."""
    return re.findall(r"[^\W_]+", text.lower())


class Words:
    """Numbers words: 0 is padding, then the vocabulary, then hashed places that unknown words share.

    Args:
        vocabulary: The words that are known in advance, each with a number of its own.
        max_words: Length of an encoded text; longer texts are cut at the end.
    """

    def __init__(self, vocabulary: tuple[str, ...], max_words: int) -> None:
        self.numbers = {word: i for i, word in enumerate(dict.fromkeys(vocabulary), start=1)}
        self.max_words = max_words
        self.places = HASHED_PLACES if vocabulary else FREE_PLACES
        self.size = 1 + len(self.numbers) + self.places
        # high is not 255, or Stable-Baselines3 could take it for an image
        self.space = gym.spaces.Box(0, self.size - 1, (max_words,), dtype=np.int16)
        self.encode = lru_cache(maxsize=65536)(self._encode)

    def _encode(self, text: str) -> NDArray[np.int16]:
        """Returns the word numbers of ``text``, shape (max_words,), padded with zeros."""
        words = split(text)[: self.max_words]
        encoded = np.zeros(self.max_words, dtype=np.int16)
        encoded[: len(words)] = [self.number(word) for word in words]
        return encoded

    def number(self, word: str) -> int:
        """Returns the number of one lower-case word."""
        known = self.numbers.get(word)
        return known if known is not None else 1 + len(self.numbers) + zlib.crc32(word.encode()) % self.places
