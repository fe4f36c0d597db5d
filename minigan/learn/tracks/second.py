"""Gradients of gradients: rules that can be differentiated again."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ... import functional as F
from ...autograd import grad
from ...creation import tensor
from ..checks import derivatives, equal, leaf, numbers, only_needed, true
from ..exercise import Exercise
from ..sources import source

track = partial(Exercise, track="second")


def any_order(m: Any) -> Iterator[str]:
    for order, value in enumerate((0.7**4, 4 * 0.7**3, 12 * 0.7**2, 24 * 0.7, 24.0)):
        x = tensor(0.7, dtype=np.float64, requires_grad=True)
        yield from equal(f"order {order} of x^4 at 0.7", m.derivative(lambda t: t**4, x, order), value)
    x = leaf([0.3, -0.8])
    yield from equal(
        "order 2 of the sum of tanh",
        m.derivative(lambda t: t.tanh().sum(), x, 2),
        [-2 * np.tanh(a) * (1 - np.tanh(a) ** 2) for a in (0.3, -0.8)],
        "sum a gradient before the next one is taken",
    )


def cube(m: Any) -> Iterator[str]:
    x = numbers(4)
    yield from derivatives("Cube", m.Cube(), x, upto=3, reference=lambda t: t * t * t)


def tanh_grad(m: Any) -> Iterator[str]:
    y, g = np.array([[0.3, -0.6], [0.9, 0.1]]), numbers(2, 2)
    op = m.TanhGrad()
    yield from derivatives("TanhGrad", op, y, g, upto=3, reference=op.reference)
    yield from only_needed("TanhGrad", op, y, g)


def leaky_grad(m: Any) -> Iterator[str]:
    x, g = np.array([[0.3, -0.6], [0.9, -0.1]]), numbers(2, 2)
    op = m.LeakyReluGrad(0.2)
    yield from derivatives("LeakyReluGrad(0.2)", op, x, g, upto=2, reference=op.reference)
    y = op(leaf(x), leaf(g))
    slopes = y.node.op.vjp(y.node, [True, True], leaf(numbers(2, 2)))
    yield from true(
        slopes[0] is None,
        "the derivative by x is 0 wherever it exists: say so by None, and the engine skips that way; zeros would be"
        " carried through the whole critic",
    )
    yield from only_needed("LeakyReluGrad(0.2)", op, x, g, zero=(0,))


def conv_weight(m: Any) -> Iterator[str]:
    from minigan.kernels.geometry import ConvGeometry

    geometry = ConvGeometry((2, 2, 4, 3), (2, 2, 3, 2), (2, 1), (1, 0), (1, 1), 1)
    op = m.ConvWeight(geometry)
    inputs = numbers(2, 2, 4, 3), numbers(*geometry.y_shape)
    yield from derivatives("ConvWeight", op, *inputs, reference=op.reference)
    yield from only_needed("ConvWeight", op, *inputs)


def batch_norm_grad(m: Any) -> Iterator[str]:
    x, w, g = numbers(5, 2), numbers(2, seed=1), numbers(5, 2, seed=2)

    def by_engine(x: Any, w: Any, g: Any) -> Any:
        y = F.batch_norm(x, None, None, w, w * 0, training=True)
        return grad(y, [x, w], g, create_graph=True)

    def by_hand(x: Any, w: Any, g: Any) -> Any:
        return m.BatchNormGrad(1e-5).reference(x, w, g)[:2]

    thought = "m and r are functions of x: from a kept mean the next order would be wrong"
    leaves, theirs = [leaf(a) for a in (x, w, g)], [leaf(a) for a in (x, w, g)]
    dx, dw, db = m.BatchNormGrad(1e-5).reference(*leaves)
    for name, a, b in zip(("dx", "dw"), (dx, dw), by_engine(*theirs), strict=True):
        yield from equal(name, a, b, tolerance=1e-8)
    yield from equal("db", db, g.sum(0))
    for name, a, b in zip("xwg", _seconds(by_hand, leaves), _seconds(by_engine, theirs), strict=True):
        yield from equal(f"the second derivative by {name}", a, b, thought, 1e-8)


def _seconds(f: Any, leaves: list) -> Any:
    dx, dw = f(*leaves)
    return grad((dx * dx * dx).sum() + (dw * dw).sum(), leaves)


def hessian_product(m: Any) -> Iterator[str]:
    a = numbers(3, 3)
    x, v = numbers(3, seed=1), numbers(3, seed=2)
    hessian = a + a.T + np.diag(12 * x * x)
    got = m.hessian_product(lambda t: (t @ tensor(a) * t).sum() + (t**4).sum(), leaf(x), tensor(v))
    yield from equal("H v", got, hessian @ v, "H v is the gradient of <grad f, v>", 1e-8)


def through_a_step(m: Any) -> Iterator[str]:
    for lr in (0.1, 0.3):
        yield from _through_a_step(m, lr)


def _through_a_step(m: Any, lr: float) -> Iterator[str]:
    w = numbers(3)
    a = numbers(3, 3, seed=1)
    h = a @ a.T

    def inner(t: Any) -> Any:
        return ((t @ tensor(h)) * t).sum() / 2

    def outer(t: Any) -> Any:
        return (t**3).sum()

    t = leaf(w)
    value = m.after_one_step(inner, outer, t, lr)
    moved = w - lr * h @ w
    yield from equal("the outer loss after a step", value, (moved**3).sum())
    yield from true(value.requires_grad, "the value has no graph: the inner gradient must be recorded (create_graph)")
    if value.requires_grad:
        (g,) = grad(value, t)
        expected = (np.eye(3) - lr * h).T @ (3 * moved**2)
        yield from equal(
            "its gradient by the old weights", g, expected, "(I - lr H) stands in it: is the step recorded?", 1e-8
        )


OP = '''import numpy as np

from minigan import Op


class Cube(Op):
    """y = x^3."""

    def forward(self, x):
        return x * x * x

    def vjp(self, node, need, g):
        # learn: cube begin
        (x,) = node.inputs
        return (3 * g * x * x,)
        # learn: cube end
'''
EXERCISES = [
    track(
        "any-order",
        text="""How is the fifth derivative taken by an engine that knows the first?

grad(y, x, create_graph=True) returns a tuple with dy/dx, recorded like any other computation. So it can be
differentiated again. Write derivative(f, x, order): f(x) itself for order 0, else the gradient of the order before,
summed (each element of x acts on its own element only, so that the sum mixes nothing). f returns a scalar.""",
        source='''from minigan import grad


def derivative(f, x, order):
    """The derivative of the given order of f, elementwise, at x."""
    # learn: any-order begin
    y = f(x)
    for _ in range(order):
        (y,) = grad(y.sum(), x, create_graph=True)
    return y
    # learn: any-order end
''',
        hints=(
            "A loop: y = f(x), then `order` times y = grad(y.sum(), x, ...).",
            "Without create_graph=True the first gradient has no past, and the second has nothing to walk.",
        ),
        grader=any_order,
        mutants=(
            ("no graph", "create_graph=True", "create_graph=False"),
            ("one order too many", "range(order)", "range(order + 1)"),
            ("always the first", "for _ in range(order):", "for _ in range(min(order, 1)):"),
        ),
    ),
    track(
        "cube",
        text="""Why must a rule be written in Tensors?

An op's forward gets arrays and may do what it likes. Its vjp gets Tensors, and what it returns is recorded: so the
gradient has a gradient. A rule that reaches for x.data, or for an array kept in forward, is right to first order and
silently wrong to second. Write the vjp of y = x^3. The grader goes to third order.""",
        source=OP,
        hints=("dy/dx = 3 x^2; node.inputs[0] is the Tensor x.", "return (3 * g * x * x,)"),
        grader=cube,
        mutants=(
            ("x is an array", "3 * g * x * x", "3 * g * x.detach() * x.detach()"),
            ("half a constant", "3 * g * x * x", "3 * g * x * x.detach()"),
            ("the factor 2", "3 * g", "2 * g"),
            ("the cotangent is a constant", "3 * g * x", "3 * g.detach() * x"),
        ),
    ),
    track(
        "tanh-grad",
        text="""What is the derivative of tanh's derivative, as an op?

minigan computes dL/dx of tanh by one kernel, d = g (1 - y^2), of the output y and the cotangent g. Differentiated
again it has two inputs, and the cotangent h of d gives

    dL/dy = -2 h g y,    dL/dg = h (1 - y^2), which is TanhGrad(y, h) again.

Write the vjp, None where need says no. g must not be forgotten: in a network it depends on the weights.""",
        source=source("ops/act.py", "TanhGrad"),
        hints=("d is linear in g: the derivative by g is the same op at h.", "By y: d/dy of g (1 - y^2) is -2 g y."),
        grader=tanh_grad,
        mutants=(
            ("the factor 2", "* -2.0", "* -1.0"),
            ("the sign", "* -2.0", "* 2.0"),
            ("g is a constant", "TanhGrad()(y, h) if need[1] else None", "None"),
            ("y is a constant", "h * g * y * -2.0 if need[0] else None", "None"),
        ),
    ),
    track(
        "leaky-relu-grad",
        text="""Why is a leaky-ReLU critic cheap to penalise?

The gradient of leaky-ReLU is g or slope g, by the sign of x. It is linear in g, so its derivative by g is the same op
at the cotangent h. By x it is 0 wherever it exists: return None there. None means zero all the way, so the second pass
of a gradient penalty never walks through the activations again. Write the vjp.""",
        source=source("ops/act.py", "LeakyReluGrad"),
        hints=("Two results: None for x, and LeakyReluGrad(self.slope)(x, h) for g.", "node.inputs[0] is x."),
        grader=leaky_grad,
        mutants=(
            ("zeros for None", "return None, ", "return h * 0.0, "),
            ("h whole", "LeakyReluGrad(self.slope)(node.inputs[0], h) if", "h if"),
            ("at the sign of g", "(node.inputs[0], h)", "(node.inputs[1], h)"),
            ("nothing for g", "LeakyReluGrad(self.slope)(node.inputs[0], h) if need[1] else None", "None"),
        ),
    ),
    track(
        "conv-weight",
        text="""What is the gradient of a weight gradient?

ConvWeight(x, g) is the form <x, w, g> with w left open. A penalty differentiates it again: v is the cotangent, of the
weight's shape, and stands where w stood. The form is linear in each slot, so the gradients by x and by g are the other
two ops, ConvInput(geometry)(g, w) and Conv(geometry)(x, w), at v. Write the vjp.""",
        source=source("ops/conv.py", "ConvWeight"),
        hints=(
            "By x: ConvInput(self.geometry)(g, v).",
            "By g: Conv(self.geometry)(x, v).",
        ),
        grader=conv_weight,
        mutants=(
            ("only x", "Conv(self.geometry)(x, v) if need[1] else None", "None"),
            ("only g", "ConvInput(self.geometry)(g, v) if need[0] else None", "None"),
            ("v is a constant", "ConvInput(self.geometry)(g, v)", "ConvInput(self.geometry)(g, v.detach())"),
        ),
    ),
    track(
        "batch-norm-grad",
        text="""Where do most engines get batch norm's second derivative wrong?

They keep the mean and r = (v + eps)^(-1/2) from the forward pass, as arrays. To first order that is right. But both
depend on x, and to second order a kept array is a constant. So write the gradient as a function of x, w and g alone,
in Tensor ops, everything computed anew:

    dx = w r (g - <g> - h <g h>),    dw = M <g h> = sum of g h,    db = sum of g.

_standardise(x, axes, eps) gives h and r, _projection(g, h, axes) is the bracket, _channel(t, x) lines up one number a
channel with x, and _axes(x) are all axes but the channels'. The grader compares the second derivative with the
engine's.""",
        source=source("ops/norm.py", "BatchNormGrad"),
        hints=(
            "h, r = _standardise(x, _axes(x), self.eps): both are Tensors that remember x.",
            "dx = _channel(w, x) * r * _projection(g, h, _axes(x)); dw and db are sums over _axes(x).",
        ),
        grader=batch_norm_grad,
        mutants=(
            ("r is kept", "_channel(w, x) * r *", "_channel(w, x) * r.detach() *"),
            ("h is kept", "_projection(g, h, _axes(x))", "_projection(g, h.detach(), _axes(x))"),
            ("the statistics are constants", "_projection(g, h, _axes(x))", "g"),
            ("dw without h", "sum(g * h, _axes(x))", "sum(g, _axes(x))"),
        ),
    ),
    track(
        "hessian-product",
        text="""How is a Hessian multiplied by a vector without ever being written down?

For n weights the Hessian H has n^2 numbers. But H v is the gradient of a number, <grad f(x), v>: two gradients, n
numbers each. Write hessian_product(f, x, v); f returns a scalar, v is a constant of x's shape. Games and penalties are
made of such products.""",
        source='''from minigan import grad


def hessian_product(f, x, v):
    """H v for the Hessian H of f at x."""
    # learn: hessian-product begin
    (slope,) = grad(f(x), x, create_graph=True)
    (product,) = grad((slope * v).sum(), x)
    return product
    # learn: hessian-product end
''',
        hints=(
            "A Hessian is the Jacobian of a gradient; times v it is the gradient of a number.",
            "First the gradient, recorded; then its inner product with v; then the gradient of that.",
        ),
        grader=hessian_product,
        mutants=(
            ("the gradient times v", "return product", "return slope * v"),
            ("v is forgotten", "(slope * v).sum()", "slope.sum()"),
            ("half of it", "return product", "return product / 2"),
        ),
    ),
    track(
        "through-a-step",
        text="""What does a generator see that looks one step ahead?

An unrolled GAN lets the critic take a step and asks how that step depends on the generator. In small: weights w take
one step down an inner loss, w' = w - lr grad inner(w), and an outer loss is taken at w'. Its gradient by w passes
through the step:

    d outer(w') / dw = (I - lr H) grad outer(w'),    H the Hessian of the inner loss.

Return outer(w') so that the engine finds this by itself.""",
        source='''from minigan import grad


def after_one_step(inner, outer, w, lr):
    """outer(w - lr grad inner(w)), with its whole graph."""
    # learn: through-a-step begin
    (slope,) = grad(inner(w), w, create_graph=True)
    return outer(w - lr * slope)
    # learn: through-a-step end
''',
        hints=(
            "The step is an ordinary expression of Tensors: no optimiser, which would change w in place.",
            "create_graph=True, or the slope is a constant.",
        ),
        grader=through_a_step,
        mutants=(
            ("the step is a constant", "lr * slope", "lr * slope.detach()"),
            ("uphill", "w - lr", "w + lr"),
            ("w itself is a constant", "outer(w - lr", "outer(w.detach() - lr"),
        ),
    ),
]
