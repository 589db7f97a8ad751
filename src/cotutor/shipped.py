"""YAML files: those that come with the package, by name, and a user's own, by path."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from cotutor.errors import UserError


def shipped(kind: str) -> list[str]:
    """Returns the names of the files of a kind, such as ``"recipe"``, that come with the package."""
    names = (entry.name for entry in files(f"cotutor.{kind}s").iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def read(kind: str, name: str) -> tuple[str, str]:
    """Returns the name without folder and ending, and the text, of a shipped file or a file of the user's.

    Raises:
        UserError: There is none.
    """
    if name in shipped(kind):
        return name, files(f"cotutor.{kind}s").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    path = Path(name)
    try:
        return path.stem, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"There is no {kind} {name}: give a YAML file, or one of {', '.join(shipped(kind))}, which are shipped."
        ) from error


def parse(kind: str, name: str, text: str, likened: tuple[str, ...] = ()) -> Any:
    """Returns what a file's YAML says; what it does not say is as in the file of that kind that it names as ``like``.

    Args:
        kind: What the file is, such as ``"recipe"``.
        name: Its name.
        text: Its text.
        likened: The names of the files that are to be like it.

    Raises:
        UserError: It is not YAML, there is no file that it is to be like, or that one is to be like it.
    """
    if name in likened:
        raise UserError(f"The {kind} {name} is to be like itself: leave out a like in {', '.join(likened)}.")
    values = _load(kind, name, text)
    if not isinstance(values, dict) or "like" not in values:
        return values
    like = parse(kind, *read(kind, str(values.pop("like"))), (*likened, name))
    return {**(like if isinstance(like, dict) else {}), **values}


def _load(kind: str, name: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"The {kind} {name} is not YAML: {error}.") from error
