"""Machine room, ops: whole quotients and remainders, rounded towards minus infinity, as in Python."""

from __future__ import annotations

from .._array import is_operand
from ..autograd import Op, Tensor
from .basic import Elementwise, neg, sum_to


class FloorDivide(Elementwise):
    """y = the largest whole number that is at most a / b; not differentiable"""

    ufunc, differentiable = "floor_divide", False


class Remainder(Elementwise):
    """y = a - b (a // b), which has the sign of b
    dL/da = g
    dL/db = -g (a // b)"""

    def vjp(self, node, need, g):
        a, b = node.inputs
        db = neg(sum_to(g * floor_divide(a, b), b.shape)) if need[1] else None
        return sum_to(g, a.shape) if need[0] else None, db


FloorDivide.name = "floor_divide"
floor_divide, remainder = FloorDivide(), Remainder()


def _operator(op: Op):
    return lambda self, other: op(self, other) if is_operand(other) else NotImplemented


def _reflected(op: Op):
    return lambda self, other: op(other, self) if is_operand(other) else NotImplemented


for _name, _op in {"floordiv": floor_divide, "mod": remainder}.items():
    setattr(Tensor, f"__{_name}__", _operator(_op))
    setattr(Tensor, f"__r{_name}__", _reflected(_op))
Tensor.__divmod__ = lambda self, other: (self // other, self % other)
Tensor.__rdivmod__ = lambda self, other: (other // self, other % self)
