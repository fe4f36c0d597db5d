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

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

CHUNK = 1024


class Interval(NamedTuple):
    """A figure, and the ends of its 95 % confidence interval, which holds it."""

    value: float
    low: float
    high: float


def bootstrap(
    statistic: Callable[[np.ndarray], float], count: int, value: float, rounds: int = 100, seed: int = 0
) -> Interval:
    """The interval of a figure that is `value` for rows 0 ... count - 1 and statistic(rows) for others of them; no end
    is below 0. ValueError for fewer than 20 rounds.

    Rows drawn again are fewer different ones, which moves most figures. So the replicates are moved back until their
    median is the value: they give the interval its width alone.
    """
    if rounds < 20:
        raise ValueError(f"a 95 % interval needs at least 20 bootstrap rounds, got {rounds}")
    random = np.random.default_rng(seed)
    replicates = [statistic(random.integers(0, count, count)) for _ in range(rounds)]
    low, middle, high = np.quantile(replicates, (0.025, 0.5, 0.975))
    return Interval(value, float(max(0.0, value - (middle - low))), float(value + (high - middle)))


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

    A distance of few samples is too large: another set's is comparable where it is of as many. The interval covers the
    randomness of `a`: `b` is taken as given. ValueError for fewer than 20 rounds.
    """
    a, b = _pair("frechet_interval", a, b)
    target = _moments(b)
    return bootstrap(lambda rows: _frechet(*_moments(a[rows]), *target), len(a), frechet_distance(a, b), rounds, seed)


def share_interval(hits: float, count: int) -> Interval:
    """A share of `count` independent cases, by Wilson's interval (1927)."""
    z, p = 1.959963984540054, hits / count
    middle = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return Interval(p, float(max(0.0, min(middle - half, p))), float(min(1.0, max(middle + half, p))))


def mean_interval(values: np.ndarray) -> Interval:
    """The mean of at least two independent values that are not negative, by the normal law."""
    value = float(np.mean(values))
    half = 1.96 * float(np.std(values, ddof=1)) / np.sqrt(len(values))
    return Interval(value, float(max(0.0, value - half)), float(value + half))


def squared_mmd(a: np.ndarray, b: np.ndarray, degree: int = 3) -> float:
    """The unbiased estimate of the squared maximum mean discrepancy with (x.y / F + 1)^degree; it can be below 0."""
    a, b = _pair("squared_mmd", a, b)
    (n, width), m = a.shape, len(b)
    aa, bb, ab = (_power(x @ y.T / width + 1, degree) for x, y in ((a, a), (b, b), (a, b)))
    within_a = (aa.sum() - np.trace(aa)) / (n * (n - 1))
    within_b = (bb.sum() - np.trace(bb)) / (m * (m - 1))
    return float(within_a + within_b - 2 * ab.mean())


def _power(x: np.ndarray, degree: int) -> np.ndarray:
    """x^degree by products, which are ten times as quick as powers."""
    product = x
    for _ in range(degree - 1):
        product = product * x
    return product


def kernel_distance(
    a: np.ndarray, b: np.ndarray, subsets: int = 100, subset_size: int = 1000, degree: int = 3, seed: int = 0
) -> Interval:
    """The mean of `squared_mmd` over random subsets of both, with an interval for the smaller set's randomness.

    Subsets of s out of n rows, drawn without replacement, vary by 1/s - 1/n of a row's variance, the whole set by 1/n;
    so the interval is 1.96 standard deviations of the subsets' values, times (s / (n - s))^(1/2). s is at most n; there
    all subsets are one, and the interval says nothing.
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
    half = 1.96 * float(np.std(values, ddof=1)) * np.sqrt(size / max(smaller - size, 1))
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
    real_radii, fake_radii = (radii(x, k) + _least(real) ** 2 for x in (real, fake))
    inside, covered = 0, np.zeros(len(real), bool)
    for i in range(0, len(fake), CHUNK):
        d = squared_distances(fake[i : i + CHUNK], real)
        inside += int((d <= real_radii).any(1).sum())
        covered |= (d <= fake_radii[i : i + CHUNK, None]).any(0)
    return inside / len(fake), float(covered.mean())


def density_coverage(fake: np.ndarray, real: np.ndarray, k: int = 5) -> tuple[float, float]:
    """(density, coverage) of the real rows' k-th-neighbour balls: 1 and near 1 for samples of the same law."""
    densities, covered = densities_coverage(fake, real, k)
    return float(densities.mean()), float(covered.mean())


def densities_coverage(fake: np.ndarray, real: np.ndarray, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Of each fake row the number of balls that hold it, over k (N,); of each real row whether its ball holds one."""
    fake, real = _pair("density_coverage", fake, real, k + 1)
    balls, hits, covered = radii(real, k) + _least(real) ** 2, np.empty(len(fake)), np.zeros(len(real), bool)
    for i in range(0, len(fake), CHUNK):
        inside = squared_distances(fake[i : i + CHUNK], real) < balls
        hits[i : i + CHUNK] = inside.sum(1)
        covered |= inside.any(0)
    return hits / k, covered


ROUNDING = 2e-6
"""Of the length of features in float32: two judgements of one image, in other batches, differ by at most 9e-7."""


class Nearest(NamedTuple):
    """Distances and indices of the nearest training rows, and what they say.

    ratio: the median distance of samples over that of held-out images; far below 1 the samples are copies. copies: the
    share of samples no further from a training row than the nearest 1 % of the held-out images are; 1 % would be
    chance. usual: the median distance of held-out images. What is within ROUNDING of the rows' length of a training
    row is that row, and where most held-out rows are, no distance is less than that.
    """

    distance: np.ndarray
    index: np.ndarray
    ratio: float
    copies: float
    usual: float


def nearest_training(fake: np.ndarray, train: np.ndarray, held_out: np.ndarray) -> Nearest:
    """Nearest training row of each fake row, against the same for held-out rows. Rows are features or flat pixels."""
    fake, train = _pair("nearest_training", fake, train, 1)
    held_out, _ = _pair("nearest_training", held_out, train, 1)
    least = _least(train)
    (distance, index), (usual, _) = _nearest(fake, train), _nearest(held_out, train)
    if np.median(usual) <= least:
        distance, usual = np.maximum(distance, least), np.maximum(usual, least)
    middle = float(np.median(usual))
    copies = float((distance <= max(np.quantile(usual, 0.01), least)).mean())
    return Nearest(distance, index, float(np.median(distance)) / middle, copies, middle)


def _least(rows: np.ndarray) -> float:
    """The distance within which rows are one: ROUNDING of their length."""
    return max(ROUNDING * float(np.sqrt(np.square(rows).sum(1).mean())), np.finfo(float).tiny)


def _nearest(x: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    index = np.concatenate([squared_distances(x[i : i + CHUNK], train).argmin(1) for i in range(0, len(x), CHUNK)])
    return np.sqrt(np.square(x - train[index]).sum(1)), index


def spectrum(images: np.ndarray) -> np.ndarray:
    """The mean power of images (N, C, S, S) at each whole radius 0..S/2 of frequency, channels averaged to grey.

    Power |FFT|^2 / S^2 of each image, averaged over images and over the frequencies whose rounded radius it is.
    """
    return spectra(images).mean(0)


def spectra(images: np.ndarray) -> np.ndarray:
    """The same of each image: (N, S // 2 + 1)."""
    images = np.asarray(images, np.float64)
    if images.ndim != 4 or images.shape[2] != images.shape[3] or not len(images):
        raise ValueError(f"spectrum: expects images (N, C, S, S), got {images.shape}")
    side = images.shape[2]
    power = (np.abs(np.fft.fft2(images.mean(1))) ** 2).reshape(len(images), -1) / side**2
    axis = np.fft.fftfreq(side) * side
    radius = np.rint(np.hypot(axis[:, None], axis)).astype(int).ravel()
    rings = (radius == np.arange(side // 2 + 1)[:, None]).astype(np.float64)
    return power @ (rings / rings.sum(1, keepdims=True)).T


def spectral_distance(fake: np.ndarray, real: np.ndarray) -> float:
    """The mean absolute difference of the two spectra in decibels, all radii but the constant alike."""
    return decibels(spectrum(fake), spectrum(real))


def decibels(a: np.ndarray, b: np.ndarray) -> float:
    """The same of two spectra (R,)."""
    if a.shape != b.shape:
        raise ValueError(f"spectral_distance: images of different sizes, spectra of {len(a)} and {len(b)} radii")
    return float(np.abs(np.subtract(*(10 * np.log10(np.maximum(x[1:], 1e-12)) for x in (a, b)))).mean())
