"""What is read from a file is checked to be what was written: it may be damaged, or of somebody else."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError

from cotutor.errors import UserError

Kind = TypeVar("Kind")


@contextmanager
def reading(what: str, path: Path) -> Iterator[None]:
    """Raises UserError, in one sentence, where what is read inside is missing or not what it should be.

    Args:
        what: What the file is.
        path: Where it is.
    """
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "its top level"
        raise UserError(f"The {what} {path} cannot be read: {place}: {first['msg']}.") from error
    except (OSError, ValueError, TypeError, LookupError, RuntimeError, SafetensorError) as error:
        raise UserError(f"The {what} {path} cannot be read: {error}.") from error


def checked(kind: type[Kind], value: Any) -> Kind:
    """Returns plain data as what it must be: a dataclass, a typed dict, numbers, or lists of such.

    Raises:
        ValueError: It is not.
    """
    return TypeAdapter(kind).validate_python(value, extra="forbid")


def read_json(kind: type[Kind], path: Path) -> Kind:
    """Returns what a file of JSON says.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is no JSON, or not of this kind.
    """
    return checked(kind, json.loads(path.read_text(encoding="utf-8")))
