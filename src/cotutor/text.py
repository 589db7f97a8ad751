"""Text that others wrote, as something to read."""

import unicodedata


def plain(text: str) -> str:
    """Returns text in which control and direction characters are written out: signs to read, not commands."""
    return "".join(
        character
        if character == "\n" or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
        else f"\\u{ord(character):04x}"
        for character in text
    )
