"""One process at a time in a folder."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cotutor.errors import UserError


class BusyError(UserError):
    """Another process is at work in a folder."""


@contextmanager
def only_one(folder: Path, what: str) -> Iterator[None]:
    """Keeps every other process that asks for the same folder out.

    Args:
        folder: The folder; made if need be.
        what: What is at work there, for the message.

    Raises:
        BusyError: Another process is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BusyError(f"Another {what} is at work in {folder}: wait for it, or choose another folder.") from error
        yield
