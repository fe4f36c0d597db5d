"""One look: the step is called under an observer, and then without one, to see what stays in memory."""

from __future__ import annotations

import io
import os
import traceback
from collections.abc import Callable
from contextlib import chdir, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from .book import Enough, is_users, names_in_sight, place_of
from .trace import NOWHERE, Place, Trace

LATER = 3
"""Steps, unobserved, after which graphs in memory are counted."""


def look(
    watch: Any,
    function: Callable,
    make: Callable,
    rounds: int,
    alive: Callable[[], int],
    has_graph: Callable[[Any], bool],
) -> Trace:
    """What the observer saw of `rounds` steps. make(): the arguments of each call. alive(): how many recorded
    operations there are. has_graph(x): whether x is a tensor with one."""
    with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        with watch() as trace:
            looped = _rounds(watch.book, trace, function, make, rounds, folder)
        if not looped and not trace.error:
            trace.growth = _growth(function, make, alive)
            trace.keepers = keepers(function, has_graph)
    return trace


def _rounds(book: Any, trace: Trace, function: Callable, make: Callable, rounds: int, folder: str) -> bool:
    """Call the step `rounds` times; whether it looped by itself."""
    home = Path.cwd()
    for _ in range(rounds):
        book.began_call()
        try:
            args, kwargs = make()
            if getattr(function, "main", None) and hasattr(function, "callback"):  # a click command
                with chdir(folder):
                    function.main(args=[], standalone_mode=False)  # type: ignore[attr-defined]
            else:
                function(*args, **kwargs)
        except Enough:
            trace.rounds = rounds
            return True
        except Exception as error:
            trace.error = (f"{type(error).__name__}: {error}", _raised_at(error))
            return False
        finally:
            os.chdir(home)
        trace.rounds += 1
    return False


def _raised_at(error: Exception) -> Place:
    entries = [e for e in traceback.extract_tb(error.__traceback__) if is_users(e.filename)]
    return place_of(entries[-1].filename, entries[-1].lineno or 0) if entries else NOWHERE


def _growth(function: Callable, make: Callable, count: Callable[[], int]) -> list[int]:
    counts = []
    for _ in range(LATER):
        try:
            args, kwargs = make()
            function(*args, **kwargs)
        except Exception:
            return []
        counts.append(count())
    return counts


def keepers(function: Callable, has_graph: Callable[[Any], bool]) -> list[str]:
    """The names, in the user's sight, of tensors with a graph and of lists of them."""
    names = []
    for name, value in names_in_sight(function):
        values = value[-3:] if isinstance(value, list) else [value]
        flat = [x for v in values for x in (v if isinstance(v, (tuple, list)) else (v,))]
        if any(has_graph(x) for x in flat):
            names.append(name)
    return list(dict.fromkeys(names))[:3]
