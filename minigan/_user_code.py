"""Machine room: a user's own code by name, `file.py:Name` or `package.module:Name`."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import itertools
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

_numbers = itertools.count()


def is_name(text: str) -> bool:
    """Whether a word of the command line has the form of such a name."""
    place, colon, name = text.rpartition(":")
    return bool(colon and place and name.isidentifier())


def load(text: str) -> tuple[ModuleType, str, Any]:
    """The module, loaded afresh if it is a file, the name, and the object.

    Raises ValueError, with the way out, where there is no such file, module or name, or where the code itself fails.
    """
    place, _, name = text.rpartition(":")
    module = load_module(place)
    try:
        return module, name, getattr(module, name)
    except AttributeError:
        own = [key for key, value in vars(module).items() if not key.startswith("_") and callable(value)]
        near = difflib.get_close_matches(name, own, 3) or own[:8]
        hint = f"; it has {', '.join(near)}" if near else ""
        raise ValueError(f"{place} has no {name}{hint}") from None


def load_module(place: str) -> ModuleType:
    """The module of a file, loaded afresh, or of a dotted name. Raises ValueError as `load` does."""
    return _file(Path(place)) if place.endswith(".py") else _package(place)


def _file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ValueError(f"there is no file {path}; write file.py:Name")
    name = f"_user_code_{next(_numbers)}_{path.stem}"
    spec: Any = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # what lies beside the file can be imported, as when it is run
    sys.modules[name] = module  # dataclasses and pickle look a class's module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{path} does not run: {_place(error, path)}{type(error).__name__}: {error}") from error
    return module


def _package(place: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except ImportError as error:
        raise ValueError(f"{place} cannot be imported ({error}); write file.py:Name or package.module:Name") from error


def _place(error: Exception, path: Path) -> str:
    """ "line 12: " for the last line of the file that was running."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: "
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).name == path.name]
    return f"line {lines[-1]}: " if lines else ""
