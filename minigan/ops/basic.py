"""Machine room, ops: arithmetic, comparison and choice, element by element, with NumPy's broadcasting.

Each op is its kernel and its derivative, side by side. An input that was broadcast gets its gradient summed back to its
own shape: for y = a + b with a (3, 1) and b (4,), dL/da is g (3, 4) summed over the last axis. `sum_to` and
`broadcast_to` are each other's adjoint, so that bookkeeping is itself differentiable.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from minigan import kernels
from minigan.kernels import layout

from .._array import dtype_of, is_comparable, is_operand
from ..autograd import Op, Tensor, array_of, as_tensor
from ..backend import FLOATS, bool_, device_modules, float32, namespace, on
from .copy import Cast

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


class SumTo(Op):
    """y = sum of x over the axes along which `shape` was broadcast, accumulated in float64
    dL/dx = broadcast_to(g)

    The adjoint of broadcasting.
    """

    name, saves_input = "sum_to", False

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = tuple(shape)

    def forward(self, x):
        return wide_sum(x, self._axes(x)).reshape(self.shape)

    def prepare(self, work, inputs, outputs):
        if not prepare_sum(work, inputs[0], self._axes(inputs[0]), outputs[0]):
            super().prepare(work, inputs, outputs)

    def _axes(self, x):
        lead = x.ndim - len(self.shape)
        if lead < 0 or any(s not in (1, n) for s, n in zip(self.shape, x.shape[lead:], strict=True)):
            raise ValueError(f"sum_to: {x.shape} cannot be summed to {self.shape}")
        # learn: sum-to begin
        along = (lead + i for i, size in enumerate(self.shape) if size == 1 and x.shape[lead + i] != 1)
        return (*range(lead), *along)
        # learn: sum-to end

    def vjp(self, node, need, g):
        return (broadcast_to(g, node.inputs[0].shape),)


class BroadcastTo(Op):
    """y = x repeated along new axes and axes of size 1, as a view
    dL/dx = sum_to(g)"""

    name, saves_input, alias = "broadcast_to", False, True

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = tuple(shape)

    def forward(self, x):
        return namespace(x).broadcast_to(x, self.shape)

    def vjp(self, node, need, g):
        return (sum_to(g, node.inputs[0].shape),)


def wide_sum(x: np.ndarray, axes: tuple[int, ...], keepdims: bool = False) -> np.ndarray:
    """Sum over `axes`, accumulated in float64 whatever the dtype."""
    if not axes:
        return x.copy()
    if x.dtype != float32:
        return x.sum(axes, keepdims=keepdims)
    if (loop := _sum_kernel(x, axes)) is None:
        return x.sum(axes, dtype=np.float64, keepdims=keepdims).astype(x.dtype)
    kernel, line, _ = loop
    return kernel(line).reshape(without(x.shape, axes, keepdims))


def without(shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool = False) -> tuple[int, ...]:
    """`shape` without `axes`, or with size 1 along them."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape) if keepdims or i not in axes)


def _sum_kernel(x: np.ndarray, axes: tuple[int, ...]):
    """(the kernel for a sum of x over axes, x as it takes it, the shape that it gives), or None."""
    if len(axes) == x.ndim:
        return kernels.reduce.total, x, ()
    if x.ndim in (2, 4) and set(axes) == {0, 2, 3} & set(range(x.ndim)):
        return kernels.reduce.channel_sum, x, (x.shape[1],)
    if isinstance(x, np.ndarray):
        block = layout.block(x, axes)
        return None if block is None else (kernels.along.sum_along, block, (block.shape[0], block.shape[2]))
    if axes == tuple(range(1, x.ndim)) and x.size:
        order = layout.memory_order(x)
        if order[0] == 0:
            return kernels.reduce.row_sum, x.transpose(order).reshape(x.shape[0], -1), (x.shape[0],)
    return None


def prepare_sum(work, x: np.ndarray, axes: tuple[int, ...], out: np.ndarray) -> bool:
    """Issue the sum of x over axes into `out`, if there is a kernel for it; whether there is."""
    loop = _sum_kernel(x, axes) if x.dtype == float32 and axes else None
    if loop is None or not out.flags.c_contiguous:
        return False
    kernel, line, shape = loop
    kernel(line, out.reshape(shape), work=work)
    return True


def sum_to(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """`input` summed over the axes along which an array of `shape` would be broadcast to it; itself if it has that
    shape."""
    return input if input._data.shape == shape else SumTo(shape)(input)


def broadcast_to(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """`input` repeated to `shape` by NumPy's rules, a view; itself if it has that shape."""
    return input if input.shape == tuple(shape) else BroadcastTo(shape)(input)


FLOATING = frozenset(FLOATS)


def alike(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """`arrays`, integers beside floating ones in the floating dtype, as in PyTorch; NumPy makes float64 of int64 and
    float32."""
    first = arrays[0].dtype
    for x in arrays:
        if x.dtype is not first and x.dtype != first:
            break
    else:
        return arrays
    dtypes = {x.dtype for x in arrays}
    if not dtypes & FLOATING:
        return arrays
    floating = np.result_type(*(dtypes & FLOATING))
    return tuple(x if x.dtype in FLOATS else x.astype(floating) for x in arrays)


class Elementwise(Op):
    """An op that is one of NumPy's universal functions: `ufunc`, by default the one of the class's name."""

    if TYPE_CHECKING:

        def __call__(self, *inputs: Tensor | np.ndarray | float) -> Tensor: ...

    def __init_subclass__(cls) -> None:
        cls.name = cls.__name__.lower()
        cls.ufunc = getattr(np, cls.__dict__.get("ufunc", cls.name), None)

    def forward(self, a, b=None):
        ufunc = self.ufunc
        if b is None:
            return ufunc(a)
        if ufunc.nin == 1:  # NumPy would write the result into b
            raise TypeError("takes 1 argument, got 2")
        return ufunc(a, b) if a.dtype is b.dtype else ufunc(*alike(a, b))

    def prepare(self, work, inputs, outputs):
        dtypes, (y,) = {x.dtype for x in inputs}, outputs
        if isinstance(self.ufunc, np.ufunc) and len(dtypes) == 1 and y.dtype in (inputs[0].dtype, bool_):
            work.call(partial(self.ufunc, *inputs, out=y))
        else:
            super().prepare(work, inputs, outputs)


class Add(Elementwise):
    """y = a + b
    dL/da = g
    dL/db = g"""

    saves_input = False

    def vjp(self, node, need, g):
        a, b = node.inputs
        return sum_to(g, a.shape) if need[0] else None, sum_to(g, b.shape) if need[1] else None


class Sub(Elementwise):
    """y = a - b
    dL/da = g
    dL/db = -g"""

    ufunc, saves_input = "subtract", False

    def vjp(self, node, need, g):
        a, b = node.inputs
        return sum_to(g, a.shape) if need[0] else None, neg(sum_to(g, b.shape)) if need[1] else None


class Mul(Elementwise):
    """y = a b
    dL/da = g b
    dL/db = g a"""

    ufunc = "multiply"

    def vjp(self, node, need, g):
        a, b = node.inputs
        return sum_to(g * b, a.shape) if need[0] else None, sum_to(g * a, b.shape) if need[1] else None


class Div(Elementwise):
    """y = a / b
    dL/da = g / b
    dL/db = -(g / b) y"""

    ufunc, saves_output = "true_divide", True

    def forward(self, a, b):
        y = namespace(a).true_divide(*alike(a, b))
        return y if y.dtype == np.result_type(a, b) or y.dtype not in FLOATS else y.astype(float32)

    def vjp(self, node, need, g):
        a, b = node.inputs
        g_over_b = g / b
        da = sum_to(g_over_b, a.shape) if need[0] else None
        return da, sum_to(neg(g_over_b * node.output()), b.shape) if need[1] else None


class Neg(Elementwise):
    """y = -a
    dL/da = -g"""

    ufunc, saves_input = "negative", False

    def vjp(self, node, need, g):
        return (neg(g),)


LARGE = 4096
"""Elements from which a condition is worth a kernel of its own."""


class Where(Op):
    """y = a where c holds, else b
    dL/dc = 0
    dL/da = g where c holds, else 0
    dL/db = 0 where c holds, else g

    A NaN in the branch that is not taken reaches neither the value nor these gradients. But its cotangent is 0, and an
    op whose slope is infinite there makes NaN of it, as in PyTorch: where(x > 0, sqrt(x), x) at -1. Keep the argument
    in the domain instead: sqrt(where(x > 0, x, 1)).
    """

    name = "where"

    def forward(self, c, a, b):
        a, b = alike(a, b)
        return kernels.choose.choose(c, a, b) if self._plain(c, a, b) else namespace(c).where(c, a, b)

    def prepare(self, work, inputs, outputs):
        if self._plain(*inputs) and outputs[0].dtype == inputs[1].dtype:
            kernels.choose.choose(*inputs, outputs[0], work=work)
        else:
            super().prepare(work, inputs, outputs)

    @staticmethod
    def _plain(c, a, b) -> bool:
        """Whether the kernel takes these arrays, and is worth its call."""
        whole = isinstance(c, np.ndarray) and c.size >= LARGE and c.dtype == bool_
        return whole and a.dtype == b.dtype and a.dtype in FLOATS and {a.shape, b.shape} <= {c.shape, ()}

    def vjp(self, node, need, g):
        c, a, b = node.inputs
        zero = Tensor(on(array_of(g), np.zeros((), g.dtype)))
        return (
            None,
            sum_to(self(c, g, zero), a.shape) if need[1] else None,
            sum_to(self(c, zero, g), b.shape) if need[2] else None,
        )


class Comparison(Elementwise):
    """An elementwise test; bool, not differentiable."""

    differentiable = False


class Eq(Comparison):
    """y = a == b"""

    ufunc = "equal"


class Ne(Comparison):
    """y = a != b"""

    ufunc = "not_equal"


class Lt(Comparison):
    """y = a < b"""

    ufunc = "less"


class Le(Comparison):
    """y = a <= b"""

    ufunc = "less_equal"


class Gt(Comparison):
    """y = a > b"""

    ufunc = "greater"


class Ge(Comparison):
    """y = a >= b"""

    ufunc = "greater_equal"


class Convert(Op):
    """y = x in another dtype, one of the two not floating

    Not differentiable.
    """

    name, differentiable = "cast", False

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype

    def forward(self, x):
        return x.astype(self.dtype)


class IsFinite(Comparison):
    """y = whether a is neither NaN nor infinite"""


class IsNan(Comparison):
    """y = whether a is NaN"""


add, sub, mul, div, neg = Add(), Sub(), Mul(), Div(), Neg()
eq, ne, lt, le, gt, ge = Eq(), Ne(), Lt(), Le(), Gt(), Ge()
isfinite, isnan = IsFinite(), IsNan()
_where = Where()


def where(condition: Tensor | np.ndarray, input: Tensor | float, other: Tensor | float) -> Tensor:
    """`input` where the bool `condition` holds, `other` elsewhere; all three broadcast. Raises TypeError if it is not
    bool."""
    if not isinstance(condition, Tensor):
        like = next((array_of(t) for t in (input, other) if isinstance(t, Tensor)), np.empty(0))
        condition = Tensor(condition if type(condition) in device_modules else on(like, np.asarray(condition)))
    if condition.dtype != bool:
        raise TypeError(
            f"where: the condition must be bool, not {condition.dtype}; compare it with something, e.g. x > 0"
        )
    if not isinstance(input, Tensor):
        input = as_tensor(input, array_of(other) if isinstance(other, Tensor) else array_of(condition))
    return _where(condition, input, as_tensor(other, array_of(input)))


def cast(input: Tensor, dtype: DTypeLike) -> Tensor:
    """`input` in another dtype; itself if it already has it. Casting to a non-floating dtype leaves the graph. Raises
    TypeError for a dtype that tensors do not have."""
    dtype = dtype_of(dtype, "cast")
    if input.dtype == dtype:
        return input
    if dtype in FLOATS and input.dtype in FLOATS:
        return Cast(dtype)(input)
    return Convert(dtype)(input)


def _operator(op, fits=is_operand):
    return lambda self, other: op.__call__(self, other) if type(other) is Tensor or fits(other) else NotImplemented


def _reflected(op):
    return lambda self, other: op.__call__(other, self) if is_operand(other) else NotImplemented


for _name, _op in {"add": add, "sub": sub, "mul": mul, "truediv": div}.items():
    setattr(Tensor, f"__{_name}__", _operator(_op))
    setattr(Tensor, f"__r{_name}__", _reflected(_op))
for _name, _op in {"lt": lt, "le": le, "gt": gt, "ge": ge}.items():
    setattr(Tensor, f"__{_name}__", _operator(_op))
for _name, _op in {"eq": eq, "ne": ne}.items():  # what is not comparable is not equal: Python's answer
    setattr(Tensor, f"__{_name}__", _operator(_op, is_comparable))
Tensor.__neg__ = lambda self: neg(self)
Tensor.__pos__ = lambda self: self._alias()
