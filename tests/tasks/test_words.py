"""Text as numbers."""

import numpy as np
import pytest

from cotutor.tasks.words import HASHED_PLACES, Words


@pytest.fixture
def words() -> Words:
    return Words(("go", "to", "the", "red", "ball", "red"), max_words=6)


def test_known_words_have_their_own_numbers_and_zero_is_padding(words: Words) -> None:
    assert words.encode("Go to the red ball.").tolist() == [1, 2, 3, 4, 5, 0]
    assert words.size == 1 + 5 + HASHED_PLACES


def test_order_matters(words: Words) -> None:
    assert words.encode("red ball").tolist() != words.encode("ball red").tolist()


def test_unknown_words_share_places_after_the_vocabulary(words: Words) -> None:
    encoded = words.encode("crimson sphere crimson")
    assert encoded[0] == encoded[2]
    assert (encoded[:3] > 5).all()
    assert words.space.contains(encoded)


def test_long_texts_are_cut_at_the_end(words: Words) -> None:
    assert words.encode("go go go to to to the red").tolist() == [1, 1, 1, 2, 2, 2]


def test_any_text_is_inside_the_space(words: Words) -> None:
    for text in ("", "...", "über 3 steps, pick_up!", "x" * 1000):
        encoded = words.encode(text)
        assert encoded.dtype == np.int16
        assert words.space.contains(encoded)
