"""Machine room, ops: what looks across a batch whose parts are computed apart, in turn or by several processes.

Part p has a tensor x_p of its own, and the sum over the parts is the same for all of them, so L = L_1 + ... + L_P gives

    y = x_1 + ... + x_P,    dL/dx_p = dL_1/dy + ... + dL_P/dy,

the same sum once more, of cotangents. Every part therefore runs the same ops in the same order, in every derivative.

Batch norm over all parts is composed of that sum and basic ops, N being the values of a channel in all parts:

    m = sum of x / N,    v = sum of (x - m)^2 / N,    y = w (x - m) (v + eps)^(-1/2) + b.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from .. import _modes
from .._array import in_place
from ..autograd import Op, Tensor
from ..backend import float64, host, on
from .elementary import rsqrt, square
from .norm import _axes, _channel, _move
from .reduce import sum


class Group:
    """The parts of a batch, seen from one of them. count: how many. add: the sum of all parts' vectors, float64, in the
    order of the parts; each part gives one and waits."""

    def __init__(self, count: int, add: Callable[[np.ndarray], np.ndarray]) -> None:
        self.count, self.add = count, add
        self._totals: list[np.ndarray] = []
        self._again: Iterator[np.ndarray] | None = None

    def begin(self) -> None:
        """A new pass, which `again` will repeat."""
        self._totals.clear()

    def total(self, vector: np.ndarray) -> np.ndarray:
        """The sum of all parts' vectors, or what it was when a pass is repeated."""
        if self._again is not None:
            was = next(self._again, vector)  # not a sum that another part spoilt: that one names the op
            return was if was.shape == vector.shape and np.isfinite(was).all() else vector
        self._totals.append(self.add(vector))
        return self._totals[-1]

    @contextmanager
    def again(self) -> Iterator[None]:
        """Within it this part repeats its last pass alone: it waits for nobody, and may end in the middle."""
        self._again = iter(self._totals)
        try:
            yield
        finally:
            self._again = None


class AcrossParts(Op):
    """y = x_1 + ... + x_P, the sum over the parts of a batch
    dL/dx = AcrossParts(g)"""

    name, saves_input = "across_parts", False

    def __init__(self, group: Group) -> None:
        self.group = group

    def forward(self, x):
        recorder = _modes.current_recorder()
        if recorder is not None and recorder.is_dry:  # the record wants the shape; its replays add
            return x.copy()
        vector = host(x).astype(float64).ravel()
        return on(x, self.group.total(vector).reshape(x.shape).astype(x.dtype))

    def vjp(self, node, need, g):
        return (AcrossParts(self.group)(g),)


def batch_norm_across(
    x: Tensor,
    running: tuple[Tensor | None, Tensor | None],
    weight: Tensor | None,
    bias: Tensor | None,
    momentum: float,
    eps: float,
    group: Group,
) -> Tensor:
    """Batch norm of one part x (n, C, ...) by the statistics of all parts, which are equally large, towards which the
    `running` mean and variance move; see `functional.batch_norm`. Raises ValueError for one value per channel in all.
    """
    count = group.count * x.shape[0] * int(np.prod(x.shape[2:], dtype=np.int64))
    if count <= 1:
        raise ValueError(f"batch_norm: training needs more than one value per channel, got {group.count} of {x.shape}")
    across: Callable[[Tensor], Tensor] = AcrossParts(group)
    m = across(sum(x, _axes(x))) / count
    centred = x - _channel(m, x)
    v = across(sum(square(centred), _axes(x))) / count
    y = centred * _channel(rsqrt(v + eps) if weight is None else rsqrt(v + eps) * weight, x)
    for moving, batch, factor in zip(running, (m, v), (1, count / (count - 1)), strict=True):
        if moving is not None:
            in_place(_move(1 - momentum, momentum * factor), [moving], [batch])
    return y if bias is None else y + _channel(bias, x)
