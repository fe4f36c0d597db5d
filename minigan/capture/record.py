"""capture(step): record a training step once, then replay it without Python's part in it.

    step = minigan.capture(step)          # a function without arguments
    for images in batches:
        real.assign(images)               # new data goes in by copy
        loss = step()

An eager step decides, op by op, what to compute next; but every step of a training run decides the same. So the first
call runs the function once for the record: which ops, on which arrays, in which order. `plan` turns the record into a
list of compiled loops over one block of memory, and from then on a call runs that list.

What the record is made of:
- the ops (`Op.__call__` reports here while a step is recorded), each with the values it reads and makes;
- what is changed in place: optimiser steps, running statistics, assignments (`autograd.in_place`). These are noted and
  not executed: the plan executes the first step too, so that a run which records anew when it is resumed goes through
  the same numbers, bit for bit;
- random draws, whose generators are set back afterwards. Every replay draws anew; learning rates are read anew.

What the record must not contain is a number's effect on the program: a branch on a loss, an array computed by hand
from another. While recording, `Tensor.data` therefore answers with `Values`, which knows shapes but no numbers, and
says which line asked for one.

A record holds for the arrays, flags and modes it was made with. Each call compares them, and records anew where a
shape, requires_grad, training mode or a tensor itself has changed.
"""

from __future__ import annotations

import functools
import linecache
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .. import autograd
from ..autograd import Op, Tensor, array_of, is_grad_enabled
from ..nn.module import Module
from .plan import Plan
from .program import Effect, Step, Value

PLANS = 8
"""Plans that one captured function keeps, the oldest going first."""

_HERE = str(Path(__file__).parents[1])
_INSIDE = (_HERE, str(Path(np.__file__).parent), "<__array_function__")


class CaptureError(RuntimeError):
    """A step does something that a plan cannot repeat; the message names the line."""


def _refuse(what: str) -> CaptureError:
    """The error, naming the innermost line outside minigan."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INSIDE):
        frame = frame.f_back
    file, number = frame.f_code.co_filename, frame.f_lineno
    line = linecache.getline(file, number).strip()
    return CaptureError(f"capture: {what}, at {file}:{number}: {line}")


class Values:
    """An array's shape without its numbers: what `Tensor.data` is while a step is recorded."""

    __slots__ = ("_array",)

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __array__(self, *args, **kwargs):
        raise self._read()

    __array_ufunc__ = __array_function__ = __array__

    def __getattr__(self, name: str):
        if name in {"shape", "dtype", "ndim", "size", "strides", "flags", "nbytes", "itemsize"}:
            return getattr(self._array, name)
        raise self._read()

    @staticmethod
    def _read() -> CaptureError:
        return _refuse("a value is read while the step is recorded, and a replay would not read it again; return the"
                       " tensor and look at it outside")  # fmt: skip


def _reader(name: str) -> Callable:
    def read(self, *args, **kwargs):
        raise self._read()

    read.__name__ = name
    return read


# fmt: off
OPERATORS = (
    "add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow matmul rmatmul neg abs and rand"
    " or ror invert eq ne lt le gt ge getitem setitem len iter bool int float complex index contains iadd isub imul"
    " itruediv"
)
# fmt: on
for _name in OPERATORS.split():
    setattr(Values, f"__{_name}__", _reader(_name))
Values.__hash__ = object.__hash__


class Recording:
    """The record of one run of a step, and the state it was made in."""

    def __init__(self) -> None:
        self.steps: list[Step | Effect] = []
        self.values: dict[int, tuple[weakref.ref, Value]] = {}
        self.leaves: dict[int, tuple[Tensor, np.ndarray]] = {}
        self.born: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()
        self.flags: dict[int, tuple[Tensor, bool]] = {}
        self.grads: dict[int, tuple[Tensor, Tensor | None, bool]] = {}
        self.modes: dict[int, tuple[Module, bool, bool]] = {}
        self.generators: dict[int, tuple[object, dict]] = {}

    def apply(self, op: Op, inputs: Sequence[Tensor]):
        """Run the op for its shapes and note it."""
        if op.generator is not None:
            self.generators.setdefault(id(op.generator), (op.generator, op.generator.state_dict()))
        arrays = [array_of(x) for x in inputs]
        read = [self._value(x, array) for x, array in zip(inputs, arrays, strict=True)]
        made = op.run(inputs, arrays)
        kept = tuple(_dense(y, arrays) for y in (made if type(made) is tuple else (made,)))
        written = []
        for y in kept:
            source = next((v for x, v in zip(arrays, read, strict=True) if np.may_share_memory(x, y)), None)
            written.append(self._known(y) or self._new(y, source))
        if any(v not in read for v in written):
            self.steps.append(Step(op, tuple(read), tuple(written)))
        tracked = op.differentiable and is_grad_enabled() and any(x.requires_grad for x in inputs)
        return op.wrap(inputs, kept if type(made) is tuple else kept[0], tracked)

    def constant(self) -> CaptureError:
        """The error for an array of the caller's that enters the record."""
        return _refuse("an array becomes a tensor inside the step and would be the same at every replay; make the"
                       " tensor outside, and copy new data into it with assign")  # fmt: skip

    def in_place(self, kernel: Callable, targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
        """Note a change in place, without making it."""
        values = [[self._value(t, array_of(t)) for t in ts] for ts in (targets, sources)]
        self.steps.append(Effect(kernel, tuple(values[0]), tuple(values[1]), tuple(t.version for t in targets)))

    def value(self, tensor: Tensor) -> Value:
        """The value a tensor stands for at the end of the step."""
        return self._value(tensor, array_of(tensor))

    def _known(self, array: np.ndarray) -> Value | None:
        found = self.values.get(id(array))
        return found[1] if found is not None and found[0]() is array else None

    def _new(self, array: np.ndarray, source: Value | None = None) -> Value:
        value = Value(array, source)
        self.values[id(array)] = weakref.ref(array), value
        return value

    def _value(self, tensor: Tensor, array: np.ndarray) -> Value:
        known = self._known(array)
        if known is not None:
            return known
        value = self._new(array)
        value.array = array
        if self.born.get(id(tensor)) is not tensor:
            self.leaves[id(tensor)] = tensor, array
        return value


def _dense(y: np.ndarray, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """y, or a copy where it has gaps: a plan lays out its own arrays without."""
    if any(np.may_share_memory(x, y) for x in inputs):
        return y
    order = sorted(range(y.ndim), key=lambda axis: -y.strides[axis])
    return y if y.transpose(order).flags.c_contiguous or y.flags.c_contiguous else y.copy(order="K")


@contextmanager
def _watched(recording: Recording) -> Iterator[None]:
    """While it lasts, this thread's ops go to the recording, and so does every look at a tensor's state."""
    slots = {name: Tensor.__dict__[name] for name in ("data", "grad", "_leaf_grad")}
    created, called = Tensor.__init__, Module.__call__

    def here() -> bool:
        return autograd.recorder.get() is recording

    def data(self):
        array = slots["data"].__get__(self)
        return Values(array) if here() else array

    def note_grad(self, read: bool) -> None:
        if here() and recording.born.get(id(self)) is not self:
            recording.grads.setdefault(id(self), (self, slots["grad"].__get__(self), read))

    def grad(self):
        note_grad(self, read=True)
        return slots["grad"].__get__(self)

    def set_grad(self, value) -> None:
        note_grad(self, read=False)
        slots["grad"].__set__(self, value)

    def set_flag(self, value: bool) -> None:
        if here() and recording.born.get(id(self)) is not self:
            recording.flags.setdefault(id(self), (self, slots["_leaf_grad"].__get__(self)))
        slots["_leaf_grad"].__set__(self, value)

    def init(self, array, *args) -> None:
        if here():
            if isinstance(array, Values):
                raise Values._read()
            recording.born[id(self)] = self
            if not sys._getframe(1).f_code.co_filename.startswith(_HERE):
                raise recording.constant()
        slots["grad"].__set__(self, None)
        slots["_leaf_grad"].__set__(self, False)
        created(self, array, *args)

    def call(self, *args, **kwargs):
        if here():
            recording.modes.setdefault(id(self), (self, self.training, getattr(self, "moves_statistics", True)))
        return called(self, *args, **kwargs)

    token = autograd.recorder.set(recording)
    try:
        with _swapping:
            Tensor.data = property(data, slots["data"].__set__)
            Tensor.grad = property(grad, set_grad)
            Tensor._leaf_grad = property(slots["_leaf_grad"].__get__, set_flag)
            Tensor.__init__, Module.__call__ = init, call
            autograd.watchers += 1
            try:
                yield
            finally:
                autograd.watchers -= 1
                Tensor.__init__, Module.__call__ = created, called
                for name, slot in slots.items():
                    setattr(Tensor, name, slot)
    finally:
        autograd.recorder.reset(token)


_swapping = threading.RLock()
"""One recording at a time: it changes how Tensor answers."""


class Captured:
    """What `capture` returns: call it as the function. `plans` are the records made so far, newest last."""

    def __init__(self, function: Callable) -> None:
        functools.update_wrapper(self, function)
        self.function, self.plans, self._lock = function, [], threading.RLock()

    def __call__(self):
        if autograd.watchers and (autograd.recorder.get() is not None or autograd.is_anomaly_detected()):
            return self.function()
        with self._lock:
            for plan in reversed(self.plans):
                if plan.fits():
                    return plan.run()
            plan = _record(self.function)
            self.plans = [*self.plans[1 - PLANS :], plan]
            return plan.run()


def capture(function: Callable) -> Captured:
    """`function`, which takes no arguments, recorded at its first call and replayed from then on.

    It may read and change tensors, modules and optimisers it closes over: forward and backward passes of any order,
    zero_grad, requires_grad_, optimiser steps, assign, random draws. It returns what `function` returns, tensors in
    tuples, lists and dicts included, without their graphs. Results equal the eager ones up to float32 rounding, and a
    plan's own to the bit.

    - Python numbers in it (a penalty's weight, say) are fixed when it is recorded; an optimiser's settings are not.
    - New data goes in by copy: `tensor.assign(array)` outside of it.
    - Python side effects (print, append) happen when it is recorded only.
    - A .grad it leaves behind is overwritten by the next call.

    Raises CaptureError for a function that reads a value (`if loss > 1`, `loss.item()`), naming the line; what is wrong
    with shapes raises what it raises eagerly. Under `detect_anomaly` the function itself runs.
    """
    if not callable(function):
        raise TypeError(f"capture: expected a function without arguments, got {type(function).__name__}")
    return Captured(function)


def _record(function: Callable) -> Plan:
    recording = Recording()
    names = _tensors_named_by(function)
    returned = None
    with _watched(recording):
        try:
            returned = function()
            result, wanted = _packed(returned, recording)
            left = [(t, t.grad) for t, *_ in list(recording.grads.values())]
            grads = [(t, None if g is None else recording.value(g)) for t, g in left]
            exits = [(t, t._leaf_grad) for t, _ in recording.flags.values()]
        finally:
            for generator, state in recording.generators.values():
                generator.load_state_dict(state)
            for t, before, _ in recording.grads.values():
                t.grad = before
            for t, before in recording.flags.values():
                t._leaf_grad = before
    entries = [(t, before) for t, before, read in recording.grads.values() if read]
    return Plan(recording.steps, wanted, result, entries, grads, exits, _guard(recording, entries, names))


def _packed(returned, recording: Recording) -> tuple[Callable, list[Value]]:
    """(a function from the arrays of the values to what the step returns, those values)."""
    if isinstance(returned, Tensor):
        if recording.born.get(id(returned)) is not returned:
            return (lambda arrays: returned), []
        return (lambda arrays: Tensor(next(arrays).copy())), [recording.value(returned)]
    if isinstance(returned, (tuple, list, dict)):
        items = returned.values() if isinstance(returned, dict) else returned
        parts = [_packed(item, recording) for item in items]
        wanted = [value for _, values in parts for value in values]
        if isinstance(returned, dict):
            keys = list(returned)
            return (lambda arrays: {k: make(arrays) for k, (make, _) in zip(keys, parts, strict=True)}), wanted
        kind = type(returned)
        build = kind._make if hasattr(kind, "_make") else kind
        return (lambda arrays: build([make(arrays) for make, _ in parts])), wanted
    return (lambda arrays: returned), []


def _tensors_named_by(function: Callable) -> list[tuple[Callable[[], object], Tensor]]:
    """(how to look it up, the tensor) for each tensor that the function names: rebinding the name must be noticed."""
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None:
        return []
    looks = [functools.partial(getattr, cell, "cell_contents", None) for cell in function.__closure__ or ()]
    looks += [functools.partial(function.__globals__.get, name) for name in code.co_names]
    return [(look, found) for look in looks if isinstance(found := look(), Tensor)]


def _guard(recording: Recording, entries: list, names: list) -> Callable[[], bool]:
    """Whether everything the record depends on is as it was."""
    flags = {key: before for key, (_, before) in recording.flags.items()}
    leaves = [(t, array, flags.get(key, t._leaf_grad)) for key, (t, array) in recording.leaves.items()]
    leaves += [(t, array_of(t), before) for key, (t, before) in recording.flags.items() if key not in recording.leaves]
    modes = list(recording.modes.values())
    recorded = is_grad_enabled()

    def fits() -> bool:
        if is_grad_enabled() is not recorded:
            return False
        for t, array, flag in leaves:
            if t.data is not array or t._leaf_grad is not flag:
                return False
        for t, before in entries:
            if (t.grad is None) is not (before is None):
                return False
        for module, training, moves in modes:
            if module.training is not training or getattr(module, "moves_statistics", True) is not moves:
                return False
        return all(look() is t for look, t in names)

    return fits
