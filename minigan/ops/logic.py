"""Machine room, ops: and, or, exclusive or and not, of bools and of the bits of integers. None is differentiable."""

from __future__ import annotations

import numpy as np

from .._array import is_operand
from ..autograd import Op, Tensor, as_tensor
from .basic import Comparison, eq, isfinite, isnan, le
from .elementary import abs as magnitude


class Bitwise(Comparison):
    """An operation on bools, or on the bits of integers."""

    def forward(self, a, b=None):
        for x in (a, b):
            if x is not None and x.dtype.kind not in "bui":
                raise TypeError(
                    f"{self.name}: expected bools or integers, got {x.dtype}; compare with something first, e.g. x > 0"
                )
        return super().forward(a, b)


class BitwiseAnd(Bitwise):
    """y = a and b, bit by bit"""

    ufunc = "bitwise_and"


class BitwiseOr(Bitwise):
    """y = a or b, bit by bit"""

    ufunc = "bitwise_or"


class BitwiseXor(Bitwise):
    """y = either a or b, not both, bit by bit"""

    ufunc = "bitwise_xor"


class BitwiseNot(Bitwise):
    """y = not a, bit by bit; of a whole number -a - 1"""

    ufunc = "invert"


for _cls, _name in {BitwiseAnd: "and", BitwiseOr: "or", BitwiseXor: "xor", BitwiseNot: "not"}.items():
    _cls.name = f"bitwise_{_name}"

bitwise_and, bitwise_or, bitwise_xor, bitwise_not = BitwiseAnd(), BitwiseOr(), BitwiseXor(), BitwiseNot()


class LogicalAnd(Comparison):
    """y = whether a and b are both other than 0"""


class LogicalOr(Comparison):
    """y = whether a or b is other than 0"""


class LogicalXor(Comparison):
    """y = whether just one of a and b is other than 0"""


class LogicalNot(Comparison):
    """y = whether a is 0"""


for _cls, _name in {LogicalAnd: "and", LogicalOr: "or", LogicalXor: "xor", LogicalNot: "not"}.items():
    _cls.name, _cls.ufunc = f"logical_{_name}", getattr(np, f"logical_{_name}")

logical_and, logical_or, logical_xor, logical_not = LogicalAnd(), LogicalOr(), LogicalXor(), LogicalNot()


def isinf(input: Tensor) -> Tensor:
    """Whether it is infinite, elementwise."""
    return eq(magnitude(input), float("inf"))


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether |input - other| <= atol + rtol |other|, elementwise; equal infinities are close, NaN where equal_nan."""
    input, other = as_tensor(input), as_tensor(other)
    close = bitwise_and(le(magnitude(input - other), atol + rtol * magnitude(other)), isfinite(other))
    close = bitwise_or(close, eq(input, other))
    return bitwise_or(close, bitwise_and(isnan(input), isnan(other))) if equal_nan else close


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether `isclose` holds everywhere, a bool."""
    return bool(np.all(isclose(input, other, rtol, atol, equal_nan)))


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have one shape and equal elements, a bool."""
    return input.shape == other.shape and bool(np.all(eq(input, other)))


def _operator(op: Op, turned: bool = False):
    if turned:
        return lambda self, other: op(other, self) if is_operand(other) else NotImplemented
    return lambda self, other: op(self, other) if is_operand(other) else NotImplemented


for _name, _op in {"and": bitwise_and, "or": bitwise_or, "xor": bitwise_xor}.items():
    setattr(Tensor, f"__{_name}__", _operator(_op))
    setattr(Tensor, f"__r{_name}__", _operator(_op, turned=True))
Tensor.__invert__ = lambda self: bitwise_not(self)
Tensor.allclose, Tensor.equal = allclose, equal
