"""Penalties on a critic's slope, the reason why a GAN needs gradients of gradients."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ... import nn
from ...autograd import grad
from ...creation import tensor
from ..checks import derivatives, differences, equal, leaf, numbers, true
from ..exercise import Exercise
from ..sources import source

track = partial(Exercise, track="penalties")


def norm_at_zero(m: Any) -> Iterator[str]:
    x = numbers(4, 3)
    x[1] = 0.0
    t = leaf(x)
    y = m.safe_norm(t, 1)
    yield from equal("the norms", y, np.sqrt((x * x).sum(1)))
    with np.errstate(all="ignore"):
        (g,) = grad(y.sum(), t, create_graph=True)
        lengths = np.maximum(np.sqrt((x * x).sum(1, keepdims=True)), 1e-300)
        yield from equal(
            "the gradient",
            g,
            x / lengths,
            "at 0 it is 0; the slope of sqrt is infinite there, so sqrt must not see the 0 at all",
        )
        (h,) = grad((g * g).sum(), t)
    yield from true(h is None or np.isfinite(h.data).all(), "the second derivative at 0 is not finite")
    yield from derivatives("safe_norm away from 0", lambda a: m.safe_norm(a, 1), numbers(3, 2), upto=2)


def through_a_step(m: Any) -> Iterator[str]:
    w, lr = numbers(3), 0.1
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


def gradient_norm(m: Any) -> Iterator[str]:
    a, x = numbers(4, 6), numbers(4, 2, 3, seed=1)
    a[2] = 0.0
    rows = leaf(a)
    got = m.gradient_norm(lambda t: (t.reshape(4, 6) * rows).sum(1), leaf(x))
    yield from equal(
        "the norms of a linear critic's slopes",
        got,
        np.sqrt((a * a).sum(1)),
        "one norm a sample, over all axes but the first",
    )
    yield from true(got.requires_grad, "the norms have no graph, so no penalty on them trains anything (create_graph)")
    if got.requires_grad:
        (g,) = grad((got * got).sum(), rows)
        yield from equal("the gradient of the squared norms by the critic's weights", g, 2 * a)
        (g,) = grad(m.gradient_norm(lambda t: (t.reshape(4, 6) * rows).sum(1), leaf(x)).sum(), rows)
        yield from true(np.isfinite(g.data).all(), "where the slope is 0 the norm's gradient is not finite: safe_norm")
    flat = m.gradient_norm(lambda t: leaf(np.ones(4)), leaf(x))
    yield from equal("the norms of a critic that ignores its input", flat, np.zeros(4))


def penalty_by_hand(m: Any) -> Iterator[str]:
    w, b, v, x = numbers(4, 3), numbers(4, seed=1), numbers(4, seed=2), numbers(3, seed=3)

    def penalty(w: np.ndarray, v: np.ndarray) -> float:
        d = np.where(w @ x + b > 0, 1.0, 0.2)
        return float((np.linalg.norm(w.T @ (d * v)) - 1) ** 2)

    value, dw, dv = m.penalty(w, b, v, x)
    yield from equal("P", value, penalty(w, v))
    yield from equal(
        "dP/dW",
        dw,
        differences(lambda a: penalty(a, v), w),
        "s = W^T u, and u does not depend on W: d is piecewise constant",
        1e-6,
    )
    yield from equal("dP/dv", dv, differences(lambda a: penalty(w, a), v), "v enters by u = d v", 1e-6)


def r1(m: Any) -> Iterator[str]:
    a = leaf(numbers(3, 2))
    x = numbers(5, 3)
    value = m.r1(lambda t: ((t @ a) ** 2).sum(1), leaf(x).detach())
    slopes = 2 * x @ a.data @ a.data.T
    yield from equal(
        "R1 of the critic |A^T x|^2",
        value,
        (slopes**2).sum(1).mean() / 2,
        "1/2 of the mean of the squared norms: no root, no 1",
    )
    yield from true(value.requires_grad, "the penalty has no graph: create_graph")
    if value.requires_grad:
        (g,) = grad(value, a)
        expected = differences(lambda b: float(((2 * x @ b @ b.T) ** 2).sum(1).mean() / 2), a.data)
        yield from equal("its gradient by the weights", g, expected, "", 1e-5)


def mixed(m: Any) -> Iterator[str]:
    w = numbers(3, 2)
    x = numbers(4, 3, seed=1)
    layer = nn.Linear(3, 2, bias=False).double()
    layer.weight.data[...] = w.T
    got = m.slope_gradient(layer, leaf(x))

    # f = sum tanh(W x); s = W^T (1 - t^2); L = sum s^2
    def loss(a: np.ndarray) -> float:
        t = np.tanh(x @ a.T)
        return float((((1 - t * t) @ a) ** 2).sum())

    yield from equal(
        "dL/dW", got, differences(loss, w.T.copy()), "tanh bends, so W acts twice: in s, and in the slope of tanh", 1e-5
    )
    yield from true(
        layer.weight.grad is None, "the gradient lies in layer.weight.grad, too: grad returns it and leaves .grad alone"
    )


EXERCISES = [
    track(
        "norm-at-zero",
        text="""What is the gradient of a norm at 0?

The gradient of ||x|| is x / ||x||. A critic that is flat somewhere has the slope 0 there, and a gradient penalty takes
its norm: 0 / 0. The usual cure, sqrt(sum + eps), is a little wrong everywhere. Instead, let the gradient be 0 where the
norm is 0. Mind that masking the result is not enough: the slope of sqrt at 0 is infinite, and on the way back infinity
times 0 is not a number. So sqrt must be fed something else there, and what comes out must be masked: two `where`s.

sum(x, dim, keepdim), eq(a, b), where(c, a, b) and sqrt are at hand.""",
        source=source("ops/reduce.py", "safe_norm"),
        hints=(
            "zero = eq(squares, 0) marks the places; feed sqrt a 1 there.",
            "where(zero, 0.0, sqrt(where(zero, 1.0, squares))): inner for the way back, outer for the value.",
        ),
        grader=norm_at_zero,
        mutants=(
            ("only the result is masked", "sqrt(where(zero, 1.0, squares))", "sqrt(squares)"),
            (
                "only sqrt's input is masked",
                "where(zero, 0.0, sqrt(where(zero, 1.0, squares)))",
                "sqrt(where(zero, 1.0, squares))",
            ),
            ("no root", "sqrt(where(zero, 1.0, squares))", "where(zero, 1.0, squares)"),
            (
                "a small number under the root",
                "where(zero, 0.0, sqrt(where(zero, 1.0, squares)))",
                "sqrt(squares + 1e-8)",
            ),
        ),
    ),
    track(
        "gradient-norm",
        text="""How steep is a critic, sample by sample?

    ||grad_x f(x)||  for each x of the batch, shape (N,).

One gradient of the sum of all outputs gives every sample's slope at once, since no sample acts on another's output.
Record it (create_graph), so that a penalty can be trained. The norm runs over all axes but the first. A critic that
ignores its input gets a slope of None: return zeros there. This is gradient_norm of minigan/gan/penalties.py;
grad(y, x, ...), sum, safe_norm(t, dims) are at hand.""",
        source=source("gan/penalties.py", "gradient_norm"),
        hints=(
            "(slope,) = grad(sum(critic(x)), x, create_graph=True)",
            "safe_norm(slope, tuple(range(1, x.ndim))): its gradient at 0 is 0.",
            "on(array_of(x), array) puts an array where x is; Tensor(...) wraps it.",
        ),
        grader=gradient_norm,
        mutants=(
            ("no graph", "create_graph=True", "create_graph=False"),
            ("the norm of the batch", "tuple(range(1, x.ndim))", "None"),
            ("the last axis only", "tuple(range(1, x.ndim))", "x.ndim - 1"),
            ("a critic without slope", "if slope is None:", "if slope is False:"),
        ),
    ),
    track(
        "penalty-by-hand",
        text="""What is the gradient of a gradient penalty, on paper?

For the critic f(x) = v . leaky(W x + b), with leaky's slope d = 1 or 0.2 at each unit,

    u = d v,    s = W^T u  (the slope of f by x),    P = (|s| - 1)^2.

Write P, dP/dW and dP/dv in NumPy. Go backwards through the three lines: c = dP/ds = 2 (|s| - 1) s / |s|, then
e = dP/du = W c. b has no way to P, and neither has x: d is piecewise constant. `minigan docs penalty-by-hand` does it
with numbers.""",
        source='''import numpy as np


def penalty(W, b, v, x):
    """P, dP/dW (like W) and dP/dv (like v)."""
    # learn: penalty-by-hand begin
    d = np.where(W @ x + b > 0, 1.0, 0.2)
    u = d * v
    s = W.T @ u
    length = np.linalg.norm(s)
    c = 2 * (length - 1) * s / length
    return (length - 1) ** 2, np.outer(u, c), d * (W @ c)
    # learn: penalty-by-hand end
''',
        hints=("s_i = sum_j u_j W_ji, so dP/dW_ji = u_j c_i: an outer product.", "dP/dv = d e with e = W c."),
        grader=penalty_by_hand,
        mutants=(
            ("the factor 2", "c = 2 * (length", "c = (length"),
            ("the outer product is turned", "np.outer(u, c)", "np.outer(u, c)[::-1]"),
            ("d is forgotten", "d * (W @ c)", "W @ c"),
            ("the norm's own slope", "* s / length", "* s"),
        ),
    ),
    track(
        "r1",
        text="""What is R1?

    R1 = 1/2 E ||grad f(x)||^2    at the reals (Mescheder et al. 2018, eq. 9).

No root, no 1: a critic that is flat at the data is left alone. Write r1(critic, real): real is a Tensor (N, ...)
without a gradient, so make a leaf of it first. Return a scalar that can be trained.""",
        source='''from minigan import grad


def r1(critic, real):
    """Half the mean squared norm of the critic's slope at the reals."""
    # learn: r1 begin
    x = real.detach().requires_grad_()
    (slope,) = grad(critic(x).sum(), x, create_graph=True)
    return (slope**2).sum() / (2 * len(real))
    # learn: r1 end
''',
        hints=(
            "x = real.detach().requires_grad_() is a leaf of the same numbers.",
            "The sum of all squares, divided by 2 N, is the mean over samples: N is real.shape[0].",
        ),
        grader=r1,
        mutants=(
            ("the half is forgotten", "2 * len(real)", "len(real)"),
            ("a mean over pixels, too", "(slope**2).sum() / (2 * len(real))", "(slope**2).mean() / 2"),
            ("no graph", "create_graph=True", "create_graph=False"),
            ("the penalty of WGAN-GP", "(slope**2).sum()", "((slope**2).sum(1).sqrt() - 1).square().sum()"),
        ),
    ),
    track(
        "slope-gradient",
        text="""What does a bent activation change?

For a layer y = W x and f = sum of tanh(y), let s = df/dx and L = the sum of s^2. Return dL/dW. With tanh, W acts in two
ways: in s = W^T (1 - t^2) and inside t. The engine sees both, if the first gradient is recorded. `layer` is a
nn.Linear; grad leaves .grad alone, as backward does not.""",
        source='''from minigan import grad


def slope_gradient(layer, x):
    """d/dW of the squared slope of sum tanh(layer(x)) by x."""
    # learn: slope-gradient begin
    (s,) = grad(layer(x).tanh().sum(), x, create_graph=True)
    return grad((s * s).sum(), layer.weight)[0]
    # learn: slope-gradient end
''',
        hints=("Two calls of grad: by x, recorded, then by layer.weight.",),
        grader=mixed,
        mutants=(
            ("the bend is not seen", "(s * s)", "(s * s.detach())"),
            ("the mean", "(s * s).sum()", "(s * s).mean()"),
            ("no tanh", "layer(x).tanh()", "layer(x)"),
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
