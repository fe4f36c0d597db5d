"""A forward pass as a list of op calls.

A network is run twice, with two rows and with three: an axis whose size follows is the batch, and what does not depend
on the inputs is a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import nn
from ..autograd import Op, Tensor, array_of, no_grad
from ..profiler import Tape

ROWS = (2, 3)


@dataclass(frozen=True)
class Call:
    """One op. inputs, outputs: pairs of arrays, of the run with two rows and of that with three. layer: the module that
    it ran in; module_call: which call of a module that was, of all so far."""

    op: Op
    inputs: tuple[tuple[np.ndarray, np.ndarray], ...]
    outputs: tuple[tuple[np.ndarray, np.ndarray], ...]
    layer: str
    module_call: int


@dataclass(frozen=True)
class Forward:
    """calls: those on the way from the inputs to the outputs. inputs, outputs: pairs of arrays. names: id of a weight's
    array -> its name."""

    calls: list[Call]
    inputs: list[tuple[np.ndarray, np.ndarray]]
    outputs: list[tuple[np.ndarray, np.ndarray]]
    names: dict[int, str]


class _Calls(Tape):
    """Keeps each op and its arrays."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Op, list, list, str, int]] = []
        self._module_calls = 0

    def module_called(self, module: nn.Module) -> None:
        """Count it."""
        self._module_calls += 1
        super().module_called(module)

    def op_called(self, op: Op, inputs: Sequence[Tensor]):
        """Run it and keep it."""
        result = super().op_called(op, inputs)
        tensors = result if type(result) is tuple else (result,)
        arrays = [[array_of(x) for x in some] for some in (inputs, tensors)]
        self.calls.append((op, *arrays, self.rows[-1].layer, self._module_calls))
        return result


def forward(network: nn.Module, inputs: Sequence[np.ndarray]) -> Forward:
    """The forward pass of a network in evaluation mode on arrays of at least three rows. Raises ValueError where its
    ops depend on the number of rows."""
    runs = [_run(network, [np.ascontiguousarray(x[:rows]) for x in inputs]) for rows in ROWS]
    (tape, arguments, results), (twin, twin_arguments, twin_results) = runs
    if [type(c[0]) for c in tape.calls] != [type(c[0]) for c in twin.calls]:
        raise ValueError("export: the network runs other ops for another number of rows")
    moving = {id(x) for x in arguments}
    calls = []
    for (op, xs, ys, *where), (_, twin_xs, twin_ys, *_) in zip(tape.calls, twin.calls, strict=True):
        if moving.isdisjoint(map(id, xs)):
            continue
        moving.update(map(id, ys))
        calls.append(Call(op, tuple(zip(xs, twin_xs, strict=True)), tuple(zip(ys, twin_ys, strict=True)), *where))
    weights = {id(array_of(p)): name for name, p in network.named_parameters()}
    return Forward(
        calls,
        list(zip(arguments, twin_arguments, strict=True)),
        list(zip(results, twin_results, strict=True)),
        weights,
    )


def _run(network: nn.Module, arrays: Sequence[np.ndarray]) -> tuple[_Calls, list, list]:
    tensors = [Tensor(x) for x in arrays]
    with no_grad(), _Calls() as tape:
        result = network(*tensors)
    results = result if isinstance(result, (tuple, list)) else (result,)
    return tape, [array_of(t) for t in tensors], [array_of(y) for y in results]


def sizes(pair: tuple[np.ndarray, np.ndarray]) -> list[int]:
    """A shape, with -k in place of k times the number of rows."""
    return [resolved(*both) for both in zip(*(x.shape for x in pair), strict=True)]


def resolved(two: int, three: int) -> int:
    """A size that is the same for two rows and for three, or -k for one that is k times the rows. Raises ValueError for
    any other."""
    if two == three:
        return two
    if two * ROWS[1] == three * ROWS[0]:
        return -(three - two)
    raise ValueError(f"export: an axis of size {two} for two rows and {three} for three is neither fixed nor the rows'")


def is_whole(key: slice, size: int, call: Call) -> bool:
    """Whether a slice takes all of an axis of rows, whose `size` is -k, however many there are."""
    length = -size * ROWS[0]
    return key.indices(length) == (0, length, 1) and size in sizes(call.outputs[0])


def per_row(pair: tuple[np.ndarray, np.ndarray]) -> float | None:
    """What one number is, divided by the number of rows, where it is in proportion to that, as the count of a mean over
    rows; None where it is the same for any number of rows. Raises ValueError for any other."""
    two, three = pair
    if np.array_equal(two, three):
        return None
    if two.size == 1 and two.shape == three.shape and (two * ROWS[1] == three * ROWS[0]).all():
        return two.item() / ROWS[0]
    raise ValueError("a constant of it depends on the number of rows")
