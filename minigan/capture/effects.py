"""Machine room, capture: what a step does besides computing with tensors, as far as `auto_capture` must know it.

A replay runs none of the step's Python. So it may stand in for a call only where that Python would have left no trace:
no file, no output, no entry in a list of the caller's. What it changes in objects that it names is seen afterwards, by
the same guard that asks whether what it read is as it was. This list is for the rest: the compiled functions that user
code calls, and Python's own modules. Only what is known to leave no trace passes.
"""

from __future__ import annotations

import functools
import itertools
import types
import weakref
from builtins import __build_class__
from collections import deque

import numpy as np

from ..autograd import Tensor
from .names import GETTERS, Names, names_of
from .reach import Reach
from .refusal import is_array_code, is_own_code, refusal

# fmt: off
FUNCTIONS = {
    abs, all, any, ascii, bin, callable, chr, dir, divmod, format, getattr, globals, hasattr, hash, hex, id, isinstance,
    issubclass, iter, len, locals, max, min, next, oct, ord, pow, repr, round, sorted, sum, vars, __build_class__,
}
MODULES = {"math", "cmath", "_operator", "operator", "itertools", "_functools", "functools", "_abc", "abc", "typing",
           "collections", "contextlib", "dataclasses", "enum", "copy", "types", "numbers", "fractions", "statistics",
           "string", "weakref", "_weakrefset", "inspect", "textwrap", "reprlib"}
"""Python's own modules whose functions compute, and do nothing else."""
NUMPY = {"prod", "sqrt", "log", "log2", "log10", "exp", "floor", "ceil", "result_type", "broadcast_shapes", "isscalar",
         "dtype", "item", "ndim", "shape", "size"}
# fmt: on
DATA = (list, dict, set, frozenset, tuple, deque, str, bytes, int, float, complex, range, slice, type(None), type)
DATA += tuple({type(iter(x)) for x in ([], (), {}, set(), "", b"", range(0))})
DATA += (zip, map, filter, enumerate, reversed, itertools.chain, itertools.count, itertools.repeat, itertools.islice)
DATA += (type({}.keys()), type({}.values()), type({}.items()), types.GeneratorType, np.generic, np.dtype)
"""Types whose methods change nothing but the object itself, which is compared where the step did not make it."""
SLOTS = {"__init__", "__new__", "__init_subclass__", "__reduce__", "__reduce_ex__", "__format__", "__dir__",
         "__enter__", "__exit__", "__getattribute__", "__eq__", "__sizeof__"}  # fmt: skip
"""Methods of any compiled type that change nothing that was there."""
COMPILED = (type, types.BuiltinFunctionType, np.ufunc, functools.partial, weakref.ref, *GETTERS)
COMPILED += (types.MethodWrapperType, types.WrapperDescriptorType, types.MethodDescriptorType)
COMPILED += (types.ClassMethodDescriptorType, type(functools.lru_cache(lambda: None)), staticmethod, classmethod)
"""Compiled things that can be called and are known, whether Python reports the call or not."""


class Traces(Reach):
    """A reach that is told, too, of what leaves a trace outside of tensors."""

    def __init__(self, *args) -> None:
        self._inside: set[int] = set()  # cells of functions that the step itself defines
        self.arguments: list[Tensor] = []  # those that are known by their identity
        super().__init__(*args)

    def let_go(self) -> None:
        """Keep nothing alive that was only passed on the way."""
        self._alive.clear()
        self._visits.clear()

    def tensors(self) -> list[Tensor]:
        """The tensors that the code reads, and that it finds to be the same at each call."""
        inside = [self.cells[key][1] for key in self._inside]
        return [*(t for t in super().tensors() if not any(t is v for v in inside)), *self.arguments]

    def _function_ran(self, function: types.FunctionType, names: Names) -> None:
        before = set(self.cells)
        super()._function_ran(function, names)
        if function.__code__ in self._inner:
            self._inside |= self.cells.keys() - before

    def __call__(self, frame: types.FrameType, event: str, arg: object) -> None:
        super().__call__(frame, event, arg)
        if event == "c_call":
            file = frame.f_code.co_filename
            if names_of(frame.f_code) is not None and not is_own_code(file) and not _is_pure(arg):
                self.refuse(refusal(f"{getattr(arg, '__qualname__', arg)}() is called, which a replay would not do"))
        elif event == "call" and frame.f_back is not None:
            caller = frame.f_back.f_code
            if names_of(caller) is not None and not is_own_code(caller.co_filename) and not _is_quiet(frame):
                name = f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}"
                self.refuse(refusal(f"{name}() is called, which a replay would not do"))

    def visit(self, value: object, names: Names, path: str) -> None:
        kind = type(value)
        if callable(value) and not isinstance(value, COMPILED) and not isinstance(value, Tensor):
            call = kind.__call__
            if isinstance(call, types.WrapperDescriptorType) and kind not in (types.FunctionType, types.MethodType):
                self.refuse(refusal(f"{path} is a {kind.__name__}, and what calling it does cannot be seen"))
        if isinstance(value, np.ndarray) and value.nbytes > LARGEST:
            size = f"{value.nbytes >> 10} KiB"
            self.refuse(refusal(f"{path} is an array of {size}, too large to be compared at each call; take a tensor"))
        super().visit(value, names, path)


LARGEST = 1 << 16
"""Bytes of a NumPy array that is compared number by number at every call."""


def _is_pure(function: object) -> bool:
    owner, module = getattr(function, "__self__", None), getattr(function, "__module__", None)
    if owner is None or isinstance(owner, types.ModuleType):
        if getattr(function, "__hash__", None) is None:
            return False
        return function in FUNCTIONS or (module or getattr(owner, "__name__", "")) in MODULES
    if isinstance(owner, np.ndarray):
        return getattr(function, "__name__", "") in NUMPY
    return isinstance(owner, DATA) or getattr(function, "__name__", "") in SLOTS


def _is_quiet(frame: types.FrameType) -> bool:
    """Whether a function that user code calls is user code itself, minigan's, or of a module that computes only."""
    code = frame.f_code
    if names_of(code) is not None or is_own_code(code.co_filename):
        return True
    if is_array_code(code.co_filename):
        return code.co_name in NUMPY
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in MODULES
