"""Machine room, ops: the elementary functions of one number, roundings, powers, and the larger and smaller of two."""

from __future__ import annotations

import math
import operator

import numpy as np

from minigan import kernels

from .._array import is_operand
from ..autograd import Op, Tensor, array_of
from ..backend import FLOATS, float32, namespace, on, special
from .basic import Elementwise, alike, eq, gt, lt, neg, sum_to, where


class Floating(Elementwise):
    """An elementwise function of one real argument; integers are taken as float32."""

    def forward(self, x):
        return super().forward(x if x.dtype in FLOATS else x.astype(float32))


class Curve(Floating):
    """One whose kernel is for NumPy's arrays: `host`; `elsewhere` is for a device's."""

    def forward(self, x):
        x = x if x.dtype in FLOATS else x.astype(float32)
        return self.host(x) if isinstance(x, np.ndarray) else self.elsewhere(x)

    def prepare(self, work, inputs, outputs):
        (x,), (y,) = inputs, outputs
        if isinstance(x, np.ndarray) and x.dtype in FLOATS:
            self.host(x, y, work=work)
        else:
            super().prepare(work, inputs, outputs)

    def host(self, x, out=None, **work):
        """The kernel."""
        raise NotImplementedError

    def elsewhere(self, x):
        """The device's own function."""
        return Elementwise.forward(self, x)


class Exp(Floating):
    """y = e^x
    dL/dx = g y"""

    saves_input, saves_output = False, True

    def vjp(self, node, need, g):
        return (g * node.output(),)


class Expm1(Curve):
    """y = e^x - 1, accurate near 0
    dL/dx = g (y + 1)"""

    saves_input, saves_output = False, True

    def host(self, x, out=None, **work):
        return kernels.act.expm1(x, out, **work)

    def vjp(self, node, need, g):
        return (g * (node.output() + 1),)


class Log(Floating):
    """y = ln x
    dL/dx = g / x"""

    def vjp(self, node, need, g):
        return (g / node.inputs[0],)


class Log1p(Curve):
    """y = ln(1 + x), accurate near 0
    dL/dx = g / (1 + x)"""

    def host(self, x, out=None, **work):
        return kernels.act.log1p(x, out, **work)

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


class Erf(Curve):
    """y = 2/sqrt(pi) times the integral of e^(-t^2) from 0 to x
    dL/dx = g 2/sqrt(pi) e^(-x^2)"""

    def host(self, x, out=None, **work):
        return kernels.act.erf(x, out, **work)

    def elsewhere(self, x):
        return special(x).erf(x)

    def vjp(self, node, need, g):
        x = node.inputs[0]
        return (g * (2 / math.sqrt(math.pi) * exp(neg(x * x))),)


class Sign(Elementwise):
    """y = -1, 0 or 1, as a is negative, zero or positive

    Not differentiable: its derivative is zero everywhere it exists.
    """

    differentiable = False


class Step(Elementwise):
    """Shared rule of the roundings: constant between its jumps. Whole numbers stay what they are."""

    saves_input = False

    def forward(self, x):
        return super().forward(x) if x.dtype in FLOATS else x.copy()

    def prepare(self, work, inputs, outputs):
        (Elementwise if inputs[0].dtype in FLOATS else Op).prepare(self, work, inputs, outputs)

    def vjp(self, node, need, g):
        return (None,)


class Floor(Step):
    """y = the largest whole number that is at most x
    dL/dx = 0"""


class Ceil(Step):
    """y = the smallest whole number that is at least x
    dL/dx = 0"""


class Trunc(Step):
    """y = x without what stands behind the point
    dL/dx = 0"""


class Round(Step):
    """y = the whole number nearest to x, of two the even one
    dL/dx = 0"""

    ufunc = "rint"


class Atan2(Elementwise):
    """y = the angle of the point (b, a) from the first axis, in [-pi, pi]
    dL/da = g b / (a^2 + b^2), and 0 at the origin
    dL/db = -g a / (a^2 + b^2), and 0 at the origin"""

    ufunc = "arctan2"

    def forward(self, a, b):
        a, b = (x if x.dtype in FLOATS else x.astype(float32) for x in alike(a, b))
        return super().forward(a, b)

    def vjp(self, node, need, g):
        a, b = node.inputs
        square = a * a + b * b
        origin = eq(square, 0)
        scale = where(origin, 0.0, g / where(origin, 1.0, square))
        return sum_to(scale * b, a.shape) if need[0] else None, neg(sum_to(scale * a, b.shape)) if need[1] else None


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
        x = x.astype(float32) if isinstance(self.exponent, float) and x.dtype not in FLOATS else x
        if self.exponent in (3, 4) and x.dtype in FLOATS:  # `power` takes 60 times as long as a product
            square = x * x
            return namespace(x).asarray(square * (x if self.exponent == 3 else square))
        return namespace(x).power(x, self.exponent)

    def vjp(self, node, need, g):
        p = self.exponent
        if p == 0:
            return (None,)
        x = node.inputs[0]
        return (g * p if p == 1 else g * (p * (x if p == 2 else PowScalar(p - 1)(x))),)


class PowSlope(Op):
    """y = the derivative of a^b, m times by a and n times by b: a^(b-m) p(b, ln a), p a polynomial
    dL/da = g PowSlope(m + 1, n)
    dL/db = g PowSlope(m, n + 1)

    p = sum_k C(n, k) q^(n-k)(b) (ln a)^k, where q = b (b - 1) ... (b - m + 1) and q^(i) is its i-th derivative. At
    a = 0 it is the limit from the right, and at a = b = 0, where there is none, 0 as in PyTorch.
    """

    name = "pow_slope"

    def __init__(self, m: int, n: int) -> None:
        self.m, self.n = m, n

    def forward(self, a, b):
        xp, dtype = namespace(a), np.result_type(a, b)
        a, b = a.astype(np.float64), b.astype(np.float64)
        q = np.poly1d(np.poly(range(self.m)))
        terms = [math.comb(self.n, k) * _polynomial(q.deriv(self.n - k), b) for k in range(self.n + 1)]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            inner, edge = terms[-1], terms[0]
            for term in terms[-2::-1]:
                inner = inner * xp.log(a) + term
            for k, term in enumerate(terms[1:], 1):  # the highest power of ln a that is there decides
                edge = xp.where(term != 0, term * (-np.inf) ** k, edge)
            edge = xp.where((edge == 0) | (b == 0) | (b > self.m), 0, xp.where(b < self.m, edge * np.inf, edge))
            return xp.where(a == 0, edge, inner * xp.power(a, b - self.m)).astype(dtype)

    def vjp(self, node, need, g):
        return power_rule(node, need, g, self.m, self.n)


def _polynomial(p: np.poly1d, x):
    """p(x), by Horner's rule, for an array of any device."""
    highest, *others = p.coeffs.tolist()
    y = namespace(x).full_like(x, highest)
    for coefficient in others:
        y = y * x + coefficient
    return y


def power_rule(node, need, g, m: int, n: int):
    """The rule of PowSlope(m, n); of pow for m = n = 0."""
    a, b = node.inputs
    return (
        sum_to(g * PowSlope(m + 1, n)(a, b), a.shape) if need[0] else None,
        sum_to(g * PowSlope(m, n + 1)(a, b), b.shape) if need[1] else None,
    )


class Pow(Elementwise):
    """y = a^b
    dL/da = g b a^(b-1), and 0 where a = b = 0
    dL/db = g a^b ln a, and 0 where a = 0 and b >= 0"""

    ufunc = "power"

    def vjp(self, node, need, g):
        return power_rule(node, need, g, 0, 0)


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
        # NumPy's numbers as Python's: they do not promote.
        self.low, self.high = (v.item() if isinstance(v, np.generic) else v for v in (low, high))

    def forward(self, x):
        if x.dtype not in FLOATS and (isinstance(self.low, float) or isinstance(self.high, float)):
            x = x.astype(float32)
        return namespace(x).clip(x, self.low, self.high)

    def vjp(self, node, need, g):
        x = node.inputs[0]
        return (where(eq(self(x.detach()), x), g, 0.0),)


exp, expm1, log, log1p, sqrt, rsqrt = Exp(), Expm1(), Log(), Log1p(), Sqrt(), Rsqrt()
sin, cos, erf, atan2 = Sin(), Cos(), Erf(), Atan2()
sign, abs, maximum, minimum = Sign(), Abs(), Maximum(), Minimum()
floor, ceil, trunc, _round = Floor(), Ceil(), Trunc(), Round()
_pow = Pow()


def pow(input: Tensor | float, exponent: Tensor | float) -> Tensor:
    """input ** exponent, elementwise; either may be a number."""
    exponent = exponent.item() if isinstance(exponent, np.generic) else exponent
    if isinstance(exponent, (bool, int, float)):
        return PowScalar(exponent)(input)
    return _pow(input, exponent)


def round(input: Tensor, decimals: int = 0) -> Tensor:
    """The nearest whole number, or the nearest with `decimals` digits behind the point; of two the even one."""
    if operator.index(decimals) == 0:
        return _round(input)
    scale = 10.0**decimals
    return _round(input * scale) / scale


def square(input: Tensor) -> Tensor:
    """input ** 2, elementwise."""
    return PowScalar(2)(input)


def reciprocal(input: Tensor) -> Tensor:
    """1 / input, elementwise."""
    return 1 / input


def clip(input: Tensor, min: Tensor | float | None = None, max: Tensor | float | None = None) -> Tensor:
    """`input` limited to [min, max], numbers or tensors, which broadcast; either bound may be None. Raises ValueError
    if both are."""
    if min is None and max is None:
        raise ValueError("clip: give min, max or both")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        input = input if min is None else where(lt(input, min), min, input)
        return input if max is None else where(gt(input, max), max, input)
    return Clip(min, max)(input)


clamp = clip


def clamp_min(input: Tensor, min: Tensor | float) -> Tensor:
    """`input`, and `min` where it is below."""
    return clip(input, min)


def clamp_max(input: Tensor, max: Tensor | float) -> Tensor:
    """`input`, and `max` where it is above."""
    return clip(input, None, max)


def lerp(input: Tensor, end: Tensor, weight: Tensor | float) -> Tensor:
    """input + weight (end - input), elementwise: `input` at weight 0, `end` at 1."""
    return input + weight * (end - input)


Tensor.__pow__ = lambda self, other: pow(self, other) if is_operand(other) else NotImplemented
Tensor.__rpow__ = lambda self, other: pow(other, self) if is_operand(other) else NotImplemented
Tensor.__abs__ = lambda self: abs(self)
