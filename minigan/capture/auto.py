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
2. two calls in a row noted the same program;
3. the plan, run from the state before the second of them, gave the bits of the eager call: what it returned, every
   .grad, every tensor it changed, the optimisers' states and where random generators stand. It makes only rewrites that
   keep every bit.

From then on a call whose guard holds is a replay; any other is the eager call. Where a condition fails the calls stay
eager, `Auto.why` says for what reason, and it is looked at again after 2, 4, 8, ... calls.
"""

from __future__ import annotations

import functools
import gc
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from types import MethodType

import numpy as np

from .. import _array, _modes
from .._array import owner
from ..autograd import Tensor, array_of
from ..backend import default_generator
from .effects import Traces
from .guard import same
from .plan import Plan
from .program import Effect
from .reach import SCALARS, tracing
from .record import PLANS, Guards, Recording, ghosts
from .refusal import CaptureError, refusal
from .results import packed, walk
from .verify import difference


class Watch(Recording):
    """The record of a call that runs as ever. reason: why no plan can repeat it, "" if one can. inputs: the tensors
    among its arguments."""

    is_dry = False

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()
        self.inputs, self.reason = inputs, ""

    def refuse(self, error: CaptureError) -> None:
        """Note the first one."""
        self.reason = self.reason or str(error).removeprefix("capture: ")

    def laid_out(self, y: np.ndarray, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """As it is."""
        return y

    def changed_in_place(self, kernel: Callable, targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
        """Note a change in place, and make it."""
        super().changed_in_place(kernel, targets, sources)
        listener = sys.getprofile()
        sys.setprofile(None)
        try:
            kernel(*map(array_of, targets), *map(array_of, sources))
        finally:
            sys.setprofile(listener)

    def data_read(self, tensor: Tensor) -> np.ndarray:
        """The array, which the program now depends on."""
        self.refuse(refusal("a value is read, which the next call may find to be another"))
        return array_of(tensor)


class State:
    """What a program changes that lasts: arrays, optimisers and other owners of kernels, random generators."""

    def __init__(self, record: Watch) -> None:
        effects = [line for line in record.program if isinstance(line, Effect)]
        roots = {v.root: v.root.array for line in effects for v in line.targets if v.root.array is not None}
        owners = [getattr(getattr(line.kernel, "func", line.kernel), "__self__", None) for line in effects]
        self.arrays = list(roots.values())
        self.owners = list({id(owner): owner for owner in owners if owner is not None}.values())
        self.generators = [generator for generator, _ in record.generators.values()]
        self.versions = [version for line in effects for version in line.versions]

    def taken(self) -> tuple:
        """A copy of it."""
        return (
            [array.copy(order="K") for array in self.arrays],
            [owner.remember() if hasattr(owner, "remember") else None for owner in self.owners],
            [{k: v for k, v in vars(owner).items() if isinstance(v, SCALARS)} for owner in self.owners],
            [generator.state_dict() for generator in self.generators],
            [version[0] for version in self.versions],
        )

    def put(self, copies: tuple) -> None:
        """Make it what it was when the copy was taken."""
        arrays, optimisers, numbers, generators, versions = copies
        for array, before in zip(self.arrays, arrays, strict=True):
            np.copyto(array, before)
        for owner, before, scalars in zip(self.owners, optimisers, numbers, strict=True):
            vars(owner).update(scalars)
            if before is not None:
                owner.go_back(before)
        for generator, before in zip(self.generators, generators, strict=True):
            generator.load_state_dict(before)
        for version, before in zip(self.versions, versions, strict=True):
            version[0] = before


def same_bits(a: object, b: object) -> bool:
    """Whether arrays, numbers and containers of them are the same to the bit, arrays in their strides too."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return (a.shape, a.dtype, a.strides) == (b.shape, b.dtype, b.strides) and a.tobytes() == b.tobytes()
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same_bits(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same_bits, a, b))
    return same(a, b)


class Replay(Plan):
    """A plan with arguments. held: for each tensor among them, the array from which the plan reads it."""

    held: Sequence[np.ndarray] = ()
    owners: frozenset[int] = frozenset()
    """Ids of the arrays whose memory the plan changes."""

    def takes(self, inputs: Sequence[Tensor]) -> bool:
        """Whether the record holds for a call with these tensors."""
        for x in inputs:
            if id(owner(array_of(x))) in self.owners:
                return False
        return self.fits()

    def run_on(self, inputs: Sequence[Tensor]):
        """Run the step; what it leaves behind is nobody else's."""
        for array, x in zip(self.held, inputs, strict=True):
            np.copyto(array, array_of(x))
        result = self.run()
        for t, g in self._grads:
            if g is not None:
                t._grad = Tensor(array_of(g).copy(order="K"))
        return result


class Call:
    """An eager call that was watched. record; result: what it returns; reason: why no plan can repeat it."""

    def __init__(self, function: Callable, inputs: Sequence[Tensor], args: tuple, kwargs: dict) -> None:
        self.inputs, self.record = inputs, Watch(inputs)
        record = self.record
        seed = default_generator.state_dict()
        reach = Traces(function, record.is_born, record.refuse)
        with _modes.watching(_modes.recorder, record), tracing(reach):
            result = function(*args, **kwargs)
        reach.refuse_draws()
        if id(default_generator) not in record.generators and default_generator.state_dict() != seed:
            record.refuse(refusal("the default generator is moved without a draw"))
        self.reach = reach
        self.result, self.rest = result, []
        try:
            self.rebuild, self.values = packed(result, record.is_born, record.result, _own)
            self.result = detached(result, lambda t: t.node is not None or record.is_born(t))
            self.rest = [x for x, is_end in walk(result) if is_end and not (isinstance(x, Tensor) and record.is_born(x))]
            if any(not is_end and id(part) in reach.contents for part, is_end in walk(result)):
                record.refuse(CaptureError("it returns a container that it did not make"))
        except CaptureError as error:
            record.refuse(error)
        del result
        if not record.reason:
            self._looked_over()

    reason = property(lambda self: self.record.reason)

    def fits(self) -> bool:
        """Whether all that it began with is as it was."""
        return self.guards()

    def _looked_over(self) -> None:
        """Refuse what outlives the call, and what shares memory that it should not."""
        record, arguments = self.record, {id(x) for x in self.inputs}
        refuse = lambda text: record.refuse(CaptureError(text))  # noqa: E731
        changed = [(t, before) for t, before, _ in record.grads.values() if t._grad is not before]
        if any(g is not None and not record.is_born(g) for g in (t._grad for t, _ in changed)):
            refuse("a .grad is set to a tensor that the step did not make")
            return
        self.grads = [(t, None if t._grad is None else record.value(t._grad)) for t, _ in changed]
        self.flags = [(t, t._leaf_grad) for t, _ in record.flags.values()]
        self.entries = [(t, before) for t, before, read in record.grads.values() if read]
        lasting = {id(array) for _, array in record.leaves.values()}
        left = [*self.values, *(value for _, value in self.grads if value is not None)]
        if any(id(value.root.array) in lasting for value in left if value.root.array is not None):
            refuse("what it returns or leaves in a .grad shares memory with a tensor that it did not make")
        if len({value.root for value in left}) < len(left):
            refuse("two of the tensors that it returns or leaves in a .grad share memory")
        if any(id(end) in arguments for end in self.rest):
            refuse("it returns one of its arguments")
        if any(id(t) in arguments for t, *_ in (*record.grads.values(), *record.flags.values())):
            refuse("it sets requires_grad or .grad of one of its arguments; use x.detach() for that")
        self._memory(arguments, lasting, refuse)
        self.guards = guards = Guards(record, self.entries, self.reach)
        guard = guards.python
        if not guard.holds():
            before, now = guard.values
            refuse(f"it changes {guard.changed} (from {before} to {now}), which a replay would not")
        elif not guards.as_before():
            refuse("it changes the state of a module or a mode, which a replay would not")
        if self._alive():
            gc.collect()  # circles of the user's
        for t in self._alive():
            refuse(f"a tensor of shape {t.shape} that it makes outlives the call, and a replay would not renew it")

    def _memory(self, arguments: set[int], lasting: set[int], refuse: Callable) -> None:
        """Refuse arguments that are reached in another way, too, and changes of them, of gradients and of constants."""
        record = self.record
        inputs = {id(owner(array_of(x))) for x in self.inputs}
        before = {id(array_of(g)) for _, g in self.entries if g is not None}
        others = [array_of(t) for t, _ in record.leaves.values() if id(t) not in arguments]
        others += [array_of(t) for t in self.reach.tensors() if id(t) not in arguments]
        reached = {id(t) for t in self.reach.tensors()}
        if any(id(owner(array)) in inputs for array in others) or reached & arguments or len(inputs) < len(self.inputs):
            refuse("an argument shares memory with another tensor that it reads")
        for line in record.program:
            if not isinstance(line, Effect):
                continue
            for root in (value.root for value in line.targets):
                if root.array is None:
                    continue
                if id(owner(root.array)) in inputs:
                    refuse("it changes one of its arguments in place")
                if id(root.array) not in lasting:
                    refuse("it changes a constant of its own in place; make it with an op (x * 0 + 1)")
                if id(root.array) in before:
                    refuse("it changes a .grad in place; use zero_grad(set_to_none=True)")

    def _alive(self) -> list[Tensor]:
        """Tensors made by the call that somebody keeps, other than as a .grad."""
        ours = {id(t._grad) for t, _ in self.grads} | {id(t) for t in _array.constants()}
        return [t for t in self.record.born.values() if id(t) not in ours]

    def agrees(self, other: Call) -> str:
        """ "" if another call noted the same program; else what is different."""
        self._name_places(), other._name_places()
        if text := difference(other.record, self.record):
            return f"its program is another at the next call: {text}"
        rest = zip(self.rest, other.rest, strict=False)
        if len(self.rest) != len(other.rest) or not all(same(a, b) for a, b in rest):
            return "it returns something else than tensors and numbers, a new one at each call"
        return ""

    def _name_places(self) -> None:
        """Arguments and gradients are known by their place."""
        gradients = [g for _, g in self.entries if g is not None]
        for name, tensors in (("argument", self.inputs), ("gradient", gradients)):
            self.record.places |= {id(array_of(t)): (name, i) for i, t in enumerate(tensors)}

    def plan(self) -> Replay:
        """The plan that repeats the call."""
        record, held, entries = self.record, [], []
        for x in self.inputs:
            held.append(self._replaced(x))
        for t, before in self.entries:
            entries.append((t, before if before is None else Tensor(self._replaced(before))))
        guard = Guards(record, self.entries, self.reach)
        plan = Replay(record.program, self.values, self.rebuild, entries, self.grads, self.flags, guard, exact=True)
        plan.held = held
        plan.owners = frozenset(id(owner(array)) for array in State(record).arrays)
        return plan

    def _replaced(self, x: Tensor) -> np.ndarray:
        """A copy of a tensor's array, which the program reads in its place."""
        record, array = self.record, array_of(x)
        value, copy = record.value(x), array.copy(order="K")
        value.array, value.version = copy, [0]
        record.leaves.pop(id(x), None)
        return copy


def _own(array: np.ndarray) -> Tensor:
    return Tensor(array.copy(order="K"))


def detached(result, has_graph: Callable[[Tensor], bool] = lambda t: t.node is not None):
    """A result whose tensors have no graph."""
    rebuild, tensors = packed(result, has_graph, lambda t: t, lambda t: t.detach())
    return rebuild(iter(tensors)) if tensors else result


FEW = 4
"""Watched calls that are remembered: in two modes, say, in turn."""


class Program:
    """What is known of the calls with arguments of one kind: the plans, and the last watched calls that were fit.

    The first call is not watched: it makes what is made once, such as an optimiser's state.
    """

    def __init__(self, kept: list) -> None:
        self.kept, self.plans, self.watched = kept, [], []
        self.calls, self.next, self.wait = 0, 2, 1
        self.reason = "it was not called often enough yet"

    def eager(self, function: Callable, inputs: Sequence[Tensor], args: tuple, kwargs: dict):
        """The call itself, watched if it is its turn."""
        self.calls += 1
        if self.calls < self.next or sys.getprofile() is not None:
            try:
                return detached(result := function(*args, **kwargs))
            except CaptureError:  # what it returns cannot be built anew
                return result
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
            self.reason = call.agrees(last) or tried(plan := call.plan(), call, state, before)
            if not self.reason:
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
        made = [[array_of(x) for x, _ in walk(r) if isinstance(x, Tensor)] for r in (call.result, result)]
        if not same_bits(*made):
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
        if _modes.watchers and (_modes.recorder.get() is not None or _modes.is_anomaly_detected()):
            return self.function(*args, **kwargs)
        with self._lock:
            inputs, kept = [], []
            key = tuple(_kind(value, inputs, kept) for value in (*args, *kwargs.values())), tuple(kwargs)
            program = self._programs.get(key)
            if program is None:
                program = self._programs[key] = Program(kept)
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
        return f"<auto_capture of {self.function!r}: {self.replays} replays{self.why and f'; the last call was eager: {self.why}'}>"

    def __reduce__(self):
        return Auto, (self.function,)


def _kind(value: object, inputs: list, kept: list) -> object:
    """What must be the same of an argument for a plan to hold. Tensors that are data join `inputs`."""
    kind = type(value)
    if isinstance(value, Tensor) and not (value.requires_grad or value.hooks or value._grad is not None):
        inputs.append(value)
        array = array_of(value)
        return kind, array.shape, array.dtype, array.strides
    if kind in (list, tuple):
        return kind, *(_kind(entry, inputs, kept) for entry in value)
    if kind is dict:
        return kind, tuple(map(repr, value)), *(_kind(entry, inputs, kept) for entry in value.values())
    if isinstance(value, SCALARS):
        return kind, repr(value)
    kept.append(value)  # so that its identity stays its own
    return kind, id(value)


def auto_capture(function: Callable) -> Auto:
    """`function`, a training step say, captured by itself once its calls were seen to be one program.

    A call is the eager call, to the bit: it either is one, or a replay that was compared with one. Nothing need be
    changed in the step, which may take arguments; tensors that require no gradient may be others at each call. A program
    of its own is captured for each shape of them and for each other value of the rest, and for each mode and setting
    that its code reads. Rates of optimisers are read at every call.

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
