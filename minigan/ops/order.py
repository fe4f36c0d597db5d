"""Machine room, ops: along one axis, the extremes with their places, sorting, products and running sums.

What is picked from an array, its largest element or all of them in order, is read by `gather` at places that have no
derivative. So the derivative goes to the places read, and derivatives of any order are those of reading.
"""

from __future__ import annotations

from typing import NamedTuple, overload

import numpy as np

from ..autograd import Op, Tensor, array_of
from ..backend import FLOATS, float32, float64, int64, namespace, on
from .basic import cast
from .elementary import maximum, minimum
from .index import Concat, Index, gather_within
from .reduce import Dim, amax, amin, argmax, argmin, axes_of, with_ones
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
        turn = (slice(None),) * self.axis + (slice(None, None, -1 if self.backwards else 1),)
        wide = float64 if x.dtype == float32 else x.dtype
        return namespace(x).cumsum(x[turn], self.axis, dtype=wide)[turn].astype(x.dtype)

    def vjp(self, node, need, g):
        return (CumSum(self.axis, not self.backwards)(g),)


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
        return Selection(input, reshape(places(reshape(input, 1), dim), ()))
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
    return Selection(gather_within(input, dim, indices) if input.ndim else input, indices)


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


def cumsum(input: Tensor, dim: int) -> Tensor:
    """The running sums along axis `dim`, float32 ones added up in float64; bools and integers sum to int64."""
    axis = axis_index(dim, input.ndim, "cumsum")
    input = input if input.dtype in FLOATS else cast(input, int64)
    return CumSum(axis)(input) if input.ndim else reshape(input, ())


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
            y = Tensor(on(array_of(y), np.ones(with_ones(y.shape, (axis,)), y.dtype)))
    return y if keepdim else reshape(y, tuple(n for i, n in enumerate(input.shape) if i not in axes))
