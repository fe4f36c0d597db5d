"""How many factors one latent moves, on generators of which it is known; no network."""

import numpy as np
import pytest

from minigan.gan.metrics.entanglement import entanglement, of_ends, rotated


def signs(x):
    return (x > 0).astype(int)


def base(count=400, latent=4):
    return np.random.default_rng(0).standard_normal((count, latent))


def test_one_latent_one_factor():
    """An attribute is the sign of a latent: each moves its own, always, and nothing else."""
    result = entanglement(lambda z: z, signs, base())
    assert np.array_equal(result.changes, np.eye(4)) and (result.per_latent == 1).all()
    assert result.factors == 1 and result.interval == (1, 1)


def test_a_latent_that_moves_two():
    """The first latent sets two attributes, the second one, the third none: (2 x 2 + 1 x 1) / 3 factors."""
    result = entanglement(lambda z: z, lambda x: signs(x[:, [0, 0, 1]]), base(latent=3))
    assert np.array_equal(result.changes, [[1, 1, 0], [0, 0, 1], [0, 0, 0]])
    assert result.per_latent.tolist() == [2, 1, 0] and result.factors == pytest.approx(5 / 3)


def test_how_often_counts():
    """An attribute that differs half as often counts less: (1 + 1/2)^2 / (1 + 1/4) = 1.8."""

    def attributes(x):
        return np.stack([signs(x[:, 0]), signs(x[:, 0]) * (np.arange(len(x)) % 2)], 1)

    result = entanglement(lambda z: z, attributes, base(latent=1))
    assert result.factors == pytest.approx(1.8) and result.interval[0] < 1.8 < result.interval[1]
    assert 0.02 < result.interval[1] - result.interval[0] < 0.2  # 400 images


def test_an_interval_holds_its_figure():
    """Of twenty images each changes another one of twenty attributes: 20 factors. Images drawn again are fewer
    different ones, of some 10 factors; the interval has their spread, about the figure."""
    ends = [(np.zeros((20, 20), int), np.eye(20, dtype=int))]
    result = of_ends(ends, 20)
    assert result.factors == pytest.approx(20)
    assert result.interval[0] < 20 < result.interval[1] < 26


def test_the_null_model_is_entangled():
    """Behind a rotation each latent moves several of the same four attributes; the images' distribution is the same."""
    turned = rotated(lambda z: z, 4)
    result = entanglement(turned, signs, base())
    assert result.interval[0] > 1.5 and result.factors <= 4
    z = base()
    assert np.allclose(np.linalg.norm(turned(z), axis=1), np.linalg.norm(z, axis=1))


def test_ends_are_the_reach():
    """Latent j, and it alone, is set to -reach and to reach."""
    seen = []
    entanglement(lambda z: seen.append(z) or z, signs, base(5, 2), reach=1.5)
    z = base(5, 2)
    for k, images in enumerate(seen):
        j, side = divmod(k, 2)
        assert (images[:, j] == (-1.5, 1.5)[side]).all() and np.array_equal(images[:, 1 - j], z[:, 1 - j])
    assert len(seen) == 4 and np.array_equal(z, base(5, 2))


def test_refusals():
    with pytest.raises(ValueError, match=r"needs base latents \(N, L\) with N at least 2, got \(3,\)"):
        entanglement(lambda z: z, signs, np.zeros(3))
    with pytest.raises(ValueError, match=r"attributes must be \(N, K\) for N = 5 images, got \(5,\)"):
        entanglement(lambda z: z, lambda x: x[:, 0], base(5))
    with pytest.raises(ValueError, match="no latent moves any attribute"):
        entanglement(lambda z: 0 * z, signs, base(5))
