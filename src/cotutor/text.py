"""Text that others wrote, as something to read."""

import unicodedata

GAP = " … "


def shortened(text: str, most: int) -> str:
    """Returns a text of at most ``most`` characters: of a longer one beginning and end, with a gap in the middle."""
    if len(text) <= most:
        return text
    kept = most - len(GAP)
    return text[: kept - kept // 2] + GAP + text[len(text) - kept // 2 :]


def well_formed(text: str) -> str:
    """Returns text that can be written: halves of surrogate pairs, which are no characters, become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def plain(text: str) -> str:
    """Returns text in which control and direction characters are written out: signs to read, not commands."""
    return "".join(
        character
        if character == "\n" or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
        else f"\\u{ord(character):04x}"
        for character in text
    )
