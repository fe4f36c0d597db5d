"""Machine room, capture: what a plan need not compute at every replay, because it depends on weights that stand still.

In a step that reads weights and does not change them, such as a generator's forward pass, the packed weights, and the
scale and shift that batch norm makes of running statistics, are the same at every replay, until somebody writes to the
weights. Who does so by a change in place counts it (`_array.in_place`): assignments, optimisers, `load_state_dict`,
other plans. Who has the array itself, from `.data` or NumPy, need not; so a tensor whose memory began as its own,
`_array.Seal`, knows whether such an array is still in somebody's hands. While one is, everything is computed at every
replay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .._array import Seal, owner
from .program import Effect, Instruction, Value

FEW = 8
"""Loops, one after the other, that one memo runs together."""

SMALL = 1 << 16
"""Bytes of a result that is remembered: what it occupies, nothing else can."""


class Memo:
    """Loops of a plan as one, which runs them only where one of the versions says that a weight may have changed."""

    def __init__(self, versions: frozenset[Seal], calls: Sequence[tuple[Callable, tuple]]) -> None:
        self.versions, self.calls = versions, list(calls)
        self.seen: list[tuple[Seal, int, int | None]] = []  # what each version was when the loops last ran

    def __call__(self) -> None:
        for version, count, lent in self.seen:
            if version[0] != count or version.lent != lent or (version.loans and version.state() is None):
                break
        else:
            if self.seen:
                return
        self.seen = []
        known = [(version, version[0], version.lent) for version in self.versions if version.state() is not None]
        for function, arguments in self.calls:
            function(*arguments)
        if len(known) == len(self.versions):
            self.seen = known

    def joined(self, other: Memo) -> bool:
        """Run those loops after these ones, if there is little of both; whether there is."""
        if len(self.calls) + len(other.calls) > FEW:
            return False
        self.versions, self.calls = self.versions | other.versions, [*self.calls, *other.calls]
        return True


class Constants:
    """What of a program depends on nothing but sealed leaves that it does not change.

    end: the number of the line after the last. `exits`, what the caller gets, may be written to by the caller.
    """

    def __init__(self, program: Sequence[Instruction | Effect], exits: Sequence[Value]) -> None:
        self.end = len(program)
        leaves = {v.root for line in program for v in line.reads if isinstance(v.root.array, np.ndarray)}
        targets = {v.root for line in program if isinstance(line, Effect) for v in line.targets}
        self._written = {v.root for v in exits} | targets
        self._written |= {line.into.root for line in program if isinstance(line, Instruction) and line.into is not None}
        changed = {id(owner(leaf.array)) for leaf in leaves & targets}
        sealed = {id(owner(leaf.array)): leaf.version for leaf in leaves if type(leaf.version) is Seal}
        self._leaves = {key: frozenset([version]) for key, version in sealed.items() if key not in changed}
        self._values: dict[Value, frozenset[Seal]] = {}

    def of_array(self, array: object) -> frozenset[Seal] | None:
        """The versions that an array of the caller's depends on; None for one that is no such leaf's."""
        return self._leaves.get(id(owner(array))) if isinstance(array, np.ndarray) else None

    def of_line(self, line: Instruction) -> frozenset[Seal] | None:
        """The versions that a line's small results depend on; None where they are computed at every replay."""
        parts = [self._of_value(value.root) for value in line.reads]
        small = all(value.nbytes <= SMALL and value.root not in self._written for value in line.outputs)
        pure = type(line.op).__module__.startswith("minigan.ops.") and line.op.generator is None
        if not parts or None in parts or not small or not pure:
            return None
        versions = frozenset().union(*(part for part in parts if part is not None))
        self._values.update((value.root, versions) for value in line.outputs)
        return versions

    def _of_value(self, root: Value) -> frozenset[Seal] | None:
        return self._values.get(root) if root.array is None else self.of_array(root.array)
