"""Machine room, ops: the tangent, the inverse functions of sine, cosine and tangent, and the hyperbolic two.

Sine and cosine are in `elementary`, the hyperbolic tangent, an activation, in `act`.
"""

from __future__ import annotations

from .basic import neg
from .elementary import Floating, rsqrt


class Tan(Floating):
    """y = tan x
    dL/dx = g (1 + y^2)"""

    saves_input, saves_output = False, True

    def vjp(self, node, need, g):
        y = node.output()
        return (g * (y * y + 1),)


class Asin(Floating):
    """y = the angle in [-pi/2, pi/2] whose sine is x
    dL/dx = g / sqrt((1 - x) (1 + x)), infinite at -1 and 1"""

    ufunc = "arcsin"

    def vjp(self, node, need, g):
        return (g * _slope(node.inputs[0]),)


class Acos(Floating):
    """y = the angle in [0, pi] whose cosine is x
    dL/dx = -g / sqrt((1 - x) (1 + x)), infinite at -1 and 1"""

    ufunc = "arccos"

    def vjp(self, node, need, g):
        return (neg(g * _slope(node.inputs[0])),)


def _slope(x):
    """1 / sqrt(1 - x^2): the difference as a product, so that it keeps its digits near -1 and 1."""
    return rsqrt((1 - x) * (1 + x))


class Atan(Floating):
    """y = the angle in [-pi/2, pi/2] whose tangent is x
    dL/dx = g / (1 + x^2)"""

    ufunc = "arctan"

    def vjp(self, node, need, g):
        x = node.inputs[0]
        return (g / (x * x + 1),)


class Sinh(Floating):
    """y = (e^x - e^-x) / 2
    dL/dx = g cosh x"""

    def vjp(self, node, need, g):
        return (g * cosh(node.inputs[0]),)


class Cosh(Floating):
    """y = (e^x + e^-x) / 2
    dL/dx = g sinh x"""

    def vjp(self, node, need, g):
        return (g * sinh(node.inputs[0]),)


tan, asin, acos, atan, sinh, cosh = Tan(), Asin(), Acos(), Atan(), Sinh(), Cosh()
