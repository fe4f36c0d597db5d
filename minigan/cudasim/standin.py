"""A strict stand-in for the part of CuPy that minigan uses: arrays live in NumPy, kernels run in the simulator.

    xp = StandIn(check=False)         # what `import cupy as xp` would give, minus all that is not listed here
    x = xp.asarray(numpy_array)       # xp.ndarray: a class of its own, not NumPy's

It is stricter than CuPy where a GPU would give wrong numbers in silence: `empty` is filled with NaN (integers with
their largest number), a NumPy array among the arguments is a TypeError, a kernel's arguments must be of its C types and
contiguous, and an empty grid is a ValueError. Like CuPy, ufuncs answer in C order, reductions give arrays of no axes,
and arguments that CuPy's functions do not take are refused. `syncs` counts how often the host waited for the device:
get, item, tolist, float, int, bool, asnumpy, synchronize. While a stream is captured into a graph, launches, copies and
ufuncs with `out` are noted, and what a graph cannot hold is an error: waiting, and whatever allocates.

Names and signatures are compared with the real module's by `differences`, which needs no GPU: `import cupy` does not.
"""

from __future__ import annotations

import inspect
import numbers
import threading
from functools import partial
from itertools import count
from time import perf_counter
from types import ModuleType, SimpleNamespace

import numpy as np

from .cupy_names import FLAGS, FUNCTIONS, MAKERS, UFUNCS
from .module import Module
from .nccl import settled
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
        self.capturing: list | None = None
        self.writing: list = []  # what NCCL writes (see nccl.py)
        self._streams, self._numbers = threading.local(), count(1)
        self.ndarray, self.RawKernel = array_class(self), RawKernel
        for name in UFUNCS:
            setattr(self, name, self._ufunc(getattr(np, name)))
        for name, keywords in FUNCTIONS.items():
            setattr(self, name, self._function(name, keywords))
        self.abs = self.absolute
        for name in ("add", "maximum"):
            getattr(self, name).at = partial(self._at, getattr(np, name))
        self.special = SimpleNamespace(erf=self._erf)
        self.cuda = SimpleNamespace(
            Device=lambda i=0: SimpleNamespace(synchronize=self._synchronized),
            Event=lambda: Event(self),
            Stream=lambda non_blocking=False: Stream(self),
            get_current_stream=self._current_stream,
            get_elapsed_time=lambda start, stop: 1e3 * (stop.time - start.time),
            runtime=SimpleNamespace(getDeviceCount=lambda: 1),
        )

    def waited(self) -> None:
        """The host waits for the device."""
        self.not_capturing("waiting for the device")
        self.syncs += 1

    def _current_stream(self) -> Stream:
        """The innermost stream that this thread is in; the null stream outside of all."""
        entered = getattr(self._streams, "entered", None)
        return entered[-1] if entered else Stream(self, null=True)

    def _synchronized(self) -> None:
        self.waited()
        settled(self)

    def not_capturing(self, what: str) -> None:
        """RuntimeError while a stream is captured: what a graph cannot hold, or CuPy would not put into it."""
        if self.capturing is not None:
            raise RuntimeError(f"cudaErrorStreamCaptureUnsupported: {what} while a stream is captured")

    def issue(self, run, *arguments) -> None:
        """Work for the device: done at once, or noted while a stream is captured."""
        if self.capturing is None:
            run(*arguments)
        else:
            self.capturing.append((run, arguments))

    def wrap(self, result):
        """What NumPy made, as this module's arrays."""
        if isinstance(result, (tuple, list)):
            return type(result)(map(self.wrap, result))
        if isinstance(result, (np.ndarray, np.generic)):
            array = object.__new__(self.ndarray)
            array._memory = np.asarray(result)
            return array
        return result

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
            options = {} if dtype is None else {"dtype": dtype}
            if isinstance(out, tuple):
                (out,) = out
            operands = self.unwrap(args)
            with np.errstate(all="ignore"):
                result = ufunc(*operands, **options)
            if out is None:
                self.not_capturing(f"{ufunc.__name__} without out, which allocates")
                return self.wrap(np.array(result, order="C"))
            target = self.unwrap(out)
            if result.shape != target.shape or not np.can_cast(result.dtype, target.dtype, "same_kind"):
                raise ValueError(
                    f"{ufunc.__name__}: cannot put {result.dtype} {result.shape} into {target.dtype} {target.shape}"
                )
            if self.capturing is None:
                target[...] = result
            else:
                self.capturing.append((_put, (target, ufunc, operands, options)))
            return out

        call.__name__ = ufunc.__name__
        return call

    def _function(self, name: str, keywords: tuple[str, ...]):
        function = getattr(np, name)

        def call(*args, **kwargs):
            for key in kwargs:
                if key not in keywords:
                    raise TypeError(f"{name}() got an unexpected keyword argument {key!r}")
            if name == "copyto":
                return self.issue(partial(np.copyto, **self.unwrap(kwargs)), *self.unwrap(args))
            self.not_capturing(f"{name}, which may allocate")
            with np.errstate(all="ignore"):
                return self.wrap(function(*self.unwrap(args), **self.unwrap(kwargs)))

        call.__name__ = name
        return call

    def _at(self, ufunc: np.ufunc, a, indices, b) -> None:
        ufunc.at(self.unwrap(a), self.unwrap(indices), self.unwrap(b))

    def _erf(self, x):
        from scipy.special import erf

        return self.wrap(erf(self.unwrap(x)))

    def empty(self, shape, dtype=float, order="C"):
        """An array of NaN, or of the largest integer: nobody may read it before writing."""
        self.not_capturing("an allocation")
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
        self.not_capturing("an allocation")
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
        arguments = []
        for arg, parameter in zip(args, parameters, strict=True):
            if not parameter.pointer:
                arguments.append(arg)
                continue
            if type(arg) is not self._xp.ndarray:
                raise TypeError(f"{name}: {parameter.name} is a pointer: pass a device array, not {type(arg).__name__}")
            if not arg.flags.c_contiguous:
                raise ValueError(f"{name}: {parameter.name} is not C-contiguous: the kernel would read its neighbours")
            arguments.append(arg._a)
        reaches = tuple(a._a for a in self._reaches)
        self._xp.issue(self._run, grid, block, tuple(arguments), shared_mem, reaches)

    def _run(self, *launch) -> None:
        self._xp.launches += 1
        self._kernel(*launch)


def _put(target: np.ndarray, ufunc: np.ufunc, operands: tuple, options: dict) -> None:
    """target = ufunc(*operands), an operand being the target or not."""
    with np.errstate(all="ignore"):
        target[...] = ufunc(*operands, **options)


class Event:
    """What xp.cuda.Event() gives: a point in time."""

    def __init__(self, xp: StandIn) -> None:
        self._xp, self.time, self._stream, self._before = xp, 0.0, 0, []

    def record(self, stream=None) -> None:
        self.time = perf_counter()
        self._stream = (stream or self._xp.cuda.get_current_stream()).ptr
        self._before = [w for w in self._xp.writing if w.stream == self._stream or self._stream in w.seen]

    def synchronize(self) -> None:
        self._xp.waited()
        settled(self._xp, self._stream)


class Stream:
    """What xp.cuda.Stream() gives: a context in which its work may be captured. All of it is done at once but for
    NCCL's, which others must have waited for."""

    def __init__(self, xp: StandIn, null: bool = False) -> None:
        self._xp, self.ptr = xp, 0 if null else next(xp._numbers)

    def __enter__(self) -> Stream:
        self._xp._streams.__dict__.setdefault("entered", []).append(self)
        return self

    def __exit__(self, *error) -> None:
        self._xp._streams.entered.pop()

    def synchronize(self) -> None:
        self._xp.waited()
        settled(self._xp, self.ptr)

    def wait_event(self, event: Event) -> None:
        for writing in event._before:
            writing.seen.add(self.ptr)

    def is_capturing(self) -> bool:
        return self._xp.capturing is not None

    def begin_capture(self, mode=None) -> None:
        self._xp.not_capturing("another capture")
        self._xp.capturing = []

    def end_capture(self) -> Graph:
        if self._xp.capturing is None:
            raise RuntimeError("the stream is not captured")
        graph, self._xp.capturing = Graph(self._xp, self._xp.capturing), None
        return graph


class Graph:
    """What a captured stream gives: the work noted, done anew at each launch, on the arrays it was noted with."""

    def __init__(self, xp: StandIn, work: list) -> None:
        self._xp, self.work = xp, work

    def launch(self, stream=None) -> None:
        for run, arguments in self.work:
            run(*arguments)


def differences(cupy: ModuleType) -> list[str]:
    """Where the stand-in has a name or an argument that the real module lacks."""
    differences = [f"cupy has no {n}" for n in (*UFUNCS, *FUNCTIONS, *MAKERS) if not hasattr(cupy, n)]
    members = [
        n
        for n in vars(array_class(StandIn()))
        if n not in ("__slots__", "__module__", "__doc__", "__weakref__", "_memory")
    ]
    differences += [f"cupy.ndarray has no {n}" for n in members if n != "_a" and not hasattr(cupy.ndarray, n)]
    there = {"cuda": cupy.cuda, "Stream": cupy.cuda.Stream, "Event": cupy.cuda.Event, "Graph": cupy.cuda.Graph}
    ours = {"cuda": StandIn().cuda, "Stream": Stream, "Event": Event, "Graph": Graph}
    for name, theirs in there.items():
        public = (n for n in vars(ours[name]) if not n.startswith("__") and n not in ("work", "time"))
        differences += [f"cupy's {name} has no {n}" for n in public if n[0] != "_" and not hasattr(theirs, n)]
    differences += [f"cupy's flags have no {n}" for n in FLAGS if not hasattr(cupy._core.flags.Flags, n)]
    makers = {n: tuple(inspect.signature(getattr(StandIn, n)).parameters)[1:] for n in MAKERS}
    for name, ours in {**FUNCTIONS, **makers}.items():
        try:
            theirs = inspect.signature(getattr(cupy, name)).parameters
        except (ValueError, TypeError, AttributeError):
            continue
        if any(p.kind is p.VAR_KEYWORD for p in theirs.values()):
            continue
        differences += [f"cupy.{name} has no argument {p}; it has {', '.join(theirs)}" for p in ours if p not in theirs]
    return differences
