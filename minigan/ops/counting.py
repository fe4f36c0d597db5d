"""Machine room, ops: what there is and where; results whose shape depends on values, so captured steps refuse them.

None is differentiable; what is read at the places that they name, `x[nonzero]`, is.
"""

from __future__ import annotations

from typing import overload

import numpy as np

from ..autograd import Op, Tensor, as_tensor
from ..backend import FLOATS, float64, int64, namespace
from .basic import where as choose
from .shape import axis_index, reshape
from .views import unbind


class Counted(Op):
    """An op whose result has as many elements as the values say."""

    differentiable = False

    @property
    def name(self) -> str:
        return type(self).__name__.lower()


class NonZero(Counted):
    """i = the positions of the elements that are not 0, (number, axes), int64, in row-major order"""

    def forward(self, x):
        return namespace(x).argwhere(x).astype(int64)


class Repeats(Counted):
    """i = the positions of n, each as many times as n says there"""

    name = "repeat_interleave"

    def forward(self, n):
        if n.size and n.min() < 0:
            raise ValueError("repeat_interleave: the numbers of copies must not be negative")
        return namespace(n).repeat(namespace(n).arange(n.size), n.tolist()).astype(int64)


class BinCount(Counted):
    """y_k = how many x are k, int64, or the sum of their weights"""

    def __init__(self, minlength: int) -> None:
        self.minlength = minlength

    def forward(self, x, weights=None):
        dtype = int64 if weights is None else weights.dtype if weights.dtype in FLOATS else float64
        return namespace(x).bincount(x, weights, self.minlength).astype(dtype)


class Unique(Counted):
    """y = the different elements of x in rising order, or the different slices along an axis; if asked for, also where
    each x is in y, and how many x are that y, int64"""

    def __init__(self, axis: int | None, inverse: bool, counts: bool) -> None:
        self.axis, self.inverse, self.counts = axis, inverse, counts

    def forward(self, x):
        parts = namespace(x).unique(
            x, return_inverse=self.inverse, return_counts=self.counts, axis=self.axis, equal_nan=False
        )
        if not (self.inverse or self.counts):
            return parts
        y, *rest = parts
        if self.inverse:
            rest[0] = rest[0].reshape(x.shape if self.axis is None else -1)
        return (y, *(part.astype(int64) for part in rest))


@overload
def nonzero(input: Tensor) -> Tensor: ...
@overload
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Tensor | tuple[Tensor, ...]: ...
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Tensor | tuple[Tensor, ...]:
    """The positions of the elements that are not 0, int64, (number, axes); as_tuple: an index tensor for each axis."""
    if not as_tuple:
        return NonZero()(input)
    return unbind(NonZero()(input if input.ndim else reshape(input, 1)), 1)


@overload
def where(condition: Tensor | np.ndarray) -> tuple[Tensor, ...]: ...
@overload
def where(condition: Tensor | np.ndarray, input: Tensor | float, other: Tensor | float) -> Tensor: ...
def where(
    condition: Tensor | np.ndarray, input: Tensor | float | None = None, other: Tensor | float | None = None
) -> Tensor | tuple[Tensor, ...]:
    """`input` where the bool `condition` holds, `other` elsewhere; all three broadcast. Raises TypeError if it is not
    bool. Of a condition alone, the positions where it is not 0, as `nonzero(condition, as_tuple=True)`."""
    if input is None and other is None:
        return nonzero(as_tensor(condition), as_tuple=True)
    if input is None or other is None:
        raise TypeError("where: expected a condition alone, or a condition and two values")
    return choose(condition, input, other)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How many elements of a vector of whole numbers are 0, 1, 2 ..., int64; with weights, the sums of theirs.

    At least `minlength` numbers. Raises TypeError for other dtypes, ValueError for a negative number or more axes.
    """
    if input.dtype.kind not in "iu":
        raise TypeError(f"bincount: expected integers, got {input.dtype}")
    if input.ndim != 1 or (weights is not None and weights.shape != input.shape):
        shapes = input.shape if weights is None else f"{input.shape} and weights {weights.shape}"
        raise ValueError(f"bincount: expected a vector, and weights of its shape, got shape {shapes}")
    return BinCount(minlength)(input) if weights is None else BinCount(minlength)(input, weights)


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Tensor | tuple[Tensor, ...]:
    """The different elements, or slices along axis `dim`, always in rising order; each NaN is another one.

    With return_inverse and return_counts also the place of each element among them, and how often each occurs, int64.
    """
    axis = None if dim is None else axis_index(dim, input.ndim, "unique")
    return Unique(axis, return_inverse, return_counts)(input)
