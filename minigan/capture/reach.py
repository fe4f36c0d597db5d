"""Machine room, capture: what a step's Python code reads while it is recorded, and the values that it finds there.

A record is right while everything that its code read is as it was. The code says by name what it reads: the free
variables, globals and defaults of the functions that run, and the attributes of the objects that these lead to. So
`Reach` is told of every Python call of the recorded run, and notes, before the body runs, the values of

- the function's cells and defaults, and the globals that its code names;
- of each object among its arguments and those values, the attributes that its code names, in the object or its class;
- the contents of the lists, dicts, tuples and sets among them, a module's tables of parameters, sub-modules and hooks,
  and the parameters of an optimiser (whose settings a replay reads itself).

An attribute that no function names is not read, so a trainer may count its steps. Numbers, strings and arrays are
noted with their values (of a large array, some), everything else is known by its identity. What reads the world itself,
a clock or a random number of Python's or NumPy's, is refused, and so is what moves a generator of minigan's outside of
ops: a replay draws the next number, wherever the code would have set the generator.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import inspect
import os
import queue
import random
import sys
import threading
import types
import weakref
from collections import ChainMap, UserDict, UserList, UserString, deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from .. import nn
from ..autograd import Tensor
from ..backend import Generator
from .draws import FOREIGN, MOVED, MOVES, Drawn, Draws, foreign
from .names import (
    NAMELESS,
    NO_NAMES,
    SITE,
    STDLIB,
    Names,
    names_of,
    slots_of,
    with_attributes,
    with_getters,
)
from .refusal import CaptureError, is_array_code, is_own_code, refusal
from .settings import RENEWALS, RENEWED, Settings, is_optimiser
from .world import asked, audited, is_iterator, is_quiet, position

MISSING = type("Missing", (), {"__repr__": lambda self: "nothing"})()
"""What an empty cell holds, and an attribute that is not there."""

SCALARS = (bool, int, float, complex, str, bytes, type(None), range, slice, np.generic, np.dtype)
WHOLE, SOME = 1 << 22, 1 << 12
"""Bytes up to which an array of the caller's is compared number by number; of a larger one so many evenly spread
numbers are: new data in it is noticed, a change of a few elements may not be."""

ENVIRONMENT = {"environ", "getenv"}
CONTAINERS = (UserDict, UserList, UserString, ChainMap, queue.Queue, threading.Event)
"""Python's own containers whose methods are Python: all of their attributes count."""


VIEWS = (types.MappingProxyType, type({}.keys()), type({}.values()), type({}.items()))
"""What shows a dict that it holds."""


class Reach:
    """What is read, as it was before: `named` holds for a dict (or an object with slots) the values of names in it,
    `contents` a container's keys and values, `cells` a variable's value, `draws` the states of random generators."""

    def __init__(
        self, function: Callable, is_born: Callable[[Tensor], bool], refuse: Callable[[CaptureError], None]
    ) -> None:
        self.is_born, self.refuse = is_born, refuse
        self.named: dict[int, tuple[object, dict[str, object], str]] = {}
        self.contents: dict[int, tuple[object, tuple, tuple, str]] = {}
        self.cells: dict[int, tuple[types.CellType, object, str]] = {}
        self.arrays: dict[int, tuple[object, bytes | tuple, str]] = {}
        self.draws = Draws()
        self.iterators: dict[int, tuple[Iterator, object, str]] = {}
        self._resumed: set[int] = set()  # frames of generators
        self._functions: dict[types.CodeType, list[types.FunctionType]] = {}
        self._visits: set[tuple[int, int]] = set()
        self._alive: list = []  # what the ids of _visits belong to
        self.settings = Settings()
        self._began: set[types.CodeType] = set()
        self._inner: set[types.CodeType] = set()
        self.visit(function, NO_NAMES, getattr(function, "__qualname__", "the function"))

    # The calls of a recorded run.

    def __call__(self, frame: types.FrameType, event: str, arg: object) -> None:
        """What `sys.setprofile` calls."""
        if event == "call":
            code = frame.f_code
            if code in MOVES:
                self.refuse(refusal(MOVED))
            if code in RENEWALS:
                self.refuse(refusal(RENEWED))
            if code.co_flags & inspect.CO_GENERATOR:
                self._resumed.add(id(frame))
            if (names := names_of(code)) is not None:
                self._called(frame, with_getters(frame, names))
            elif code.co_name == "__next__" and is_own_code(code.co_filename):
                self.refuse(refusal(_advanced(f"a {type(next(iter(frame.f_locals.values()))).__name__}")))
        elif event == "return":
            names = None if arg is None or isinstance(arg, Tensor) or frame.f_back is None else names_of(frame.f_code)
            if names is not None and (caller := names_of(frame.f_back.f_code)) is not None and _is_own(arg):
                self.visit(arg, caller, f"what {frame.f_code.co_name} returns")
        elif event == "c_call":
            if (what := asked(arg, frame, names_of(frame.f_code) is not None)) is not None:
                self.refuse(refusal(_read(what)))
            if isinstance(getattr(arg, "__self__", None), random.Random) and not is_quiet(frame):
                self.refuse(refusal(foreign("Python")))

    def _called(self, frame: types.FrameType, names: Names) -> None:
        code = frame.f_code
        if code not in self._began:
            self._began.add(code)
            self._inner.update(c for c in code.co_consts if isinstance(c, types.CodeType))
            functions = self._functions.get(code, [])
            if not functions and code.co_freevars and code not in self._inner:
                functions = [f for f in gc.get_referrers(code) if isinstance(f, types.FunctionType)]
            for function in functions:
                self._function_ran(function, names)
            if not is_own_code(code.co_filename) or "gan" in Path(code.co_filename).parts:
                self._note_names(frame.f_globals, names.globals, "the global {}", names)
        for module in filter(None, map(sys.modules.get, names.modules)):
            self.visit(module, names, f"the module {module.__name__}")
        if not ENVIRONMENT.isdisjoint(names.attributes | names.globals):
            self._contents(os.environ._data, NO_NAMES, "os.environ")
        if code.co_name == "__init__" and not getattr(
            new := next(iter(frame.f_locals.values()), None), "__dict__", True
        ):
            self._visits.add((id(new), 0))
            self._alive.append(new)
        for name, value in frame.f_locals.items():
            if not isinstance(value, (*SCALARS, Tensor, list, tuple, dict, set)) and not is_iterator(value):
                self.visit(value, names, name)

    def _function_ran(self, function: types.FunctionType, names: Names) -> None:
        parts = {"__code__": None, "__defaults__": None, "__kwdefaults__": None}
        parts |= {name: None for name in vars(function) if name in names.attributes}
        self._note(function, {name: getattr(function, name) for name in parts}, function.__name__ + ".{}", names)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if id(cell) not in self.cells:
                try:
                    value = cell.cell_contents
                except ValueError:
                    value = MISSING
                if isinstance(value, Tensor) and self.is_born(value):
                    continue
                if is_iterator(value) and function.__code__ in self._inner:
                    continue  # the step's own; an earlier one is its own cell's, too
                self.cells[id(cell)] = cell, value, f"the variable {name}"
                self.visit(value, names, name)

    # The walk.

    def visit(self, value: object, names: Names, path: str) -> None:
        """Note what code with these names may read of a value."""
        if isinstance(value, (Generator, *FOREIGN)):
            self.draws.note(value, path)
            return
        if isinstance(value, (*SCALARS, Tensor)) or value is MISSING:
            return
        key = id(value), id(names)
        if key in self._visits or (id(value), 0) in self._visits:  # 0: made by the step
            return
        self._visits.add(key)
        self._alive.append((value, names))
        if (numbers := content(value)) is not None:
            self.arrays.setdefault(id(value), (value, numbers, path))
            for part in numbers if isinstance(numbers, tuple) else ():
                self.visit(part, names, f"an element of {path}")
        elif isinstance(value, VIEWS):
            for part in gc.get_referents(value):
                self.visit(part, names, path)
        elif is_iterator(value):
            self.iterators.setdefault(id(value), (value, place := position(value), path))
            self._resumed.discard(id(place))  # an earlier frame's, which is gone
        elif isinstance(value, weakref.ReferenceType):
            self.visit(value(), names, path)
        elif isinstance(value, types.FunctionType):
            self._register(value, names)
        elif isinstance(value, types.MethodType):
            self.visit(value.__func__, names, path)
            self.visit(value.__self__, names, path)
        elif isinstance(value, functools.partial):
            self.visit(value.func, names, path)
            self._contents(value.args, names, path)
            self._contents(value.keywords, names, path)
        elif isinstance(value, (list, tuple, dict, set, frozenset, deque)):
            self._contents(value, names, path)
            if _is_own(value):
                self._object(value, names, path)
        elif is_optimiser(value):
            self.settings.note(value)
            self._note(vars(value), {"param_groups": value.param_groups}, path + ".{}", names)
            for group in value.param_groups:
                read = {"params"} if names.steps else {"params", *names.attributes}
                self._note(group, {k: group[k] for k in group if k in read}, f"{path}.param_groups's {{}}", names)
                self._contents(group["params"], names, f"{path}'s parameters")
        elif _is_own(value):
            self._object(value, names, path)
            if isinstance(value, nn.Module):
                for name, table in vars(value).items():
                    if name.startswith("_") and isinstance(table, dict):
                        self._contents(table, names, f"{path}.{name}")

    def _register(self, function: types.FunctionType, names: Names) -> None:
        same = self._functions.setdefault(function.__code__, [])
        if not any(f is function for f in same):
            same.append(function)
            if (own := names_of(function.__code__)) is not None and function.__code__ in self._began:
                self._function_ran(function, own)
            self._note(function, {n: v for n, v in vars(function).items() if n in names.attributes},
                       function.__name__ + ".{}", names)  # fmt: skip
            if wrapped := getattr(function, "__wrapped__", None):
                self.visit(wrapped, names, function.__name__)

    def _contents(self, container, names: Names, path: str) -> None:
        if container in self.settings:
            return
        keys = tuple(container) if isinstance(container, dict) else ()
        values = tuple(container.values() if isinstance(container, dict) else container)
        if any(isinstance(v, Tensor) and self.is_born(v) for v in values):
            return
        self.contents.setdefault(id(container), (container, keys, values, path))
        for key in keys:
            self.visit(key, names, f"a key of {path}")
        labels = keys or range(len(values))
        for label, value in zip(labels, values, strict=True):
            self.visit(value, names, f"{path}[{label!r}]")

    def _object(self, value: object, names: Names, path: str) -> None:
        """The attributes that are named: in the object, its slots and its class."""
        if "__match_args__" in names.attributes:  # match value: case Kind(first, second)
            names = with_attributes(names, getattr(type(value), "__match_args__", ()))
        everything = isinstance(value, CONTAINERS) or not NAMELESS.isdisjoint(names.attributes | names.globals)
        attributes = getattr(value, "__dict__", None)
        if isinstance(attributes, (dict, types.MappingProxyType)):
            wanted = frozenset(attributes) | names.attributes if everything else names.attributes
            wanted = {
                n for n in wanted if n not in names.methods or not isinstance(attributes.get(n, MISSING), SCALARS)
            }
            if isinstance(value, type):
                wanted = {n for n in wanted if not (n.startswith("__") and n.endswith("__"))}
            self._note_names(attributes, wanted, path + ".{}", names, keep=value)
        kinds = (*value.__mro__, *type(value).__mro__) if isinstance(value, type) else type(value).__mro__
        for kind in kinds:
            if kind is object or kind.__module__ in ("builtins", "enum"):
                continue
            for name in slots_of(kind):
                if name in names.attributes and hasattr(value, name):
                    self._note(value, {name: getattr(value, name)}, path + ".{}", names)
            if not _is_engine(kind):
                self._note_names(vars(kind), names.attributes, kind.__name__ + ".{}", names, keep=kind)

    def _note_names(self, mapping, wanted: Iterable[str], path: str, names: Names, keep=None) -> None:
        values = {name: mapping[name] for name in wanted if name in mapping}
        absent = {name: MISSING for name in wanted if name not in mapping}
        values |= absent
        self._note(mapping, values, path, names, keep)

    def _note(self, owner: object, values: dict[str, object], path: str, names: Names, keep=None) -> None:
        key = id(owner if keep is None else keep), isinstance(owner, (dict, types.MappingProxyType))
        known = self.named.setdefault(key, (owner, {}, path))[1]
        for name, value in values.items():
            if name not in known and not (isinstance(value, Tensor) and self.is_born(value)):
                known[name] = value
                for part in _parts(value):
                    self.visit(part, names, path.format(name))

    def tensors(self) -> list[Tensor]:
        """The tensors that the code reads by name."""
        values = [v for _, named, _ in self.named.values() for v in named.values()]
        values += [v for _, _, entries, _ in self.contents.values() for v in entries]
        values += [v for _, v, _ in self.cells.values()]
        return [v for v in values if isinstance(v, Tensor)]

    def forget_written(self, was_read: Callable[[Tensor], bool]) -> None:
        """After the recording: what was a tensor that the step did not read, and is one that the step made, was only
        written (a weight that a hook computes anew, say). The record does not depend on it."""
        for owner, values, _ in self.named.values():
            for name, before in list(values.items()):
                if not isinstance(before, Tensor) or was_read(before):
                    continue
                now = owner.get(name) if isinstance(owner, dict) else getattr(owner, name, None)
                if now is not before and isinstance(now, Tensor) and self.is_born(now):
                    del values[name]

    def refuse_draws(self, drawn: Drawn) -> None:
        """CaptureError if random numbers were drawn that a replay would not draw, or iterators moved."""
        self.draws.check(drawn, self.refuse)
        for iterator, before, path in self.iterators.values():
            resumed = isinstance(iterator, types.GeneratorType) and id(before) in self._resumed
            if resumed or position(iterator) != before:
                self.refuse(refusal(_advanced(path)))


def _read(what: str) -> str:
    return f"{what} is read while the step is recorded, and a replay would not read it; read it outside"


def _advanced(what: str) -> str:
    return (f"{what} is advanced while the step is recorded, and would stand still at every replay; take what it gives"
            " outside of the step, and put it into a tensor with assign")  # fmt: skip


def _parts(value: object) -> Iterator[object]:
    """A class's attribute as what runs or holds data."""
    if isinstance(value, (staticmethod, classmethod)):
        yield value.__func__
    elif isinstance(value, property):
        yield from (f for f in (value.fget, value.fset) if f is not None)
    elif isinstance(value, functools.cached_property):
        yield value.func
    else:
        yield value


def _is_engine(kind: type) -> bool:
    """Whether a class is minigan's own or NumPy's, and so does not change."""
    module = kind.__module__
    return module.startswith(("minigan.", "numpy", "numba")) and not module.startswith(("minigan.gan", "minigan.optim"))


def content(value: object) -> bytes | tuple | None:
    """What the numbers in an array, or in anything else that lends its memory, are known by; None for other values."""
    if isinstance(value, np.ndarray):
        part = value if value.nbytes <= WHOLE else value.flat[:: (value.size // SOME) | 1]
        return tuple(part.flat) if value.dtype.hasobject else part.tobytes()
    try:
        return memoryview(value).tobytes()
    except (TypeError, ValueError, BufferError):
        return None


def _is_own(value: object) -> bool:
    """Whether a value is an object, class or Python module whose attributes are a user's data."""
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, types.CodeType, types.FrameType)):
        return False
    if isinstance(value, types.ModuleType):
        file = getattr(value, "__file__", None) or ""
        return value.__name__ not in sys.builtin_module_names and not (
            is_own_code(file) or file.startswith((STDLIB, "<frozen")) or is_array_code(file) or SITE in file
        )
    if isinstance(value, type):
        return not _is_engine(value) and value.__module__ != "builtins"
    kind = type(value)
    if isinstance(value, (nn.Module, threading.local, *weakref.ProxyTypes)) or hasattr(kind, "__wrapped__"):
        return True
    if kind.__module__ == "functools" and callable(value):
        return True  # what lru_cache makes
    return kind.__module__ not in ("builtins", "_io", "_thread", "weakref") and not _is_engine(kind)


def _audit(event: str, args: tuple) -> None:
    reach = sys.getprofile()
    if isinstance(reach, Reach) and (what := audited(event, args)) is not None:
        reach.refuse(refusal(_read(what)))


@functools.cache
def _listen_to_audits() -> None:
    """Once a process, since Python takes no hook away; it does nothing but while a step is recorded."""
    sys.addaudithook(_audit)


@contextlib.contextmanager
def tracing(reach: Reach) -> Iterator[None]:
    """Have a reach told of this thread's calls. Without the garbage collector meanwhile: its callbacks and finalisers
    would run among the step's calls."""
    _listen_to_audits()
    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()
    sys.setprofile(reach)
    try:
        yield
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
