"""Machine room, engine: the modes of the engine, each thread's own, and what a recorder of steps is told.

Three ContextVars: whether ops are recorded for the gradient (`no_grad`), whether every result is checked for NaN
(`detect_anomaly`), and who records a training step for its replay (`capture`). `Recorder` lists the points at which the
engine tells such a recorder what happens, or asks it. They are calls that stand in the engine's own code, which is
never changed from outside; while no step is recorded and no result checked, in any thread, `watchers` is 0, and a point
costs one look at that.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

import numpy as np

from .backend import FLOATS, namespace

if TYPE_CHECKING:
    from contextlib import _GeneratorContextManager as Context  # the type that also says: a decorator


class Recorder(Protocol):
    """What a recorder is told, and by whom. Tensors, ops and modules are passed as themselves.

    is_dry: whether the step runs for its record only, and changes nothing.
    """

    is_dry: bool

    def op_called(self, op: Any, inputs: Sequence) -> Any:
        """`Op.__call__`: returns the op's outputs as Tensors; the engine does nothing more."""

    def changed_in_place(self, kernel: Callable, targets: Sequence, sources: Sequence) -> None:
        """`in_place`: kernel(*target arrays, *source arrays) is to run when the record does; not now."""

    def tensor_created(self, tensor: Any, array: Any) -> None:
        """`Tensor.__init__`, at its end; raises where the array may not enter the record."""

    def array_enters(self, array: Any) -> None:
        """`tensor`, `assign`, `from_numpy`: a caller's array of several numbers becomes a tensor's; raises."""

    def data_read(self, tensor: Any) -> Any:
        """`Tensor.data`: returns what to answer."""

    def grad_read(self, tensor: Any) -> None:
        """`Tensor.grad` is about to be read."""

    def grad_written(self, tensor: Any) -> None:
        """`Tensor.grad` is about to be set."""

    def requires_grad_written(self, tensor: Any) -> None:
        """`Tensor.requires_grad` is about to be set."""

    def module_called(self, module: Any) -> None:
        """`Module.__call__`, before the module's hooks: `module.captured_state()` is what the record depends on."""


grad_enabled: ContextVar[bool] = ContextVar("minigan_grad_enabled", default=True)
anomaly: ContextVar[bool] = ContextVar("minigan_anomaly", default=False)
recorder: ContextVar[Recorder | None] = ContextVar("minigan_recorder", default=None)
changes: ContextVar[dict | None] = ContextVar("minigan_changes", default=None)
"""What `in_place` notes for who will have to undo it: by identity, a tensor and its array before."""

watchers = 0
"""How many recordings and anomaly contexts are open, in all threads."""
_counting = Lock()


@contextmanager
def _set(mode: ContextVar, value: Any) -> Iterator[None]:
    token = mode.set(value)
    try:
        yield
    finally:
        mode.reset(token)


F = TypeVar("F", bound=Callable)


class GradMode:
    """Whether ops are recorded, within `with` or a decorated function: of generators and coroutines, whenever their own
    code runs. One object may be entered again and again, also inside itself."""

    __slots__ = ("enabled",)

    def __init__(self, enabled: bool) -> None:
        self.enabled = bool(enabled)

    def __enter__(self) -> None:
        _outer.set((*_outer.get(), grad_enabled.get()))
        grad_enabled.set(self.enabled)

    def __exit__(self, *exception: object) -> None:
        *outer, before = _outer.get()
        _outer.set(tuple(outer))
        grad_enabled.set(before)

    def __call__(self, function: F) -> F:
        wrapped: Any = self._wrapped(function)
        return wrapped

    def _wrapped(self, function: Callable) -> Callable:
        if isinstance(function, type) or not callable(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"no_grad, enable_grad: can decorate a function, not {function!r}; decorate its methods")
        if inspect.isgeneratorfunction(function):
            return functools.wraps(function)(lambda *args, **kwargs: self._steps(function(*args, **kwargs)))
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return awaited

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return call

    def _steps(self, generator: Generator) -> Generator:
        """The generator, each of whose steps runs in this mode; what it yields is used outside of it."""
        try:
            with self:
                value = next(generator)
            while True:
                try:
                    sent = yield value
                except GeneratorExit:
                    with self:
                        generator.close()
                    raise
                except BaseException as error:
                    with self:
                        value = generator.throw(error)
                else:
                    with self:
                        value = generator.send(sent)
        except StopIteration as end:
            return end.value


_outer: ContextVar[tuple[bool, ...]] = ContextVar("minigan_outer_grad_modes", default=())
"""What `grad_enabled` was outside each open GradMode, innermost last."""


class SetGradEnabled(GradMode):
    """What `set_grad_enabled` returns: the mode is set already, and `with` takes it back at its end."""

    __slots__ = ("before",)

    def __init__(self, enabled: bool) -> None:
        super().__init__(enabled)
        self.before = grad_enabled.get()
        grad_enabled.set(self.enabled)

    def __enter__(self) -> None:
        _outer.set((*_outer.get(), self.before))
        grad_enabled.set(self.enabled)

    def __call__(self, function: F) -> F:
        grad_enabled.set(self.before)
        return GradMode(self.enabled)(function)


@overload
def no_grad(function: None = None) -> GradMode: ...
@overload
def no_grad(function: F) -> F: ...
def no_grad(function: Callable | None = None) -> Any:
    """Context manager and decorator, `@no_grad()` or `@no_grad`, in which nothing is recorded."""
    return GradMode(False) if function is None else GradMode(False)(function)


@overload
def enable_grad(function: None = None) -> GradMode: ...
@overload
def enable_grad(function: F) -> F: ...
def enable_grad(function: Callable | None = None) -> Any:
    """Context manager and decorator in which ops are recorded, also inside `no_grad`."""
    return GradMode(True) if function is None else GradMode(True)(function)


def inference_mode(mode: bool | Callable = True) -> Any:
    """`no_grad`, by the name that PyTorch has for it; with mode=False it changes nothing."""
    return no_grad(mode) if callable(mode) else GradMode(not mode and grad_enabled.get())


def set_grad_enabled(mode: bool) -> SetGradEnabled:
    """Record ops, or not, from now on; as a context manager, until its end."""
    return SetGradEnabled(mode)


def is_grad_enabled() -> bool:
    """Whether ops are being recorded."""
    return grad_enabled.get()


@contextmanager
def watching(mode: ContextVar, value: Any) -> Iterator[None]:
    """Within it `mode` (`recorder` or `anomaly`) is `value` in this thread, and the engine looks."""
    global watchers
    with _counting:
        watchers += 1
    try:
        with _set(mode, value):
            yield
    finally:
        with _counting:
            watchers -= 1


def current_recorder() -> Recorder | None:
    """What records this thread, or None."""
    return recorder.get() if watchers else None


def detect_anomaly() -> Context[None]:
    """Context manager in which every op checks its result; the first that makes a NaN or an infinity raises
    FloatingPointError with its name, its shapes and whether its inputs were still finite."""
    return watching(anomaly, True)


def is_anomaly_detected() -> bool:
    """Whether results are being checked."""
    return anomaly.get()


def check_finite(op: str, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
    """FloatingPointError, naming the op, where an output array is not finite."""
    for y in outputs:
        if y.dtype in FLOATS and not namespace(y).isfinite(y).all():
            kind = "NaN" if namespace(y).isnan(y).any() else "an infinity"
            finite = all(namespace(x).isfinite(x).all() for x in inputs)
            raise FloatingPointError(
                f"{op} made {kind} (output {y.shape}, inputs {', '.join(str(x.shape) for x in inputs)}"
                f" {'all finite' if finite else 'not all finite'})"
            )
