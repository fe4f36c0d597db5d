"""Machine room, ops: the other ways in which PyTorch and NumPy say reshape, permute, take a part and join."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

from ..autograd import Tensor, array_of, as_tensor
from .basic import broadcast_to, cast
from .copy import clone
from .index import Index, cat
from .shape import axis_index, permute, reshape, sizes_of, transpose, unsqueeze

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


def unflatten(input: Tensor, dim: int, sizes: int | Sequence[int]) -> Tensor:
    """Axis `dim` as several, of `sizes`, one of which may be -1; the opposite of `flatten`.

    Raises ValueError for sizes that do not multiply to the axis's.
    """
    axis, sizes = axis_index(dim, input.ndim, "unflatten"), sizes_of((sizes,))
    size = input.shape[axis] if input.ndim else 1
    product = math.prod(s for s in sizes if s != -1)
    if -1 in sizes and product and size % product == 0:
        sizes = tuple(size // product if s == -1 else s for s in sizes)
    if not sizes or min(sizes) < 0 or math.prod(sizes) != size:
        raise ValueError(f"unflatten: sizes {sizes} do not multiply to {size}, axis {axis} of shape {input.shape}")
    return reshape(input, (*input.shape[:axis], *sizes, *input.shape[axis + 1 :]))


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors side by side: joined along axis 1, vectors along their only one."""
    tensors = _at_least(tensors, 1)
    return cat(tensors, 0 if tensors[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors one below the other: joined along axis 0, vectors as rows."""
    return cat(_at_least(tensors, 2), 0)


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors one behind the other: joined along axis 2, which vectors and matrices get."""
    return cat(_at_least(tensors, 3), 2)


def _at_least(tensors: Sequence[Tensor], ndim: int) -> list[Tensor]:
    """The tensors with new axes in front up to two, then at the end."""
    rows = [as_tensor(t) for t in tensors]
    if not rows:
        raise ValueError("expected at least one tensor")
    rows = [reshape(t, (1,) * (min(ndim, 2) - t.ndim) + t.shape) if t.ndim < min(ndim, 2) else t for t in rows]
    return [unsqueeze(t, 2) if t.ndim == 2 and ndim == 3 else t for t in rows]


def contiguous(input: Tensor) -> Tensor:
    """`input` in row-major order in memory: itself if it lies so, else a copy."""
    return input if array_of(input).flags.c_contiguous else clone(input)


Tensor.mT = property(lambda self: transpose(self, -1, -2), doc="The last two axes exchanged.")
