"""Machine room, ops: `minigan.linalg`, norms by torch.linalg's names. Of its other functions minigan has none.

A matrix here is the last two axes, or the two that `dim` names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .autograd import Tensor
from .methods import PUBLIC
from .ops import reduce
from .ops.basic import cast
from .ops.naming import named
from .ops.reduce import Dim, axes_of
from .ops.spelling import spelled

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = ["matrix_norm", "norm", "vector_norm"]

INFINITY = float("inf")


def norm(
    input: Tensor,
    ord: float | str | None = None,
    dim: Dim = None,
    keepdim: bool = False,
    *,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """The norm of a vector, or of a matrix where two axes are named or an `ord` is given to two; see `vector_norm` and
    `matrix_norm`. Without `ord` the root of the sum of the squares, over `dim` or all axes."""
    if ord is None:
        return vector_norm(input, 2, dim, keepdim, dtype=dtype)
    axes = axes_of(dim, input.ndim, "norm")
    if dim is None and len(axes) > 2:
        raise ValueError(f"norm: with ord {ord!r}, name the axes of shape {input.shape} with dim")
    if len(axes) == 2:
        return matrix_norm(input, ord, axes if dim is None else dim, keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise ValueError(f"norm: ord {ord!r} is of matrices, of two axes, not of dim {dim} of shape {input.shape}")
    return vector_norm(input, ord, dim, keepdim, dtype=dtype)


def vector_norm(
    x: Tensor, ord: float = 2, dim: Dim = None, keepdim: bool = False, *, dtype: DTypeLike | None = None
) -> Tensor:
    """(sum |x|^ord)^(1/ord) over `dim`, or all axes; ord may be inf, -inf or 0 (the number of non-zeros). Its gradient
    at zero is zero. Raises TypeError for integers."""
    return reduce.norm(_floating("vector_norm", x, dtype), ord, dim, keepdim)


def matrix_norm(
    A: Tensor,
    ord: float | str = "fro",
    dim: Dim = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """A norm of the matrices along two axes: "fro", the root of the sum of the squares; 1, -1: the largest, smallest
    sum of |a| in a column; inf, -inf: in a row. Raises ValueError for those that need singular values: 2, -2, "nuc"."""
    A = _floating("matrix_norm", A, dtype)
    axes = axes_of(dim, A.ndim, "matrix_norm")
    if len(axes) != 2:
        raise ValueError(f"matrix_norm: expected two axes, got dim {dim} of shape {A.shape}")
    if ord == "fro":
        return reduce.norm(A, 2, axes, keepdim)
    if ord not in (1, -1, INFINITY, -INFINITY):
        raise ValueError(
            f"matrix_norm: ord must be 'fro', 1, -1, inf or -inf, got {ord!r}; those of singular values are not here,"
            " the largest one is what nn.spectral_norm estimates"
        )
    rows, columns = dim  # type: ignore[misc]
    inner, outer = (rows, columns) if ord in (1, -1) else (columns, rows)
    sums = reduce.sum(reduce.abs(A), inner, keepdim=True)
    extreme = (reduce.amax if ord > 0 else reduce.amin)(sums, outer, keepdim=True)  # type: ignore[operator]
    return extreme if keepdim else reduce.sum(extreme, axes)


def _floating(op: str, x: Tensor, dtype: DTypeLike | None) -> Tensor:
    x = x if dtype is None else cast(x, dtype)
    if x.dtype.kind != "f":
        raise TypeError(f"{op}: expected a floating dtype, got {x.dtype}; use .float() first")
    return x


def __getattr__(name: str) -> object:
    """The advice for a name that is not here."""
    advice = (
        f"minigan.{name} is its function" if name in PUBLIC else f"without a gradient, np.linalg.{name}(x.detach())"
    )
    raise AttributeError(f"minigan.linalg has norm, vector_norm and matrix_norm, not {name!r}; {advice}")


if not TYPE_CHECKING:
    for _name in __all__:
        globals()[_name] = named(spelled(globals()[_name]), _name, __name__)
