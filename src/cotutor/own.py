"""Classes that users bring along, found by name."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from cotutor.errors import UserError

Brought = TypeVar("Brought")


def is_own(name: str) -> bool:
    """Tells whether a name says where to look: ``file.py:Class``, or ``module:Class`` of a module that exists."""
    source, _, _ = name.rpartition(":")
    return source.endswith(".py") or _is_here(source)


def own_class(what: str, name: str) -> Any:
    """Returns what stands at ``module:Class`` (the folder that one is in counts, too) or ``file.py:Class``.

    Args:
        what: What the user calls it, for the error.
        name: Where it is.

    Raises:
        UserError: It cannot be imported, or there is nothing of that name in it.
    """
    source, _, called = name.rpartition(":")
    try:
        module = _from_file(Path(source)) if source.endswith(".py") else importlib.import_module(source)
    except (ImportError, OSError, SyntaxError) as error:
        raise UserError(f"The {what} {name} cannot be imported: {error}.") from error
    if called not in vars(module):
        raise UserError(f"There is no {called} in {source}: a {what} is called module:Class.")
    return vars(module)[called]


def make_own(what: str, name: str, kind: Any, base: type[Brought], **arguments: Any) -> Brought:
    """Makes an object of a class of the user's own.

    Raises:
        UserError: It is no subclass of ``base``, or cannot be made with these arguments.
    """
    if not (isinstance(kind, type) and issubclass(kind, base)):
        raise UserError(f"The {what} {name} is no subclass of cotutor.{base.__name__}.")
    try:
        return kind(**arguments)
    except TypeError as error:
        given = f"with {' and '.join(arguments)}" if arguments else "without arguments"
        raise UserError(f"The {what} {name} cannot be made {given}: {error}.") from error


def from_files() -> list[ModuleType]:
    """Returns the modules that were read from files so far, which no other process could import by their names."""
    return [module for name, module in sys.modules.items() if name.endswith(".py") and Path(name).is_absolute()]


def _from_file(path: Path) -> ModuleType:
    """Returns the module that a file is, the same one whenever it is asked for."""
    name = str(path.resolve())
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_here(module: str) -> bool:
    """Tells whether there is such a module, the folder that one is in included."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.util.find_spec(module) is not None
    except SyntaxError:
        return True  # of the package that it is in, as importing it will tell
    except (ImportError, ValueError):
        return False
