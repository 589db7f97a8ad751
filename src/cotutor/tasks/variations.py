"""Variations of a level on which nobody is trained: ``babyai:PutNextLocal+synonyms``, ``babyai:PutNextLocal+large``."""

import re
from typing import Any

import gymnasium as gym

from cotutor.errors import UserError

SYNONYMS = {"go to": "walk to", "pick up": "fetch", "put": "place", "next to": "beside", "open": "unbar"}
"""What missions say with ``+synonyms``."""
KNOWN = re.compile(rf"\b({'|'.join(SYNONYMS)})\b")
LARGE = 12
"""Cells along the wall of a room with ``+large``, where most levels have 8."""
VARIATIONS = ("synonyms", "large")


class Reworded(gym.ObservationWrapper[Any, Any, Any]):
    """Tells missions in other words."""

    def observation(self, observation: Any) -> Any:
        return {**observation, "mission": KNOWN.sub(lambda word: SYNONYMS[word[0]], observation["mission"])}


def split(name: str) -> tuple[str, tuple[str, ...]]:
    """Returns the name of a level, and its variations.

    Raises:
        UserError: There is no such variation.
    """
    level, *variations = name.split("+")
    for variation in variations:
        if variation not in VARIATIONS:
            raise UserError(f"There is no variation {variation!r} of {level}: choose one of {', '.join(VARIATIONS)}.")
    return level, tuple(variations)


def make_level(level: str, variations: tuple[str, ...]) -> gym.Env[Any, Any]:
    """Makes a level, given by its id.

    Raises:
        UserError: The level has no such variation.
    """
    if "large" not in variations:
        env = gym.make(level, disable_env_checker=True)
    else:
        try:
            env = gym.make(level, disable_env_checker=True, room_size=LARGE)
        except TypeError as error:
            raise UserError(f"The rooms of {level} cannot be made larger: leave out +large.") from error
    return Reworded(env) if "synonyms" in variations else env
