"""Machine room, ops: matrix products, matmul, bmm, outer and linear.

For y = a b, the cotangent g gives  da = g b^T  and  db = a^T g: three products of the same kind, one kernel.
"""

from __future__ import annotations

import numpy as np

from minigan import kernels
from minigan.kernels.layout import contiguous, shares

from ..autograd import Op, Tensor, as_tensor
from ..backend import namespace
from .basic import broadcast_to
from .naming import named
from .shape import Permute, reshape, transpose


class MatMul(Op):
    """y = a b, for a (..., m, k) and b (..., k, n) with equal batch axes
    dL/da = g b^T
    dL/db = a^T g"""

    name = "matmul"

    def forward(self, a, b):
        if a.ndim == 2:
            return kernels.matmul.matmul(a, b)
        batch = a.shape[:-2]
        count = int(np.prod(batch, dtype=np.int64))
        y = kernels.matmul.batched(a.reshape(count, *a.shape[-2:]), b.reshape(count, *b.shape[-2:]))
        return y.reshape(*batch, *y.shape[-2:])

    def prepare(self, work, inputs, outputs, **settings):
        (y,) = outputs
        if y.ndim == 2:
            kernels.matmul.matmul(*inputs, y, **settings, work=work)
            return
        a, b = (_stacked(x, work) for x in inputs)
        if (mask := settings.get("mask")) is not None:
            settings["mask"] = _stacked(mask, work)
        block = _stacked_view(y)
        if block is not None:
            kernels.matmul.batched(a, b, block, **settings, work=work)
            return
        copyto, buffer = namespace(y).copyto, work.empty(y.shape, y.dtype)
        if settings.get("add"):
            work.call(copyto, buffer, y)
        kernels.matmul.batched(a, b, _stacked_view(buffer), **settings, work=work)
        work.call(copyto, y, buffer)

    def vjp(self, node, need, g):
        a, b = node.inputs
        return (
            self._product(g, _turned(b), like=a) if need[0] else None,
            self._product(_turned(a), g, like=b) if need[1] else None,
        )

    def _product(self, a: Tensor, b: Tensor, like: Tensor) -> Tensor:
        """a b, in memory as `like` lies: (b^T a^T)^T where that is column by column, as a layer's weight is."""
        if like.ndim == 2 and (flags := like._data.flags).f_contiguous and not flags.c_contiguous:
            return _turned(self(_turned(b), _turned(a)))
        return self(a, b)


_TURN = Permute((1, 0))


def _turned(x: Tensor) -> Tensor:
    """x with its last two axes swapped."""
    return _TURN(x) if x._data.ndim == 2 else transpose(x, -1, -2)


def _stacked_view(x: np.ndarray) -> np.ndarray | None:
    """x (..., m, n) as (B, m, n) in the same memory, or None where its batch axes do not lie one inside the other."""
    stack = x.reshape(int(np.prod(x.shape[:-2], dtype=np.int64)), *x.shape[-2:])
    return stack if not x.size or shares(x, stack) else None


def _stacked(x: np.ndarray, work) -> np.ndarray:
    """x (..., m, n) as (B, m, n), by a copy at each run where there is no such view."""
    stack = _stacked_view(x)
    return _stacked_view(contiguous(x, work)) if stack is None else stack


_matmul = MatMul()


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product (..., m, k) (..., k, n); vectors count as a row or a column, batch axes broadcast.

    Raises ValueError when the inner sizes differ, TypeError when the dtypes do.
    """
    a, b = as_tensor(input), as_tensor(other)
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(
            f"matmul: the inner sizes of {a.shape} and {b.shape} differ (need (..., m, k) and (..., k, n))"
        )
    same_dtype("matmul", input=a, other=b)
    row, column = a.ndim == 1, b.ndim == 1
    a = reshape(a, (1, a.shape[0])) if row else a
    b = reshape(b, (b.shape[0], 1)) if column else b
    if b.ndim == 2 and a.ndim > 2:
        y = reshape(
            _matmul(reshape(a, (-1 if a._data.size else int(np.prod(a.shape[:-1])), a.shape[-1])), b),
            (*a.shape[:-1], b.shape[-1]),
        )
    elif a.ndim == b.ndim == 2:
        y = _matmul(a, b)
    else:
        try:
            batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            raise ValueError(f"matmul: the batch axes of {a.shape} and {b.shape} do not broadcast") from None
        y = _matmul(broadcast_to(a, batch + a.shape[-2:]), broadcast_to(b, batch + b.shape[-2:]))
    if row or column:
        y = reshape(y, y.shape[:-2] + (() if row else y.shape[-2:-1]) + (() if column else y.shape[-1:]))
    return y


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b for x (..., in), W (out, in), b (out)."""
    if weight.ndim != 2 or input.ndim == 0 or input.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: input {input.shape} and weight {weight.shape} do not fit; weight is (out_features, in_features)"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: bias {bias.shape} does not fit weight {weight.shape}; expected {weight.shape[:1]}")
    y = matmul(input, _TURN(weight))
    return y if bias is None else y + bias


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The matrix products of two stacks (B, m, k) and (B, k, n), one by one; nothing broadcasts.

    Raises ValueError for other shapes, TypeError when the dtypes differ.
    """
    a, b = as_tensor(input), as_tensor(mat2)
    if a.ndim != 3 or b.ndim != 3 or a.shape[0] != b.shape[0] or a.shape[2] != b.shape[1]:
        raise ValueError(f"bmm: {a.shape} and {b.shape} do not fit; expected (B, m, k) and (B, k, n)")
    same_dtype("bmm", input=a, mat2=b)
    return matmul(a, b)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The matrix of all products of two vectors' elements. Raises ValueError for what is no vector."""
    a, b = as_tensor(input), as_tensor(vec2)
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"outer: expected two vectors, got shapes {a.shape} and {b.shape}")
    return reshape(a, (a.shape[0], 1)) * b


def same_dtype(op: str, **tensors: Tensor | None) -> None:
    """Raise TypeError unless all the tensors given share one floating dtype."""
    dtypes = {name: t.dtype for name, t in tensors.items() if t is not None}
    if len(set(dtypes.values())) > 1 or any(d.kind != "f" for d in dtypes.values()):
        listing = ", ".join(f"{name} is {d}" for name, d in dtypes.items())
        raise TypeError(f"{op}: operands must share one floating dtype ({listing}); convert with .float() or .double()")


_operator = named(matmul, "matmul", "minigan")
Tensor.__matmul__ = lambda self, other: _operator(self, other)
Tensor.__rmatmul__ = lambda self, other: _operator(other, self)
