"""Machine room, ops: the elementary functions of one number, powers, and the larger and smaller of two."""

from __future__ import annotations

import math

import numpy as np

from .._array import is_operand
from ..autograd import Op, Tensor, array_of
from ..backend import FLOATS, float32, namespace, on, special
from .basic import Elementwise, eq, ge, gt, lt, neg, sum_to, where


class Floating(Elementwise):
    """An elementwise function of one real argument; integers are taken as float32."""

    def forward(self, x):
        return super().forward(x if x.dtype in FLOATS else x.astype(float32))


class Exp(Floating):
    """y = e^x
    dL/dx = g y"""

    saves_input, saves_output = False, True

    def vjp(self, node, need, g):
        return (g * node.output(),)


class Expm1(Floating):
    """y = e^x - 1, accurate near 0
    dL/dx = g (y + 1)"""

    saves_input, saves_output = False, True

    def vjp(self, node, need, g):
        return (g * (node.output() + 1),)


class Log(Floating):
    """y = ln x
    dL/dx = g / x"""

    def vjp(self, node, need, g):
        return (g / node.inputs[0],)


class Log1p(Floating):
    """y = ln(1 + x), accurate near 0
    dL/dx = g / (1 + x)"""

    def vjp(self, node, need, g):
        return (g / (node.inputs[0] + 1),)


class Sqrt(Floating):
    """y = x^(1/2)
    dL/dx = g / (2 y)"""

    saves_input, saves_output = False, True

    def vjp(self, node, need, g):
        return (g * 0.5 / node.output(),)


class Rsqrt(Floating):
    """y = x^(-1/2)
    dL/dx = -g y^3 / 2"""

    saves_input, saves_output = False, True

    def forward(self, x):
        x = x if x.dtype in FLOATS else x.astype(float32)
        return 1 / namespace(x).sqrt(x)

    def vjp(self, node, need, g):
        y = node.output()
        return (g * (-0.5 * (y * y * y)),)


class Sin(Floating):
    """y = sin x
    dL/dx = g cos x"""

    def vjp(self, node, need, g):
        return (g * cos(node.inputs[0]),)


class Cos(Floating):
    """y = cos x
    dL/dx = -g sin x"""

    def vjp(self, node, need, g):
        return (neg(g * sin(node.inputs[0])),)


class Erf(Floating):
    """y = 2/sqrt(pi) times the integral of e^(-t^2) from 0 to x
    dL/dx = g 2/sqrt(pi) e^(-x^2)"""

    def forward(self, x):
        return special(x).erf(x if x.dtype in FLOATS else x.astype(float32))

    def vjp(self, node, need, g):
        x = node.inputs[0]
        return (g * (2 / math.sqrt(math.pi) * exp(neg(x * x))),)


class Sign(Elementwise):
    """y = -1, 0 or 1, as a is negative, zero or positive

    Not differentiable: its derivative is zero everywhere it exists.
    """

    differentiable = False


class Abs(Elementwise):
    """y = |a|
    dL/da = g sign a, and 0 at 0"""

    def vjp(self, node, need, g):
        return (g * sign(node.inputs[0]),)


class PowScalar(Op):
    """y = x^p for a constant p
    dL/dx = g p x^(p-1)"""

    name = "pow"

    def __init__(self, exponent: float) -> None:
        self.exponent = exponent

    def forward(self, x):
        return namespace(x).power(
            x.astype(float32) if isinstance(self.exponent, float) and x.dtype not in FLOATS else x, self.exponent
        )

    def vjp(self, node, need, g):
        p = self.exponent
        if p == 0:
            return (None,)
        x = node.inputs[0]
        return (g * p if p == 1 else g * (p * (x if p == 2 else PowScalar(p - 1)(x))),)


class Pow(Elementwise):
    """y = a^b
    dL/da = g b a^(b-1), and 0 where b = 0
    dL/db = g y ln a, and 0 where a = 0 and b >= 0"""

    ufunc, saves_output = "power", True

    def vjp(self, node, need, g):
        a, b = node.inputs
        da = db = None
        if need[0]:
            flat = eq(b, 0)
            da = sum_to(g * where(flat, 0.0, b * pow(a, where(flat, 1.0, b - 1))), a.shape)
        if need[1]:
            still = where(eq(a, 0), ge(b, 0), eq(a, 0))
            db = sum_to(g * where(still, 0.0, node.output() * log(where(still, 1.0, a))), b.shape)
        return da, db


class Extremum(Elementwise):
    """Shared rule of maximum and minimum: the chosen side gets g, equal ones half each, and both g where either is NaN
    (PyTorch's convention)."""

    def vjp(self, node, need, g):
        a, b = node.inputs
        share = where(eq(a, b), 0.5, Tensor(on(array_of(g), np.ones((), g.dtype))))
        da = sum_to(g * where(self.loses(a, b), 0.0, share), a.shape) if need[0] else None
        db = sum_to(g * where(self.loses(b, a), 0.0, share), b.shape) if need[1] else None
        return da, db


class Maximum(Extremum):
    """y = the larger of a and b; NaN wins
    dL/da = g where a > b, g / 2 where a = b, else 0
    dL/db = g where a < b, g / 2 where a = b, else 0"""

    loses = staticmethod(lambda a, b: lt(a, b))


class Minimum(Extremum):
    """y = the smaller of a and b; NaN wins
    dL/da = g where a < b, g / 2 where a = b, else 0
    dL/db = g where a > b, g / 2 where a = b, else 0"""

    loses = staticmethod(lambda a, b: gt(a, b))


class Clip(Op):
    """y = min(max(x, low), high)
    dL/dx = g where low <= x <= high, else 0"""

    name = "clip"

    def __init__(self, low: float | None, high: float | None) -> None:
        self.low, self.high = low, high

    def forward(self, x):
        return namespace(x).clip(x, self.low, self.high)

    def vjp(self, node, need, g):
        x = node.inputs[0]
        return (where(eq(self(x.detach()), x), g, 0.0),)


exp, expm1, log, log1p, sqrt, rsqrt = Exp(), Expm1(), Log(), Log1p(), Sqrt(), Rsqrt()
sin, cos, erf = Sin(), Cos(), Erf()
sign, abs, maximum, minimum = Sign(), Abs(), Maximum(), Minimum()
_pow = Pow()


def pow(input: Tensor | float, exponent: Tensor | float) -> Tensor:
    """input ** exponent, elementwise; either may be a number."""
    if isinstance(exponent, (bool, int, float)):
        return PowScalar(exponent)(input)
    return _pow(input, exponent)


def square(input: Tensor) -> Tensor:
    """input ** 2, elementwise."""
    return PowScalar(2)(input)


def clip(input: Tensor, min: float | None = None, max: float | None = None) -> Tensor:
    """`input` limited to [min, max]; either bound may be None. Raises ValueError if both are."""
    if min is None and max is None:
        raise ValueError("clip: give min, max or both")
    return Clip(min, max)(input)


clamp = clip


Tensor.__pow__ = lambda self, other: pow(self, other) if is_operand(other) else NotImplemented
Tensor.__rpow__ = lambda self, other: pow(other, self) if is_operand(other) else NotImplemented
Tensor.__abs__ = lambda self: abs(self)
