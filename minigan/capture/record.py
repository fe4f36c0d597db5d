"""Machine room, capture: record a training step once, then replay it without Python's part in it.

    step = minigan.capture(step)          # a function without arguments
    for images in batches:
        real.assign(images)               # new data goes in by copy
        loss = step()

An eager step decides, op by op, what to compute next; but every step of a training run decides the same. So the first
call runs the function once for the record: which ops, on which arrays, in which order. `plan` turns the record into a
list of compiled loops over one block of memory, and from then on a call runs that list.

What the record is made of:
- the ops, each with the values it reads and computes;
- what is changed in place: optimiser steps, running statistics, assignments (`in_place`). These are noted and not
  executed: the plan executes the first step too, so that a run which records anew when it is resumed goes through the
  same numbers, bit for bit;
- random draws, whose generators are set back afterwards. Every replay draws anew; learning rates are read anew.

All this the engine tells the recorder of its thread, here a `Recording`, at the points that `_modes.Recorder` lists.
What the record must not contain is a number's effect on the program: a branch on a loss, an array computed by hand from
another (`refusal`).

A record holds for the arrays and flags it was made with, and for all that Python's code read (`reach`): numbers,
attributes, entries, functions, modules, hooks. Each call compares them (`guard`), and records anew where one has
changed.
"""

from __future__ import annotations

import copy
import functools
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Sequence
from operator import attrgetter, is_

import numpy as np

from .. import _modes
from ..autograd import Op, Tensor, array_of, is_grad_enabled
from ..backend import default_device
from ..nn.module import Module
from ..ops.counting import Counted
from ..ops.index import Index
from .draws import Drawn
from .guard import Guard
from .plan import Plan
from .program import Effect, Instruction, Value
from .reach import NO_NAMES, Reach, tracing
from .refusal import CaptureError, ShapeOnly, array_refusal, is_own_code, refusal
from .results import packed
from .verify import compare_records, compare_results, interval

__all__ = ["CaptureError", "Captured", "Recording", "capture"]

PLANS = 8
"""Plans that one captured function keeps, the oldest going first."""


STALE = (
    "a tensor that an earlier record of a step made is read, and a replay would not make it anew; keep what lasts in a"
    " tensor made outside, and assign to it"
)

RESTLESS = 3
"""Records in a row, each made because the same kind of thing changed, after which the user is told."""


class Recording(_modes.Recorder):
    """The record of one run of a step, and the state it began in. places: by the id of a leaf's array, what it is known
    by in another record of the step, where that is not the array itself."""

    is_dry = True

    def __init__(self) -> None:
        self.program: list[Instruction | Effect] = []
        self.values: dict[int, tuple[weakref.ref, Value]] = {}
        self.leaves: dict[int, tuple[Tensor, np.ndarray]] = {}
        self.born: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()
        self.flags: dict[int, tuple[Tensor, bool]] = {}
        self.grads: dict[int, tuple[Tensor, Tensor | None, bool]] = {}
        self.modules: dict[int, tuple[Module, tuple]] = {}
        self.results: list[tuple[Value, np.ndarray]] = []
        self.computed: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()
        self.drawn = Drawn()
        self.places: dict[int, object] = {}
        self.constants: set[Value] = set()

    def refuse(self, error: CaptureError) -> None:
        """Raise it: the step does what a record must not contain."""
        raise error

    def op_called(self, op: Op, inputs: Sequence[Tensor]):
        """Run the op for its shapes and note it."""
        listener = sys.getprofile()
        sys.setprofile(None)  # a kernel's own calls, and the compiler's, are nobody's business
        try:
            return self._op_called(op, inputs)
        finally:
            sys.setprofile(listener)

    def _op_called(self, op: Op, inputs: Sequence[Tensor]):
        if op.generator is not None:
            self.drawn.before(op.generator, self.refuse)
        arrays = [array_of(x) for x in inputs]
        sources = [self._value(x, array) for x, array in zip(inputs, arrays, strict=True)]
        if isinstance(op, Counted):
            self.refuse(refusal(f"{op.name} has as many elements as the values say, and a record's shapes are fixed; do"
                                " it outside the step"))  # fmt: skip
        if isinstance(op, Index):
            for mask, source in zip(inputs[1:], sources[1:], strict=True):
                if mask.dtype == bool and not (self.is_born(mask) and source.array is not None):
                    self.refuse(refusal("a boolean mask picks as many elements as it holds, and a record's shapes are"
                                        " fixed; use where(mask, x, 0), or multiply by the mask"))  # fmt: skip
        outputs = op.run(inputs, arrays)
        if op.generator is not None:
            self.drawn.after(op.generator)
        several = type(outputs) is tuple
        outputs = tuple(self.laid_out(y, arrays) for y in (outputs if several else (outputs,)))
        results = []
        for y in outputs:
            base = next((v for x, v in zip(arrays, sources, strict=True) if np.may_share_memory(x, y)), None)
            results.append(self._known(y) or self._new(y, base))
        if any(v not in sources for v in results):
            self.program.append(Instruction(op, tuple(sources), tuple(results)))
        tracked = op.differentiable and is_grad_enabled() and any(x.requires_grad for x in inputs)
        tensors = op.wrap(inputs, outputs if several else outputs[0], tracked)
        for y in tensors if several else (tensors,):
            self.computed[id(y)] = y
        return tensors

    def laid_out(self, y: np.ndarray, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """A result as a plan will lay it out."""
        return _dense(y, inputs)

    def is_born(self, tensor: Tensor) -> bool:
        """Whether the step made the tensor."""
        return self.born.get(id(tensor)) is tensor

    def changed_in_place(self, kernel: Callable, targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
        """Note a change in place, without making it."""
        values = [[self._value(t, array_of(t)) for t in ts] for ts in (targets, sources)]
        self.program.append(Effect(kernel, tuple(values[0]), tuple(values[1]), tuple(t.version for t in targets)))

    def tensor_created(self, tensor: Tensor, array) -> None:
        """Note it as the step's own; CaptureError where the caller's code made it of an array."""
        if isinstance(array, ShapeOnly):
            self.refuse(ShapeOnly.refusal())
        self.born[id(tensor)] = tensor
        if not is_own_code(sys._getframe(2).f_code.co_filename):  # who called Tensor(...)
            self.refuse(array_refusal())

    def array_enters(self, array) -> None:
        """Refuse it."""
        self.refuse(array_refusal())

    def data_read(self, tensor: Tensor) -> ShapeOnly | np.ndarray:
        """Its shape."""
        return ShapeOnly(array_of(tensor))

    def grad_read(self, tensor: Tensor, read: bool = True) -> None:
        """Note the gradient that a tensor of the caller's had, and whether the step reads it before it sets it."""
        if self.born.get(id(tensor)) is not tensor:
            self.grads.setdefault(id(tensor), (tensor, tensor._grad, read))

    def grad_written(self, tensor: Tensor) -> None:
        """Likewise."""
        self.grad_read(tensor, read=False)

    def requires_grad_written(self, tensor: Tensor) -> None:
        """Note what it was."""
        if self.born.get(id(tensor)) is not tensor:
            self.flags.setdefault(id(tensor), (tensor, tensor._leaf_grad))

    def module_called(self, module: Module) -> None:
        """Note the state that it is first called in, where its class says what that is."""
        if not type(module).captured_state.__module__.startswith("minigan.nn"):
            self.modules.setdefault(id(module), (module, module.captured_state()))

    def value(self, tensor: Tensor) -> Value:
        """The value a tensor stands for at the end of the step."""
        return self._value(tensor, array_of(tensor))

    def result(self, tensor: Tensor) -> Value:
        """The same of one that the step returns; its array is remembered."""
        value = self.value(tensor)
        self.results.append((value, array_of(tensor)))
        return value

    def _known(self, array: np.ndarray) -> Value | None:
        entry = self.values.get(id(array))
        return entry[1] if entry is not None and entry[0]() is array else None

    def _new(self, array: np.ndarray, source: Value | None = None) -> Value:
        value = Value(array, source)
        self.values[id(array)] = weakref.ref(array), value
        return value

    def _value(self, tensor: Tensor, array: np.ndarray) -> Value:
        value = self._known(array)
        if value is None:
            value = self._new(array)
            value.array, value.version = array, tensor.version
            if ghosts.get(id(tensor)) is tensor:
                self.refuse(refusal(STALE))
            if self.born.get(id(tensor)) is not tensor:
                self.leaves[id(tensor)] = tensor, array
            else:
                self.constants.add(value)
        return value

    def renewals(self) -> list[Effect]:
        """What makes the step's own constants anew that it changes in place, `total = tensor(0.0); total += loss`. A
        buffer that a module makes at its first call only is none of them from the second record on, and the first does
        not fit again."""
        changed = {value.root for line in self.program if isinstance(line, Effect) for value in line.targets}
        return [
            Effect(functools.partial(_renew, value.array.copy(order="K")), (value,), (), ())
            for value in changed & self.constants
        ]


def _renew(constant: np.ndarray, array: np.ndarray) -> None:
    array[...] = constant


def _dense(y: np.ndarray, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """y, or a copy where it has gaps: a plan lays out its own arrays without."""
    if any(np.may_share_memory(x, y) for x in inputs):
        return y
    order = sorted(range(y.ndim), key=lambda axis: -y.strides[axis])
    return y if y.transpose(order).flags.c_contiguous or y.flags.c_contiguous else y.copy(order="K")


class Captured:
    """What `capture` returns: call it as the function. `plans` are the records made so far, newest last."""

    def __init__(self, function: Callable) -> None:
        functools.update_wrapper(self, function)
        self.function, self.plans, self._lock = function, [], threading.RLock()
        self._misses, self._replays, self._every = 0, 0, interval()

    def __call__(self):
        if _modes.watchers and (_modes.recorder.get() is not None or _modes.is_anomaly_detected()):
            return self.function()
        with self._lock:
            for plan in reversed(self.plans):
                if plan.fits():
                    self._misses = 0
                    return self._verified(plan) if self._every else plan.run()
            self._missed()
            plan = _record(self.function)
            self.plans = [*self.plans[1 - PLANS :], plan]
            return plan.run()

    def _verified(self, plan: Plan):
        """A replay, which is compared with the step itself at every n-th one; see `verify`."""
        self._replays += 1
        if self._replays % self._every:
            return plan.run()
        again = _record(self.function)
        compare_records(plan.recording, again.recording)
        result = plan.run()
        compare_results(again.recording.results, plan.results, again.recording.program)
        return result

    def _missed(self) -> None:
        """Count the calls in a row at which something that Python's code reads had changed, and say so once."""
        if not self.plans or not (guard := self.plans[-1].fits.python).changed:
            return
        self._misses += 1
        if self._misses == RESTLESS:
            before, now = guard.values
            warnings.warn(
                f"capture: {guard.changed} changes from call to call (from {before} to {now}), so the step is recorded"
                " anew each time; keep such a number in a tensor of no axes, and change that with assign",
                stacklevel=3,
            )

    def __deepcopy__(self, memo: dict) -> Captured:
        """The copy of its function, to be recorded anew: a record belongs to the arrays that it was made with."""
        return Captured(copy.deepcopy(self.function, memo))

    def __reduce__(self):
        """By its function; a function that `@capture` replaced is known by its name, as functions are."""
        module, name = getattr(self, "__module__", None), getattr(self, "__qualname__", "")
        if getattr(sys.modules.get(module), name, None) is self:
            return name
        return Captured, (self.function,)


def capture(function: Callable) -> Captured:
    """`function`, which takes no arguments, recorded at its first call and replayed from then on.

    It may read and change tensors, modules and optimisers it closes over: forward and backward passes of any order,
    zero_grad, requires_grad_, optimiser steps, assign, random draws. It returns what `function` returns, tensors in
    tuples, lists, dicts and dataclasses included, without their graphs. Results equal the eager ones up to float32
    rounding, and a plan's own to the bit.

    - Python numbers, modules and settings that it names may change: the next call records anew. What changes at every
      call belongs into a tensor. An optimiser's rates are read at every call.
    - New data goes in by copy: `tensor.assign(array)` outside of it.
    - Python side effects (print, append) happen when it is recorded only.
    - A .grad it leaves behind is overwritten by the next call.
    - Packed weights and the like are kept from call to call, until something writes to the weights.

    Raises CaptureError for a function that reads a value (`if loss > 1`, `loss.item()`), a clock or a random number of
    Python or NumPy, for one that seeds, makes or copies a `Generator`, for one that makes an optimiser, loads its state
    or changes its settings (a schedule's step belongs outside), for shapes that depend on values (`x[x > 0]`) and for
    results that cannot be built anew (a set, a generator), naming the line; what is wrong with shapes raises what it
    raises eagerly. Under `detect_anomaly` the function itself runs. With MINIGAN_CAPTURE=verify in the
    environment every tenth replay is compared with the step itself, and a difference is a CaptureError.
    """
    if not callable(function):
        raise TypeError(f"capture: expected a function without arguments, got {type(function).__name__}")
    return Captured(function)


ghosts: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()
"""Tensors that ops of a recorded run made and that outlive it, in an attribute or a list: no replay makes them anew."""


def _record(function: Callable) -> Plan:
    recording = Recording()
    reach = Reach(function, recording.is_born, recording.refuse)
    with _modes.watching(_modes.recorder, recording):
        try:
            with tracing(reach):
                result = function()
            reach.refuse_draws(recording.drawn)
            reach.settings.check(recording.refuse)
            rebuild, results = packed(result, recording.is_born, recording.result)
            grads = [(t, t._grad) for t, *_ in recording.grads.values()]
            grads = [(t, None if g is None else recording.value(g)) for t, g in grads]
            flags = [(t, t._leaf_grad) for t, _ in recording.flags.values()]
        finally:
            reach.draws.go_back(recording.drawn)
            for t, before, _ in recording.grads.values():
                t._grad = before
            for t, before in recording.flags.values():
                t._leaf_grad = before
    entries = [(t, before) for t, before, read in recording.grads.values() if read]
    guard = Guards(recording, entries, reach)
    plan = Plan([*recording.renewals(), *recording.program], results, rebuild, entries, grads, flags, guard)
    if interval():
        plan.recording = recording
    ghosts.update(recording.computed)
    return plan


class Guards:
    """Whether everything the record depends on is as it was: tensors, modes, and what Python's code read."""

    def __init__(self, recording: Recording, entries: list, reach: Reach) -> None:
        flags = {key: before for key, (_, before) in recording.flags.items()}
        leaves = {key: t for key, (t, _) in recording.leaves.items()} | {k: t for k, (t, _) in recording.flags.items()}
        read = {id(v.root.array) for line in recording.program for v in line.reads}
        leaves = {id(t): t for t in reach.tensors() if id(array_of(t)) in read} | leaves  # read by detach(), say
        self._tensors = list(leaves.values())
        self._arrays = [array_of(t) for t in self._tensors]
        self._flags = [flags.get(key, t._leaf_grad) for key, t in leaves.items()]
        self._entries = [(t, before is None) for t, before in entries]
        self._states = [(module.captured_state, state) for module, state in recording.modules.values()]
        self._modes = is_grad_enabled(), default_device()
        for t in self._tensors:
            if t.hooks:
                reach.visit(t.hooks, NO_NAMES, "the hooks of a tensor")
        self._hooks = [t.hooks for t in self._tensors]
        reach.forget_written(lambda t: id(t) in recording.leaves)
        self.python = Guard(reach)

    def __call__(self) -> bool:
        self.python.changed = ""
        if not (
            all(map(is_, map(array_of, self._tensors), self._arrays))
            and all(map(is_, map(_leaf_flag, self._tensors), self._flags))
            and all(map(is_, map(_hooks, self._tensors), self._hooks))
        ):
            return False
        for t, absent in self._entries:
            if (t._grad is None) is not absent:
                return False
        return self.as_before()

    def as_before(self) -> bool:
        """Whether what is no tensor is as it was."""
        if (is_grad_enabled(), default_device()) != self._modes:
            return False
        return all(captured_state() == state for captured_state, state in self._states) and self.python.holds()


_leaf_flag, _hooks = attrgetter("_leaf_grad"), attrgetter("hooks")
