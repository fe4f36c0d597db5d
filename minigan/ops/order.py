"""Machine room, ops: along one axis, the extremes with their places, sorting, medians, products and running sums.

What is picked from an array, its largest element or all of them in order, is read by `gather` at places that have no
derivative. So the derivative goes to the places read, and derivatives of any order are those of reading.
"""

from __future__ import annotations

import math
from typing import NamedTuple, overload

import numpy as np

from minigan import kernels
from minigan.kernels import layout

from ..autograd import Op, Tensor
from ..backend import FLOATS, float32, float64, int64, namespace
from .basic import cast, isnan, where, without
from .copy import clone, owned
from .elementary import lerp, maximum, minimum
from .extreme import Extreme
from .index import Concat, Index, gather_within, stack
from .reduce import Dim, amax, amin, any, argmax, argmin, axes_of, sum
from .shape import Linear, axis_index, reshape, squeeze


class Selection(NamedTuple):
    """Elements of a tensor, and their places along the axis, int64."""

    values: Tensor
    indices: Tensor


class ArgSort(Op):
    """i = the positions of x in rising order along an axis, int64; equal ones stay in order, NaN is the largest

    Not differentiable.
    """

    name, differentiable = "argsort", False

    def __init__(self, axis: int, descending: bool) -> None:
        self.axis, self.descending = axis, descending

    def forward(self, x):
        if not self.descending:
            return namespace(x).argsort(x, self.axis, kind="stable").astype(int64)
        back = (slice(None),) * self.axis + (slice(None, None, -1),)
        # Backwards twice, so that equal elements stay in order.
        return (x.shape[self.axis] - 1 - namespace(x).argsort(x[back], self.axis, kind="stable")[back]).astype(int64)


class CumSum(Linear):
    """y_i = x_0 + ... + x_i along one axis, or x_i + ... to the end; added up in float64
    dL/dx = the running sums of g from the other end"""

    def __init__(self, axis: int, backwards: bool = False) -> None:
        self.axis, self.backwards = axis, backwards

    def forward(self, x):
        if isinstance(x, np.ndarray) and x.dtype in FLOATS and x.size:
            x = x if self._block(x) is not None else np.ascontiguousarray(x)
            return layout.unblock(kernels.along.running_sum(self._block(x), self.backwards), x)
        turn = (slice(None),) * self.axis + (slice(None, None, -1 if self.backwards else 1),)
        wide = float64 if x.dtype == float32 else x.dtype
        return namespace(x).cumsum(x[turn], self.axis, dtype=wide)[turn].astype(x.dtype)

    def prepare(self, work, inputs, outputs):
        (x,), (y,) = inputs, outputs
        block, result = self._block(x), self._block(y)
        if block is None or result is None or layout.memory_order(x) != layout.memory_order(y):
            super().prepare(work, inputs, outputs)
        else:
            kernels.along.running_sum(block, self.backwards, result, work=work)

    def _block(self, x):
        return layout.block(x, (self.axis,)) if isinstance(x, np.ndarray) and x.dtype in FLOATS else None

    def vjp(self, node, need, g):
        return (CumSum(self.axis, not self.backwards)(g),)


class Median(Op):
    """y = the element in the middle of x in rising order, of two the smaller; NaN wins
    dL/dx = g / k at the k elements equal to y, else 0"""

    name, saves_output = "median", True
    __init__, vjp = Extreme.__init__, Extreme.vjp

    def forward(self, x):
        line = namespace(x).sort(x.reshape(-1))
        middle = line[(x.size - 1) // 2]
        return namespace(x).where(line[-1] == line[-1], middle, line[-1])


@overload
def max(input: Tensor) -> Tensor: ...
@overload
def max(input: Tensor, dim: int, keepdim: bool = False) -> Selection: ...
@overload
def max(input: Tensor, dim: Tensor) -> Tensor: ...
def max(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Tensor | Selection:
    """The largest element; along axis `dim`, (values, indices) of the first largest ones. Between two tensors,
    `maximum`.

    Equal largest elements of the whole tensor share the gradient; along an axis, the element at the index gets it. NaN
    is the largest. Raises ValueError over no elements.
    """
    if isinstance(dim, Tensor):
        return maximum(input, dim)
    return amax(input) if dim is None else _select(input, dim, keepdim, argmax)


@overload
def min(input: Tensor) -> Tensor: ...
@overload
def min(input: Tensor, dim: int, keepdim: bool = False) -> Selection: ...
@overload
def min(input: Tensor, dim: Tensor) -> Tensor: ...
def min(input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False) -> Tensor | Selection:
    """The smallest element; along axis `dim`, (values, indices) of the first smallest ones. Between two tensors,
    `minimum`.

    Equal smallest elements of the whole tensor share the gradient; along an axis, the element at the index gets it. NaN
    is the smallest. Raises ValueError over no elements.
    """
    if isinstance(dim, Tensor):
        return minimum(input, dim)
    return amin(input) if dim is None else _select(input, dim, keepdim, argmin)


def _select(input: Tensor, dim: int, keepdim: bool, places) -> Selection:
    if input.ndim == 0:
        return Selection(clone(input), reshape(places(reshape(input, 1), dim), ()))
    indices = places(input, dim, True)
    values = gather_within(input, dim, indices)
    return Selection(values, indices) if keepdim else Selection(squeeze(values, dim), squeeze(indices, dim))


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The places of the elements in rising order along axis `dim`, int64; see `sort`."""
    axis = axis_index(dim, input.ndim, "argsort")
    return ArgSort(axis, descending)(input) if input.ndim else reshape(argsort(reshape(input, 1)), ())


def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Selection:
    """(values, indices): the elements in rising order along axis `dim`, and their places.

    Equal elements stay in order, whatever `stable` says; NaN is the largest. Each element gets the gradient of the
    place that it went to.
    """
    axis_index(dim, input.ndim, "sort")
    indices = argsort(input, dim, descending)
    return Selection(gather_within(input, dim, indices) if input.ndim else clone(input), indices)


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Selection:
    """(values, indices): the k largest elements along axis `dim`, the largest first, or the k smallest, and their
    places.

    They are always in order, of equal ones the first; NaN is the largest. Raises ValueError unless the axis has k.
    """
    axis = axis_index(dim, input.ndim, "topk")
    size = input.shape[axis] if input.ndim else 1
    if not 0 <= k <= size:
        raise ValueError(f"topk: k {k} is not in 0..{size}, the size of axis {axis} of shape {input.shape}")
    if input.ndim == 0:
        return Selection(*(reshape(t, (k,) if k == 0 else ()) for t in topk(reshape(input, 1), k, 0)))
    indices = Index((slice(None),) * axis + (slice(0, k),))(argsort(input, axis, largest))
    return Selection(gather_within(input, axis, indices), indices)


@overload
def median(input: Tensor) -> Tensor: ...
@overload
def median(input: Tensor, dim: int, keepdim: bool = False) -> Selection: ...
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor | Selection:
    """The element in the middle of the order, of two the smaller; along axis `dim`, (values, indices).

    Equal ones share the gradient over the whole tensor; along an axis, the element at the index gets it. NaN where
    there is one. Raises ValueError over no elements.
    """
    _elements("median", input, dim)
    return Median(axes_of(None, input.ndim, "median"))(input) if dim is None else _select(input, dim, keepdim, _middle)


def _middle(input: Tensor, dim: int, keepdim: bool = False) -> Tensor:
    """The places of the medians; of the first NaN where there is one."""
    axis = axis_index(dim, input.ndim, "median")
    middle = (input.shape[axis] - 1) // 2
    places = Index((slice(None),) * axis + (slice(middle, middle + 1),))(argsort(input, axis))
    places = where(any(isnan(input), axis, True), argmax(input, axis, True), places)
    return places if keepdim else squeeze(places, axis)


def quantile(
    input: Tensor, q: float | Tensor, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The value below which a share q, in [0, 1], of the elements lies; of several q, a new first axis counts them.

    It stands at place q (n - 1) of the n elements in rising order; interpolation says what is between two: "linear",
    "lower", "higher", "midpoint" or "nearest". NaN where there is one. Raises ValueError over no elements.
    """
    if input.dtype not in FLOATS:
        raise TypeError(f"quantile: expected a floating dtype, got {input.dtype}; use .float() first")
    _elements("quantile", input, dim)
    shares = np.asarray(q.tolist() if isinstance(q, Tensor) else q, input.dtype)
    if shares.ndim > 1 or not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError(f"quantile: q must be in [0, 1], one or a list, got {q!r:.60}")
    if interpolation not in BETWEEN:
        raise ValueError(f"quantile: unknown interpolation {interpolation!r}; known: {', '.join(BETWEEN)}")
    line = reshape(input, (input.data.size,)) if dim is None or input.ndim == 0 else input
    axis = 0 if dim is None else axis_index(dim, line.ndim, "quantile")
    order = sort(line, axis).values
    last = line.shape[axis] - 1

    def at(place: int) -> Tensor:
        return Index((slice(None),) * axis + (slice(place, place + 1),))(order)

    rows = []
    for rank in (shares * input.dtype.type(last)).reshape(-1).tolist():
        place = BETWEEN[interpolation](rank)
        low, share = math.floor(place), place % 1
        value = at(low) if share == 0 else lerp(at(low), at(low + 1), share)
        rows.append(where(isnan(at(last)), at(last), value))
    if dim is None or input.ndim == 0:
        shape = (1,) * input.ndim if keepdim else ()
    else:
        shape = without(input.shape, (axis,), keepdim)
    rows = [reshape(row, shape) for row in rows]
    return stack(rows) if shares.ndim else rows[0]


BETWEEN = {
    "linear": lambda rank: rank,
    "lower": math.floor,
    "higher": math.ceil,
    "midpoint": lambda rank: (math.floor(rank) + math.ceil(rank)) / 2,
    "nearest": round,
}
"""How the place of a quantile that is no whole number is taken."""


def _elements(op: str, input: Tensor, dim: int | None) -> None:
    """ValueError where there is nothing to take one of."""
    axes = axes_of(dim, input.ndim, op)
    if 0 in (input.shape[a] for a in axes):
        raise ValueError(f"{op}: nothing to reduce along dim {axes} of shape {input.shape}")


@owned
def cumsum(input: Tensor, dim: int) -> Tensor:
    """The running sums along axis `dim`, float32 ones added up in float64; bools and integers sum to int64."""
    axis = axis_index(dim, input.ndim, "cumsum")
    input = input if input.dtype in FLOATS else cast(input, int64)
    return CumSum(axis)(input) if input.ndim else reshape(input, ())


@owned
def cumprod(input: Tensor, dim: int) -> Tensor:
    """The running products along axis `dim`, float32 ones multiplied in float64; bools and integers multiply to int64.

    Each pass multiplies every element by the product that ends 1, 2, 4 ... places before it, so that the derivative
    by an element is the product of the others, also where some are zero, and to every order.
    """
    axis = axis_index(dim, input.ndim, "cumprod")
    y = cast(input, float64 if input.dtype in FLOATS else int64)
    lead, size, step = (slice(None),) * axis, input.shape[axis] if input.ndim else 1, 1
    while step < size:
        start, early, late = (
            Index((*lead, key))(y) for key in (slice(0, step), slice(0, size - step), slice(step, size))
        )
        y, step = Concat(axis)(start, early * late), 2 * step
    return cast(y, input.dtype) if input.dtype in FLOATS else y


@owned
def prod(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The product over `dim`; bools and integers multiply to int64, no elements to 1.

    It multiplies one half of the elements by the other until one is left, so that the derivative by an element is the
    product of the others, also where some are zero, and to every order.
    """
    y = input if input.dtype in FLOATS else cast(input, int64)
    axes = axes_of(dim, y.ndim, "prod")
    for axis in axes:
        lead = (slice(None),) * axis
        while (size := y.shape[axis]) > 1:
            half = size // 2
            low, high = Index((*lead, slice(0, half)))(y), Index((*lead, slice(half, 2 * half)))(y)
            y = Concat(axis)(low * high, Index((*lead, slice(2 * half, size)))(y)) if size % 2 else low * high
        if size == 0:
            y = sum(y, axis, keepdim=True) + 1  # of nothing, which it depends on
    return y if keepdim else reshape(y, tuple(n for i, n in enumerate(input.shape) if i not in axes))
