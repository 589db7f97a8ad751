"""What is read from a file is checked to be what was written: it may be damaged, or of somebody else."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError

from cotutor.errors import UserError

Kind = TypeVar("Kind")

FAULTS = (OSError, ValueError, TypeError, AttributeError, ArithmeticError, LookupError, RuntimeError, SafetensorError)
"""What comes of reading what is not what it should be."""


@contextmanager
def reading(what: str, path: Path, remedy: str = "") -> Iterator[None]:
    """Raises UserError, in a sentence, where what is read inside is missing or not what it should be.

    Args:
        what: What the file is.
        path: Where it is.
        remedy: What to do about it, as a sentence that begins with a blank.
    """
    try:
        yield
    except FAULTS as error:
        raise UserError(f"The {what} {path} cannot be read: {_fault(error)}.{remedy}") from error


def _fault(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'its top level'}: {first['msg']}"
    return f"it says nothing of {error}" if isinstance(error, KeyError) else str(error)


def checked(kind: type[Kind], value: Any) -> Kind:
    """Returns plain data as what it must be: a dataclass, a typed dict, numbers, or lists of such.

    Raises:
        ValueError: It is not.
    """
    return _adapter(kind).validate_python(value, extra="forbid")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def read_json(kind: type[Kind], path: Path) -> Kind:
    """Returns what a file of JSON says.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is no JSON, or not of this kind.
    """
    return checked(kind, json.loads(path.read_text(encoding="utf-8")))


def read_yaml(what: str, path: Path) -> Any:
    """Returns what a file of YAML says.

    Raises:
        UserError: It cannot be read, or is none.
    """
    with reading(what, path):
        try:
            return yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise ValueError(error) from error
