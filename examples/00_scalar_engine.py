"""Reverse-mode differentiation of any order, one number at a time: an engine to type in one evening.

For y = op(a, b) and a final result L, the cotangent of y is g = dL/dy. The op's rule turns it into the cotangents of
the inputs, g dy/da and g dy/db. Every rule here is written in Values, not in plain numbers: so a gradient is a Value
with a past of its own, and can be differentiated like any other. A gradient penalty needs no more than that.

Run it:  python -m minigan.examples.00_scalar_engine
"""

import itertools
import math
from functools import partial

numbers = itertools.count()


class Value:
    """A number, what it was computed from, and the rule that takes (y, its cotangent g) to the inputs' cotangents."""

    def __init__(self, data, inputs=(), rule=lambda y, g: ()):
        self.data, self.inputs, self.rule = data, inputs, rule
        self.number = next(numbers)  # greater than the numbers of its inputs

    def __add__(a, b):
        b = value(b)
        return Value(a.data + b.data, (a, b), lambda y, g: (g, g))

    def __mul__(a, b):
        b = value(b)
        return Value(a.data * b.data, (a, b), lambda y, g: (g * b, g * a))

    def __pow__(a, p):  # p is a plain number; for p = 0 and 1 the slope is p itself, also at a = 0
        return Value(a.data**p, (a,), lambda y, g: (g * (p if p in (0, 1) else p * a ** (p - 1)),))

    def tanh(a):
        return Value(math.tanh(a.data), (a,), lambda y, g: (g * (1 - y * y),))

    def leaky_relu(a, slope=0.2):  # a straight line on each side of 0
        return a * (1 if a.data > 0 else slope)


Value.__radd__, Value.__rmul__ = Value.__add__, Value.__mul__  # the rest are made of these: no rules of their own
Value.__neg__ = lambda a: a * -1
Value.__sub__, Value.__rsub__ = lambda a, b: a + b * -1, lambda a, b: a * -1 + b
Value.__truediv__ = lambda a, b: a * b**-1


def value(x):
    """x as a Value: a plain number was computed from nothing."""
    return x if isinstance(x, Value) else Value(x)


def grad(y, inputs):
    """dy/dx for each x in inputs, as Values."""
    past, stack = {y}, [y]
    while stack:  # collect what y was computed from: without recursion, so that a chain of 100,000 ops is no trouble
        new = set(stack.pop().inputs) - past
        past |= new
        stack += new
    cotangents = {y: Value(1.0)}
    for v in sorted(past, key=lambda v: -v.number):  # newest first: all that used v has had its turn, so g is whole
        for x, g in zip(v.inputs, v.rule(v, cotangents[v]), strict=True):
            cotangents[x] = cotangents[x] + g if x in cotangents else g  # an input used twice gets the sum
    return [cotangents.get(x, Value(0.0)) for x in inputs]


def penalty(grad, x0, x1, w0, w1, v):
    """(|df/dx| - 1)^2 of the critic f(x) = v tanh(w0 x0 + w1 x1): how far the length of its slope is from 1."""
    s0, s1 = grad(v * (w0 * x0 + w1 * x1).tanh(), [x0, x1])
    return ((s0**2 + s1**2) ** 0.5 - 1) ** 2


def curve(grad, x, order=0):
    """x^3 tanh x, or its derivative of any order: the gradient of the one before."""
    return grad(curve(grad, x, order - 1), [x])[0] if order else x**3 * x.tanh()


def compare(name, f, h=1e-5, **point):
    """Print the gradient of f(grad, *point) three times: by this engine, by differences of f, by minigan."""
    import minigan as mg  # here, because the engine needs nothing of it

    values, ask = [Value(x) for x in point.values()], partial(mg.grad, create_graph=True)
    tensors = [mg.tensor(x, dtype=mg.float64, requires_grad=True) for x in point.values()]
    rows = zip(point, grad(f(grad, *values), values), ask(f(ask, *tensors), tensors), strict=True)
    for x, ours, theirs in rows:
        up, down = (f(grad, *map(Value, (point | {x: point[x] + step}).values())).data for step in (h, -h))
        print(f"{name + x:8}{ours.data:10.6f}  differences{(up - down) / (2 * h):10.6f}  minigan{theirs.item():10.6f}")


def main() -> None:
    """Three derivatives of x^3 tanh x, then those of a gradient penalty by the critic's input and weights."""
    for order, name in enumerate(("df/d", "df'/d", "df''/d")):
        compare(name, partial(curve, order=order), x=0.7)
    compare("dP/d", penalty, x0=0.5, x1=-1.0, w0=0.8, w1=0.3, v=2.0)


if __name__ == "__main__":
    main()

# What minigan adds to this, rule by rule, and the names to look for:
#   a value is an array, an op one pass over it             minigan/autograd.py      Tensor, Op
#   what broadcasting repeated is summed back               minigan/ops/basic.py     sum_to
#   no zero cotangent is made, no unwanted one computed     minigan/autograd.py      None, need
#   no past is kept unless one is asked for                 minigan/autograd.py      create_graph, no_grad
#   an array changed since it was used is an error          minigan/autograd.py      version
#   a norm whose slope at 0 is 0, not a division by 0       minigan/ops/reduce.py    safe_norm
#   three convolutions, each the rule of the others         minigan/ops/conv.py      Conv, ConvInput, ConvWeight
#   the loops inside an op, for the CPU and the GPU         kernels/conv.py          conv_forward
#   a whole step recorded once, then replayed               minigan/capture/plan.py  Plan
#   every rule compared with differences, to order 3        minigan/testing/gradcheck.py  check_order
