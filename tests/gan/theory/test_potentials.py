"""The critic at its best: slope 1 between coupled points, and the estimates of a penalised and a clipped critic."""

import numpy as np
import pytest
from scipy.optimize import minimize

from minigan.gan.theory.divergences import earth_mover, earth_mover_1d, normal
from minigan.gan.theory.potentials import (
    clipped_estimate,
    coupled_slopes,
    extended,
    mixed_normals,
    penalised_estimate,
    potential_1d,
)

X = np.linspace(-12, 12, 2401)
DX = X[1] - X[0]


@pytest.mark.parametrize("seed", range(4))
def test_on_a_line_the_potential_is_the_dual_s(seed):
    """E_P f - E_Q f is W1 by the closed form and by the linear programme; slopes are 1, 0 or -1."""
    random = np.random.default_rng(seed)
    x = np.sort(random.standard_normal(9))
    p, q = (np.round(random.dirichlet(np.ones(9)), 3) for _ in "pq")
    q[0] += p.sum() - q.sum()
    f, slopes = potential_1d(p, q, x)
    assert (f * (p - q)).sum() == pytest.approx(earth_mover_1d(p, q, x), abs=1e-12)
    assert (f * (p - q)).sum() == pytest.approx(earth_mover(p, q, x).dual, abs=1e-9)
    assert set(slopes) <= {-1.0, 0.0, 1.0} and np.allclose(np.diff(f), slopes * np.diff(x))


def test_the_lecture_s_piles():
    """P = (3, 2, 1, 4), Q = (1, 2, 4, 3): F_Q - F_P = -2, -2, 1, so f falls twice and rises; P = Q moves nothing."""
    f, slopes = potential_1d([3, 2, 1, 4], [1, 2, 4, 3], [0, 1, 2, 3])
    assert slopes.tolist() == [-1, -1, 1] and f.tolist() == [0, -1, -2, -1]
    assert potential_1d([1, 2], [1, 2], [0, 1])[1].tolist() == [0]


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_slope_1_all_along_the_way_between_coupled_points(dimensions):
    """The drop over each coupled pair is their distance; between them the potential is a straight line; slope 1 is
    nowhere passed, and over some pairs that are not coupled it drops by less."""
    random = np.random.default_rng(dimensions)
    real, fake = (random.standard_normal((10, dimensions)) + c for c in (0, 0.3))
    mass = np.full(10, 0.1)
    plan = earth_mover(mass, mass, real, fake)
    assert coupled_slopes(plan, real, fake) == pytest.approx(np.ones((plan.plan > 1e-9).sum()), abs=1e-9)
    points = np.concatenate([real, fake])
    assert extended(plan, points, points) == pytest.approx(plan.potential, abs=1e-9)
    assert extended(plan, points, points[:1] + 100)[0] > plan.potential.max()  # the greatest one rises away from all
    i, j = np.nonzero(plan.plan > 1e-9)
    for t in (0.2, 0.5, 0.9):
        at = real[i] + t * (fake[j] - real[i])
        drop = plan.potential[i] - extended(plan, points, at)
        assert drop == pytest.approx(t * np.linalg.norm(fake[j] - real[i], axis=1), abs=1e-9)
    every = (plan.potential[:10, None] - plan.potential[None, 10:]) / np.linalg.norm(real[:, None] - fake, axis=2)
    assert every.max() <= 1 + 1e-9 and (every < 0.999).any()


def test_points_that_stay_have_no_slope():
    """Mass that is not moved couples a point with itself: no way, no slope."""
    plan = earth_mover([2, 1], [1, 2], [0.0, 1.0])
    assert coupled_slopes(plan, np.array([0.0, 1.0])).tolist() == [1.0]


def test_the_penalised_critic_s_estimate_is_the_minimiser_s():
    """Minimise - integral f' H + w integral r (|f'| - 1)^2 over slopes: the same estimate, and W1 as w grows."""
    p, q = normal(X, 0.75), normal(X, -0.75)
    r, w = mixed_normals(X, 0.75, -0.75), 10.0
    assert r.sum() * DX == pytest.approx(1, abs=1e-6)
    coarse = X[::24]
    pc, qc, rc = (np.interp(coarse, X, a) for a in (p, q, r))
    h, between = np.cumsum(qc - pc)[:-1] * np.diff(coarse), (rc[1:] + rc[:-1]) / 2
    on = between > 1e-6
    loss = lambda s: (-s * h[on] + w * between[on] * (np.abs(s) - 1) ** 2).sum()  # noqa: E731
    slope = lambda s: -h[on] + 2 * w * between[on] * (np.abs(s) - 1) * np.sign(s)  # noqa: E731
    best = minimize(loss, np.ones(on.sum()), jac=slope, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-15})
    assert (best.x * h[on]).sum() * np.diff(coarse)[0] == pytest.approx(
        penalised_estimate(pc, qc, rc, coarse, w), rel=2e-3
    )
    assert penalised_estimate(p, q, r, X, 1e9) == pytest.approx(1.5, abs=1e-3)
    assert 1.5 < penalised_estimate(p, q, r, X, 10.0) < penalised_estimate(p, q, r, X, 1.0)


def test_no_clipped_critic_passes_the_formula():
    """Of random critics with weights in [-c, c] none has a larger E_P f - E_Q f; the one with every unit at its bound
    has it."""
    p, q, c, n = normal(X, 0.75), normal(X, -0.75), 0.3, 6
    best, random = clipped_estimate(p, q, X, n, c), np.random.default_rng(0)

    def estimate(w, b, v):
        return ((np.maximum(X[:, None] * w + b, 0) @ v) * (p - q)).sum() * DX

    assert max(estimate(*random.uniform(-c, c, (3, n))) for _ in range(300)) < best
    assert max(estimate(*(c * random.choice([-1, 1], (3, n)))) for _ in range(300)) <= best * (1 + 1e-3)
    assert estimate(*np.full((3, n), c)) == pytest.approx(best, rel=5e-3)
    assert best < n * c**2 * 1.5


def test_refusals():
    with pytest.raises(ValueError, match=r"potential_1d: the masses must agree, got 3 and 2"):
        potential_1d([1, 2], [1, 1], [0, 1])
    with pytest.raises(
        ValueError, match=r"potential_1d: the points must increase, one a mass \(2,\), got shape \(2,\)"
    ):
        potential_1d([1, 2], [2, 1], [1, 0])
    with pytest.raises(ValueError, match="clipped_estimate: P must lie to the right of Q"):
        clipped_estimate(normal(X, -1), normal(X, 1), X, 3, 0.1)
