"""The arrays of the stand-in for CuPy: NumPy's inside, and as strict as CuPy's outside.

A class of its own, which NumPy's functions and arrays cannot be mixed with. Its operators answer in C order, as CuPy's
do, and its reductions with arrays of no axes.
"""

from __future__ import annotations

import numbers
from types import ModuleType, SimpleNamespace

import numpy as np

from .cupy_names import FLAGS, IN_PLACE, METHODS, OPERATORS, VIEWS, WAITS
from .nccl import touched


class Flags:
    """What CuPy's flags say of an array."""

    __slots__ = FLAGS

    def __init__(self, flags) -> None:
        for name in FLAGS:
            setattr(self, name, getattr(flags, name))


def array_class(xp: ModuleType) -> type:
    """The class of xp's arrays; xp is the stand-in, which wraps and unwraps them and counts waits."""

    class ndarray:
        __slots__ = ("__weakref__", "_memory")
        __hash__ = None

        @property
        def _a(self):
            """The memory, to be read or written now: by then NCCL must have written it."""
            if xp.writing:
                touched(xp, self._memory)
            return self._memory

        shape = property(lambda self: self._memory.shape)
        dtype = property(lambda self: self._memory.dtype)
        ndim = property(lambda self: self._memory.ndim)
        size = property(lambda self: self._memory.size)
        nbytes = property(lambda self: self._memory.nbytes)
        itemsize = property(lambda self: self._memory.itemsize)
        strides = property(lambda self: self._memory.strides)
        flags = property(lambda self: Flags(self._memory.flags))
        T = property(lambda self: xp.wrap(self._memory.T))
        base = property(lambda self: None if self._memory.base is None else self)
        data = property(lambda self: SimpleNamespace(ptr=self._memory.__array_interface__["data"][0]))

        def __array__(self, *args, **kwargs):
            raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

        def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
            if method != "__call__" or not hasattr(xp, ufunc.__name__):
                return NotImplemented
            return getattr(xp, ufunc.__name__)(*inputs, **kwargs)

        def __array_function__(self, function, types, args, kwargs):
            if not hasattr(xp, function.__name__):
                raise TypeError(f"cupy has no {function.__name__} that the stand-in knows")
            return getattr(xp, function.__name__)(*args, **kwargs)

        def __len__(self):
            if not self._a.ndim:
                raise TypeError("len() of unsized object")
            return len(self._a)

        def __iter__(self):
            return (self[i] for i in range(len(self)))

        def __getitem__(self, key):
            keys = key if isinstance(key, tuple) else (key,)
            view = not any(type(k) is ndarray or isinstance(k, (list, np.ndarray)) for k in keys)
            return xp.wrap((self._memory if view else self._a)[xp.unwrap(key)])

        def __setitem__(self, key, value):
            xp.not_capturing("an assignment, which may allocate")
            self._a[xp.unwrap(key)] = xp.unwrap(value)

        def __repr__(self):
            return f"{xp.__name__} {self._a!r}"

        def set(self, arr):
            if not isinstance(arr, np.ndarray):
                raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
            if arr.dtype != self.dtype or arr.shape != self.shape:
                raise ValueError(f"set: {arr.dtype} {arr.shape} does not fit {self.dtype} {self.shape}")
            self._a[...] = arr

    def waiting(name):
        def call(self, *args):
            xp.waited()
            return self._a.copy() if name == "get" else getattr(self._a, name)(*args)

        return call

    def operator(name):
        def call(self, other):
            if isinstance(other, np.ndarray) or not isinstance(other, (ndarray, numbers.Number, np.generic)):
                raise TypeError(f"Unsupported type {type(other)}")
            xp.not_capturing(f"{name}, which allocates")
            with np.errstate(all="ignore"):
                return xp.wrap(np.array(getattr(self._a, name)(xp.unwrap(other)), order="C"))

        return call

    def in_place(ufunc):
        def call(self, other):
            return getattr(xp, ufunc)(self, other, out=self)

        return call

    def unary(name):
        return lambda self: xp.wrap(np.array(getattr(self._a, name)(), order="C"))

    def method(name, keywords):
        def call(self, *args, **kwargs):
            for key in kwargs:
                if key not in keywords:
                    raise TypeError(f"{name}() got an unexpected keyword argument {key!r}")
            if name not in VIEWS:
                xp.not_capturing(f"{name}, which may allocate")
            with np.errstate(all="ignore"):
                memory = self._memory if name in VIEWS else self._a
                return xp.wrap(getattr(memory, name)(*xp.unwrap(args), **xp.unwrap(kwargs)))

        return call

    for name in WAITS:
        setattr(ndarray, name, waiting(name))
    for name in OPERATORS:
        setattr(ndarray, f"__{name}__", operator(f"__{name}__"))
    for name, ufunc in IN_PLACE.items():
        setattr(ndarray, f"__{name}__", in_place(ufunc))
    for name in ("neg", "pos", "abs", "invert"):
        setattr(ndarray, f"__{name}__", unary(f"__{name}__"))
    for name, arguments in METHODS.items():
        setattr(ndarray, name, method(name, arguments))
    return ndarray
