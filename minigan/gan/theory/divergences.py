"""Distances between distributions, exactly: on grids and atoms, between samples, and of finite piles of earth.

On grids p and q are arrays of one shape, either probabilities that sum to 1 (dx = 1) or densities with cell size dx;
logarithms are natural. Convention: P is the data, Q the model.

    KL(P||Q) = sum p ln(p/q), infinite where q = 0 < p        JS = KL(P||M)/2 + KL(Q||M)/2, M = (P + Q)/2, at most ln 2
    W1(P, Q) = min over plans of E|x - y| = max over 1-Lipschitz f of E_P f - E_Q f     (Kantorovich-Rubinstein)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LOG2 = float(np.log(2))


def _pair(p: np.ndarray, q: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    p, q = np.asarray(p, float), np.asarray(q, float)
    if p.shape != q.shape:
        raise ValueError(f"{what}: p {p.shape} and q {q.shape} must have one shape")
    if not (np.isfinite(p).all() and np.isfinite(q).all() and (p >= 0).all() and (q >= 0).all()):
        raise ValueError(f"{what}: masses must be finite and not negative")
    return p, q


def kl(p: np.ndarray, q: np.ndarray, dx: float = 1.0) -> float:
    """KL(P||Q); inf where q = 0 < p."""
    p, q = _pair(p, q, "kl")
    on = p > 0
    if (q[on] == 0).any():
        return float("inf")
    return float((p[on] * (np.log(p[on]) - np.log(q[on]))).sum() * dx)


def reverse_kl(p: np.ndarray, q: np.ndarray, dx: float = 1.0) -> float:
    """KL(Q||P)."""
    return kl(q, p, dx)


def js(p: np.ndarray, q: np.ndarray, dx: float = 1.0) -> float:
    """The Jensen-Shannon divergence, with its halves: between 0 and ln 2."""
    p, q = _pair(p, q, "js")
    total = p + q  # not halved: half the smallest float64 is 0
    terms = [mass[mass > 0] * np.log(2 * (mass[mass > 0] / total[mass > 0])) for mass in (p, q)]
    return float((terms[0].sum() + terms[1].sum()) * dx / 2)


def tv(p: np.ndarray, q: np.ndarray, dx: float = 1.0) -> float:
    """Total variation, half the L1 distance: between 0 and 1."""
    p, q = _pair(p, q, "tv")
    return float(np.abs(p - q).sum() * dx / 2)


def jeffreys(p: np.ndarray, q: np.ndarray, dx: float = 1.0) -> float:
    """KL(P||Q) + KL(Q||P)."""
    return kl(p, q, dx) + kl(q, p, dx)


def pearson(p: np.ndarray, q: np.ndarray, dx: float = 1.0) -> float:
    """Integral of (p - q)^2 / q; inf where q = 0 < p."""
    p, q = _pair(p, q, "pearson")
    on = q > 0
    if (p[~on] > 0).any():
        return float("inf")
    return float(((p[on] - q[on]) ** 2 / q[on]).sum() * dx)


def hellinger(p: np.ndarray, q: np.ndarray, dx: float = 1.0) -> float:
    """Squared Hellinger distance, integral of (sqrt p - sqrt q)^2: between 0 and 2."""
    p, q = _pair(p, q, "hellinger")
    return float(((np.sqrt(p) - np.sqrt(q)) ** 2).sum() * dx)


def entropy(p: np.ndarray, dx: float = 1.0) -> float:
    """-sum p ln p."""
    return cross_entropy(p, p, dx)


def cross_entropy(p: np.ndarray, q: np.ndarray, dx: float = 1.0) -> float:
    """-sum p ln q = H(P) + KL(P||Q); inf where q = 0 < p."""
    p, q = _pair(p, q, "cross_entropy")
    on = p > 0
    if (q[on] == 0).any():
        return float("inf")
    return float(-(p[on] * np.log(q[on])).sum() * dx)


DIVERGENCES: dict[str, Callable[..., float]] = {
    "kl": kl,
    "reverse-kl": reverse_kl,
    "js": js,
    "jeffreys": jeffreys,
    "pearson": pearson,
    "total-variation": tv,
    "hellinger": hellinger,
}


def normal(x: np.ndarray, mu: float = 0.0, sigma: float = 1.0) -> np.ndarray:
    """The density of N(mu, sigma^2) at x."""
    return np.exp(-0.5 * ((x - mu) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))


def optimal_discriminator(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """D* = p / (p + q), and 1/2 where neither has mass."""
    p, q = _pair(p, q, "optimal_discriminator")
    total = p + q
    return np.divide(p, total, out=np.full(p.shape, 0.5), where=total > 0)


def value(d: np.ndarray, p: np.ndarray, q: np.ndarray, dx: float = 1.0) -> float:
    """V = E_P ln D + E_Q ln(1 - D), with 0 ln 0 = 0. At D* it is -2 ln 2 + 2 JS.

    d: probabilities in the shape of p and q. V is -inf for a D that is 1 where q > 0, or 0 where p > 0; but where D is
    D* to the last bit, 1 - D is taken as q / (p + q): float64 rounds D* to 1 long before q is 0.
    """
    p, q = _pair(p, q, "value")
    d = np.asarray(d, float)
    if d.shape != p.shape or not ((d >= 0) & (d <= 1)).all():
        raise ValueError(f"value: d must be probabilities in the shape of p {p.shape}, got {d.shape}")
    is_best = d == optimal_discriminator(p, q)
    with np.errstate(divide="ignore", invalid="ignore"):
        ln_d = np.where(is_best, np.log(p) - np.log(p + q), np.log(d))
        ln_rest = np.where(is_best, np.log(q) - np.log(p + q), np.log1p(-d))
        terms = np.where(p > 0, p * ln_d, 0) + np.where(q > 0, q * ln_rest, 0)
    return float(terms.sum() * dx)


@dataclass(frozen=True)
class Transport:
    """An optimal plan. cost: sum of plan * distance; plan (n, m): mass moved from i to j; dual: E_P f - E_Q f for the
    best potential; potential: f at the n + m points, the m after the n."""

    cost: float
    plan: np.ndarray
    dual: float
    potential: np.ndarray


def earth_mover(p: np.ndarray, q: np.ndarray, x: np.ndarray, y: np.ndarray | None = None) -> Transport:
    """The cheapest way to turn masses p (n,) at points x into masses q (m,) at y (x itself if None), and its dual, each
    as a linear programme of its own (scipy's HiGHS).

    x, y: (n,) or (n, d), distances are Euclidean. Masses need not sum to 1 but must agree: ValueError otherwise. What
    is less than 1e-7 of all mass may be lost.
    """
    from scipy.optimize import linprog

    p, q = np.asarray(p, float), np.asarray(q, float)
    x = np.asarray(x, float).reshape(len(p), -1)
    y = x if y is None else np.asarray(y, float).reshape(len(q), -1)
    if len(p) != len(x) or len(q) != len(y):
        raise ValueError(f"earth_mover: {len(p)} and {len(q)} masses do not fit {len(x)} and {len(y)} points")
    _require_masses("earth_mover", p, q)
    total = max(p.sum(), 1e-300)
    p, q = p / total, q / total  # the solver's tolerances are absolute
    n, m = len(p), len(q)
    distance = np.linalg.norm(x[:, None] - y[None], axis=2)
    rows = np.vstack([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    primal = linprog(distance.ravel(), A_eq=rows, b_eq=np.concatenate([p, q]), bounds=(0, None), method="highs")
    # The dual: f on all points, |f_a - f_b| <= |a - b| for every pair, maximise sum p f(x) - sum q f(y).
    points = np.vstack([x, y])
    a, b = np.nonzero(~np.eye(n + m, dtype=bool))
    slopes = np.zeros((len(a), n + m))
    slopes[np.arange(len(a)), a], slopes[np.arange(len(a)), b] = 1, -1
    limits = np.linalg.norm(points[a] - points[b], axis=1)
    gain = np.concatenate([p, -q])
    bounds = [(0, 0), *[(None, None)] * (n + m - 1)]  # f is known up to a constant
    dual = linprog(-gain, A_ub=slopes, b_ub=limits, bounds=bounds, method="highs")
    if not (primal.success and dual.success):
        raise RuntimeError(f"earth_mover: no solution found: {primal.message} {dual.message}")
    plan = np.maximum(total * primal.x.reshape(n, m), 0)
    return Transport(float((plan * distance).sum()), plan, float(-total * dual.fun), dual.x)


def _require_masses(what: str, p: np.ndarray, q: np.ndarray) -> None:
    if not (np.isfinite(p).all() and np.isfinite(q).all()):
        raise ValueError(f"{what}: masses must be finite")
    if (p < 0).any() or (q < 0).any() or abs(p.sum() - q.sum()) > 1e-9 * max(p.sum(), 1e-300):
        raise ValueError(f"{what}: masses must not be negative and must agree, got {p.sum():g} and {q.sum():g}")


def earth_mover_1d(p: np.ndarray, q: np.ndarray, x: np.ndarray) -> float:
    """The closed form on a line: the integral of |F_P - F_Q|, for masses at points x (n,) in any order."""
    p, q, order = np.asarray(p, float), np.asarray(q, float), np.argsort(x)
    if not len(p) == len(q) == len(order):
        raise ValueError(f"earth_mover_1d: {len(p)} and {len(q)} masses do not fit {len(order)} points")
    _require_masses("earth_mover_1d", p, q)
    gap = np.cumsum((p - q)[order])
    return float((np.abs(gap[:-1]) * np.diff(np.asarray(x, float)[order])).sum())


def _samples(a: np.ndarray, b: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, float), np.asarray(b, float)
    a, b = (s.reshape(len(s), -1) for s in (a, b))
    if a.shape != b.shape or len(a) == 0:
        raise ValueError(f"{what}: needs two sample sets of one shape (N, d), N > 0, got {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(f"{what}: the samples must be finite")
    return a, b


def w1(a: np.ndarray, b: np.ndarray) -> float:
    """The exact W1 between two sample sets (N, d): the cheapest pairing (sorted on a line, scipy's Hungarian method in
    more dimensions, cubic in N)."""
    a, b = _samples(a, b, "w1")
    if a.shape[1] == 1:
        return float(np.abs(np.sort(a[:, 0]) - np.sort(b[:, 0])).mean())
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    distance = cdist(a, b)
    return float(distance[linear_sum_assignment(distance)].mean())


def sliced_w1(a: np.ndarray, b: np.ndarray, directions: int = 200, seed: int = 0) -> float:
    """The mean over random directions of W1 between the projections of (N, d) samples; at most `w1`."""
    a, b = _samples(a, b, "sliced_w1")
    u = np.random.default_rng(seed).standard_normal((a.shape[1], directions))
    u /= np.linalg.norm(u, axis=0)
    return float(np.abs(np.sort(a @ u, axis=0) - np.sort(b @ u, axis=0)).mean())


def parallel_lines(theta: float, atoms: int = 8) -> dict[str, float]:
    """Every distance between the lines {0} x [0, 1] and {theta} x [0, 1], computed from `atoms` equal masses on each:
    the distances do not depend on their number."""
    z = (np.arange(atoms) + 0.5) / atoms
    points = np.unique([(x, h) for x in (0.0, float(theta)) for h in z], axis=0)
    p, q = (np.where(points[:, 0] == x, 1 / atoms, 0.0) for x in (0.0, float(theta)))
    return {
        "tv": tv(p, q),
        "kl": kl(p, q),
        "reverse_kl": reverse_kl(p, q),
        "js": js(p, q),
        "w": earth_mover(p, q, points).cost,
    }
