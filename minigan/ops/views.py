"""Machine room, ops: the other ways in which PyTorch and NumPy say reshape, permute and take a part."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from ..autograd import Tensor, array_of
from .basic import broadcast_to, cast
from .copy import clone
from .index import Index
from .shape import axis_index, permute, reshape, sizes_of, transpose

swapaxes = swapdims = transpose


def expand(input: Tensor, *sizes: int | Sequence[int]) -> Tensor:
    """A view repeated to `sizes`; -1 keeps an axis."""
    sizes = sizes_of(sizes)
    lead = len(sizes) - input.ndim
    return broadcast_to(input, tuple(input.shape[i - lead] if s == -1 else s for i, s in enumerate(sizes)))


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """A view repeated to the shape of `other`."""
    return expand(input, other.shape)


def view_as(input: Tensor, other: Tensor) -> Tensor:
    """The elements of `input` in the shape of `other`."""
    return reshape(input, other.shape)


reshape_as = view_as


def type_as(input: Tensor, other: Tensor) -> Tensor:
    """`input` in the dtype of `other`."""
    return cast(input, other.dtype)


def ravel(input: Tensor) -> Tensor:
    """All elements along one axis."""
    return reshape(input, -1)


def t(input: Tensor) -> Tensor:
    """A matrix transposed; a tensor of fewer axes as it is. Raises ValueError on more axes."""
    if input.ndim > 2:
        raise ValueError(f"t: expected at most 2 axes, got shape {input.shape}; name them with transpose or permute")
    return transpose(input, 0, 1) if input.ndim == 2 else input


def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Axes `source` at the places `destination`, the others in their order."""
    pairs = [(v,) if isinstance(v, int) else tuple(v) for v in (source, destination)]
    if len(pairs[0]) != len(pairs[1]):
        raise ValueError(f"movedim: {len(pairs[0])} axes for {len(pairs[1])} places")
    axes, places = [[axis_index(d, input.ndim, "movedim") for d in pair] for pair in pairs]
    if len(set(axes)) != len(axes) or len(set(places)) != len(places):
        raise ValueError(f"movedim: {source} to {destination} names an axis twice")
    order = [axis for axis in range(input.ndim) if axis not in axes]
    for place, axis in sorted(zip(places, axes, strict=True)):
        order.insert(place, axis)
    return permute(input, order)


moveaxis = movedim


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice number `index` along axis `dim`, a view without that axis."""
    axis, index = axis_index(dim, input.ndim, "select"), operator.index(index)
    if input.ndim == 0 or not -input.shape[axis] <= index < input.shape[axis]:
        raise IndexError(f"select: index {index} is outside axis {dim} of shape {input.shape}")
    return Index((slice(None),) * axis + (index,))(input)


def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """`length` slices from `start` on along axis `dim`, a view."""
    axis, start = axis_index(dim, input.ndim, "narrow"), operator.index(start)
    size = input.shape[axis] if input.ndim else 0
    start = start + size if start < 0 else start
    if not 0 <= start <= start + length <= size:
        raise IndexError(f"narrow: {length} slices from {start} on are outside axis {dim} of shape {input.shape}")
    return Index((slice(None),) * axis + (slice(start, start + length),))(input)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along axis `dim`, views without that axis."""
    axis = axis_index(dim, input.ndim, "unbind")
    if input.ndim == 0:
        raise ValueError("unbind: a 0-d tensor has no axis")
    return tuple(select(input, axis, i) for i in range(input.shape[axis]))


def contiguous(input: Tensor) -> Tensor:
    """`input` in row-major order in memory: itself if it lies so, else a copy."""
    return input if array_of(input).flags.c_contiguous else clone(input)


Tensor.mT = property(lambda self: transpose(self, -1, -2), doc="The last two axes exchanged.")
