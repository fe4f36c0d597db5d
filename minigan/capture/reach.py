"""Machine room, capture: what a step's Python code reads while it is recorded, and the values that it finds there.

A record is right while everything that its code read is as it was. The code says by name what it reads: the free
variables, globals and defaults of the functions that run, and the attributes of the objects that these lead to. So
`Reach` is told of every Python call of the recorded run, and notes, before the body runs, the values of

- the function's cells and defaults, and the globals that its code names;
- of each object among its arguments and those values, the attributes that its code names, in the object or its class;
- the contents of the lists, dicts, tuples and sets among them, a module's tables of parameters, sub-modules and hooks,
  and the parameters of an optimiser (whose settings a replay reads itself).

An attribute that no function names is not read, so a trainer may count its steps. Numbers, strings and small arrays
are noted with their values, everything else is known by its identity. What reads the world itself, a clock or a random
number of Python's or NumPy's, is refused.
"""

from __future__ import annotations

import dis
import functools
import gc
import os
import random
import sys
import sysconfig
import time
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import nn
from ..autograd import Tensor
from ..backend import Generator
from .refusal import NUMPY, PACKAGE, is_own_code, refusal

MISSING = type("Missing", (), {"__repr__": lambda self: "nothing"})()
"""What an empty cell holds, and an attribute that is not there."""

SCALARS = (bool, int, float, complex, str, bytes, type(None), range, slice, np.generic, np.dtype)
CLOCKS = {time.time, time.time_ns, time.perf_counter, time.perf_counter_ns, time.monotonic, time.process_time}
SMALL = 1 << 16
"""Bytes of an array of the caller's that is compared by its numbers; a larger one is known by its identity."""

READS_AS_PYTHON = tuple(PACKAGE / name for name in ("gan", "nn", "optim"))
"""minigan's own code that keeps settings in objects, as a user's does."""
STDLIB, SITE = sysconfig.get_path("stdlib"), "site-packages"
CALLS_BY_BIT = sys.version_info >= (3, 12)
"""Whether the lowest bit of LOAD_ATTR says that the attribute is called; before, it is LOAD_METHOD."""

ENVIRONMENT = {"environ", "getenv"}
NAMELESS = {"getattr", "vars", "__dict__", "asdict"}
"""Names of what reads attributes that the code does not name: then all of an object's count."""


class Names(NamedTuple):
    """What a function's code names. methods: the attributes that it only ever calls."""

    globals: frozenset[str]
    attributes: frozenset[str]
    methods: frozenset[str]


NO_NAMES = Names(frozenset(), frozenset(), frozenset())


@functools.lru_cache(maxsize=8192)
def names_of(code: types.CodeType) -> Names | None:
    """The names that a function's code may read by, or None for code whose reads are known: the engine's, Python's."""
    file = code.co_filename
    if is_own_code(file):
        if not any(Path(file).is_relative_to(place) for place in READS_AS_PYTHON):
            return None
    elif file.startswith("<frozen") or (file.startswith(STDLIB) and SITE not in file) or _is_numpy(file):
        return None
    variables, attributes, methods = set(), set(), set()
    for line in dis.get_instructions(code):
        if line.opname.endswith(("_GLOBAL", "_NAME")):
            variables.add(line.argval)
        elif line.opname == "LOAD_METHOD" or (line.opname == "LOAD_ATTR" and CALLS_BY_BIT and line.arg & 1):
            methods.add(line.argval)
        elif line.opname.endswith("_ATTR"):
            attributes.add(line.argval)
        elif line.opname == "LOAD_CONST" and isinstance(line.argval, str) and line.argval.isidentifier():
            attributes.add(line.argval)  # getattr(settings, "rate")
    return Names(frozenset(variables), frozenset(attributes | methods), frozenset(methods - attributes))


def _is_numpy(file: str) -> bool:
    return file.startswith("<__array_function__") or Path(file).is_relative_to(NUMPY)


def drawing_states() -> list:
    """The states of Python's and NumPy's global random numbers."""
    return [random.getstate(), str(np.random.get_state(legacy=False))]


class Reach:
    """What is read, as it was before: `named` holds for a dict (or an object with slots) the values of names in it,
    `contents` a container's keys and values, `cells` a variable's value, `draws` the state of a random generator."""

    def __init__(self, function: Callable, is_born: Callable[[Tensor], bool]) -> None:
        self.is_born = is_born
        self.named: dict[int, tuple[object, dict[str, object], str]] = {}
        self.contents: dict[int, tuple[object, tuple, tuple, str]] = {}
        self.cells: dict[int, tuple[types.CellType, object, str]] = {}
        self.arrays: dict[int, tuple[np.ndarray, bytes, str]] = {}
        self.draws: dict[int, tuple[object, str, str]] = {}
        self._functions: dict[types.CodeType, list[types.FunctionType]] = {}
        self._visits: set[tuple[int, int]] = set()
        self._alive: list = []  # what the ids of _visits belong to
        self._live_settings: set[int] = set()  # an optimiser's groups: a replay reads their numbers itself
        self._began: set[types.CodeType] = set()
        self._inner: set[types.CodeType] = set()
        self._globals = drawing_states()
        self.visit(function, NO_NAMES, getattr(function, "__qualname__", "the function"))

    # The calls of a recorded run.

    def __call__(self, frame: types.FrameType, event: str, arg: object) -> None:
        """What `sys.setprofile` calls."""
        if event == "call":
            if (names := names_of(frame.f_code)) is not None:
                self._called(frame, names)
        elif event == "return":
            names = None if arg is None or isinstance(arg, Tensor) or frame.f_back is None else names_of(frame.f_code)
            if names is not None and (caller := names_of(frame.f_back.f_code)) is not None and _is_own(arg):
                self.visit(arg, caller, f"what {frame.f_code.co_name} returns")
        elif event == "c_call":
            if arg in CLOCKS and names_of(frame.f_code) is not None:
                raise refusal(f"{arg.__name__}() is read while the step is recorded, and a replay would not read it")
            owner = getattr(arg, "__self__", None)
            if isinstance(owner, ContextVar) and arg.__name__ == "get" and names_of(frame.f_code) is not None:
                raise refusal(f"the context variable {owner.name} is read while the step is recorded; read it outside")
            if isinstance(owner, random.Random):
                raise refusal(_drawn("Python"))

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
        if not ENVIRONMENT.isdisjoint(names.attributes | names.globals):
            self._contents(os.environ._data, NO_NAMES, "os.environ")
        for name, value in frame.f_locals.items():
            if not isinstance(value, SCALARS) and not isinstance(value, (Tensor, list, tuple, dict, set)):
                self.visit(value, names, name)

    def _function_ran(self, function: types.FunctionType, names: Names) -> None:
        parts = {"__code__": None, "__defaults__": None, "__kwdefaults__": None}
        self._note(function, {name: getattr(function, name) for name in parts}, function.__name__ + ".{}", names)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if id(cell) not in self.cells:
                try:
                    value = cell.cell_contents
                except ValueError:
                    value = MISSING
                if isinstance(value, Tensor) and self.is_born(value):
                    continue
                self.cells[id(cell)] = cell, value, f"the variable {name}"
                self.visit(value, names, name)

    # The walk.

    def visit(self, value: object, names: Names, path: str) -> None:
        """Note what code with these names may read of a value."""
        if isinstance(value, (*SCALARS, Tensor, Generator)) or value is MISSING:
            return
        key = id(value), id(names)
        if key in self._visits:
            return
        self._visits.add(key)
        self._alive.append((value, names))
        if isinstance(value, np.ndarray):
            if value.nbytes <= SMALL and value.dtype != object:
                self.arrays.setdefault(id(value), (value, value.tobytes(), path))
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
        elif _is_optimiser(value):
            self._live_settings.update(map(id, value.param_groups))
            self._note(vars(value), {"param_groups": value.param_groups}, path + ".{}", names)
            for group in value.param_groups:
                self._note(group, {"params": group["params"]}, f"{path}.param_groups's {{}}", names)
                self._contents(group["params"], names, f"{path}'s parameters")
        elif isinstance(value, (np.random.Generator, np.random.RandomState, random.Random)):
            self.draws.setdefault(id(value), (value, _state(value), path))
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
            if wrapped := getattr(function, "__wrapped__", None):
                self.visit(wrapped, names, function.__name__)

    def _contents(self, container, names: Names, path: str) -> None:
        if id(container) in self._live_settings:
            return
        keys = tuple(container) if isinstance(container, dict) else ()
        values = tuple(container.values() if isinstance(container, dict) else container)
        if any(isinstance(v, Tensor) and self.is_born(v) for v in values):
            return
        self.contents.setdefault(id(container), (container, keys, values, path))
        labels = keys or range(len(values))
        for label, value in zip(labels, values, strict=True):
            self.visit(value, names, f"{path}[{label!r}]")

    def _object(self, value: object, names: Names, path: str) -> None:
        """The attributes that are named: in the object, its slots and its class."""
        everything = not NAMELESS.isdisjoint(names.attributes | names.globals)
        attributes = getattr(value, "__dict__", None)
        if isinstance(attributes, (dict, types.MappingProxyType)):
            wanted = frozenset(attributes) | names.attributes if everything else names.attributes
            wanted = {
                n for n in wanted if n not in names.methods or not isinstance(attributes.get(n, MISSING), SCALARS)
            }
            if isinstance(value, type):
                wanted = {n for n in wanted if not (n.startswith("__") and n.endswith("__"))}
            self._note_names(attributes, wanted, path + ".{}", names, keep=value)
        kinds = value.__mro__ if isinstance(value, type) else type(value).__mro__
        for kind in kinds:
            if kind is object or kind.__module__ in ("builtins", "enum"):
                continue
            for name in getattr(kind, "__slots__", ()):
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

    def refuse_draws(self) -> None:
        """CaptureError if random numbers that a replay would not draw were drawn."""
        before, after = self._globals, drawing_states()
        if before[0] != after[0]:
            raise refusal(_drawn("Python"))
        if before[1] != after[1]:
            raise refusal(_drawn("NumPy"))
        for generator, state, path in self.draws.values():
            if _state(generator) != state:
                raise refusal(_drawn(f"{path} ({type(generator).__name__})"))


def _drawn(whose: str) -> str:
    return (f"a random number of {whose} is drawn inside the step and would be the same at every replay; draw with"
            " minigan (rand, randn, a Generator), or outside")  # fmt: skip


def _state(generator) -> str:
    return repr(generator.getstate() if isinstance(generator, random.Random) else generator.bit_generator.state
                if isinstance(generator, np.random.Generator) else generator.get_state(legacy=False))  # fmt: skip


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


def _is_optimiser(value: object) -> bool:
    """Whether a value is an optimiser that steps as minigan's own do: by numbers that a replay reads itself."""
    kind = type(value)
    return getattr(kind, "replayed_step", None) is not None and kind.replayed_step is kind.step


def _is_engine(kind: type) -> bool:
    """Whether a class is minigan's own or NumPy's, and so does not change."""
    module = kind.__module__
    return module.startswith(("minigan.", "numpy", "numba")) and not module.startswith(("minigan.gan", "minigan.optim"))


def _is_own(value: object) -> bool:
    """Whether a value is an object, class or Python module whose attributes are a user's data."""
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, types.CodeType, types.FrameType)):
        return False
    if isinstance(value, types.ModuleType):
        file = getattr(value, "__file__", None) or ""
        return value.__name__ not in sys.builtin_module_names and not (
            is_own_code(file) or file.startswith((STDLIB, "<frozen")) or _is_numpy(file) or SITE in file
        )
    if isinstance(value, type):
        return not _is_engine(value) and value.__module__ != "builtins"
    kind = type(value)
    if isinstance(value, nn.Module) or hasattr(value, "__wrapped__"):
        return True
    return kind.__module__ not in ("builtins", "_io", "_thread", "weakref") and not _is_engine(kind)


def tracing(reach: Reach) -> Callable[[], None]:
    """Have a reach told of this thread's calls; returns what ends it."""
    before = sys.getprofile()
    sys.setprofile(reach)
    return lambda: sys.setprofile(before)
