"""Realism scores, gradient energy and the kernel test of codes: closed forms, and what the test can and cannot see."""

import numpy as np
import pytest

from minigan.backend import Generator
from minigan.gan.metrics import realism, reconstructions

RNG = np.random.default_rng(3)


def test_a_realism_score_is_the_ball_over_the_distance():
    """Real rows on a line at 0, 1, 2, 3 and one far off: k = 1 gives balls of 1 and one of 7, which is left out."""
    real = np.array([[0.0], [1.0], [2.0], [3.0], [10.0]])
    scores = realism.realism_scores(np.array([[0.5], [5.0], [11.0]]), real, k=1)
    np.testing.assert_allclose(scores, [2.0, 0.5, 1 / 8])
    with pytest.raises(ValueError, match=r"rows of equal width, got \(2, 2\) and \(5, 1\)"):
        realism.realism_scores(np.zeros((2, 2)), real)


def test_what_is_real_stands_beside_null_models(monkeypatch):
    """As many of each set as there are held-out images, by the judge's features; the null models are the data's own."""
    from worlds import WORLD

    monkeypatch.setattr(realism, "prepared", lambda d, rows: d.images[rows].transpose(0, 3, 1, 2) / 127.5 - 1)
    monkeypatch.setattr(realism, "_features", lambda images, _: images.reshape(len(images), -1)[:, :4])
    train, held_out = (WORLD.images[rows].transpose(0, 3, 1, 2) / 127.5 - 1 for rows in (WORLD.train, WORLD.held_out))
    shares = realism.realistic({"copies": train, "far": held_out + 100}, None, WORLD, k=1)
    assert list(shares) == ["copies", "far", "held_out", "noise", "mean_image"]
    real = train.reshape(6, -1)[:, :4]
    expected = (realism.realism_scores(held_out.reshape(6, -1)[:, :4], real, 1) >= 1).mean()
    assert shares["held_out"] == expected and shares["far"] == 0 and shares["copies"] >= 0.5


def test_gradient_energy_of_a_ramp_and_of_a_checkerboard():
    ramp = np.broadcast_to(np.arange(6) * 0.5, (2, 1, 6, 6))
    board = (np.indices((6, 6)).sum(0) % 2 * 2.0 - 1)[None, None]
    assert realism.gradient_energy(ramp) == pytest.approx(0.5**2 / 2)
    assert realism.gradient_energy(board) == pytest.approx(4.0)
    assert realism.gradient_energy(np.ones((1, 1, 4, 4))) == 0


def test_the_kernel_test_s_value_is_the_unbiased_mmd():
    a, b = RNG.standard_normal((7, 2)), RNG.standard_normal((9, 2)) + 1
    rows = np.concatenate([a, b])
    squares = np.square(rows[:, None] - rows).sum(2)
    kernel = np.exp(-squares / np.median(squares[np.triu_indices(16, 1)]))
    aa, bb, ab = kernel[:7, :7], kernel[7:, 7:], kernel[:7, 7:]
    expected = (aa.sum() - 7) / 42 + (bb.sum() - 9) / 72 - 2 * ab.mean()
    value, p = reconstructions.permutation_test(a, b, Generator(1, 2), rounds=99)
    assert value == pytest.approx(expected) and 0.01 <= p <= 1


def test_the_kernel_test_keeps_its_level_and_has_power():
    """Equal distributions are called different in about 5 %, by p values that are spread evenly; a shift of 0.4 and a
    spread of 1.5 are noticed."""
    random, ps = Generator(5, 6), []
    for _ in range(60):
        a, b = RNG.standard_normal((2, 25, 3))
        ps.append(reconstructions.permutation_test(a, b, random, rounds=39)[1])
    assert np.mean(np.array(ps) <= 0.05) <= 0.15 and 0.35 < np.mean(ps) < 0.65
    a, b = RNG.standard_normal((2, 150, 3))
    assert reconstructions.permutation_test(a + 0.4, b, random, rounds=99)[1] == 0.01
    assert reconstructions.permutation_test(1.5 * a, b, random, rounds=99)[1] == 0.01
    test = reconstructions.prior_test(RNG.standard_normal((150, 8)), random, rounds=99)
    assert test.p > 0.02 and test.shifted == 0.01 and test.samples == 150
    assert reconstructions.prior_test(RNG.standard_normal((150, 8)) + 0.5, random, rounds=99).p == 0.01


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        (np.zeros((3, 2)), np.zeros((5, 2)), r"at least 4 rows of one width, got \(3, 2\), \(5, 2\)"),
        (np.zeros((5, 2)), np.zeros((5, 3)), "one width"),
        (np.full((5, 2), np.nan), np.zeros((5, 2)), "not finite"),
    ],
)
def test_bad_codes_are_named(a, b, told):
    with pytest.raises(ValueError, match=told):
        reconstructions.permutation_test(a, b, Generator(1, 2))
