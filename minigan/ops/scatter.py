"""Machine room, ops: writing and adding elements at places along an axis, the counterparts of `gather`.

For dim = 1, element src[i][j][k] goes to place [i][index[i][j][k]][k]. Where two elements go to one place, `scatter`
keeps the last and `scatter_add` adds both. Both are composed: adding is `IndexAdd`, and writing reads, at every place,
the element that came there last.
"""

from __future__ import annotations

import numpy as np

from ..autograd import Op, Tensor
from ..backend import float64, int64, namespace
from .basic import ge, where
from .copy import owned
from .index import ARRAY, Index, IndexAdd, Within, indices_of, places_along
from .shape import axis_index, reshape


class LastWriter(Op):
    """w = at each place of a shape, the number of the last element that goes there, in row-major order, or -1

    places: the index arrays, one an axis. Not differentiable.
    """

    name, differentiable = "last_writer", False

    def __init__(self, shape: tuple[int, ...], elements: tuple[int, ...]) -> None:
        self.shape, self.elements = shape, elements

    def forward(self, *places):
        xp = namespace(places[0])
        count = int(np.prod(self.elements, dtype=np.int64))
        # In float64, which holds them exactly and which every device can take the maximum of.
        writers = xp.full(self.shape, -1.0, float64)
        xp.maximum.at(writers, tuple(places), xp.arange(count, dtype=float64).reshape(self.elements))
        return writers.astype(int64)


@owned
def scatter(input: Tensor, dim: int, index: Tensor, src: Tensor | float) -> Tensor:
    """`input` with the elements of `src`, or one number, at the places along axis `dim` that `index` names.

    Index and src are as in `scatter_add`. Where the index names a place twice, the last element stands there and gets
    the gradient; PyTorch leaves open which. Raises as `scatter_add` does.
    """
    index = indices_of(index, "scatter", input)
    if input.ndim == 0:
        return reshape(scatter(reshape(input, 1), dim, _line(index), _line(src)), ())
    places = _places("scatter", input, dim, index)
    if isinstance(src, Tensor):
        src = _fitting("scatter", input, index, src)
    if index.data.size == 0:
        return input
    writers = LastWriter(input.shape, index.shape)(*places)
    mask = ge(writers, 0)
    if isinstance(src, Tensor):
        src = Index((ARRAY,))(_line(src), where(mask, writers, 0))
    return where(mask, src, input)


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """`input` with the elements of `src` added at the places along axis `dim` that `index` names; a place named twice
    receives both.

    The index has as many axes as the input, none longer outside `dim`, and src is at least as large: what it has
    beyond the index is left out. Raises IndexError for an index outside 0..size-1, ValueError for shapes that do not
    fit, TypeError for other dtypes.
    """
    index = indices_of(index, "scatter_add", input)
    if input.ndim == 0:
        return reshape(scatter_add(reshape(input, 1), dim, _line(index), _line(src)), ())
    places = _places("scatter_add", input, dim, index)
    src = _fitting("scatter_add", input, index, src)
    return input + IndexAdd((ARRAY,) * input.ndim, input.shape)(src, *places)


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, alpha: float = 1) -> Tensor:
    """`input` with alpha times the slices of `source` added at the places along axis `dim` that the 1-d `index` names.

    Raises IndexError for an index outside 0..size-1, ValueError for shapes that do not fit, TypeError for other dtypes.
    """
    op = "index_add"
    index, axis = indices_of(index, op, input), axis_index(dim, input.ndim, op)
    if index.ndim != 1 or source.shape != (*input.shape[:axis], *index.shape, *input.shape[axis + 1 :]):
        raise ValueError(
            f"{op}: index {index.shape} and source {source.shape} do not fit input {input.shape} along axis {axis}"
        )
    _same_dtype(op, input, source)
    index = Within(op, axis, input.shape[axis])(index)
    lead = (slice(None),) * axis
    return input + IndexAdd((*lead, ARRAY), input.shape)(source if alpha == 1 else source * alpha, index)


def _places(op: str, input: Tensor, dim: int, index: Tensor) -> list[Tensor]:
    """The index arrays, one an axis, of the elements' places, all of which lie within the input."""
    axis = axis_index(dim, input.ndim, op)
    return places_along(input, axis, Within(op, axis, input.shape[axis])(index), op)


def _fitting(op: str, input: Tensor, index: Tensor, src: Tensor) -> Tensor:
    """The part of src that the index has places for."""
    if src.ndim != index.ndim or any(i > s for i, s in zip(index.shape, src.shape, strict=True)):
        raise ValueError(f"{op}: src {src.shape} is smaller than the index {index.shape} (input {input.shape})")
    _same_dtype(op, input, src)
    return src if src.shape == index.shape else Index(tuple(slice(0, n) for n in index.shape))(src)


def _same_dtype(op: str, input: Tensor, source: Tensor) -> None:
    if source.dtype != input.dtype:
        raise TypeError(f"{op}: input is {input.dtype}, the source {source.dtype}; convert one with .to(dtype)")


def _line(src: Tensor | float) -> Tensor | float:
    return reshape(src, (src.data.size,)) if isinstance(src, Tensor) else src
