"""Machine room, ops: reductions, sum, mean, var, amax, amin, any, all, norms, logsumexp, and the softmax family.

float32 sums accumulate in float64. `dim` is an axis, a sequence of axes, or None for all; `keepdim` keeps them with
size 1, as in PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minigan import kernels
from minigan.kernels import layout

from ..autograd import Op, Tensor
from ..backend import FLOATS, float32, namespace
from .basic import broadcast_to, cast, eq, prepare_sum, where, wide_sum, without
from .elementary import abs, exp, log, pow, sqrt
from .extreme import Amax, Amin, largest
from .shape import axis_index, reshape

Dim = int | Sequence[int] | None


class Sum(Op):
    """y = sum of x over axes
    dL/dx = g repeated along the axes"""

    name, saves_input = "sum", False

    def __init__(self, axes: tuple[int, ...]) -> None:
        self.axes = axes

    def forward(self, x):
        return wide_sum(x, self.axes)

    def prepare(self, work, inputs, outputs):
        if not prepare_sum(work, inputs[0], self.axes, outputs[0]):
            super().prepare(work, inputs, outputs)

    def vjp(self, node, need, g):
        shape = node.inputs[0].shape
        return (broadcast_to(reshape(g, without(shape, self.axes, keepdims=True)), shape),)


class Shares(Op):
    """Shared by softmax and log_softmax: in float32 a kernel does both."""

    saves_input, saves_output = False, True
    log = False

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def block(self, x) -> np.ndarray | None:
        """x (A, K, B) for the kernel, or None where it does not apply."""
        return layout.block(x, (self.axis % x.ndim,)) if isinstance(x, np.ndarray) and x.dtype == float32 else None

    def prepare(self, work, inputs, outputs):
        block, out = self.block(inputs[0]), self.block(outputs[0])
        if block is None or out is None or block.shape != out.shape:
            super().prepare(work, inputs, outputs)
        else:
            kernels.softmax.softmax(block, self.log, out, work=work)

    def forward(self, x):
        if (block := self.block(x)) is None:
            return self.plain(x)
        return layout.unblock(kernels.softmax.softmax(block, self.log), x)


class Softmax(Shares):
    """y_i = e^(x_i) / sum_j e^(x_j) along one axis
    dL/dx = y (g - sum of g y along the axis)"""

    name = "softmax"

    def plain(self, x):
        e = namespace(x).exp(x - largest(x, self.axis))
        return e / wide_sum(e, (self.axis,), keepdims=True)

    def vjp(self, node, need, g):
        y = node.output()
        return (y * (g - sum(g * y, self.axis, keepdim=True)),)


class LogSoftmax(Shares):
    """y = x - ln sum_j e^(x_j) along one axis
    dL/dx = g - e^y (sum of g along the axis)"""

    name, log = "log_softmax", True

    def plain(self, x):
        shifted = x - largest(x, self.axis)
        with np.errstate(divide="ignore"):  # of an axis with no elements
            return shifted - namespace(x).log(wide_sum(namespace(x).exp(shifted), (self.axis,), keepdims=True))

    def vjp(self, node, need, g):
        return (g - exp(node.output()) * sum(g, self.axis, keepdim=True),)


class Place(Op):
    """Shared by argmax and argmin."""

    differentiable = False

    def __init__(self, axis: int | None, keepdim: bool) -> None:
        self.axis, self.keepdim = axis, keepdim

    def forward(self, x):
        return namespace(x).asarray(getattr(x, self.name)(self.axis, keepdims=self.keepdim))


class ArgMax(Place):
    """i = the position of the first largest x along an axis (None: of all), int64; NaN wins

    Not differentiable.
    """

    name = "argmax"


class ArgMin(Place):
    """i = the position of the first smallest x along an axis (None: of all), int64; NaN wins

    Not differentiable.
    """

    name = "argmin"


class Whether(Op):
    """Shared by any and all."""

    differentiable = False

    def __init__(self, axes: tuple[int, ...]) -> None:
        self.axes = axes

    def forward(self, x):
        return namespace(x).asarray(getattr(x != 0, self.name)(self.axes))


class Any(Whether):
    """y = whether one of x over axes is not 0; NaN is not 0"""

    name = "any"


class All(Whether):
    """y = whether each of x over axes is not 0; NaN is not 0"""

    name = "all"


class Offset(Op):
    """m = the largest x over axes, which stay with size 1, and 0 where that is infinite

    What logsumexp subtracts. It cancels from the result, so it has no derivative.
    """

    name, differentiable = "logsumexp_offset", False

    def __init__(self, axes: tuple[int, ...]) -> None:
        self.axes = axes

    def forward(self, x):
        xp, top = namespace(x), largest(x, self.axes)
        return xp.where(xp.isfinite(top), top, 0).astype(x.dtype)


def axes_of(dim: Dim, ndim: int, op: str) -> tuple[int, ...]:
    """`dim` as a sorted tuple of axes; None, and no axis at all, as all of them. Raises IndexError out of range,
    ValueError for one named twice, TypeError for what is no axis."""
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(ndim))
    axes = [axis_index(d, ndim, op) for d in (dim if isinstance(dim, (tuple, list)) else (dim,))]
    if len(set(axes)) != len(axes):
        raise ValueError(f"{op}: dim {dim} names an axis twice")
    return tuple(sorted(axes)) if ndim else ()


def _finish(op: Op, input: Tensor, axes: tuple[int, ...], keepdim: bool) -> Tensor:
    y = op(input)
    return reshape(y, without(input.shape, axes, keepdims=True)) if keepdim else y


def _require_elements(input: Tensor, axes: tuple[int, ...], op: str) -> int:
    count = math.prod(input.shape[a] for a in axes)
    if count == 0:
        raise ValueError(f"{op}: nothing to reduce along dim {axes} of shape {input.shape}")
    return count


def _averaged(input: Tensor, dim: Dim, op: str) -> int:
    """How many elements each result averages."""
    if input.dtype not in FLOATS:
        raise TypeError(f"{op}: expected a floating dtype, got {input.dtype}; use .float() first")
    return _require_elements(input, axes_of(dim, input.ndim, op), op)


def sum(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The sum over `dim`; bools and integers sum to int64."""
    if input.dtype not in FLOATS:
        input = cast(input, np.int64)
    axes = axes_of(dim, input.ndim, "sum")
    return _finish(Sum(axes), input, axes, keepdim)


def mean(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The mean over `dim`. Raises ValueError over no elements, TypeError for integers."""
    return sum(input, dim, keepdim) / _averaged(input, dim, "mean")


def var(input: Tensor, dim: Dim = None, correction: int = 1, keepdim: bool = False) -> Tensor:
    """The variance over `dim`: squared deviations from the mean, divided by n - correction. Raises as `mean` does.

    In the place of dim a bool says whether correction is 1, as in PyTorch; also in `std`.
    """
    dim, correction = (None, int(dim)) if isinstance(dim, bool) else (dim, correction)
    count = _averaged(input, dim, "var")
    centred = input - mean(input, dim, keepdim=True)
    return sum(centred * centred, dim, keepdim) / max(count - correction, 0)


def std(input: Tensor, dim: Dim = None, correction: int = 1, keepdim: bool = False) -> Tensor:
    """The standard deviation over `dim`, the root of `var`; where it is zero so is its gradient, as in PyTorch."""
    dim, correction = (None, int(dim)) if isinstance(dim, bool) else (dim, correction)
    _averaged(input, dim, "std")
    variance = var(input, dim, correction, keepdim)
    zero = eq(variance, 0)
    return where(zero, 0.0, sqrt(where(zero, 1.0, variance)))


def var_mean(input: Tensor, dim: Dim = None, correction: int = 1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """(`var`, `mean`) over `dim`."""
    return var(input, dim, correction, keepdim), mean(input, dim, keepdim)


def std_mean(input: Tensor, dim: Dim = None, correction: int = 1, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """(`std`, `mean`) over `dim`."""
    return std(input, dim, correction, keepdim), mean(input, dim, keepdim)


def amax(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The largest element over `dim`; equal ones share the gradient."""
    axes = axes_of(dim, input.ndim, "amax")
    _require_elements(input, axes, "amax")
    return _finish(Amax(axes), input, axes, keepdim)


def amin(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The smallest element over `dim`; equal ones share the gradient."""
    axes = axes_of(dim, input.ndim, "amin")
    _require_elements(input, axes, "amin")
    return _finish(Amin(axes), input, axes, keepdim)


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The position of the first largest element, int64; of the flattened tensor when dim is None."""
    return _place(ArgMax, input, dim, keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The position of the first smallest element, int64; of the flattened tensor when dim is None."""
    return _place(ArgMin, input, dim, keepdim)


def _place(kind: type[Place], input: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    axes = tuple(range(input.ndim)) if dim is None else (axis_index(dim, input.ndim, kind.name),)
    _require_elements(input, axes if input.ndim else (), kind.name)
    return kind(None if dim is None or not input.ndim else axes[0], keepdim)(input)


def any(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether any element over `dim` is not zero, bool; False where there is none."""
    axes = axes_of(dim, input.ndim, "any")
    return _finish(Any(axes), input, axes, keepdim)


def all(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether no element over `dim` is zero, bool; True where there is none."""
    axes = axes_of(dim, input.ndim, "all")
    return _finish(All(axes), input, axes, keepdim)


def count_nonzero(input: Tensor, dim: Dim = None) -> Tensor:
    """How many elements over `dim` are not zero, int64; NaN is not."""
    return sum(input != 0, dim)


def safe_norm(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The Euclidean norm over `dim` whose gradient is x / ||x||, and exactly zero, to every order, where the norm is
    zero.

    The square root's own slope at zero is infinite, and infinity times the zero behind it is NaN; so it is fed a 1
    there, and what comes out is masked (the "double where").
    """
    squares = sum(input * input, dim, keepdim)
    # learn: norm-at-zero begin
    zero = eq(squares, 0)
    return where(zero, 0.0, sqrt(where(zero, 1.0, squares)))
    # learn: norm-at-zero end


def norm(input: Tensor, p: float = 2, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """(sum |x|^p)^(1/p) over `dim`; p may be inf, -inf or 0 (the number of non-zeros). Its gradient at zero is zero."""
    if p == 2:
        return safe_norm(input, dim, keepdim)
    size = abs(input)
    if p == 1:
        return sum(size, dim, keepdim)
    if p == 0:
        return cast(sum(input != 0, dim, keepdim), input.dtype)
    if math.isinf(p):
        return (amax if p > 0 else amin)(size, dim, keepdim)
    zero = eq(size, 0)
    powers = sum(where(zero, 0.0, pow(where(zero, 1.0, size), p)) if p > 0 else pow(size, p), dim, keepdim)
    none = eq(powers, 0)
    return where(none, 0.0, pow(where(none, 1.0, powers), 1 / p))


def logsumexp(input: Tensor, dim: Dim, keepdim: bool = False) -> Tensor:
    """ln sum e^x over `dim`, without overflow;  dx = g softmax(x)."""
    top = Offset(axes_of(dim, input.ndim, "logsumexp"))(input)
    total = log(sum(exp(input - top), dim, keepdim=True)) + top
    return total if keepdim else sum(total, dim)


def softmax(input: Tensor, dim: int) -> Tensor:
    """e^x / sum e^x along axis `dim`."""
    return _shares(Softmax, input, dim)


def log_softmax(input: Tensor, dim: int) -> Tensor:
    """ln softmax(x) along axis `dim`, accurate for large and small x."""
    return _shares(LogSoftmax, input, dim)


def _shares(kind: type[Shares], input: Tensor, dim: int) -> Tensor:
    axis = axis_index(dim, input.ndim, kind.name)
    if input.ndim:
        return kind(axis)(_floating(input))
    return reshape(kind(axis)(reshape(_floating(input), (1,))), ())


def _floating(input: Tensor) -> Tensor:
    return input if input.dtype in FLOATS else cast(input, float32)
