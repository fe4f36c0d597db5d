"""Machine room, ops: the same values as another view, in memory of their own, in another floating dtype.

The engine (`autograd`) itself uses these three, as methods of Tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

import numpy as np

from ..autograd import Op, Tensor


class Alias(Op):
    """y = x, a new name for the same array
    dL/dx = g"""

    name, alias, saves_input = "identity", True, False

    def forward(self, x):
        return x[...]

    def vjp(self, node, need, g):
        return (g,)


class Cast(Op):
    """y = x in another floating dtype
    dL/dx = g in the dtype of x"""

    name, saves_input = "cast", False

    def __init__(self, dtype) -> None:
        self.dtype = np.dtype(dtype)

    def forward(self, x):
        return x.astype(self.dtype)

    def vjp(self, node, need, g):
        return (Cast(node.inputs[0].dtype)(g),)


class Copy(Op):
    """y = x, in memory of its own
    dL/dx = g"""

    name, saves_input = "clone", False

    def forward(self, x):
        return x.copy(order="K")

    def vjp(self, node, need, g):
        return (g,)


alias, clone = Alias(), Copy()

Function = TypeVar("Function", bound=Callable[..., Tensor])


def owned(function: Function) -> Function:
    """The function of a tensor, its result a copy where it would be its first argument, or a view of it, because there
    was nothing to do: who writes into a result must not change what it was made of."""

    @wraps(function)
    def copied(input, *args, **kwargs):
        y = function(input, *args, **kwargs)
        return clone(y) if y.version is input.version else y

    return copied  # type: ignore[return-value]


Tensor._alias = lambda self: alias(self)
Tensor._copy = lambda self: clone(self)
Tensor._cast = lambda self, dtype: Cast(dtype)(self)
