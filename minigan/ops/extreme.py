"""Machine room, ops: the largest and the smallest element over axes, and the share that each element has in it."""

from __future__ import annotations

import functools

import numpy as np

from minigan import kernels
from minigan.kernels import layout

from ..autograd import Op
from ..backend import FLOATS, namespace
from .basic import without
from .shape import reshape


class Extreme(Op):
    """Shared rule of amax and amin: the k elements equal to the result get g / k each (PyTorch's convention)."""

    saves_output = True

    def __init__(self, axes: tuple[int, ...]) -> None:
        self.axes = axes

    def forward(self, x):
        return extreme(x, self.axes, self.name == "amax")

    def prepare(self, work, inputs, outputs):
        (x,), (out,) = inputs, outputs
        block = _block(x, self.axes)
        if block is None or not out.flags.c_contiguous:
            super().prepare(work, inputs, outputs)
        else:
            results = out.reshape(block.shape[0], block.shape[2])
            kernels.along.extreme_along(block, self.name == "amax", results, work=work)

    def vjp(self, node, need, g):
        shape = without(node.inputs[0].shape, self.axes, keepdims=True)
        share = ExtremeShare(self.axes)(node.inputs[0], reshape(node.output(), shape))
        return (reshape(g, shape) * share,)


class Amax(Extreme):
    """y = the largest x over axes
    dL/dx = g / k at the k elements equal to y, else 0"""

    name = "amax"


class Amin(Extreme):
    """y = the smallest x over axes
    dL/dx = g / k at the k elements equal to y, else 0"""

    name = "amin"


class ExtremeShare(Op):
    """s = 1 / k at each of the k elements of x that equal y, the extreme over axes, else 0; NaN where y is

    Not differentiable: its derivative is zero everywhere it exists.
    """

    name, differentiable = "extreme_share", False

    def __init__(self, axes: tuple[int, ...]) -> None:
        self.axes = axes

    def forward(self, x, y):
        if (block := _float_block(x, self.axes)) is not None:
            return layout.unblock(kernels.along.extreme_share(block, _results(y, block)), x)
        extremes = (x == y).astype(x.dtype)
        with np.errstate(invalid="ignore"):
            return namespace(x).asarray(extremes / extremes.sum(self.axes, keepdims=True))

    def prepare(self, work, inputs, outputs):
        (x, y), (out,) = inputs, outputs
        block, result = _float_block(x, self.axes), _float_block(out, self.axes)
        if block is None or result is None or block.shape != result.shape or not y.flags.c_contiguous:
            super().prepare(work, inputs, outputs)
        else:
            kernels.along.extreme_share(block, _results(y, block), result, work=work)


SHORT = 16


def _parts(x, axes: tuple[int, ...]) -> list:
    """x at each place of one short axis, at least 2 of them: NumPy takes the extreme of a few whole arrays some 30
    times as fast as it goes along a short axis. None of them where x is no NumPy array or the axis is long."""
    if len(axes) != 1 or not isinstance(x, np.ndarray) or not 2 <= x.shape[axes[0]] <= SHORT:
        return []
    return [x[(*[slice(None)] * axes[0], i)] for i in range(x.shape[axes[0]])]


def _float_block(x, axes: tuple[int, ...]) -> np.ndarray | None:
    """x (A, K, B) for the kernels that go along axes, or None where they do not apply."""
    return layout.block(x, axes) if isinstance(x, np.ndarray) and x.dtype in FLOATS and axes else None


def _block(x, axes: tuple[int, ...]) -> np.ndarray | None:
    """The same for an extreme, where NumPy is no quicker."""
    block = None if _parts(x, axes) else _float_block(x, axes)
    return None if block is None or block.shape[0] * block.shape[2] == 1 else block


def _results(y: np.ndarray, block: np.ndarray) -> np.ndarray:
    """y, one number for each line of a block (A, K, B), as (A, B)."""
    return y.reshape(block.shape[0], block.shape[2])


def extreme(x, axes: tuple[int, ...], largest: bool):
    """The largest element of x over axes, or the smallest; NaN wins."""
    if parts := _parts(x, axes):
        return functools.reduce(np.maximum if largest else np.minimum, parts)
    if (block := _block(x, axes)) is not None:
        return kernels.along.extreme_along(block, largest).reshape(without(x.shape, axes))
    return namespace(x).asarray((x.max if largest else x.min)(axes))


def largest(x, axis):
    """The largest element along axes, which are kept with size 1; -infinity where there is none."""
    axes = tuple(i % x.ndim for i in (axis if isinstance(axis, tuple) else (axis,)))
    shape = without(x.shape, axes, keepdims=True)
    if not x.size:
        return namespace(x).full(shape, -np.inf, x.dtype)
    return extreme(x, axes, True).reshape(shape)
