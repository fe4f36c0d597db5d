"""Every distance equals its published formula, written again here as well-known implementations write it, to 1e-6; and
says of simple sets what it should."""

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial

from minigan.gan.metrics import distances

RNG = np.random.default_rng(11)
A = RNG.standard_normal((300, 8)) @ RNG.standard_normal((8, 8))
B = RNG.standard_normal((250, 8)) @ RNG.standard_normal((8, 8)) + 0.3
MEMBERS = {"A": (A, B), "dead feature": (A * (np.arange(8) > 0), B * (np.arange(8) > 0)), "far": (A + 1e3, B + 1e3)}


@pytest.fixture(params=MEMBERS)
def sets(request):
    return MEMBERS[request.param]


def test_frechet_is_pytorch_fids(sets):
    """pytorch-fid: scipy's matrix square root of S1 S2."""
    a, b = sets
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(s1 @ s2)
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(s1) + np.trace(s2) - 2 * np.trace(root).real
    assert distances.frechet_distance(a, b) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_frechet_is_never_below_zero():
    """Of a set to itself, to itself in another order and to a subset, of any size and scale; nor are the interval's
    ends."""
    random = np.random.default_rng(0)
    for _ in range(40):
        rows, width = random.integers(2, 60), random.integers(1, 60)
        a = random.standard_normal((rows, width)) * 10.0 ** random.integers(-3, 4)
        for b in (a, a[::-1], a[: max(2, rows - 1)]):
            assert distances.frechet_distance(a, b) >= 0
        assert distances.frechet_distance(a, a) <= 1e-5 * np.square(a).sum()
    ends = distances.frechet_interval(A, A, rounds=20)
    assert 0 <= ends.low <= ends.high


def test_frechet_is_torchmetrics(sets, torch):
    """torchmetrics' _compute_fid: the sum of the roots of the eigenvalues of S1 S2."""
    a, b = (torch.tensor(x) for x in sets)
    s1, s2 = torch.cov(a.T), torch.cov(b.T)
    c = torch.linalg.eigvals(s1 @ s2).sqrt().real.sum()
    expected = (a.mean(0) - b.mean(0)).square().sum() + s1.trace() + s2.trace() - 2 * c
    assert distances.frechet_distance(*sets) == pytest.approx(expected.item(), rel=1e-6, abs=1e-6)


def test_squared_mmd_is_torchmetrics_poly_mmd(torch):
    """torchmetrics' maximum_mean_discrepancy of poly_kernel(degree 3, gamma 1 / F, coef 1)."""
    k = lambda x, y: (torch.tensor(x) @ torch.tensor(y).T / 8 + 1.0) ** 3  # noqa: E731
    xx, yy, xy = k(A[:250], A[:250]), k(B, B), k(A[:250], B)
    m = 250
    kt_xx, kt_yy = (k.sum(-1) - torch.diag(k) for k in (xx, yy))
    expected = (kt_xx.sum() + kt_yy.sum()) / (m * (m - 1)) - 2 * xy.sum() / m**2
    assert distances.squared_mmd(A[:250], B) == pytest.approx(expected.item(), rel=1e-6)
    whole = distances.kernel_distance(A[:250], B, subsets=2, subset_size=250)
    assert whole.value == pytest.approx(expected.item(), rel=1e-6) and whole.high - whole.low < 1e-6


def test_squared_mmd_is_a_mean_over_pairs():
    """The definition (Gretton et al. 2012, lemma 6), pair by pair, for sets of different sizes."""
    a, b = A[:7], B[:5]
    k = lambda x, y: (x @ y / 8 + 1) ** 3  # noqa: E731
    expected = np.mean([k(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j])
    expected += np.mean([k(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j])
    expected -= 2 * np.mean([k(x, y) for x in a for y in b])
    assert distances.squared_mmd(a, b) == pytest.approx(expected, rel=1e-9)


def test_precision_recall_is_the_papers(sets):
    """Distances by scipy, radii by a full sort, as the authors' code does (the row itself is neighbour 0)."""
    fake, real = sets
    d = scipy.spatial.distance.cdist
    real_radii, fake_radii = (np.sort(d(x, x), axis=1)[:, 3] for x in (real, fake))
    precision = (d(fake, real) <= real_radii).any(1).mean()
    recall = (d(real, fake) <= fake_radii).any(1).mean()
    assert distances.precision_recall(fake, real, 3) == pytest.approx((precision, recall), abs=1e-6)


def test_density_coverage_is_prdcs(sets):
    """prdc.compute_prdc of Naeem et al."""
    fake, real = sets
    d = scipy.spatial.distance.cdist(real, fake)
    ball = np.partition(scipy.spatial.distance.cdist(real, real), 5, axis=-1)[:, 5]
    density = (d < ball[:, None]).sum(0).mean() / 5
    coverage = (d.min(1) < ball).mean()
    assert distances.density_coverage(fake, real, 5) == pytest.approx((density, coverage), abs=1e-6)


def test_chunks_change_nothing(monkeypatch):
    whole = distances.precision_recall(A, B), distances.density_coverage(A, B)
    monkeypatch.setattr(distances, "CHUNK", 7)
    assert (distances.precision_recall(A, B), distances.density_coverage(A, B)) == whole


def test_nearest_training_finds_copies():
    """scipy's KD-tree finds the same neighbours; held-out images have ratio 1, copies 0."""
    tree, index = scipy.spatial.cKDTree(A).query(B)
    found = distances.nearest_training(B, A, B)
    np.testing.assert_allclose(found.distance, tree, rtol=1e-6)
    assert (found.index == index).all() and found.ratio == 1 and found.copies <= 0.02
    copies = distances.nearest_training(A[::2], A, B)
    assert copies.ratio < 1e-6 and copies.copies == 1 and (copies.index == np.arange(0, 300, 2)).all()


def test_copies_are_seen_where_held_out_images_are_in_the_training_set():
    """Two of a hundred are there twice, to the judge's rounding; where all are, copies are as near as usual."""
    near = A[:2] * (1 + 1e-8)
    held_out = np.concatenate([RNG.normal(size=(98, A.shape[1])), near])
    samples = distances.nearest_training(A[100:150], A, held_out)
    assert samples.copies == 1 and samples.ratio < 1e-4
    others = distances.nearest_training(B, A, held_out)
    assert others.copies == 0 and 0.5 < others.ratio < 2
    twice = distances.nearest_training(A[:50], A, A[50:60])
    assert (twice.ratio, twice.copies) == (1, 1) and np.isfinite(distances.nearest_training(B, A, A[50:60]).ratio)


def test_spectrum_obeys_parseval_and_finds_a_wave():
    """A wave of 5 periods has its power at radius 5; over all frequencies power sums to the energy."""
    side = 32
    wave = np.cos(2 * np.pi * 5 * np.arange(side) / side) * np.ones((2, 3, side, 1))
    found = distances.spectrum(wave)
    assert len(found) == side // 2 + 1 and found.argmax() == 5 and np.delete(found, 5).max() < 1e-20
    noise = RNG.standard_normal((4, 1, side, side))
    axis = np.fft.fftfreq(side) * side
    radius = np.rint(np.hypot(axis[:, None], axis)).astype(int)
    power = (np.abs(np.fft.fft2(noise[:, 0])) ** 2).mean(0) / side**2
    assert power.sum() == pytest.approx(np.square(noise).sum() / 4, rel=1e-9)
    expected = [power[radius == r].mean() for r in range(side // 2 + 1)]
    np.testing.assert_allclose(distances.spectrum(noise), expected, rtol=1e-6)
    assert distances.spectral_distance(noise, noise) == 0
    assert distances.spectral_distance(10 * noise, noise) == pytest.approx(20)


def test_share_interval_is_statsmodels_wilson():
    """proportion_confint(8, 10, method="wilson") gives (0.4901625, 0.9433178)."""
    found = distances.share_interval(8, 10)
    assert found == pytest.approx((0.8, 0.4901624715, 0.9433178485), abs=1e-6)
    assert distances.share_interval(0, 10).low == 0 and distances.share_interval(10, 10).high == 1


def test_intervals_cover():
    """Of 60 pairs of sets of one law, the kernel interval holds the truth, 0, in at least 95 %, and the Frechet
    interval the mean distance of so many samples; each holds its own value; a shift of one feature by 1 is outside
    every one."""
    frechet, near = [], 0
    for trial in range(60):
        random = np.random.default_rng(trial)
        a, b = random.standard_normal((200, 4)), random.standard_normal((4000, 4))
        frechet.append(distances.frechet_interval(a, b, rounds=40, seed=trial))
        k = distances.kernel_distance(a, b, subsets=10, subset_size=50, seed=trial)
        near += k.low <= 0 <= k.high
        shifted = distances.frechet_interval(a + np.eye(4)[0], b, rounds=40, seed=trial)
        assert shifted.low > 0.3
        assert all(x.low <= x.value <= x.high for x in (frechet[-1], k, shifted))
    mean = np.mean([f.value for f in frechet])
    assert near >= 57 and sum(f.low <= mean <= f.high for f in frechet) >= 57


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: distances.frechet_distance(A[:1], A), "at least 2 rows"),
        (lambda: distances.frechet_distance(A[:, :3], A), "equal width"),
        (lambda: distances.kernel_distance(A * np.nan, A), "not finite"),
        (lambda: distances.precision_recall(A[:3], A), "at least 4 rows"),
        (lambda: distances.radii(A, 0), "k must be at least 1"),
        (lambda: distances.frechet_interval(A, B, rounds=3), "at least 20"),
        (lambda: distances.spectrum(A), r"\(N, C, S, S\)"),
        (lambda: distances.spectral_distance(np.ones((1, 1, 8, 8)), np.ones((1, 1, 4, 4))), "different sizes"),
    ],
)
def test_bad_input_is_named(call, told):
    with pytest.raises(ValueError, match=told):
        call()


@pytest.mark.parametrize("times", [4, 8])
def test_equal_rows_are_in_each_other_s_balls(times, rng):
    """Their balls have no extent; what rounding makes of a distance of 0 depends on the order of rows."""
    rows = np.repeat(rng.normal(3, 1, (20, 6)), times, 0)
    for _ in range(3):
        assert distances.precision_recall(rng.permutation(rows), rows) == (1, 1)
        assert distances.density_coverage(rng.permutation(rows), rows, 3)[1] == 1
        assert distances.precision_recall(rows + 0.5, rows) == (0, 0)
