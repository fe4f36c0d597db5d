"""How far two sets of features are from each other: pure functions of arrays, one a published formula.

    frechet_distance     |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))                      Heusel et al. 2017, eq. 6
    kernel_distance      unbiased squared MMD with k(a, b) = (a.b / F + 1)^3, mean over subsets   Binkowski et al. 2018
    precision_recall     share of one set within the k-th-neighbour balls of the other    Kynkaanniemi et al. 2019
    density_coverage     how many real balls hold a sample; share of real balls that hold one     Naeem et al. 2020
    nearest_training     distances to the nearest training image, against held-out images' own    (memorisation)
    spectrum             radial mean of the power spectrum; spectral_distance compares two        Durall et al. 2020

Features are (N, F) rows. Intervals are at 95 %.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CHUNK = 1024


class Interval(NamedTuple):
    """A figure, and the ends of its 95 % confidence interval."""

    value: float
    low: float
    high: float


def _pair(where: str, a: np.ndarray, b: np.ndarray, least: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of rows as float64. Raises ValueError for other shapes, too few rows, and values that are not finite."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or min(len(a), len(b)) < least or a.shape[1:] != b.shape[1:]:
        raise ValueError(f"{where}: need two sets of at least {least} rows of equal width, got {a.shape} and {b.shape}")
    for name, x in (("first", a), ("second", b)):
        if not np.isfinite(x).all():
            raise ValueError(f"{where}: the {name} set of features {x.shape} has values that are not finite")
    return a, b


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Between Gaussians fitted to two sets of features (N, F) and (M, F); never below 0. Raises ValueError for fewer
    than two rows."""
    a, b = _pair("frechet_distance", a, b)
    return _frechet(*_moments(a), *_moments(b))


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.mean(0), np.atleast_2d(np.cov(x, rowvar=False))


def _frechet(mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray) -> float:
    # tr (S1 S2)^(1/2) = tr (R S2 R)^(1/2) with R = S1^(1/2): symmetric, so eigenvalues do, also where features never
    # fire.
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0)).sum()
    # A distance is not negative, but where it is nearly 0 the rounding of the two sides of its difference may be.
    return max(0.0, float(np.square(mean_a - mean_b).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * cross))


def frechet_interval(a: np.ndarray, b: np.ndarray, rounds: int = 100, seed: int = 0) -> Interval:
    """The Frechet distance of samples `a` to `b`, with a bootstrap interval over the rows of `a`: that of the mean
    distance of as many samples.

    A distance of few samples is too large, and that of rows drawn again from them larger still. So the replicates are
    moved until their median is the value, and give the interval its width alone; another set's distance is comparable
    where it is of as many samples. The interval covers the randomness of `a`: `b` is taken as given. ValueError for
    fewer than 20 rounds.
    """
    a, b = _pair("frechet_interval", a, b)
    if rounds < 20:
        raise ValueError(f"a 95 % interval needs at least 20 bootstrap rounds, got {rounds}")
    random, target, value = np.random.default_rng(seed), _moments(b), frechet_distance(a, b)
    replicates = [_frechet(*_moments(a[random.integers(0, len(a), len(a))]), *target) for _ in range(rounds)]
    low, middle, high = np.quantile(replicates, (0.025, 0.5, 0.975))
    return Interval(value, float(max(0.0, value + low - middle)), float(value + high - middle))


def share_interval(hits: int, count: int) -> Interval:
    """A share of `count` independent cases, by Wilson's interval (1927)."""
    z, p = 1.959963984540054, hits / count
    middle = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return Interval(p, float(min(middle - half, p)), float(max(middle + half, p)))


def squared_mmd(a: np.ndarray, b: np.ndarray, degree: int = 3) -> float:
    """The unbiased estimate of the squared maximum mean discrepancy with (x.y / F + 1)^degree; it can be below 0."""
    a, b = _pair("squared_mmd", a, b)
    (n, width), m = a.shape, len(b)
    aa, bb, ab = ((x @ y.T / width + 1) ** degree for x, y in ((a, a), (b, b), (a, b)))
    within_a = (aa.sum() - np.trace(aa)) / (n * (n - 1))
    within_b = (bb.sum() - np.trace(bb)) / (m * (m - 1))
    return float(within_a + within_b - 2 * ab.mean())


def kernel_distance(
    a: np.ndarray, b: np.ndarray, subsets: int = 100, subset_size: int = 1000, degree: int = 3, seed: int = 0
) -> Interval:
    """The mean of `squared_mmd` over random subsets of both, with the interval of that mean over subsets.

    The subset size is at most the size of the smaller set; with it the subsets overlap, and the interval, 1.96
    standard deviations of the subsets' values scaled by (size / smaller set)^(1/2), is an approximation.
    """
    a, b = _pair("kernel_distance", a, b)
    smaller = min(len(a), len(b))
    size = min(subset_size, smaller)
    if subsets < 2 or size < 2:
        raise ValueError(f"kernel_distance: need at least 2 subsets of 2 rows, got {subsets} of {subset_size}")
    random = np.random.default_rng(seed)
    values = [
        squared_mmd(random.choice(a, size, replace=False), random.choice(b, size, replace=False), degree)
        for _ in range(subsets)
    ]
    value = float(np.mean(values))
    half = 1.96 * float(np.std(values, ddof=1)) * np.sqrt(size / smaller)
    return Interval(value, value - half, value + half)


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|a_i - b_j|^2 (N, M). Both are centred first, so that the expanded square loses little to rounding."""
    centre = b.mean(0)
    a, b = a - centre, b - centre
    squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * (a @ b.T)
    return np.maximum(squares, 0, out=squares)


def radii(x: np.ndarray, k: int) -> np.ndarray:
    """The squared distance of each row to its k-th nearest other row."""
    if not 1 <= k < len(x):
        raise ValueError(f"the {k}-th neighbour of {len(x)} rows: k must be at least 1 and below the number of rows")
    nearest = np.empty(len(x))
    for i in range(0, len(x), CHUNK):
        d = squared_distances(x[i : i + CHUNK], x)
        d[np.arange(len(d)), np.arange(i, i + len(d))] = -1  # itself comes first, whatever rounding says
        nearest[i : i + CHUNK] = np.partition(d, k, axis=1)[:, k]
    return nearest


def precision_recall(fake: np.ndarray, real: np.ndarray, k: int = 3) -> tuple[float, float]:
    """(precision, recall): the share of fakes inside the union of real rows' k-th-neighbour balls, and the reverse."""
    fake, real = _pair("precision_recall", fake, real, k + 1)
    real_radii, fake_radii = radii(real, k), radii(fake, k)
    inside, covered = 0, np.zeros(len(real), bool)
    for i in range(0, len(fake), CHUNK):
        d = squared_distances(fake[i : i + CHUNK], real)
        inside += int((d <= real_radii).any(1).sum())
        covered |= (d <= fake_radii[i : i + CHUNK, None]).any(0)
    return inside / len(fake), float(covered.mean())


def density_coverage(fake: np.ndarray, real: np.ndarray, k: int = 5) -> tuple[float, float]:
    """(density, coverage) of the real rows' k-th-neighbour balls: 1 and near 1 for samples of the same law."""
    fake, real = _pair("density_coverage", fake, real, k + 1)
    balls, hits, covered = radii(real, k), 0, np.zeros(len(real), bool)
    for i in range(0, len(fake), CHUNK):
        inside = squared_distances(fake[i : i + CHUNK], real) < balls
        hits += int(inside.sum())
        covered |= inside.any(0)
    return hits / (k * len(fake)), float(covered.mean())


class Nearest(NamedTuple):
    """Distances and indices of the nearest training rows, and what they say.

    ratio: the median distance of samples over that of held-out images; far below 1 the samples are copies. copies: the
    share of samples nearer to a training row than 99 % of the held-out images are; 1 % would be chance.
    """

    distance: np.ndarray
    index: np.ndarray
    ratio: float
    copies: float


def nearest_training(fake: np.ndarray, train: np.ndarray, held_out: np.ndarray) -> Nearest:
    """Nearest training row of each fake row, against the same for held-out rows. Rows are features or flat pixels."""
    fake, train = _pair("nearest_training", fake, train, 1)
    held_out, _ = _pair("nearest_training", held_out, train, 1)
    (distance, index), (usual, _) = _nearest(fake, train), _nearest(held_out, train)
    middle = float(np.median(usual))
    ratio = float(np.median(distance)) / middle if middle else float("inf")
    return Nearest(distance, index, ratio, float((distance < np.quantile(usual, 0.01)).mean()))


def _nearest(x: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    index = np.concatenate([squared_distances(x[i : i + CHUNK], train).argmin(1) for i in range(0, len(x), CHUNK)])
    return np.sqrt(np.square(x - train[index]).sum(1)), index


def spectrum(images: np.ndarray) -> np.ndarray:
    """The mean power of images (N, C, S, S) at each whole radius 0..S/2 of frequency, channels averaged to grey.

    Power |FFT|^2 / S^2 of each image, averaged over images and over the frequencies whose rounded radius it is.
    """
    images = np.asarray(images, np.float64)
    if images.ndim != 4 or images.shape[2] != images.shape[3] or not len(images):
        raise ValueError(f"spectrum: expects images (N, C, S, S), got {images.shape}")
    side = images.shape[2]
    power = (np.abs(np.fft.fft2(images.mean(1))) ** 2).mean(0) / side**2
    axis = np.fft.fftfreq(side) * side
    radius = np.rint(np.hypot(axis[:, None], axis)).astype(int)
    inside = radius <= side // 2
    return np.bincount(radius[inside], power[inside]) / np.bincount(radius[inside])


def spectral_distance(fake: np.ndarray, real: np.ndarray) -> float:
    """The mean absolute difference of the two spectra in decibels, all radii but the constant alike."""
    a, b = (10 * np.log10(np.maximum(spectrum(x)[1:], 1e-12)) for x in (fake, real))
    if a.shape != b.shape:
        raise ValueError(f"spectral_distance: images of different sizes, {np.shape(fake)} and {np.shape(real)}")
    return float(np.abs(a - b).mean())
