"""Machine room, ops: elements moved, repeated or masked by where they stand; roll, tile, windows, triangles, diagonals.

None is an op of its own: each reads positions, repeats a view or chooses by a mask, so its derivatives of any order are
those of the ops it is composed of.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..autograd import Tensor, array_of
from ..backend import on
from .basic import broadcast_to, where
from .copy import owned
from .counting import Repeats
from .index import ARRAY, Index, IndexAdd, cat
from .reduce import sum
from .shape import axis_index, integer, permute, reshape, sizes_of, transpose


@owned
def roll(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """The elements moved by `shifts` along the axes `dims`; what leaves at one end enters at the other. Without dims,
    of the flattened tensor.

    Raises ValueError unless there is one shift for each axis.
    """
    if dims is None or dims == ():
        (shift,) = _integers("roll", "shifts", shifts, 1)
        return reshape(roll(reshape(input, (input.data.size,)), shift, 0), input.shape)
    dims = (dims,) if isinstance(dims, (int, np.integer)) else tuple(dims)
    shifts = _integers("roll", "shifts", shifts, len(dims))
    for shift, dim in zip(shifts, dims, strict=True):
        axis = axis_index(dim, input.ndim, "roll")
        size = input.shape[axis] if input.ndim else 0
        if size and shift % size:
            lead, cut = (slice(None),) * axis, size - shift % size
            input = cat([Index((*lead, slice(cut, None)))(input), Index((*lead, slice(0, cut)))(input)], axis)
    return input


def _integers(op: str, what: str, value: int | Sequence[int], count: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, (int, np.integer)) else tuple(value)
    if len(values) != count or not all(isinstance(v, (int, np.integer)) for v in values):
        raise ValueError(f"{op}: {what} must be {count} integers, got {value!r}")
    return values


@owned
def tile(input: Tensor, *dims: int | Sequence[int]) -> Tensor:
    """Copies side by side, dims[i] of them along axis i; dims count from the last axis, missing ones are 1.

    Raises ValueError for a negative number.
    """
    counts = sizes_of(dims)
    counts = (1,) * (input.ndim - len(counts)) + counts
    if any(n < 0 for n in counts):
        raise ValueError(f"tile: the numbers of copies must not be negative, got {counts}")
    shape = (1,) * (len(counts) - input.ndim) + input.shape
    pairs = [size for n, s in zip(counts, shape, strict=True) for size in (n, s)]
    blocks = reshape(input, tuple(size for s in shape for size in (1, s)))
    return reshape(broadcast_to(blocks, tuple(pairs)), tuple(n * s for n, s in zip(counts, shape, strict=True)))


@owned
def repeat(input: Tensor, *sizes: int | Sequence[int]) -> Tensor:
    """Copies side by side, sizes[i] of them along axis i: `tile` with a number for every axis, and axes in front.

    Raises ValueError for fewer numbers than axes.
    """
    counts = sizes_of(sizes)
    if len(counts) < input.ndim or any(n < 0 for n in counts):
        raise ValueError(f"repeat: {counts} must hold a number, none negative, for each axis of shape {input.shape}")
    return tile(input, counts)


@owned
def repeat_interleave(
    input: Tensor, repeats: int | Tensor, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element, or each slice along axis `dim`, so many times in a row. Without dim, of the flattened tensor.

    repeats: a number, or a tensor with one for each slice, whose values a captured step cannot repeat and refuses.
    output_size: the length of the axis, which is checked. Raises ValueError for a negative number.
    """
    if dim is None:
        input, dim = reshape(input, (input.data.size,)), 0
    axis = axis_index(dim, input.ndim, "repeat_interleave")
    input = input if input.ndim else reshape(input, 1)
    size, lead = input.shape[axis], (slice(None),) * axis
    if isinstance(repeats, Tensor):
        if repeats.dtype.kind not in "iu" or repeats.shape not in ((), (1,), (size,)):
            raise ValueError(
                f"repeat_interleave: repeats must be {size} integers, or one, got {repeats.dtype} of shape"
                f" {repeats.shape}"
            )
        y = Index((*lead, ARRAY))(input, Repeats()(broadcast_to(repeats, (size,))))
    else:
        if integer("repeat_interleave", "repeats", repeats) < 0:
            raise ValueError(f"repeat_interleave: the number of copies must not be negative, got {repeats}")
        shape = input.shape
        blocks = reshape(input, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
        blocks = broadcast_to(blocks, (*shape[: axis + 1], repeats, *shape[axis + 1 :]))
        y = reshape(blocks, (*shape[:axis], size * repeats, *shape[axis + 1 :]))
    if output_size is not None and y.shape[axis] != output_size:
        raise ValueError(f"repeat_interleave: output_size is {output_size}, the axis has {y.shape[axis]} slices")
    return y


def meshgrid(*tensors: Tensor | Sequence[Tensor], indexing: str = "ij") -> tuple[Tensor, ...]:
    """Vectors repeated along each other's axes, views: the coordinates of the points of a grid.

    indexing: "ij", the axes in the order of the vectors, or "xy", the first two exchanged. Raises ValueError for more
    axes than one.
    """
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: unknown indexing {indexing!r}; known: 'ij', 'xy'")
    vectors = [t for group in tensors for t in (group if isinstance(group, (tuple, list)) else (group,))]
    if not vectors or any(t.ndim > 1 for t in vectors):
        raise ValueError(f"meshgrid: expected vectors, got shapes {[t.shape for t in vectors]}")
    shape = tuple(t.data.size for t in vectors)
    lines = [reshape(t, (*(1,) * i, -1, *(1,) * (len(shape) - 1 - i))) for i, t in enumerate(vectors)]
    grids = [broadcast_to(line, shape) for line in lines]
    return tuple(transpose(g, 0, 1) if indexing == "xy" and len(grids) > 1 else g for g in grids)


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """All windows of `size` elements along an axis, `step` apart: the axis counts them, a new last axis runs through
    each.

    For the windows of images there is `functional.unfold`. Raises ValueError for a size beyond the axis, or a step
    below 1.
    """
    axis = axis_index(dimension, input.ndim, "unfold")
    length = input.shape[axis] if input.ndim else 1
    if not 0 <= size <= length or step < 1:
        raise ValueError(f"unfold: windows of {size}, {step} apart, do not fit axis {axis} of shape {input.shape}")
    if input.ndim == 0:
        return reshape(input, (1,))[:size]
    places = np.arange(0, length - size + 1, step)[:, None] + np.arange(size)
    y = Index((slice(None),) * axis + (ARRAY,))(input, Tensor(on(array_of(input), places)))
    return permute(y, (*range(axis + 1), *range(axis + 2, y.ndim), axis + 1))


def masked_fill(input: Tensor, mask: Tensor, value: Tensor | float) -> Tensor:
    """`value`, a number or a 0-d tensor, where the bool `mask` holds, `input` elsewhere; the mask broadcasts.

    Raises TypeError for a mask that is not bool, ValueError for a value with axes.
    """
    if isinstance(value, Tensor) and value.ndim:
        raise ValueError(f"masked_fill: the value must be a number or a 0-d tensor, got shape {value.shape}")
    if not isinstance(mask, Tensor) or mask.dtype != bool:
        kind = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(f"masked_fill: the mask must be a bool tensor, not {kind}; compare, e.g. x > 0")
    if not isinstance(value, (Tensor, int, float, np.generic)):
        raise TypeError(f"masked_fill: the value must be a number or a 0-d tensor, got {value!r:.60}")
    if not isinstance(value, Tensor):
        value = Tensor(on(array_of(input), np.asarray(value, input.dtype)))
    return where(mask, value, input)


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of the last two axes, 0 above diagonal number `diagonal`: 1 is the one above the main one."""
    return _triangle("tril", input, diagonal, False)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of the last two axes, 0 below diagonal number `diagonal`."""
    return _triangle("triu", input, diagonal - 1, True)


def _triangle(op: str, input: Tensor, diagonal: int, upper: bool) -> Tensor:
    if input.ndim < 2:
        raise ValueError(f"{op}: expected a matrix, or a stack of them, got shape {input.shape}")
    mask = np.tri(*input.shape[-2:], diagonal, dtype=bool) ^ upper
    zero = np.zeros((), input.dtype)
    return where(Tensor(on(array_of(input), mask)), input, Tensor(on(array_of(input), zero)))


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The elements whose places along axes dim1 and dim2 differ by `offset`, as a new last axis.

    Raises ValueError where both name one axis.
    """
    axes = [axis_index(d, input.ndim, "diagonal") for d in (dim1, dim2)]
    if input.ndim < 2 or axes[0] == axes[1]:
        raise ValueError(f"diagonal: dim1 {dim1} and dim2 {dim2} must be two axes of shape {input.shape}")
    matrix = permute(input, (*(i for i in range(input.ndim) if i not in axes), *axes))
    places = _diagonal_places(matrix.shape[-2:], offset)
    key = (slice(None),) * (input.ndim - 2) + (ARRAY, ARRAY)
    return Index(key)(matrix, *(Tensor(on(array_of(input), p)) for p in places))


def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal. Raises ValueError for other than two axes."""
    if input.ndim != 2:
        raise ValueError(f"trace: expected a matrix, got shape {input.shape}")
    return sum(diagonal(input))


def _diagonal_places(shape: Sequence[int], offset: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) of a diagonal of a matrix."""
    row, column = max(-offset, 0), max(offset, 0)
    steps = np.arange(max(min(shape[0] - row, shape[1] - column), 0))
    return steps + row, steps + column


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The square matrix with the vector `input` on a diagonal and 0 elsewhere; or the diagonal of a matrix."""
    if input.ndim == 2:
        return _diagonal(input, diagonal)
    if input.ndim != 1:
        raise ValueError(f"diag: expected a vector or a matrix, got shape {input.shape}")
    size = input.shape[0] + abs(diagonal)
    places = _diagonal_places((size, size), diagonal)
    key, shape = (ARRAY, ARRAY), (size, size)
    return IndexAdd(key, shape)(input, *(Tensor(on(array_of(input), p)) for p in places))


_diagonal = diagonal  # in `diag`, the name is its argument's, torch's
