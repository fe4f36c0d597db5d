"""Machine room, ops: the same elements in another shape, or with the axes in another order.

Both are linear, and the vjp of each is its adjoint: the same op with the other shape, or the order reversed.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from math import prod

import numpy as np

from ..autograd import Op, Tensor

Pair = int | tuple[int, int]
"""A setting of height and width: one number for both, or one for each."""


class Linear(Op):
    """An op linear in its one input: its vjp reads no values."""

    saves_input = False

    @property
    def name(self) -> str:
        return type(self).__name__.lower()


class Reshape(Linear):
    """y = the elements of x, in row-major order, in another shape
    dL/dx = g in the shape of x"""

    alias = True

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, x):
        return x.reshape(self.shape)

    def vjp(self, node, need, g):
        return (Reshape(node.inputs[0].shape)(g),)


class Permute(Linear):
    """y = x with its axes in another order, a view
    dL/dx = g with its axes in the order of x"""

    alias = True

    def __init__(self, axes: tuple[int, ...]) -> None:
        self.axes = axes

    def forward(self, x):
        return x.transpose(self.axes)

    def vjp(self, node, need, g):
        back = self if self.axes == (1, 0) else Permute(tuple(int(i) for i in np.argsort(self.axes)))
        return (back(g),)


def axis_index(dim: int, ndim: int, op: str) -> int:
    """`dim` as a non-negative axis; a single number counts as one axis. Raises IndexError, naming the op, when it is
    out of range, TypeError for what is no whole number, as True."""
    if isinstance(dim, (bool, np.bool_)):
        raise TypeError(f"{op}: dim must be an integer, got {dim}")
    dim, axes = integer(op, "dim", dim), max(ndim, 1)
    if not -axes <= dim < axes:
        raise IndexError(f"{op}: dimension {dim} is out of range for a tensor of {ndim} dimensions")
    return dim % axes


def integer(op: str, what: str, value: int) -> int:
    """`value` as a Python integer. Raises TypeError that names op and argument."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{op}: {what} must be an integer, got {value!r:.60}") from None


def sizes_of(shape: tuple) -> tuple[int, ...]:
    """Sizes given as f(2, 3) or f((2, 3))."""
    shape = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    return tuple(operator.index(s) for s in shape)


def pair_of(op: str, what: str, value: Pair, least: int) -> tuple[int, int]:
    """`value` for height and width, given once or for each. Raises ValueError that names op and argument."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or any(isinstance(v, bool) or not isinstance(v, (int, np.integer)) or v < least for v in pair):
        raise ValueError(f"{op}: {what} must be an integer or a pair of integers, at least {least}, got {value!r}")
    return int(pair[0]), int(pair[1])


def check_4d(op: str, input: Tensor, weight: Tensor | None = None) -> None:
    """ValueError, naming the op, unless input is (N, C, H, W) and the weight has 4 axes too."""
    if input.ndim != 4:
        raise ValueError(f"{op}: input must be (N, C, H, W), got shape {input.shape}")
    if weight is not None and weight.ndim != 4:
        raise ValueError(f"{op}: weight must have 4 axes, got shape {weight.shape}")


def reshape(input: Tensor, *shape: int | Sequence[int]) -> Tensor:
    """The elements of `input` in a new shape, one size of which may be -1."""
    shape = sizes_of(shape)
    size = input._data.size
    product = prod([s for s in shape if s != -1])
    if shape.count(-1) == 1 and product and size % product == 0:
        shape = tuple(size // product if s == -1 else s for s in shape)
    elif shape.count(-1) or product != size or any(s < 0 for s in shape):
        raise ValueError(f"reshape: {size} elements of shape {input.shape} do not fit shape {shape}")
    return input if shape == input.shape else Reshape(shape)(input)


view = reshape


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Axes start_dim..end_dim joined into one."""
    if input.ndim == 0:
        return reshape(input, 1)
    start, end = axis_index(start_dim, input.ndim, "flatten"), axis_index(end_dim, input.ndim, "flatten")
    if start > end:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    size = prod(input.shape[start : end + 1])
    return reshape(input, (*input.shape[:start], size, *input.shape[end + 1 :]))


def squeeze(input: Tensor, dim: int | None = None) -> Tensor:
    """Without its axes of size 1, or without axis `dim` if that has size 1."""
    drop = range(input.ndim) if dim is None else (axis_index(dim, input.ndim, "squeeze"),)
    return reshape(input, tuple(s for i, s in enumerate(input.shape) if not (i in drop and s == 1)))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a new axis of size 1 at position `dim`."""
    dim = axis_index(dim, input.ndim + 1, "unsqueeze")
    return reshape(input, (*input.shape[:dim], 1, *input.shape[dim:]))


def permute(input: Tensor, *dims: int | Sequence[int]) -> Tensor:
    """The axes in the order `dims`, a view."""
    axes = tuple(axis_index(d, input.ndim, "permute") for d in sizes_of(dims))
    if sorted(axes) != list(range(input.ndim)):
        raise ValueError(f"permute: {sizes_of(dims)} does not name each axis of shape {input.shape} once")
    return Permute(axes)(input)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Axes dim0 and dim1 exchanged, a view."""
    axes = list(range(input.ndim))
    a, b = axis_index(dim0, input.ndim, "transpose"), axis_index(dim1, input.ndim, "transpose")
    axes[a], axes[b] = axes[b], axes[a]
    return Permute(tuple(axes))(input)


Tensor.T = property(lambda self: permute(self, tuple(range(self.ndim))[::-1]), doc="The axes in reverse order.")
