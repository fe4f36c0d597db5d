"""Optimisers and games: how far a gradient moves a weight, and what happens when two players move at once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ..checks import equal, numbers, true
from ..exercise import Exercise

track = partial(Exercise, track="steps")


def momentum(m: Any) -> Iterator[str]:
    for lr, mu in ((0.1, 0.9), (0.3, 0.5)):
        p, b = numbers(3), np.zeros(3)
        expected_p, expected_b = p.copy(), np.zeros(3)
        for step in range(1, 5):
            g = numbers(3, seed=step)
            m.step(p, g, b, lr, mu)
            expected_b = mu * expected_b + g
            expected_p = expected_p - lr * expected_b
            yield from equal(
                f"the weights after step {step}, mu {mu}", p, expected_p, "b <- mu b + g, p <- p - lr b, both in place"
            )


def adam(m: Any) -> Iterator[str]:
    p, state = numbers(4), m.State(4)
    expected, mean, square = p.copy(), np.zeros(4), np.zeros(4)
    for step in range(1, 6):
        g = numbers(4, seed=step) * np.array([1.0, 1e-3, 1e3, 0.0])
        m.step(p, g, state, 0.01, 0.5, 0.9, 1e-8)
        mean, square = 0.5 * mean + 0.5 * g, 0.9 * square + 0.1 * g * g
        corrected = mean / (1 - 0.5**step), square / (1 - 0.9**step)
        expected = expected - 0.01 * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
        thought = (
            "in the first step every weight with a gradient moves by lr, whatever its size: is the bias corrected?"
        )
        yield from equal(f"the weights after step {step}", p, expected, thought)


def clipping(m: Any) -> Iterator[str]:
    p = np.array([0.009, -0.009, 0.5, 0.0])
    m.clipped_step(p, np.array([-1.0, 1.0, 0.0, 0.0]), 0.01, 0.01)
    yield from equal("the weights", p, [0.01, -0.01, 0.01, 0.0], "the step first, then every weight into [-c, c]")
    p = np.array([0.5])
    m.clipped_step(p, np.array([100.0]), 0.001, 0.6)
    yield from equal("a weight with a large gradient", p, [0.4], "weights are clipped, gradients are not")


def extragradient(m: Any) -> Iterator[str]:
    x, y = m.extragradient(1.0, 2.0, lambda a, b: (b, -a), 0.5)
    yield from equal(
        "x and y after a step on x y",
        [x, y],
        [1 - 0.5 * 2.5, 2 + 0.5 * 0.0],
        "the slopes of the second half are those at the point ahead",
    )
    a, b = 1.0, 1.0
    for _ in range(200):
        a, b = m.extragradient(a, b, lambda u, v: (v, -u), 0.3)
    yield from true(
        np.hypot(a, b) < 1e-3,
        f"after 200 steps on x y the players are {np.hypot(a, b):.3g} from rest; they should spiral in",
    )
    calls: list = []
    m.extragradient(1.0, 1.0, lambda u, v: (calls.append((u, v)), (v, -u))[1], 0.1)
    yield from true(len(calls) == 2, f"the slopes are asked for {len(calls)} times a step, expected 2")


def power_iteration(m: Any) -> Iterator[str]:
    w = numbers(4, 3)
    u = numbers(4, seed=1)
    u /= np.linalg.norm(u)
    start = w.copy()
    for _ in range(60):
        scaled, u = m.spectral(w, u)
    sigma = np.linalg.svd(start, compute_uv=False)[0]
    yield from equal("u's length", np.linalg.norm(u), 1.0)
    yield from equal(
        "the weight over its largest singular value",
        scaled,
        start / sigma,
        "v = W^T u, u = W v, each to length 1; sigma = u^T W v",
        1e-6,
    )
    yield from equal("the weight itself", w, start, "it is not changed")
    once, _ = m.spectral(w, np.eye(4)[0])
    v = w[0] / np.linalg.norm(w[0])
    new = w @ v / np.linalg.norm(w @ v)
    yield from equal(
        "one iteration from the first unit vector", once, w / (new @ w @ v), "v from the old u, then u from the new v"
    )


def eigenvalues(m: Any) -> Iterator[str]:
    for lr in (0.1, 0.5):
        yield from equal(
            f"simultaneous steps of {lr}: growth of the distance a step",
            m.growth_together(lr),
            np.sqrt(1 + lr * lr),
            "the matrix [[1, -lr], [lr, 1]] has eigenvalues 1 +- i lr",
        )
        yield from equal(
            f"alternating steps of {lr}: size of the eigenvalues",
            m.growth_in_turn(lr),
            1.0,
            "x moves first, and y answers to the new x: the determinant is 1",
        )
    yield from equal("alternating steps of 3: the largest size", m.growth_in_turn(3.0), (7 + np.sqrt(45)) / 2)
    a = m.matrix_in_turn(0.5)
    yield from equal("the matrix of a step in turn, lr 0.5", a, [[1, -0.5], [0.5, 0.75]], "y <- y + lr (x - lr y)")


EXERCISES = [
    track(
        "momentum",
        text="""What does momentum remember?

    b <- mu b + g,    p <- p - lr b.

b is a sum of all gradients so far, the old ones worth less. Write step(p, g, b, lr, mu) in NumPy: it changes p and b in
place, as optimisers do (p -= ..., not p = p - ...).""",
        source='''def step(p, g, b, lr, mu):
    """One step; p (weights) and b (their momentum) change in place."""
    # learn: momentum begin
    b *= mu
    b += g
    p -= lr * b
    # learn: momentum end
''',
        hints=(
            "b is a running sum; p follows b, not g.",
            "b *= mu; b += g; then p.",
        ),
        grader=momentum,
        mutants=(
            ("p moves by g", "p -= lr * b", "p -= lr * g"),
            ("an average, not a sum", "b += g", "b += (1 - mu) * g"),
            ("uphill", "p -= lr", "p += lr"),
            ("not in place", "p -= lr * b", "p = p - lr * b"),
        ),
    ),
    track(
        "adam",
        text="""Why does Adam's first step have one size for all weights?

    m <- b1 m + (1 - b1) g,    v <- b2 v + (1 - b2) g^2,    t <- t + 1,
    p <- p - lr m' / (sqrt(v') + eps),    m' = m / (1 - b1^t),  v' = v / (1 - b2^t)

(Kingma & Ba 2015). m and v begin at 0, so the first ones are too small by 1 - b1^t and 1 - b2^t. At t = 1 the quotient
is g / |g|: a sign. Write step in NumPy, in place; state has m, v and t.""",
        source='''import numpy as np


class State:
    """What Adam remembers of a weight array."""

    def __init__(self, size):
        self.m, self.v, self.t = np.zeros(size), np.zeros(size), 0


def step(p, g, state, lr, b1, b2, eps):
    """One step; p and the state change in place."""
    # learn: adam begin
    state.t += 1
    state.m = b1 * state.m + (1 - b1) * g
    state.v = b2 * state.v + (1 - b2) * g * g
    m, v = state.m / (1 - b1**state.t), state.v / (1 - b2**state.t)
    p -= lr * m / (np.sqrt(v) + eps)
    # learn: adam end
''',
        hints=("Count t first: it begins at 1 in the formulas.", "eps stands outside the root."),
        grader=adam,
        mutants=(
            (
                "no correction of the bias",
                "state.m / (1 - b1**state.t), state.v / (1 - b2**state.t)",
                "state.m, state.v",
            ),
            ("t is not counted", "state.t += 1", "state.t = 1"),
            ("the betas change places", "b1 * state.m + (1 - b1) * g", "b2 * state.m + (1 - b2) * g"),
            ("no root", "np.sqrt(v)", "v"),
        ),
    ),
    track(
        "clipping",
        text="""How did the first Wasserstein GAN bound its critic's slope?

After each step every weight was cut to [-c, c] (Arjovsky et al. 2017, algorithm 1). Gradients were not. Write one such
step in place, with plain gradient descent: p <- clip(p - lr g).""",
        source='''import numpy as np


def clipped_step(p, g, lr, c):
    """p moves down g and is then cut to [-c, c], in place."""
    # learn: clipping begin
    p -= lr * g
    np.clip(p, -c, c, out=p)
    # learn: clipping end
''',
        hints=(
            "After the step, so that no weight is ever outside.",
            "np.clip(p, -c, c, out=p) works in place.",
        ),
        grader=clipping,
        mutants=(
            (
                "clipped before the step",
                "    p -= lr * g\n    np.clip(p, -c, c, out=p)\n",
                "    np.clip(p, -c, c, out=p)\n    p -= lr * g\n",
            ),
            ("the gradient is clipped", "p -= lr * g", "p -= lr * np.clip(g, -c, c)"),
            ("from one side", "np.clip(p, -c, c, out=p)", "np.minimum(p, c, out=p)"),
        ),
    ),
    track(
        "eigenvalues",
        text="""Why do two players circle, and when do they fly apart?

In the game x y, x steps down and y steps up, both by lr:

    together:  x <- x - lr y,  y <- y + lr x;       in turn:  x <- x - lr y,  then y <- y + lr x with the new x.

Each is a matrix on (x, y). Write matrix_in_turn(lr), and the largest size of the eigenvalues of both, by which the
distance from rest grows a step: growth_together(lr), growth_in_turn(lr).""",
        source='''import numpy as np


def matrix_in_turn(lr):
    """The 2x2 matrix of a step in turn."""
    # learn: eigenvalues begin
    return np.array([[1, -lr], [lr, 1 - lr * lr]])
    # learn: eigenvalues end


def growth_together(lr):
    """The largest size of the eigenvalues of a step together."""
    # learn: eigenvalues begin
    return abs(np.linalg.eigvals(np.array([[1, -lr], [lr, 1]]))).max()
    # learn: eigenvalues end


def growth_in_turn(lr):
    """The largest size of the eigenvalues of a step in turn."""
    # learn: eigenvalues begin
    return abs(np.linalg.eigvals(matrix_in_turn(lr))).max()
    # learn: eigenvalues end
''',
        hints=("y <- y + lr (x - lr y) = lr x + (1 - lr^2) y.", "abs of a complex number is its size."),
        grader=eigenvalues,
        mutants=(
            ("y answers to the old x", "1 - lr * lr", "1"),
            ("the real part", "abs(np.linalg.eigvals(np.array", "np.real(np.linalg.eigvals(np.array"),
            ("both help each other", "[[1, -lr], [lr, 1]]", "[[1, lr], [lr, 1]]"),
        ),
    ),
    track(
        "extragradient",
        text="""What makes two players spiral in?

In the game x y plain steps circle outwards. Extragradient looks ahead: from (x, y) it takes a trial step by lr, asks
for the slopes there, and takes the real step from (x, y) by those. slopes(x, y) returns (dx, dy), the directions in
which each player's own loss rises; both step against theirs. Return the new x and y.""",
        source='''def extragradient(x, y, slopes, lr):
    """One step of both players, with the slopes at the point ahead."""
    # learn: extragradient begin
    dx, dy = slopes(x, y)
    dx, dy = slopes(x - lr * dx, y - lr * dy)
    return x - lr * dx, y - lr * dy
    # learn: extragradient end
''',
        hints=(
            "Two calls of slopes; the second at (x - lr dx, y - lr dy).",
            "The real step begins at (x, y), not at the trial point.",
        ),
        grader=extragradient,
        mutants=(
            ("two plain steps", "return x - lr * dx, y - lr * dy", "return x - 2 * lr * dx, y - 2 * lr * dy"),
            ("a plain step", "dx, dy = slopes(x - lr * dx, y - lr * dy)", "dx, dy = slopes(x, y)"),
            ("x looks ahead alone", "slopes(x - lr * dx, y - lr * dy)", "slopes(x - lr * dx, y)"),
        ),
    ),
    track(
        "power-iteration",
        text="""How does spectral norm find a matrix's largest singular value?

By one power iteration a training step, from the u that the last one left (Miyato et al. 2018):

    v = W^T u / |W^T u|,    u = W v / |W v|,    sigma = u^T W v,    the layer uses W / sigma.

Write spectral(W, u) in NumPy: it returns (W / sigma, the new u) and changes nothing in place.""",
        source='''import numpy as np


def spectral(W, u):
    """(W / sigma, the new u) for W (rows, columns) and u (rows,)."""
    # learn: power-iteration begin
    v = W.T @ u
    v = v / np.linalg.norm(v)
    u = W @ v
    u = u / np.linalg.norm(u)
    return W / (u @ W @ v), u
    # learn: power-iteration end
''',
        hints=("v first, from the old u; then u from the new v.", "sigma = u @ W @ v is a number."),
        grader=power_iteration,
        mutants=(
            ("u does not move", "u @ W @ v), u", "u @ W @ v), u * 0 + np.eye(len(u))[0]"),
            ("the Frobenius norm", "W / (u @ W @ v)", "W / np.linalg.norm(W)"),
            ("u is not normalised", "    u = u / np.linalg.norm(u)\n", ""),
            ("the weight is changed", "return W / (u @ W @ v), u", "W /= u @ W @ v\n    return W, u"),
        ),
    ),
]
