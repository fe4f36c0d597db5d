"""Games with an exact answer: radii and eigenvalues beside the theory, the Dirac table to its printed digits, the
Jacobian of a small GAN against finite differences."""

import numpy as np
import pytest

import minigan as mg
from minigan import nn
from minigan.gan import steps
from minigan.gan.losses import loss
from minigan.gan.theory.games import (
    BILINEAR,
    BILINEAR_THEORY,
    METHODS,
    dirac,
    gan_jacobian,
    gp_eigenvalues,
    radius,
    sampled_noise,
    trajectory,
    update_eigenvalues,
)


@pytest.mark.parametrize("eta", [0.01, 0.1, 0.4])
@pytest.mark.parametrize("method", METHODS)
def test_bilinear_radius_is_the_theory_s(method, eta):
    """From the Jacobian of the field; and the trajectory grows by it."""
    rho = radius(update_eigenvalues(BILINEAR, method, eta))
    assert rho == pytest.approx(BILINEAR_THEORY[method](eta), abs=1e-12)
    path = np.linalg.norm(trajectory(BILINEAR, method, eta, 400), axis=1)
    if method in ("simultaneous", "lookahead"):
        np.testing.assert_allclose(path[1:] / path[:-1], rho, rtol=1e-12)
    else:
        assert (path[-1] / path[200]) ** (1 / 200) == pytest.approx(rho, abs=2e-3)


def test_bilinear_numbers_of_the_lecture():
    """Lookahead 0.99504 at eta = 0.1; the first steps (1 - eta^2, 2 eta), (1 - 3 eta^2, 3 eta - eta^3)."""
    assert round(radius(update_eigenvalues(BILINEAR, "lookahead", 0.1)), 5) == 0.99504
    path = trajectory(BILINEAR, "simultaneous", 0.1, 3)
    np.testing.assert_allclose(path, [[1, 0], [1, 0.1], [0.99, 0.2], [0.97, 0.299]], atol=1e-15)


def test_alternating_bilinear_stays_on_an_ellipse():
    path = np.linalg.norm(trajectory(BILINEAR, "alternating", 0.1, 2000), axis=1)
    assert path.min() > 0.94 and path.max() < 1.06


# (game, simultaneous, alternating) after 500 steps of 0.2 from (1, 1), as printed; the unit of the last printed digit.
TABLE = [
    ("gan", 3.10, 1.42, 0.005, 0.005),
    ("ns-gan", 0.64, 0.28, 0.005, 0.005),
    ("wgan-clip", 1.00, 1.02, 0.005, 0.005),
    ("wgan-gp", 1.80, 1.22, 0.005, 0.005),
    ("gp", 2.6e-6, 2.3e-7, 0.05e-6, 0.05e-7),
]


@pytest.mark.parametrize(("name", "sim", "alt", "unit_sim", "unit_alt"), TABLE)
def test_dirac_table(name, sim, alt, unit_sim, unit_alt):
    game = dirac()[name]
    assert np.hypot(*trajectory(game, "simultaneous")[-1]) == pytest.approx(sim, abs=unit_sim)
    assert np.hypot(*trajectory(game, "alternating")[-1]) == pytest.approx(alt, abs=unit_alt)


def test_dirac_consensus():
    """Printed with one digit, cut off: 2e-10 and 1e-11."""
    for method, unit, digit in (("simultaneous", 1e-10, 2), ("alternating", 1e-11, 1)):
        assert np.floor(np.hypot(*trajectory(dirac()["consensus"], method)[-1]) / unit) == digit


def test_dirac_instance_noise():
    """The exact expectation converges; 1,000 drawn noises a step stay about 0.02 away (the table's number)."""
    assert np.hypot(*trajectory(dirac()["instance-noise"])[-1]) < 1e-4
    far = np.mean([np.linalg.norm(trajectory(sampled_noise(0.7, 1000, seed))[-100:], axis=1).mean() for seed in (0, 1)])
    assert 0.005 < far < 0.04


@pytest.mark.parametrize("g", [0.0, 0.3, 0.9, 1.0, 1.5])
def test_gp_eigenvalues(g):
    """-g/2 +- sqrt(g^2/4 - 1/4); from g = 1 on there is no rotation."""
    found = np.linalg.eigvals(-dirac(gp=g)["gp"].jacobian((0, 0)))
    np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(gp_eigenvalues(g)), atol=1e-7)
    assert (np.abs(found.imag).max() < 1e-7) == (g >= 1)


@pytest.mark.parametrize("name", dirac())
def test_jacobians_against_differences(name):
    game, w, h = dirac()[name], np.array([0.4, 0.7]), 1e-5
    numeric = np.stack([(game.v(w + h * e) - game.v(w - h * e)) / (2 * h) for e in np.eye(2)], axis=1)
    np.testing.assert_allclose(game.jacobian(w), numeric, atol=1e-8)


def test_the_undamped_dirac_gan_only_rotates():
    """Eigenvalues +-i/2 (Mescheder et al. 2018, lemma 2.3), so simultaneous steps of any size leave."""
    found = np.linalg.eigvals(dirac()["gan"].jacobian((0, 0)))
    np.testing.assert_allclose(np.sort_complex(found), [-0.5j, 0.5j], atol=1e-12)
    assert radius(update_eigenvalues(dirac()["gan"], "simultaneous", 0.2)) == pytest.approx(np.sqrt(1.01))


@pytest.mark.parametrize("name", ["minimax", "non-saturating", "wasserstein", "least-squares", "f-kl"])
def test_the_jacobian_of_a_small_gan(name, rng):
    """Against central differences of the field, for a generator and a critic with tanh layers."""
    g = nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    d = nn.Sequential(nn.Linear(1, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    players = [list(g.parameters()), list(d.parameters())]
    z, x, row = mg.tensor(rng.standard_normal((6, 1))), mg.tensor(rng.standard_normal((6, 1)) + 1), loss(name)

    def losses():
        fake = d(g(z))
        return row.generator(fake), row.discriminator(d(x), fake)

    def field():
        return np.concatenate([v.data.ravel() for found in steps.field(losses(), players) for v in found])

    jacobian, h, columns = gan_jacobian(losses(), players), 1e-5, []
    for p in (p for params in players for p in params):
        for i in range(p.data.size):
            at = np.zeros(p.data.size)
            at[i] = h
            old = p.data.copy()
            p.assign(old + at.reshape(p.shape))
            up = field()
            p.assign(old - at.reshape(p.shape))
            columns.append((up - field()) / (2 * h))
            p.assign(old)
    np.testing.assert_allclose(jacobian, np.stack(columns, axis=1), atol=1e-8)
    n = sum(p.data.size for p in players[0])
    if name == "minimax":  # zero-sum up to D's term in x alone: the mixed blocks are each other's negative transpose
        np.testing.assert_allclose(jacobian[:n, n:], -jacobian[n:, :n].T, atol=1e-12)


def test_bad_input():
    with pytest.raises(ValueError, match="unknown method 'lookahed'; did you mean 'lookahead'"):
        trajectory(BILINEAR, "lookahed")
    with pytest.raises(ValueError, match="step h must be positive"):
        trajectory(BILINEAR, h=0)
