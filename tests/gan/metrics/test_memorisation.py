"""Copies of the training points are known as copies, fresh draws of the data are not."""

import numpy as np
import pytest

from minigan.gan.metrics.memorisation import memorisation, nearest_distance


def draws(count, seed):
    return np.random.default_rng(seed).standard_normal((count, 2, 3))


def test_copies_and_fresh_draws():
    """Copied: 100 % and a distance of 0. Fresh: a half, within its interval; 95 % of fresh sets are, of 40 at least
    34."""
    train, held_out = draws(50, 0), draws(50, 1)
    copied = memorisation(train, train, held_out)
    assert copied.share == 1 and copied.train == 0 < copied.held_out
    honest = [memorisation(draws(60, (2, k)), draws(30, (3, k)), draws(30, (4, k))) for k in range(40)]
    assert abs(np.mean([m.share for m in honest]) - 0.5) < 0.05
    assert all(m.interval[0] < m.share < m.interval[1] for m in honest)


def test_half_copied_is_three_quarters():
    """Half copies, half fresh draws, on a line where nearest is known: 1 for the copies, 1 and 0 for the others."""
    train, held_out = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    result = memorisation(np.array([[0.0], [1.0], [1.4], [2.9]]), train, held_out)
    assert result.share == 0.75 and result.count == 2
    assert memorisation(np.array([[1.5]]), train, held_out).share == 0.5  # as near to both


def test_both_sets_count_alike():
    """1,000 training points against 20 held-out ones would win by number alone: 20 of them are taken."""
    result = memorisation(draws(300, 0), draws(1000, 1), draws(20, 2))
    assert result.count == 20 and 0.2 < result.share < 0.8


def test_the_interval_is_wilson_s():
    """3 of 4: centre (3/4 + z^2/8) / (1 + z^2/4), z = 1.96."""
    x = np.array([[0.0], [0.1], [0.2], [5.0]])
    low, high = memorisation(x, np.array([[0.0]]), np.array([[5.0]])).interval
    z = 1.96
    assert (low + high) / 2 == pytest.approx((0.75 + z * z / 8) / (1 + z * z / 4))
    assert high - low == pytest.approx(2 * z * np.sqrt(0.75 * 0.25 / 4 + z * z / 64) / (1 + z * z / 4))


def test_distances_in_parts_are_exact():
    x, points = draws(7, 0).reshape(7, 6), draws(5, 1).reshape(5, 6)
    expected = np.linalg.norm(x[:, None] - points[None], axis=2).min(1)
    assert nearest_distance(x, points, chunk=3) == pytest.approx(expected, rel=1e-12)
    assert (nearest_distance(points + 1e6, points + 1e6) == 0).all()


def test_refusals():
    with pytest.raises(ValueError, match="of one shape and at least one each, got"):
        memorisation(draws(3, 0), draws(3, 1)[:, :1], draws(3, 2))
    with pytest.raises(ValueError, match="at least one each"):
        memorisation(draws(3, 0), draws(3, 1), draws(0, 2))
    with pytest.raises(ValueError, match="must be finite"):
        memorisation(draws(3, 0) * np.inf, draws(3, 1), draws(3, 2))
