"""The critic at its best, in closed form: Kantorovich's potential, and what a penalised and a clipped critic reach.

    W1(P, Q) = max over 1-Lipschitz f of E_P f - E_Q f

Where the cheapest plan moves mass from x to y, the best f falls by |x - y|: it has slope 1 all along the way between
the two coupled points (Gulrajani et al. 2017, proposition 1). At a real or a fake point itself it bends, and need not
have a slope at all: that is why the gradient penalty looks in between. On a line, with H = F_Q - F_P, the best slope is

    f'(x) = sign H(x),                                  E_P f - E_Q f = integral of f' H = integral of |H| = W1
    penalised by w E (|f'(x_hat)| - 1)^2:               f' = sign H (1 + |H| / (2 w r)),  r the density of x_hat
    one hidden layer of n ReLUs, weights in [-c, c]:    |f'| <= n c^2, and less where biases in [-c, c] do not reach
"""

from __future__ import annotations

import numpy as np

from .divergences import Transport, _pair


def _distribution_gap(p: np.ndarray, q: np.ndarray, x: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    """(H, dx): F_Q - F_P between neighbours of increasing x, (n - 1,), and their distances."""
    p, q = _pair(p, q, what)
    x = np.asarray(x, float)
    if x.shape != p.shape or x.ndim != 1 or not (np.diff(x) > 0).all():
        raise ValueError(f"{what}: the points must increase, one a mass {p.shape}, got shape {x.shape}")
    if abs(p.sum() - q.sum()) > 1e-6 * max(p.sum(), 1e-300):
        raise ValueError(f"{what}: the masses must agree, got {p.sum():g} and {q.sum():g}")
    return np.cumsum(q - p)[:-1], np.diff(x)


def potential_1d(p: np.ndarray, q: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(f, slopes) of the best critic on a line, for masses p and q (n,) at increasing points x: f (n,), 0 at the first
    point, and its slope between neighbours (n - 1,), which is 1, -1, or 0 where nothing is moved across.

    Raises ValueError for masses that do not agree, or points that do not increase.
    """
    gap, dx = _distribution_gap(p, q, x, "potential_1d")
    slopes = np.where(np.abs(gap) > 1e-12 * np.sum(p), np.sign(gap), 0.0)
    return np.concatenate([[0.0], np.cumsum(slopes * dx)]), slopes


def coupled_slopes(transport: Transport, x: np.ndarray, y: np.ndarray | None = None, share: float = 1e-9) -> np.ndarray:
    """(f(x_i) - f(y_j)) / |x_i - y_j| for every pair that the plan couples (more than `share` of the mass, apart from
    each other): 1 for each, where potential and plan are the best.

    transport: of `earth_mover` for masses at x (n,) or (n, d) and y (x itself if None).
    """
    n, m = transport.plan.shape
    x = np.asarray(x, float).reshape(n, -1)
    y = x if y is None else np.asarray(y, float).reshape(m, -1)
    i, j = np.nonzero(transport.plan > share * transport.plan.sum())
    distance = np.linalg.norm(x[i] - y[j], axis=1)
    apart = distance > 0
    drop = transport.potential[i] - transport.potential[n + j]
    return drop[apart] / distance[apart]


def extended(transport: Transport, points: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The potential at any points `at` (k, d): the greatest 1-Lipschitz function with its values at `points` (n + m,
    d), the minimum over them of f(point) + |at - point| (McShane 1934). Shape (k,)."""
    points, at = (np.asarray(a, float).reshape(len(a), -1) for a in (points, at))
    distance = np.linalg.norm(at[:, None] - points[None], axis=2)
    return (transport.potential + distance).min(axis=1)


def penalised_estimate(p: np.ndarray, q: np.ndarray, between: np.ndarray, x: np.ndarray, weight: float) -> float:
    """E_P f - E_Q f of the critic that the two-sided penalty leaves best: W1 + integral of H^2 / r, over 2 `weight`.

    p, q: densities at the evenly spaced grid x; between: r, the density of the penalty's points there. Too large
    always; at weight 10 and for two Gaussians a few deviations apart by some 10 to 20 %.
    """
    dx = x[1] - x[0]
    gap, _ = _distribution_gap(p * dx, q * dx, x, "penalised_estimate")
    r = ((between[1:] + between[:-1]) / 2)[np.abs(gap) > 1e-9]
    gap = np.abs(gap[np.abs(gap) > 1e-9])
    return float((gap * (1 + gap / (2 * weight * r))).sum() * dx)


def clipped_estimate(p: np.ndarray, q: np.ndarray, x: np.ndarray, units: int, bound: float) -> float:
    """E_P f - E_Q f of the best critic with one hidden layer of ReLUs, every weight in {-c, c} and bias in [-c, c],
    where P lies to the right of Q (H >= 0): n c^2 times the integral of H over x > -1, or over x < 1 where that is
    more.

    A unit's corner is at -b / w: with w at +-c, biases of at most c put it no farther out than 1. A smaller w would put
    it farther out, and pays with its slope: it is better only where most of what is to be gained lies beyond.
    """
    gap, dx = _distribution_gap(p * (x[1] - x[0]), q * (x[1] - x[0]), x, "clipped_estimate")
    if (gap < -1e-6).any():
        raise ValueError("clipped_estimate: P must lie to the right of Q, F_P <= F_Q everywhere")
    right, left = (gap * dx)[x[:-1] > -1].sum(), (gap * dx)[x[:-1] < 1].sum()
    return float(units * bound**2 * max(right, left))


def mixed_normals(x: np.ndarray, mu_p: float, mu_q: float, sigma: float = 1.0, count: int = 400) -> np.ndarray:
    """The density at x of eps X + (1 - eps) Y for independent X ~ N(mu_p, sigma^2), Y ~ N(mu_q, sigma^2), eps uniform:
    the penalty's points."""
    eps = ((np.arange(count) + 0.5) / count)[:, None]
    mean, deviation = eps * mu_p + (1 - eps) * mu_q, sigma * np.sqrt(eps**2 + (1 - eps) ** 2)
    return (np.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * np.sqrt(2 * np.pi))).mean(0)
