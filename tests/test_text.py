"""Text that others wrote."""

import pytest

from cotutor.text import GAP, plain, shortened, well_formed


def test_plain_keeps_text_and_line_breaks():
    assert plain("ünï → 語\n<b>") == "ünï → 語\n<b>"
    assert plain("\x00\x7f\u2066\ufeff") == "\\u0000\\u007f\\u2066\\ufeff"


@pytest.mark.parametrize("most", [10, 11])
def test_a_long_text_loses_its_middle(most):
    text = "abcdefghijklmnopqrstuvwxyz"
    short = shortened(text, most)
    beginning, end = short.split(GAP)
    assert len(short) == most
    assert text.startswith(beginning)
    assert text.endswith(end)
    assert 0 <= len(beginning) - len(end) <= 1


def test_a_text_that_fits_stays():
    assert shortened("abc", 3) == "abc"


def test_half_a_character_is_none():
    assert well_formed("a\ud83db 🙂") == "a?b 🙂"
