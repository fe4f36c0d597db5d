"""A strict stand-in for the part of CuPy that minigan uses: arrays live in NumPy, kernels run in the simulator.

    xp = StandIn(check=False)         # what `import cupy as xp` would give, minus all that is not listed here
    x = xp.asarray(numpy_array)       # xp.ndarray: a class of its own, not NumPy's

It is stricter than CuPy where a GPU would give wrong numbers in silence: `empty` is filled with NaN (integers with
their largest number), a NumPy array among the arguments is a TypeError, a kernel's arguments must be of its C types and
contiguous, and an empty grid is a ValueError. Like CuPy, ufuncs answer in C order, reductions give arrays of no axes,
and arguments that CuPy's functions do not take are refused. `syncs` counts how often the host waited for the device:
get, item, tolist, float, int, bool, asnumpy, synchronize.

Names and signatures are compared with the real module's by `differences`, which needs no GPU: `import cupy` does not.
"""

from __future__ import annotations

import inspect
import numbers
from types import ModuleType, SimpleNamespace

import numpy as np

from .cupy_names import FLAGS, FUNCTIONS, MAKERS, UFUNCS
from .module import Module
from .standin_array import array_class


class StandIn(ModuleType):
    """The module; each instance has its own arrays and its own count of `syncs`.

    check   kernels run checked
    order   of their threads and blocks: forward, reverse or random
    """

    float32, float64, int32, int64 = np.float32, np.float64, np.int32, np.int64
    uint8, uint32, bool_, newaxis, inf = np.uint8, np.uint32, np.bool_, None, np.inf

    def __init__(self, check: bool = False, order: str = "forward") -> None:
        super().__init__("cudasim:check" if check else "cudasim")
        self.check, self.order, self.syncs, self.launches = check, order, 0, 0
        self.ndarray = array_class(self)
        for name in UFUNCS:
            setattr(self, name, self._ufunc(getattr(np, name)))
        for name, allowed in FUNCTIONS.items():
            setattr(self, name, self._function(name, allowed))
        self.abs = self.absolute
        self.add.at = self._add_at
        self.special = SimpleNamespace(erf=self._erf)
        self.cuda = SimpleNamespace(
            Device=lambda i=0: SimpleNamespace(synchronize=self.waited),
            get_current_stream=lambda: SimpleNamespace(synchronize=self.waited),
            runtime=SimpleNamespace(getDeviceCount=lambda: 1),
        )

    def waited(self) -> None:
        """The host waits for the device."""
        self.syncs += 1

    def wrap(self, made):
        """What NumPy made, as this module's arrays."""
        if isinstance(made, (tuple, list)):
            return type(made)(map(self.wrap, made))
        if isinstance(made, (np.ndarray, np.generic)):
            array = object.__new__(self.ndarray)
            array._a = np.asarray(made)
            return array
        return made

    def unwrap(self, value):
        """The NumPy array of one of ours, a number as it is; TypeError for anything else that holds numbers."""
        if type(value) is self.ndarray:
            return value._a
        if isinstance(value, (tuple, list)):
            return type(value)(map(self.unwrap, value))
        if isinstance(value, dict):
            return {k: self.unwrap(v) for k, v in value.items()}
        if isinstance(value, np.ndarray):
            raise TypeError(f"Unsupported type {type(value)}: a NumPy array was given to {self.__name__}")
        if value is None or isinstance(value, (numbers.Number, np.generic, np.dtype, type, str, slice, type(...))):
            return value
        raise TypeError(f"Unsupported type {type(value)}")

    def _ufunc(self, ufunc: np.ufunc):
        def call(*args, out=None, dtype=None):
            given = {} if dtype is None else {"dtype": dtype}
            if isinstance(out, tuple):
                (out,) = out
            with np.errstate(all="ignore"):
                made = ufunc(*self.unwrap(args), **given)
            if out is None:
                return self.wrap(np.array(made, order="C"))
            target = self.unwrap(out)
            if made.shape != target.shape or not np.can_cast(made.dtype, target.dtype, "same_kind"):
                raise ValueError(
                    f"{ufunc.__name__}: cannot put {made.dtype} {made.shape} into {target.dtype} {target.shape}"
                )
            target[...] = made
            return out

        call.__name__ = ufunc.__name__
        return call

    def _function(self, name: str, allowed: tuple[str, ...]):
        function = getattr(np, name)

        def call(*args, **kwargs):
            for key in kwargs:
                if key not in allowed:
                    raise TypeError(f"{name}() got an unexpected keyword argument {key!r}")
            with np.errstate(all="ignore"):
                return self.wrap(function(*self.unwrap(args), **self.unwrap(kwargs)))

        call.__name__ = name
        return call

    def _add_at(self, a, indices, b) -> None:
        np.add.at(self.unwrap(a), self.unwrap(indices), self.unwrap(b))

    def _erf(self, x):
        from scipy.special import erf

        return self.wrap(erf(self.unwrap(x)))

    def empty(self, shape, dtype=float, order="C"):
        """An array of NaN, or of the largest integer: nobody may read it before writing."""
        return self.wrap(_poisoned(np.empty(shape, dtype, order)))

    def empty_like(self, prototype, dtype=None, order="K"):
        """`empty` of the shape, and the memory order, of another array."""
        return self.wrap(_poisoned(np.empty_like(self.unwrap(prototype), dtype, order)))

    def zeros(self, shape, dtype=float, order="C"):
        return self.wrap(np.zeros(shape, dtype, order))

    def ones(self, shape, dtype=float):
        return self.wrap(np.ones(shape, dtype))

    def full(self, shape, fill_value, dtype=None):
        return self.wrap(np.full(shape, self.unwrap(fill_value), dtype))

    def eye(self, N, M=None, k=0, dtype=float):
        return self.wrap(np.eye(N, M, k, dtype))

    def arange(self, start, stop=None, step=1, dtype=None):
        return self.wrap(np.arange(start, dtype=dtype) if stop is None else np.arange(start, stop, step, dtype))

    def asarray(self, a, dtype=None):
        """A device array of what `a` holds: the door through which NumPy arrays come in."""
        if type(a) is self.ndarray and dtype in (None, a.dtype):
            return a
        return self.array(a, dtype)

    def array(self, obj, dtype=None, copy=True):
        """A device array in memory of its own, C order."""
        return self.wrap(np.array(obj._a if type(obj) is self.ndarray else obj, dtype, order="C"))

    def asnumpy(self, a):
        """A NumPy array of what a device array holds; waits."""
        return a.get() if type(a) is self.ndarray else np.asarray(a)

    def RawModule(self, *, code, options=(), backend="nvrtc"):
        """Kernels compiled from CUDA C text."""
        if not isinstance(options, tuple):
            raise TypeError("RawModule: options must be a tuple")
        return RawModule(self, Module(code, options, self.check, self.order))


def _poisoned(array: np.ndarray) -> np.ndarray:
    """The array filled with what nobody should read."""
    kind = array.dtype.kind
    array.fill(np.nan if kind == "f" else True if kind == "b" else np.iinfo(array.dtype).max)
    return array


class RawModule:
    """What xp.RawModule(code=...) gives."""

    def __init__(self, xp: StandIn, module: Module) -> None:
        self._xp, self._module = xp, module

    def get_function(self, name: str) -> RawKernel:
        return RawKernel(self._xp, self._module.get_function(name))


class RawKernel:
    """A kernel: called with grid, block and arguments, all as CuPy wants them."""

    def __init__(self, xp: StandIn, kernel, reaches: tuple = ()) -> None:
        self._xp, self._kernel, self._reaches = xp, kernel, reaches

    def reaching(self, reaches: tuple) -> RawKernel:
        """The kernel, which comes to these arrays by addresses among its arguments."""
        return RawKernel(self._xp, self._kernel, reaches)

    def __call__(self, grid, block, args, *, shared_mem=0) -> None:
        name, parameters = self._kernel.name, self._kernel.parameters
        if not (isinstance(grid, tuple) and isinstance(block, tuple) and isinstance(args, tuple)):
            raise TypeError(f"{name}: grid, block and args must be tuples")
        if min(grid, default=0) < 1:
            raise ValueError(f"{name}: grid {grid} is empty; CuPy would launch a block anyway")
        if len(args) != len(parameters):
            raise TypeError(f"{name}: {len(args)} arguments for {len(parameters)} parameters")
        given = []
        for arg, parameter in zip(args, parameters, strict=True):
            if not parameter.pointer:
                given.append(arg)
                continue
            if type(arg) is not self._xp.ndarray:
                raise TypeError(f"{name}: {parameter.name} is a pointer: pass a device array, not {type(arg).__name__}")
            if not arg.flags.c_contiguous:
                raise ValueError(f"{name}: {parameter.name} is not C-contiguous: the kernel would read its neighbours")
            given.append(arg._a)
        self._xp.launches += 1
        reaches = tuple(a._a for a in self._reaches)
        self._kernel(grid, block, tuple(given), shared_mem, reaches)


def differences(cupy: ModuleType) -> list[str]:
    """Where the stand-in has a name or an argument that the real module lacks."""
    found = [f"cupy has no {n}" for n in (*UFUNCS, *FUNCTIONS, *MAKERS) if not hasattr(cupy, n)]
    members = [
        n for n in vars(array_class(StandIn())) if n not in ("__slots__", "__module__", "__doc__", "__weakref__")
    ]
    found += [f"cupy.ndarray has no {n}" for n in members if n != "_a" and not hasattr(cupy.ndarray, n)]
    found += [f"cupy's flags have no {n}" for n in FLAGS if not hasattr(cupy._core.flags.Flags, n)]
    makers = {n: tuple(inspect.signature(getattr(StandIn, n)).parameters)[1:] for n in MAKERS}
    for name, ours in {**FUNCTIONS, **makers}.items():
        try:
            theirs = inspect.signature(getattr(cupy, name)).parameters
        except (ValueError, TypeError, AttributeError):
            continue
        if any(p.kind is p.VAR_KEYWORD for p in theirs.values()):
            continue
        found += [f"cupy.{name} has no argument {p}; it has {', '.join(theirs)}" for p in ours if p not in theirs]
    return found
