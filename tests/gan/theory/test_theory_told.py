"""Theory at points where a slip would show: between the means, where nothing is, at the bound of a critic."""

import numpy as np
import pytest

from minigan.gan.theory import divergences, games
from minigan.gan.theory.potentials import mixed_normals


def test_the_penalty_s_points_have_the_moments_of_a_mixture():
    """eps X + (1 - eps) Y of N(1, 4) and N(-3, 4): mean -1, variance 4 E (eps^2 + (1 - eps)^2) + 16 Var eps."""
    x = np.linspace(-25, 25, 5001)
    density = mixed_normals(x, 1.0, -3.0, 2.0) * (x[1] - x[0])
    mean = (x * density).sum()
    assert density.sum() == pytest.approx(1) and mean == pytest.approx(-1, abs=1e-6)
    assert ((x - mean) ** 2 * density).sum() == pytest.approx(4 * 2 / 3 + 16 / 12, rel=1e-4)


def test_the_best_discriminator_cannot_tell_where_nothing_is():
    d = divergences.optimal_discriminator(np.array([0.0, 0.75, 0.25, 0.0]), np.array([0.0, 0.25, 0.0, 0.75]))
    np.testing.assert_array_equal(d, [0.5, 0.75, 1, 0])


def test_a_clipped_critic_looks_ahead_from_within_its_bound():
    """From (1, 1) with |psi| <= 1 and h = 0.2 the predicted point is (0.8, 1), not (0.8, 1.2)."""
    path = games.trajectory(games.dirac()["wgan-clip"], "lookahead", 0.2, 1)
    np.testing.assert_allclose(path[1], [0.8, 1.0])
