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
    x[2] *= 1e-60  # what a constant under the root would hide
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
    images = numbers(3, 2, 2, 2)
    got = m.gradient_norm(lambda t: (t**3).flatten(1).sum(1), leaf(images))
    expected = np.linalg.norm(3 * images.reshape(3, -1) ** 2, axis=1)
    yield from equal("the norms for images (3, 2, 2, 2)", got, expected, "over all axes but the first, however many")
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
    real = tensor(x)
    value = m.r1(lambda t: ((t @ a) ** 2).sum(1), real)
    yield from true(not real.requires_grad, "the batch of reals itself asks for a gradient now: make a leaf of its own")
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
    images = numbers(3, 2, 2, 2)
    value = m.r1(lambda t: (t**3).flatten(1).sum(1), tensor(images))
    expected = (9 * images**4).reshape(3, -1).sum(1).mean() / 2
    yield from equal("R1 of images (3, 2, 2, 2)", value, expected, "the squares of all axes but the first are summed")


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


def interpolate(m: Any) -> Iterator[str]:
    real, fake, eps = numbers(4, 2, 3), numbers(4, 2, 3, seed=1), np.array([0.0, 1.0, 0.25, 0.5]).reshape(4, 1, 1)
    x = m.points(leaf(real), leaf(fake), tensor(eps))
    yield from equal("the points", x, eps * real + (1 - eps) * fake, "eps weighs the reals")
    yield from true(
        x.requires_grad and x.is_leaf,
        "the points are no leaf that asks for a gradient: detach them from G, then requires_grad_()",
    )
    for ones in ((1,), (1, 1, 1), (1, 1)):
        eps = m.epsilon(leaf(numbers(4, *(2 for _ in ones))))
        yield from true(
            eps.shape == (4, *ones),
            f"eps has shape {eps.shape}, expected {(4, *ones)}: one number a sample, for any number of axes",
        )
    yield from true(len(set(eps.data.ravel().tolist())) == 4, "all samples get one eps")
    many = np.concatenate([m.epsilon(leaf(numbers(500, 1))).data.ravel() for _ in range(2)])
    yield from true(
        0 <= many.min() < 0.05 and 0.95 < many.max() <= 1 and abs(many.mean() - 0.5) < 0.1,
        "eps is not uniform on [0, 1)",
    )


def gradient_penalty(m: Any) -> Iterator[str]:
    a = numbers(3, seed=2) * 2
    real, fake, eps = numbers(4, 3), numbers(4, 3, seed=1), np.array([[0.1], [0.3], [0.8], [1.0]])
    w = leaf(a)
    value, norm = m.gradient_penalty(lambda t: (t * w).sum(1), tensor(real), tensor(fake), tensor(eps))
    yield from equal(
        "the penalty of a linear critic", value, (np.linalg.norm(a) - 1) ** 2, "(|w| - 1)^2 wherever the points are"
    )
    yield from equal("the mean norm", norm, np.linalg.norm(a))
    yield from true(value.requires_grad, "the penalty has no graph")
    points = eps * real + (1 - eps) * fake
    norms = np.linalg.norm(2 * points, axis=1)
    value, norm = m.gradient_penalty(lambda t: (t * t).sum(1) + (w * 0).sum(), tensor(real), tensor(fake), tensor(eps))
    yield from equal(
        "the penalty of |x|^2",
        value,
        ((norms - 1) ** 2).mean(),
        "the mean over samples of (norm - 1)^2, at the points between",
    )
    yield from equal("the mean norm of |x|^2", norm, norms.mean())


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
                "sqrt(squares + 1e-20)",
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
grad(y, x, ...), which returns a tuple with one gradient an input, sum and safe_norm(t, dims) are at hand.""",
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
        hints=(
            "The first gradient must remember how it was computed.",
            "Two calls of grad: by x, recorded, then by layer.weight.",
        ),
        grader=mixed,
        mutants=(
            ("the bend is not seen", "(s * s)", "(s * s.detach())"),
            ("the mean", "(s * s).sum()", "(s * s).mean()"),
            ("no tanh", "layer(x).tanh()", "layer(x)"),
        ),
    ),
    track(
        "points-between",
        text="""Where does WGAN-GP look at the critic's slope?

On lines between a real and a sample: x_hat = eps real + (1 - eps) fake, with one uniform eps for each pair. Write
epsilon(real), of shape (N, 1, ...) with as many axes as real, and points(real, fake, eps): a new leaf that asks for a
gradient, and through which nothing reaches G. rand(*shape) draws uniform numbers.""",
        source="""from minigan import rand


def epsilon(real):
    \"\"\"One uniform number a sample, (N, 1, ...) beside real (N, ...).\"\"\"
    # learn: points-between begin
    return rand(real.shape[0], *[1] * (real.ndim - 1))
    # learn: points-between end


def points(real, fake, eps):
    \"\"\"The points between, a leaf.\"\"\"
    # learn: points-between begin
    return (eps * real + (1 - eps) * fake).detach().requires_grad_()
    # learn: points-between end
""",
        hints=(
            "A tuple of ones: (1,) * (real.ndim - 1).",
            ".detach().requires_grad_() makes a leaf of what was computed.",
        ),
        grader=interpolate,
        mutants=(
            ("one eps for the batch", "rand(real.shape[0], *[1] * (real.ndim - 1))", "rand(*[1] * real.ndim)"),
            ("an eps a pixel", "rand(real.shape[0], *[1] * (real.ndim - 1))", "rand(*real.shape)"),
            ("no leaf", ".detach().requires_grad_()", ""),
            ("eps weighs the fakes", "eps * real + (1 - eps) * fake", "eps * fake + (1 - eps) * real"),
        ),
    ),
    track(
        "gradient-penalty",
        text="""What is WGAN-GP's penalty?

    E (||grad f(x_hat)|| - 1)^2,    x_hat = eps real + (1 - eps) fake    (Gulrajani et al. 2017, eq. 3).

This is gradient_penalty of minigan/gan/penalties.py; interpolate(real, fake, eps) and gradient_norm(critic, x), shape
(N,), stand beside it. Return two scalars: the penalty without its weight, and the mean norm, to be printed.""",
        source=source("gan/penalties.py", "gradient_penalty"),
        hints=(
            "norms = gradient_norm(critic, interpolate(real, fake, eps))",
            "mean(square(norms - 1)): first the square of each, then the mean.",
        ),
        grader=gradient_penalty,
        mutants=(
            ("the square of the mean", "mean(square(norms - 1))", "square(mean(norms) - 1)"),
            ("around 0", "square(norms - 1)", "square(norms)"),
            ("at the reals", "interpolate(real, fake, eps)", "real.detach().requires_grad_()"),
            (
                "the penalty is a number",
                "norms = gradient_norm(critic, interpolate(real, fake, eps))",
                "norms = gradient_norm(critic, interpolate(real, fake, eps)).detach()",
            ),
        ),
    ),
]
