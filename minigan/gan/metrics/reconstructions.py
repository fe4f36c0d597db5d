"""What an encoder is worth: images come back through their codes, and the codes look like draws of the prior.

    agreement        share of reconstructions that the judge takes for the image's class; of a data set that has
                     attributes alone, the share of those that it reads as the image has them
    error            mean over pixels of the squared difference from the image, pixels in [-1, 1]
    null models      the nearest training image; the mean of the image's class, which knows the class, or of the
                     training images that have the most attributes in common with it; the mean image
    prior_test       squared MMD with a Gaussian kernel between codes and as many draws of N(0, I), and the p value of a
                     permutation test (Gretton et al. 2012, sections 2.2 and 5.1)

A nearest training image is of the right class nearly always, since it is a digit as it is: only the two figures
together, class and error, say that a code holds the image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from ...backend import Generator, host
from .distances import Interval, share_interval, squared_distances
from .null_models import nearest_of


@dataclass(frozen=True)
class Reconstructions:
    """The figures of held-out images and their null models; see this module's first lines."""

    named: str
    samples: int
    agreement: Interval
    error: float
    nearest_agreement: float
    nearest_error: float
    class_mean_agreement: float
    class_mean_error: float
    mean_error: float

    def lines(self) -> list[str]:
        """For a person."""
        share = self.agreement
        return [
            f"{self.samples} held-out images come back as their {self.named} in {share.value:.1%} [{share.low:.1%},"
            f" {share.high:.1%}], with squared error {self.error:.4f}",
            f"beside: nearest training image {self.nearest_agreement:.1%}, {self.nearest_error:.4f}; mean of the"
            f" {self.named} {self.class_mean_agreement:.1%}, {self.class_mean_error:.4f}; mean image"
            f" {self.mean_error:.4f}",
        ]

    def as_dict(self) -> dict:
        """The figures, ready for JSON."""
        return asdict(self) | {"agreement": self.agreement._asdict()}


def compare(
    back: np.ndarray,
    images: np.ndarray,
    train: np.ndarray,
    labels: tuple[np.ndarray, np.ndarray],
    read: Callable[[np.ndarray], np.ndarray],
) -> Reconstructions:
    """How images (N, C, S, S) come back as `back`, beside null models made of training images.

    labels: values of the images (N, A) and of the training images (M, A), A = 1 for classes. read: images -> the values
    that a judge sees. Raises ValueError for other shapes.
    """
    if back.shape != images.shape or len(images) != len(labels[0]) or len(train) != len(labels[1]):
        raise ValueError(
            f"compare: images {images.shape} with {len(labels[0])} labels came back as {back.shape}; training images"
            f" {train.shape} have {len(labels[1])}"
        )
    near, of_class = nearest_of(images, train), np.empty_like(images)
    values, which = np.unique(labels[0], axis=0, return_inverse=True)
    for k, value in enumerate(values):
        common = (labels[1] == value).sum(1)
        of_class[which.reshape(-1) == k] = train[common == common.max()].mean(0)

    def agreement(x: np.ndarray) -> float:
        return float((read(x) == labels[0]).mean(1).sum())

    def error(x: np.ndarray) -> float:
        return float(np.square(x.astype(np.float64) - images).mean())

    count = len(images)
    return Reconstructions(
        named="class" if labels[0].shape[1] == 1 else "attributes",
        samples=count,
        agreement=share_interval(agreement(back), count),
        error=error(back),
        nearest_agreement=agreement(near) / count,
        nearest_error=error(near),
        class_mean_agreement=agreement(of_class) / count,
        class_mean_error=error(of_class),
        mean_error=error(train.mean(0, keepdims=True)),
    )


@dataclass(frozen=True)
class KernelTest:
    """Squared MMD between codes and draws of the prior, and its p value: the share of relabellings with as large a one.
    shifted: the p value for the draws themselves moved by `SHIFT` in every number, which the test should notice."""

    mmd: float
    p: float
    shifted: float
    samples: int

    def __str__(self) -> str:
        return (
            f"squared MMD {self.mmd:.5f}, p = {self.p:.3f} by permutation of {self.samples} each (the prior moved by"
            f" {SHIFT} in every number: p = {self.shifted:.3f})"
        )


SHIFT = 0.2


def prior_test(codes: np.ndarray, random: Generator, rounds: int = 499) -> KernelTest:
    """The kernel test of codes (N, F) against as many draws of N(0, I); N at least 4."""
    draws = host(random.normal((2 * len(codes), codes.shape[1])))
    mmd, p = permutation_test(codes, draws[: len(codes)], random, rounds)
    _, shifted = permutation_test(draws[len(codes) :] + SHIFT, draws[: len(codes)], random, rounds)
    return KernelTest(mmd, p, shifted, len(codes))


def permutation_test(a: np.ndarray, b: np.ndarray, random: Generator, rounds: int = 499) -> tuple[float, float]:
    """(squared MMD, p value) of rows (N, F) and (M, F), with the kernel exp(-|x - y|^2 / (2 s^2)), s^2 the median of
    the squared distances over 2. The p value is (1 + relabellings with as large an MMD) / (1 + rounds).

    Raises ValueError for fewer than 4 rows of either, other widths, or values that are not finite.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 4:
        raise ValueError(f"permutation_test: needs two sets of at least 4 rows of one width, got {a.shape}, {b.shape}")
    rows = np.concatenate([a, b])
    if not np.isfinite(rows).all():
        raise ValueError(f"permutation_test: rows {a.shape}, {b.shape} with values that are not finite")
    squares = squared_distances(rows, rows)
    scale = np.median(squares[np.triu_indices(len(rows), 1)]) or 1.0
    kernel = np.exp(-squares / scale)
    np.fill_diagonal(kernel, 0)
    n, m = len(a), len(b)
    total = kernel.sum()

    def unbiased(first: np.ndarray) -> np.ndarray:  # of relabellings (rounds, N + M), 1 where a row is in the first set
        within = np.einsum("ri,ri->r", first @ kernel, first)
        across = (first @ kernel.sum(1)) - within
        return within / (n * (n - 1)) + (total - within - 2 * across) / (m * (m - 1)) - 2 * across / (n * m)

    labels = np.zeros((rounds + 1, n + m))
    labels[0, :n] = 1
    for row in labels[1:]:
        row[host(random.permutation(n + m))[:n]] = 1
    values = unbiased(labels)
    return float(values[0]), float((1 + (values[1:] >= values[0] - 1e-15).sum()) / (1 + rounds))
