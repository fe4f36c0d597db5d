"""Two-dimensional data and PacGAN's scores: what perfect samples reach, what broken ones lose, bad files."""

import math

import numpy as np
import pytest

from minigan.gan.toy import data as toydata


@pytest.mark.parametrize("name", toydata.BUILDERS)
def test_sets_are_functions_of_the_seed(name):
    points = toydata.load(name)
    a = points.sample(500, 3)
    assert a.shape == (500, 2) and a.dtype == np.float32 and np.isfinite(a).all()
    assert (a == points.sample(500, 3)).all() and (a != points.sample(500, 4)).any()


@pytest.mark.parametrize(("name", "modes", "sigma", "radius"), [("ring", 8, 0.01, 1.0), ("grid", 25, 0.05, 4 * 2**0.5)])
def test_the_mixtures_are_the_protocol_s(name, modes, sigma, radius):
    """Mode count, spread and extent as published; the spread is measured on the draws."""
    points = toydata.load(name)
    assert points.modes.shape == (modes, 2) and points.sigma == sigma
    assert np.linalg.norm(points.modes, axis=1).max() == pytest.approx(radius)
    x = points.sample(20000, 0)
    away = x - points.modes[np.linalg.norm(x[:, None] - points.modes, axis=2).argmin(1)]
    assert away.std() == pytest.approx(sigma, rel=0.02)


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_perfect_samples_reach_the_ceiling(name):
    """1 - exp(-9/2) = 98.89 % of high quality, to four standard errors; every mode; nearly no divergence; the floor of
    W1."""
    points = toydata.load(name)
    figures = toydata.scores(points.sample(100_000, 5), points)
    assert pytest.approx(0.98889, abs=1e-5) == toydata.CEILING
    assert figures["high_quality"] == pytest.approx(toydata.CEILING, abs=4 * math.sqrt(0.0111 / 100_000))
    assert figures["modes"] == len(points.modes) and 0 <= figures["reverse_kl"] < 1e-3
    assert figures["w1"] == pytest.approx(figures["w1_floor"], rel=0.7)


def test_collapsed_samples_score_as_computed_by_hand():
    """Three quarters on one mode, a quarter on another, of eight: KL = ln 8 - H(3/4, 1/4)."""
    points = toydata.load("ring")
    figures = toydata.scores(np.repeat(points.modes[[0, 1]], [75, 25], axis=0), points)
    expected = math.log(8) + 0.75 * math.log(0.75) + 0.25 * math.log(0.25)
    assert figures["modes"] == 2 and figures["high_quality"] == 1.0
    assert figures["reverse_kl"] == pytest.approx(expected, abs=1e-12)
    assert figures["w1"] > 0.5


def test_the_curves_are_what_they_say():
    """Of 20,000 points each: two half circles, the lower one around (1, 1/2); a spiral of even density, on which the
    square of the radius has mean 1/2; a roll from radius 0.15 pi to 0.45 pi."""
    x = toydata.load("moons").sample(20_000, 0)
    upper = np.abs(np.linalg.norm(x, axis=1) - 1) + 9 * (x[:, 1] < -0.25)
    lower = np.abs(np.linalg.norm(x - [1, 0.5], axis=1) - 1) + 9 * (x[:, 1] > 0.75)
    assert np.minimum(upper, lower).max() < 0.25 and abs((upper < lower).mean() - 0.5) < 0.05
    radius = np.linalg.norm(toydata.load("spiral").sample(20_000, 0), axis=1)
    assert np.mean(radius**2) == pytest.approx(0.5, abs=0.01)
    radius = np.linalg.norm(toydata.load("roll").sample(20_000, 0), axis=1)
    assert np.quantile(radius, (0.01, 0.5, 0.99)) == pytest.approx(np.pi * np.array([0.15, 0.3, 0.45]), rel=0.03)


def test_samples_nowhere_near_and_not_finite():
    """No mode is found, the divergence is infinite; of what is not finite no distance is given."""
    points = toydata.load("grid")
    far = toydata.scores(np.full((50, 2), 99.0), points)
    assert far["modes"] == 0 and far["high_quality"] == 0 and far["reverse_kl"] == math.inf
    broken = toydata.scores(np.full((50, 2), np.nan), points)
    assert broken["modes"] == 0 and not broken["finite"] and "w1" not in broken
    with pytest.raises(ValueError, match=r"expected samples \(N, 2\), got \(5, 3\)"):
        toydata.scores(np.zeros((5, 3)), points)


def test_wasserstein_against_known_distances():
    """A shift by v costs |v|; a permutation costs nothing; unequal counts are refused."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((200, 2))
    assert toydata.wasserstein(a, a[::-1] + np.array([3.0, 4.0])) == pytest.approx(5.0)
    assert toydata.wasserstein(a, rng.permutation(a)) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ValueError, match="equally many"):
        toydata.wasserstein(a, a[:3])


def test_a_user_s_scatter(tmp_path):
    """npz and csv, with or without a line of names, give rows of the file."""
    rows = np.array([[0.0, 1.0], [2.5, -3.0], [4.0, 4.0]])
    np.savez(tmp_path / "a.npz", rows)
    (tmp_path / "b.csv").write_text("x,y\n0,1\n2.5,-3\n\n4,4\n")
    (tmp_path / "c.csv").write_text("0,1\n2.5,-3\n4,4")
    for name in ("a.npz", "b.csv", "c.csv"):
        points = toydata.load(str(tmp_path / name))
        assert {tuple(r) for r in points.sample(100, 0).tolist()} == {tuple(r) for r in rows.tolist()}
        assert points.modes is None


BAD = {
    "text.csv": ("1,2\n3,four\n", "line 2: '3,four' is not two numbers"),
    "nan.csv": ("1,2\nnan,4\n5,6\n", "point 2 is"),
    "inf.csv": ("1,2\n3,inf\n", "must be finite"),
    "one.csv": ("1,2\n", "at least 2 are needed"),
    "empty.csv": ("", "holds 0 point"),
    "header.csv": ("x,y\n", "holds 0 point"),
    "same.csv": ("1,2\n1,2\n1,2\n", "zero variance"),
    "wide.csv": ("1,2,3\n4,5,6\n", "expected 2 columns, got 3"),
    "huge.csv": ("1e200,2\n4,5\n", "float32"),
    "half.csv": ("x,2\n4,5\n", "line 1"),
    "points.txt": ("1,2\n3,4\n", "read from .npz or .csv"),
    "fake.npz": ("not a zip", "not an .npz"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_hold_no_distribution(name, tmp_path):
    text, match = BAD[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=match) as error:
        toydata.load(str(tmp_path / name))
    assert name in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"points": np.zeros((4, 3))}, r"expected points \(N, 2\)"),
        ({"points": np.array([["a", "b"]])}, "must be numbers"),
        ({"points": np.array([[1, 2], [3, np.nan]])}, "point 2"),
        ({"a": np.eye(2), "b": np.eye(2)}, "keep one, or call it 'points'"),
        ({"points": np.array([{}, {}], object)}, "plain arrays"),
        ({}, "none"),
    ],
)
def test_archives_that_hold_no_distribution(arrays, match, tmp_path):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(ValueError, match=match):
        toydata.load(str(tmp_path / "x.npz"))


def test_unknown_names_and_missing_files():
    with pytest.raises(ValueError, match="did you mean 'ring'"):
        toydata.load("rign")
    with pytest.raises(ValueError, match=r"known: ring, grid, moons, roll, spiral, or a \.npz"):
        toydata.load("zzz")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.csv"):
        toydata.load("nowhere.csv")
