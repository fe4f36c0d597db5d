"""How many factors of its images one latent moves: 1 where latents are disentangled, as many as there are where not.

Each latent in turn goes from one end, -reach, to the other, all others kept; a judge of attributes (exact ones, where
the data set has them) says which of K attributes differ between the two images:

    c_jk = share of images whose attribute k differs,     factors_j = (sum_k c_jk)^2 / sum_k c_jk^2

factors_j is 1 where latent j moves one attribute alone, K where it moves all alike, and 0 where it moves none. The
number of a generator is their mean, weighted by how much each latent moves, sum_k c_jk. Null model: the same generator
behind a random rotation of its latents, which leaves its images' distribution as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Entanglement:
    """factors: the mean number that one latent moves; interval: 95 %, over the base latents by bootstrap; per_latent
    (L,): factors_j; changes (L, K): c_jk."""

    factors: float
    interval: tuple[float, float]
    per_latent: np.ndarray
    changes: np.ndarray


def entanglement(
    images_of: Callable[[np.ndarray], np.ndarray],
    attributes_of: Callable[[np.ndarray], np.ndarray],
    z: np.ndarray,
    reach: float = 2.0,
    resamples: int = 200,
) -> Entanglement:
    """The number of factors that one latent moves, from base latents z (N, L).

    images_of: latents (N, L) to images; attributes_of: images to whole numbers (N, K), an attribute a column. Raises
    ValueError for other shapes, fewer than 2 base latents, or a generator of which no latent moves any attribute.
    """
    z = np.asarray(z)
    if z.ndim != 2 or len(z) < 2:
        raise ValueError(f"entanglement: needs base latents (N, L) with N at least 2, got {z.shape}")
    pairs = []
    for j in range(z.shape[1]):
        ends = []
        for side in (-reach, reach):
            moved = z.copy()
            moved[:, j] = side
            ends.append(np.asarray(attributes_of(images_of(moved))))
        pairs.append(ends)
    return of_ends(pairs, len(z), resamples)


def of_ends(pairs: Sequence[Sequence[np.ndarray]], count: int, resamples: int = 200) -> Entanglement:
    """The same from the attributes (count, K) of images at both ends of each latent's way, L pairs of them, for codes
    that do not go from -reach to reach. Raises ValueError likewise."""
    different = []
    for first, last in pairs:
        if first.ndim != 2 or len(first) != count or first.shape != last.shape:
            raise ValueError(f"entanglement: attributes must be (N, K) for N = {count} images, got {first.shape}")
        different.append(first != last)
    moves = np.array(different, float)  # (L, N, K)
    changes = moves.mean(1)
    if not changes.any():
        raise ValueError("entanglement: no latent moves any attribute; take a larger reach, or another generator")
    random = np.random.default_rng(0)
    draws = [moves[:, random.integers(count, size=count)].mean(1) for _ in range(resamples)]
    spread = [_mean_factors(c) for c in draws if c.any()]
    low, middle, high = np.quantile(spread, (0.025, 0.5, 0.975))
    value = _mean_factors(changes)
    # Base latents drawn again are fewer different ones, which lowers the number: the interval keeps its width alone.
    return Entanglement(value, (float(value - middle + low), float(value - middle + high)), _factors(changes), changes)


def _factors(changes: np.ndarray) -> np.ndarray:
    squares = (changes**2).sum(1)
    return np.divide(changes.sum(1) ** 2, squares, out=np.zeros(len(changes)), where=squares > 0)


def _mean_factors(changes: np.ndarray) -> float:
    return float((_factors(changes) * changes.sum(1)).sum() / changes.sum())


def rotated(images_of: Callable[[np.ndarray], np.ndarray], latent: int, seed: int = 0) -> Callable:
    """The null model: the generator behind a random rotation of its `latent` standard normal latents."""
    matrix, triangle = np.linalg.qr(np.random.default_rng(seed).standard_normal((latent, latent)))
    matrix = matrix * np.sign(np.diag(triangle))
    return lambda z: images_of((z @ matrix).astype(z.dtype))
