"""Distances between distributions: what a GAN brings down, and how its samples are judged."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ...autograd import grad
from ..checks import equal, leaf, numbers, true
from ..exercise import Exercise

track = partial(Exercise, track="divergences")


def optimal(m: Any) -> Iterator[str]:
    p, q = np.array([0.5, 0.5, 0.0, 0.0]), np.array([0.25, 0.25, 0.5, 0.0])
    yield from equal("D*", m.optimal(p, q), [2 / 3, 2 / 3, 0.0, 0.5], "p / (p + q), and 1/2 where neither has mass")
    yield from equal(
        "JS of two that do not meet",
        m.js(np.array([1.0, 0.0]), np.array([0.0, 1.0])),
        np.log(2),
        "ln 2, wherever the two lie",
    )
    yield from equal("JS of equals", m.js(p, p), 0.0)
    mid = (p + q) / 2
    on, at = p > 0, q > 0
    js = (p[on] * np.log(p[on] / mid[on])).sum() / 2 + (q[at] * np.log(q[at] / mid[at])).sum() / 2
    yield from equal("JS", m.js(p, q), js, "half of KL(P||M) and half of KL(Q||M)")
    yield from equal("the value at D*", m.value(p, q), -2 * np.log(2) + 2 * js, "V(D*) = -2 ln 2 + 2 JS")


def matching(m: Any) -> Iterator[str]:
    for width in (3, 4):
        yield from _matching(m, numbers(7, width), numbers(5, width, seed=1))


def _matching(m: Any, real: np.ndarray, fake: np.ndarray) -> Iterator[str]:
    a, b = leaf(real), leaf(fake)
    value = m.feature_matching(a, b)
    yield from equal("the distance of the means", value, ((real.mean(0) - fake.mean(0)) ** 2).sum())
    by_real, by_fake = grad(value, [a, b], allow_unused=True)
    yield from true(by_real is None, "reals get a gradient: they are no part of the generator, detach them")
    yield from equal(
        "the gradient by the fakes' features", by_fake, np.tile(-2 * (real.mean(0) - fake.mean(0)) / 5, (5, 1))
    )


def earth(m: Any) -> Iterator[str]:
    a, b = np.array([0.0, 1.0, 3.0]), np.array([5.0, 6.0, 8.0])
    yield from equal("W1 of a shift by 5", m.wasserstein(a, b), 5.0)
    yield from equal(
        "W1 of the same points in another order", m.wasserstein(a, a[::-1]), 0.0, "the order of samples means nothing"
    )
    x, y = numbers(50), numbers(50, seed=1) * 2 + 1
    yield from equal(
        "W1",
        m.wasserstein(x, y),
        np.abs(np.sort(x) - np.sort(y)).mean(),
        "in one dimension the cheapest plan moves smallest to smallest",
    )


def frechet(m: Any) -> Iterator[str]:
    a, b = numbers(200, 3), numbers(200, 3, seed=1) * 1.5 + 0.3
    yield from equal("the distance of a set to itself", m.frechet(a, a), 0.0, tolerance=1e-6)
    ca, cb = np.cov(a.T), np.cov(b.T)
    values = np.linalg.eigvals(ca @ cb).real
    expected = (
        ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca) + np.trace(cb) - 2 * np.sqrt(np.maximum(values, 0)).sum()
    )
    yield from equal("the Fréchet distance", m.frechet(a, b), expected, "means, traces, and the trace of a root", 1e-6)
    one = numbers(200, 1)
    yield from equal("of a shift by 2 in one dimension", m.frechet(one, one + 2), 4.0, tolerance=1e-6)


def modes(m: Any) -> Iterator[str]:
    p = np.eye(4)[[0, 0, 1, 1, 1, 3]] * 0.96 + 0.01
    p[5] = [0.4, 0.3, 0.2, 0.1]
    yield from equal(
        "modes, confident", m.coverage(p, 0.9), [2, 5 / 6], "sample 5 is not confident, so it counts for no class"
    )
    uniform = np.full((3, 4), 0.25)
    yield from equal("modes, confident of samples that nobody knows", m.coverage(uniform, 0.9), [0, 0.0])
    yield from equal(
        "modes, confident at the threshold itself",
        m.coverage(np.array([[0.75, 0.25]]), 0.75),
        [0, 0.0],
        "above, not at",
    )
    sharp = np.eye(3)[[0, 1, 2, 2]]
    yield from equal("modes, confident of sharp ones", m.coverage(sharp, 0.9), [3, 1.0])


EXERCISES = [
    track(
        "optimal-discriminator",
        text="""What does the best discriminator say, and what is the game's value there?

For masses p of the data and q of the model on the same points, in NumPy:

    optimal(p, q) = p / (p + q), and 1/2 where neither has mass;
    js(p, q) = KL(p||m) / 2 + KL(q||m) / 2, m = (p + q) / 2, where 0 ln 0 = 0;
    value(p, q) = sum p ln D* + sum q ln(1 - D*), again with 0 ln 0 = 0.

On paper value = -2 ln 2 + 2 js. The grader's p and q have places without mass, where ln would be infinite.""",
        source='''import numpy as np


def optimal(p, q):
    """D*, in [0, 1]."""
    # learn: optimal-discriminator begin
    total = p + q
    return np.where(total > 0, p / np.where(total > 0, total, 1), 0.5)
    # learn: optimal-discriminator end


def value(p, q):
    """V(D*) = E ln D* + E ln(1 - D*)."""
    # learn: optimal-discriminator begin
    d = optimal(p, q)
    return (p[p > 0] * np.log(d[p > 0])).sum() + (q[q > 0] * np.log(1 - d[q > 0])).sum()
    # learn: optimal-discriminator end


def js(p, q):
    """The Jensen-Shannon divergence, between 0 and ln 2."""
    # learn: optimal-discriminator begin
    return np.log(2) + value(p, q) / 2
    # learn: optimal-discriminator end
''',
        hints=(
            "Pick the places with mass first: p[p > 0].",
            "js can be had from value: (value + 2 ln 2) / 2, or by the two KLs.",
        ),
        grader=optimal,
        mutants=(
            ("q / (p + q)", "p / np.where(total > 0, total, 1)", "q / np.where(total > 0, total, 1)"),
            ("0 where neither has mass", "1), 0.5)", "1), 0.0)"),
            ("not halved", "value(p, q) / 2", "value(p, q)"),
            ("0 ln 0 is not a number", "(p[p > 0] * np.log(d[p > 0]))", "(p * np.log(d))"),
        ),
    ),
    track(
        "earth-mover",
        text="""How far is one heap of points from another?

W1 is the least mean distance over all ways to move samples a (n,) onto samples b (n,). On a line the cheapest way keeps
the order: the smallest goes to the smallest. Write it in NumPy. Unlike JS it grows with the distance of two heaps that
do not meet, and that is why a Wasserstein critic has a slope there.""",
        source='''import numpy as np


def wasserstein(a, b):
    """W1 of two samples of one size, numbers on a line."""
    # learn: earth-mover begin
    return np.abs(np.sort(a) - np.sort(b)).mean()
    # learn: earth-mover end
''',
        hints=(
            "No two ways may cross: uncrossed they are shorter together.",
            "np.sort both.",
        ),
        grader=earth,
        mutants=(
            ("not sorted", "np.sort(a) - np.sort(b)", "a - b"),
            ("the distance of the means", "np.abs(np.sort(a) - np.sort(b)).mean()", "abs(a.mean() - b.mean())"),
            ("W2", "np.abs(np.sort(a) - np.sort(b)).mean()", "np.sqrt(((np.sort(a) - np.sort(b)) ** 2).mean())"),
        ),
    ),
    track(
        "feature-matching",
        text="""What can G aim at when D's verdict jumps about?

At the mean of D's features: minimise ||E f(x) - E f(Gz)||^2 over features f (N, F) of a middle layer (Salimans et al.
2016, eq. 1). Reals get no gradient. This is feature_matching of minigan/gan/tricks.py, without its covariance;
mean(t, axis), sum and square are Tensors' functions.""",
        source='''from minigan.ops.elementary import square
from minigan.ops.reduce import mean, sum


def feature_matching(real, fake):
    """||E f(x) - E f(Gz)||^2 over features (N, F)."""
    # learn: feature-matching begin
    return sum(square(mean(real.detach(), 0) - mean(fake, 0)))
    # learn: feature-matching end
''',
        hints=("Means over axis 0, difference, squares, sum.", "real.detach()."),
        grader=matching,
        mutants=(
            ("reals are not detached", "real.detach()", "real"),
            ("fakes are detached", "mean(fake, 0)", "mean(fake.detach(), 0)"),
            (
                "sample by sample",
                "sum(square(mean(real.detach(), 0) - mean(fake, 0)))",
                "mean(square(real.detach()[:5] - fake))",
            ),
        ),
    ),
    track(
        "frechet",
        text="""What does the Fréchet distance of FID measure?

Two sets of features (N, F) are taken for normal distributions, with means m and covariances C (divided by N - 1):

    d = |m_a - m_b|^2 + tr C_a + tr C_b - 2 tr (C_a C_b)^(1/2).

The trace of the root is the sum of the roots of the eigenvalues of C_a C_b, which are real and not negative, but for
rounding. Write it in NumPy. Two sets of one mean and one covariance are at distance 0, however different they look.""",
        source="""import numpy as np


def frechet(a, b):
    \"\"\"The Fréchet distance of two sets of features (N, F).\"\"\"
    # learn: frechet begin
    ca, cb = np.atleast_2d(np.cov(a.T)), np.atleast_2d(np.cov(b.T))
    values = np.linalg.eigvals(ca @ cb).real
    root = np.sqrt(np.maximum(values, 0)).sum()
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca) + np.trace(cb) - 2 * root
    # learn: frechet end
""",
        hints=(
            "np.cov(a.T) divides by N - 1; for one feature it is a number: np.atleast_2d.",
            "np.linalg.eigvals(ca @ cb).real, and nothing below 0 under the root.",
        ),
        grader=frechet,
        mutants=(
            (
                "the distance of means, not squared",
                "((a.mean(0) - b.mean(0)) ** 2).sum()",
                "np.sqrt(((a.mean(0) - b.mean(0)) ** 2).sum())",
            ),
            ("the root is taken once", "- 2 * root", "- root"),
            ("means only", " + np.trace(ca) + np.trace(cb) - 2 * root", ""),
            ("no root", "np.sqrt(np.maximum(values, 0))", "np.maximum(values, 0)"),
        ),
    ),
    track(
        "coverage",
        text="""Has the generator collapsed?

A classifier gives each of N samples probabilities p (N, K). A sample is confident where its largest probability is
above the threshold, and then belongs to that class. Return (the number of classes that have at least one confident
sample, the share of samples that are confident). One number never tells: a generator that draws one perfect eight
has a share of 1.""",
        source="""import numpy as np


def coverage(p, threshold):
    \"\"\"(classes present, share of confident samples) for probabilities p (N, K).\"\"\"
    # learn: coverage begin
    confident = p.max(1) > threshold
    return len(np.unique(p.argmax(1)[confident])), confident.mean()
    # learn: coverage end
""",
        hints=(
            "First the samples that count, then their classes.",
            "p.max(1) > threshold is an array of truth values; it can index p.argmax(1).",
        ),
        grader=modes,
        mutants=(
            ("every sample has a class", "p.argmax(1)[confident]", "p.argmax(1)"),
            ("the mean confidence", "confident.mean()", "p.max(1).mean()"),
            ("any class above the threshold", "len(np.unique(p.argmax(1)[confident]))", "p.shape[1]"),
        ),
    ),
]
