"""Machine room, capture: a call that is watched while it runs as ever, for `auto_capture`.

`Watch` is the recording of such a call: ops compute, changes in place are made, and what a record must not contain is
noted, not raised. `Call` then looks over what the call left behind: a plan may repeat it if nothing outlives it but
what it returns, gradients and the tensors that it changes, and if all that it reads is as it was. `Replay` is the plan.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence

import numpy as np

from .. import _array, _modes
from .._array import owner
from ..autograd import Tensor, array_of
from .effects import Traces
from .guard import same
from .plan import Plan
from .program import Effect, Instruction
from .reach import SCALARS, tracing
from .record import Guards, Recording
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
        self.generators = [generator for generator, *_ in record.drawn]
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
        for holder, before, scalars in zip(self.owners, optimisers, numbers, strict=True):
            vars(holder).update(scalars)
            if before is not None:
                holder.go_back(before)
        for generator, before in zip(self.generators, generators, strict=True):
            generator.load_state_dict(before)
        for version, before in zip(self.versions, versions, strict=True):
            version[0] = before


class Replay(Plan):
    """A plan with arguments. copies: for each tensor among them, the array from which the plan reads it."""

    copies: Sequence[np.ndarray] = ()
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
        for array, x in zip(self.copies, inputs, strict=True):
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
        reach = Traces(function, record.is_born, record.refuse)
        with _modes.watching(_modes.recorder, record), tracing(reach):
            result = function(*args, **kwargs)
        reach.refuse_draws(record.drawn)
        reach.let_go()
        self.reach, inputs = reach, {id(x) for x in inputs}
        reach.arguments = [x for x, _ in walk((args, kwargs)) if isinstance(x, Tensor) and id(x) not in inputs]
        self.result, self.rest = result, []
        try:
            self.rebuild, self.values = packed(result, record.is_born, record.result, _own)
            self.result = detached(result, lambda t: t.node is not None or record.is_born(t))
            ends = [x for x, is_end in walk(result) if is_end]
            self.rest = [x for x in ends if not (isinstance(x, Tensor) and record.is_born(x))]
            del ends
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

        def refuse(text: str) -> None:
            record.refuse(CaptureError(text))

        if not all(isinstance(array, np.ndarray) for _, array in record.leaves.values()):
            refuse("it computes on a device; capture(step) is for that")
        outside = [*self.reach.tensors(), *(t for t, _ in record.leaves.values())]
        if any(t.node is not None and not record.is_born(t) for t in outside):
            refuse("it reads a tensor with a graph that was made outside; detach() it there")
        for line in record.program:
            if not _is_ours(line):
                refuse(f"{line.op.name if isinstance(line, Instruction) else line.kernel} is not minigan's own, and"
                       " what else it does cannot be seen")  # fmt: skip
        changed = [  # and what was None, and is set to None without a look: a replay may find a gradient there
            (t, before)
            for t, before, read in record.grads.values()
            if t._grad is not before or (before is None and not read)
        ]
        if any(g is not None and not record.is_born(g) for g in (t._grad for t, _ in changed)):
            refuse("a .grad is set to a tensor that the step did not make")
            return
        self.grads = [(t, None if t._grad is None else record.value(t._grad)) for t, _ in changed]
        self.flags = [(t, t._leaf_grad) for t, _ in record.flags.values()]
        self.entries = [(t, before) for t, before, read in record.grads.values() if read]
        lasting = {id(array) for _, array in record.leaves.values()}
        lasting |= {id(array_of(t)) for t in (*self.inputs, *self.reach.tensors())}
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
        record, copies, entries = self.record, [], []
        for x in self.inputs:
            copies.append(self._replaced(x))
        for t, before in self.entries:
            entries.append((t, before if before is None else Tensor(self._replaced(before))))
        guard = Guards(record, self.entries, self.reach)
        plan = Replay(record.program, self.values, self.rebuild, entries, self.grads, self.flags, guard, exact=True)
        plan.copies = copies
        plan.owners = frozenset(id(owner(array)) for array in State(record).arrays)
        return plan

    def _replaced(self, x: Tensor) -> np.ndarray:
        """A copy of a tensor's array, which the program reads in its place."""
        record, array = self.record, array_of(x)
        value, copy = record.value(x), array.copy(order="K")
        value.array, value.version = copy, [0]
        record.leaves.pop(id(x), None)
        return copy


def _is_ours(line: Instruction | Effect) -> bool:
    if isinstance(line, Instruction):
        return type(line.op).__module__.startswith("minigan.")
    function = getattr(line.kernel, "func", line.kernel)
    owner = getattr(function, "__self__", None)
    modules = [getattr(function, "__module__", None) or "", "minigan." if owner is None else type(owner).__module__]
    return all(module.startswith("minigan.") for module in modules)


def _own(array: np.ndarray) -> Tensor:
    return Tensor(array.copy(order="K"))


def detached(result, has_graph: Callable[[Tensor], bool] = lambda t: t.node is not None):
    """A result whose tensors have no graph."""
    rebuild, tensors = packed(result, has_graph, lambda t: t, lambda t: t.detach())
    return rebuild(iter(tensors)) if tensors else result
