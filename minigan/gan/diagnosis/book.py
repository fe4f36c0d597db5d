"""The keeping of a `Trace` that both observers share: names and places, where rows come from, whose gradients a step
uses."""

from __future__ import annotations

import itertools
import linecache
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import numpy as np

from .trace import NOWHERE, Call, Move, Pass, Place, Trace

HERE = str(Path(__file__).resolve().parents[2])
EXAMPLES = str(Path(HERE) / "examples"), str(Path(HERE).parent / "examples")
SKIP = ("<frozen", "torch/", "contextlib.py", "functools.py", "runpy.py")


LONGEST = 1500
"""Steps of optimisers in one call, after which it is ended though some optimiser has hardly stepped."""


class Enough(BaseException):
    """The observed code has stepped often enough."""


def is_users(filename: str) -> bool:
    """Whether a file is neither the library's nor Python's."""
    if filename.startswith(EXAMPLES):
        return True
    path = filename.replace("\\", "/")
    return not (
        path.startswith(HERE) or "/site-packages/" in path or any(s in path for s in SKIP) or path.startswith("<string")
    )


def frames() -> Iterable[FrameType]:
    """The user's frames, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if is_users(frame.f_code.co_filename):
            yield frame
        frame = frame.f_back


def place() -> Place:
    """The line of the user's code that is running."""
    for frame in frames():
        return place_of(frame.f_code.co_filename, frame.f_lineno)
    return NOWHERE


def place_of(file: str, line: int) -> Place:
    """A line of a file, with its text."""
    return Place(_short(file), line, linecache.getline(file, line).strip())


def _short(file: str) -> str:
    try:
        return str(Path(file).resolve().relative_to(Path.cwd()))
    except ValueError:
        return file


def members(value: Any, depth: int = 2) -> Iterable[tuple[str, Any]]:
    """(name, object) of what a container or an object of the user's holds."""
    if depth == 0:
        return
    if isinstance(value, dict):
        items = [(str(k), v) for k, v in value.items()]
    elif isinstance(value, (list, tuple)) and len(value) < 50:
        items = [(f"[{i}]", v) for i, v in enumerate(value)]
    elif _is_users_object(value):
        items = list(vars(value).items())
    else:
        return
    for name, inner in items:
        yield name, inner
        for deeper, thing in members(inner, depth - 1):
            yield f"{name}{deeper}" if deeper.startswith("[") else f"{name}.{deeper}", thing


def _is_users_object(value: Any) -> bool:
    """Whether an object is one that holds the user's networks, such as a trainer: no module of code, no network."""
    kind = type(value)
    if isinstance(value, (type, ModuleType)) or not hasattr(value, "__dict__") or hasattr(kind, "parameters"):
        return False
    return kind.__module__.split(".")[0] not in ("numpy", "torch", "builtins", "types", "functools", "random", "click")


def names_in_sight(function: Callable | None = None) -> Iterable[tuple[str, Any]]:
    """(name, object) of what the running user's code can name: locals, `self`, globals; and of a function."""
    spaces: list[dict[str, Any]] = []
    for frame in frames():
        spaces.append(frame.f_locals)
        spaces.append(frame.f_globals)
    while function is not None:
        own = getattr(function, "__self__", None)
        if own is not None:
            spaces.insert(0, {"self": own})
        inner = getattr(function, "__func__", function)
        code, closure = getattr(inner, "__code__", None), getattr(inner, "__closure__", None) or ()
        cells = {}
        for key, cell in zip(code.co_freevars if code else (), closure, strict=False):
            try:
                cells[key] = cell.cell_contents
            except ValueError:
                continue
        spaces += [cells, getattr(inner, "__globals__", {})]
        spaces.append({str(i): v for i, v in enumerate(getattr(inner, "__defaults__", None) or ())})
        function = getattr(inner, "__wrapped__", None) or getattr(inner, "function", None)
    ids = set()
    for space in spaces:
        if id(space) in ids:
            continue
        ids.add(id(space))
        for name, value in list(space.items()):
            if name.startswith("__"):
                continue
            yield name, value
            if isinstance(value, (list, tuple, dict)) or _is_users_object(value):
                yield from (
                    (inner if name == "self" else f"{name}{inner if inner.startswith('[') else '.' + inner}", v)
                    for inner, v in members(value)
                )


class Book:
    """Keeps the trace. `moves`: after so many steps of each optimiser, the observed code is ended by `Enough`."""

    def __init__(self, engine: str, function: Callable | None = None, moves: int | None = None) -> None:
        self.trace, self.function, self.moves = Trace(engine), function, moves
        self.numbers = itertools.count()
        self.origins: dict[int, tuple[Any, frozenset]] = {}
        self.fakes: dict[bytes, str] = {}
        self.outputs: list[tuple[Call, Any]] = []
        self.uses: dict[int, frozenset[int]] = {}
        self.names: dict[int, tuple[str, Any]] = {}
        self.mark = 0

    def began_call(self) -> None:
        """The observed function is about to be called once more."""
        self.mark = len(self.trace.events)

    # Where arrays come from.

    def tags(self, owner: Any) -> frozenset:
        """The networks and inner gradients that an array was computed from."""
        entry = self.origins.get(id(owner))
        return entry[1] if entry is not None else frozenset()

    def tag(self, owner: Any, tags: frozenset) -> None:
        """Note it."""
        if tags:
            if len(self.origins) > 200_000:
                self.origins.clear()
            self.origins[id(owner)] = (owner, tags | self.tags(owner))

    def remember_rows(self, network: str, output: np.ndarray) -> None:
        """The rows of what a network made, to be known again after a way through NumPy."""
        if output.ndim > 1 and len(self.fakes) < 100_000:
            for row in output:
                self.fakes[np.ascontiguousarray(row, np.float32).tobytes()] = network

    def makers(self, x: np.ndarray) -> list[str | None]:
        """Of each row, the network that made it."""
        if x.ndim < 2:
            return [None] * len(x) if x.ndim else []
        return [self.fakes.get(np.ascontiguousarray(row, np.float32).tobytes()) for row in x]

    def add(self, event: Any) -> Any:
        """The next event."""
        self.trace.events.append(event)
        return event

    def began(self) -> int:
        """A number for an event."""
        return next(self.numbers)

    # Names.

    def name_of(self, thing: Any, fallback: str) -> str:
        """What the user calls an object."""
        if id(thing) in self.names:
            return self.names[id(thing)][0]
        name = next((n for n, v in names_in_sight(self.function) if v is thing and not n.startswith("_")), fallback)
        self.names[id(thing)] = (name, thing)
        return name

    # Whose gradients a step uses.

    def gradients_came(self, parameter: int, number: int, added: bool) -> None:
        """A pass put a gradient into a parameter: added to what was there, or alone."""
        self.uses[parameter] = (self.uses.get(parameter, frozenset()) if added else frozenset()) | {number}

    def enough(self) -> None:
        """End the observed code where every optimiser has stepped `moves` times."""
        if self.moves is None:
            return
        counts: dict[str, int] = {}
        for move in self.trace.events[self.mark :]:
            if not isinstance(move, Move):
                continue
            counts[move.optimiser] = counts.get(move.optimiser, 0) + 1
        total = sum(counts.values())
        if (len(counts) > 1 and min(counts.values()) >= self.moves) or total >= LONGEST:
            raise Enough

    def forget(self) -> None:
        """Let go of tensors."""
        self.outputs.clear()
        self.origins.clear()

    def last_pass(self) -> Pass | None:
        """The newest pass."""
        return next((e for e in reversed(self.trace.events) if isinstance(e, Pass)), None)
