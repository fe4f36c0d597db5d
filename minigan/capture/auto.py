"""Machine room, capture: a step that is captured by itself once it was seen to be the same program at each call.

    step = minigan.auto_capture(step)     # any function; nothing else in the loop changes
    for images in batches:
        loss = step(images)

`capture` runs a function for its record alone, and trusts it. Here nothing is run for a record: a call is the eager
call, watched. From the second call on the ops, the changes in place and what Python's code reads are noted as they
happen (`Watch`). A plan takes over when

1. nothing was noted that a replay could not repeat, or would leave out: a value that is read, a clock, a file, an entry
   in a list, a number that counts calls, a tensor that outlives the call (`refusal`, `effects`, and the guard itself,
   which must hold right after the call that it describes);
2. two calls that began alike noted the same program;
3. the plan, run from the state before the second of them, gave the bits of the eager call: what it returned, every
   .grad, every tensor it changed, the optimisers' states and where random generators stand. It makes only rewrites that
   keep every bit.

From then on a call whose guard holds is a replay; any other is the eager call. Where a condition fails the calls stay
eager, `Auto.why` says for what reason, and it is looked at again after 2, 4, 8, ... calls.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from types import MethodType

import numpy as np

from .. import _modes
from ..autograd import Tensor, array_of
from .guard import same
from .reach import SCALARS
from .record import PLANS, ghosts
from .refusal import CaptureError
from .results import walk
from .watched import Call, Replay, State, detached


def same_bits(a: object, b: object) -> bool:
    """Whether arrays, numbers and containers of them are the same to the bit, arrays also in how they lie."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        if (a.shape, a.dtype) != (b.shape, b.dtype) or a.tobytes() != b.tobytes():
            return False
        return all(x == y for n, x, y in zip(a.shape, a.strides, b.strides, strict=True) if n > 1)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_bits(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same_bits, a, b))
    return same(a, b)


FEW = 4
"""Watched calls that are remembered: in two modes, say, in turn."""


def _plain(function: Callable, args: tuple, kwargs: dict):
    result = function(*args, **kwargs)
    try:
        return detached(result)
    except CaptureError:  # a container that cannot be built anew
        return result


class Program:
    """What is known of the calls with arguments of one kind: the plans, and the last watched calls that were fit.

    The first call is not watched: it makes what is made once, such as an optimiser's state.
    """

    def __init__(self, objects: list) -> None:
        self.objects, self.plans, self.watched = objects, [], []
        self.calls, self.next, self.wait = 0, 2, 1
        self.reason = "it was not called often enough with such arguments yet"
        if any(isinstance(value, np.ndarray) for value in objects):
            self.reason = "an argument is a NumPy array, and known by its identity; pass a tensor"

    def eager(self, function: Callable, inputs: Sequence[Tensor], args: tuple, kwargs: dict):
        """The call itself, watched if it is its turn."""
        self.calls += 1
        if self.calls < self.next or sys.getprofile() is not None:
            return _plain(function, args, kwargs)
        last = next((call for call in reversed(self.watched) if call.fits()), None)
        state = None if last is None else State(last.record)
        before = None if state is None else state.taken()
        try:
            call = Call(function, inputs, args, kwargs)
        except BaseException:
            self._later()
            raise
        self.reason = call.reason
        if not call.reason and last is not None:
            plan = None
            if not (reason := call.agrees(last)):
                try:
                    plan = call.plan()
                    reason = tried(plan, call, state, before)
                except Exception as error:  # the call itself is over, and right
                    reason = f"no plan can be made of it: {error}"
            self.reason = reason
            if not reason:
                self.plans = [*self.plans[1 - PLANS :], plan]
                self.watched.remove(last)
                ghosts.update(call.record.computed)
                self.wait, self.next = 1, self.calls + 1
                return call.result
        if not call.reason:
            self.watched = [*self.watched[1 - FEW :], call]
        if call.reason or self.reason or len(self.watched) > 1:
            self._later()
        else:
            self.next = self.calls + 1
        return call.result

    def _later(self) -> None:
        """Look again after twice as many calls."""
        self.wait *= 2
        self.next = self.calls + self.wait


def tried(plan: Replay, call: Call, state: State, before: tuple) -> str:
    """Run a plan from the state before the call: "" if it gives what the call gave, else what is different. Afterwards
    all is as the call left it."""
    after = state.taken()
    grads = [(t, t._grad) for t, _ in call.grads]
    flags = [(t, t._leaf_grad) for t, _ in call.flags]
    try:
        state.put(before)
        for t, g in call.entries:
            t._grad = g
        result = plan.run_on(call.inputs)
        replayed = state.taken()
        arrays = [[array_of(x) for x, _ in walk(r) if isinstance(x, Tensor)] for r in (call.result, result)]
        if not same_bits(*arrays):
            return "a plan of it returns other bits"
        if not all(
            (g is None) is (t._grad is None) and (g is None or same_bits(array_of(g), array_of(t._grad)))
            for t, g in grads
        ):
            return "a plan of it leaves other bits in a .grad"
        return "" if same_bits(replayed[:4], after[:4]) else "a plan of it changes a tensor to other bits"
    finally:
        state.put(after)
        for t, g in grads:
            t._grad = g
        for t, flag in flags:
            t._leaf_grad = flag


class Auto:
    """What `auto_capture` returns: call it as the function.

    replays: how many calls were replays. why: for what reason the last call was none, "" if it was one.
    """

    def __init__(self, function: Callable) -> None:
        functools.update_wrapper(self, function)
        self.function, self.replays, self.why = function, 0, "it was not called yet"
        self._programs: OrderedDict[tuple, Program] = OrderedDict()
        self._lock = threading.RLock()

    def __call__(self, *args, **kwargs):
        is_watched = _modes.watchers and (_modes.recorder.get() is not None or _modes.is_anomaly_detected())
        if is_watched or _modes.changes.get() is not None:
            return _plain(self.function, args, kwargs)
        with self._lock:
            inputs, objects = [], []
            key = tuple(_kind(value, inputs, objects) for value in (*args, *kwargs.values())), tuple(kwargs)
            program = self._programs.get(key)
            if program is None:
                program = self._programs[key] = Program(objects)
                if len(self._programs) > PLANS:
                    self._programs.popitem(last=False)
            else:
                self._programs.move_to_end(key)
                for plan in reversed(program.plans):
                    if plan.takes(inputs):
                        self.replays += 1
                        self.why = ""
                        return plan.run_on(inputs)
            try:
                return program.eager(self.function, inputs, args, kwargs)
            finally:
                self.why = program.reason or "it is about to be captured"

    def __get__(self, owner: object, kind: type | None = None):
        return self if owner is None else MethodType(self, owner)

    def __repr__(self) -> str:
        eager = f"; the last call was eager: {self.why}" if self.why else ""
        return f"<auto_capture of {self.function!r}: {self.replays} replays{eager}>"

    def __reduce__(self):
        return Auto, (self.function,)


def _layout(array: np.ndarray) -> tuple:
    return array.shape, array.dtype, array.strides


def _kind(value: object, inputs: list, objects: list) -> object:
    """What must be the same of an argument for a plan to hold. Tensors that are data join `inputs`."""
    kind = type(value)
    if isinstance(value, Tensor) and not (value.requires_grad or value.hooks or value._grad is not None):
        inputs.append(value)
        return kind, *_layout(array_of(value))
    if kind in (list, tuple):
        return kind, *(_kind(entry, inputs, objects) for entry in value)
    if kind is dict:
        return kind, tuple(map(repr, value)), *(_kind(entry, inputs, objects) for entry in value.values())
    if isinstance(value, SCALARS):
        return kind, repr(value)
    objects.append(value)  # so that its identity stays its own
    return kind, id(value)


def auto_capture(function: Callable) -> Auto:
    """`function`, a training step say, captured by itself once its calls were seen to be one program.

    A call is the eager call, to the bit: it either is one, or a replay that was compared with one. Nothing need be
    changed in the step, which may take arguments; tensors that require no gradient may be others at each call. There is
    a plan for each shape of them, for each value of the other arguments, and for each mode and setting that its code
    reads. Rates of optimisers are read at every call.

    Two things differ from the function by itself, from the first call on: what it returns has no graph, so gradients
    are taken inside; and a replay runs none of its Python. So a step stays eager that does with Python what a replay
    would leave out: it prints, counts, appends, reads a value (`loss.item()`), keeps a tensor, draws from NumPy, makes
    a tensor of an array. `why` of the returned object names the line. An error that depends on values (a class out of
    range) leaves each .grad as it was before the call.

    Raises TypeError for what cannot be called.
    """
    if not callable(function):
        raise TypeError(f"auto_capture: expected a function, got {type(function).__name__}")
    return Auto(function)
