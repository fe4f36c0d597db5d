"""Does a generator copy what it was trained on? Nearest training points against nearest held-out ones.

"The generator never sees the data, so it cannot overfit them" is a claim to be tested: a sample of a generator that has
learnt the distribution is as near to held-out points as to as many training points; a copy is nearer to the latter.

    share = P(nearest training point nearer than the nearest held-out one) + P(as near) / 2,    1/2 honest, 1 copied

for equal numbers of both, since the more of them the nearer is the nearest. Null models: fresh draws of the data, 1/2;
the training points themselves, 1 (after Meehan et al. 2020, who rank the distances of samples and of held-out points).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Memorisation:
    """share: of samples nearer to a training point, ties half; interval: 95 %, Wilson's, over the samples, for these
    very points: where they are few, fresh draws of the data stray from 1/2 with them, so set a share beside theirs.
    train, held_out: the median distance of a sample to its nearest of each; count: how many of each there were."""

    share: float
    interval: tuple[float, float]
    train: float
    held_out: float
    count: int


def nearest_distance(x: np.ndarray, points: np.ndarray, chunk: int = 1000) -> np.ndarray:
    """(N,) the Euclidean distance of each row of x (N, ...) to its nearest row of points (M, ...), in float64."""
    x, points = (np.asarray(a, float).reshape(len(a), -1) for a in (x, points))
    squares = (points * points).sum(1)
    nearest = []
    for k in range(0, len(x), chunk):
        part = x[k : k + chunk]
        index = (squares - 2 * part @ points.T).argmin(1)
        nearest.append(np.linalg.norm(part - points[index], axis=1))  # exact also where the product rounds
    return np.concatenate(nearest)


def memorisation(samples: np.ndarray, train: np.ndarray, held_out: np.ndarray, seed: int = 0) -> Memorisation:
    """How often samples (N, ...) lie nearer to training rows than to held-out ones, of one shape beyond the first axis.

    The larger of the two sets is cut to the size of the smaller one, at random by the seed. Raises ValueError for
    empty sets, other shapes, or numbers that are not finite.
    """
    samples, train, held_out = (np.asarray(a, float) for a in (samples, train, held_out))
    if not samples.shape[1:] == train.shape[1:] == held_out.shape[1:] or min(map(len, (samples, train, held_out))) < 1:
        raise ValueError(
            "memorisation: samples, training and held-out rows must be of one shape and at least one each, got"
            f" {samples.shape}, {train.shape} and {held_out.shape}"
        )
    if not all(np.isfinite(a).all() for a in (samples, train, held_out)):
        raise ValueError("memorisation: samples, training and held-out rows must be finite")
    random, count = np.random.default_rng(seed), min(len(train), len(held_out))
    train, held_out = (a if len(a) == count else a[random.choice(len(a), count, False)] for a in (train, held_out))
    to_train, to_held_out = nearest_distance(samples, train), nearest_distance(samples, held_out)
    share = float((to_train < to_held_out).mean() + (to_train == to_held_out).mean() / 2)
    n, z = len(samples), 1.96
    middle, half = share + z * z / (2 * n), z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = ((middle + side * half) / (1 + z * z / n) for side in (-1, 1))
    return Memorisation(
        share, (float(low), float(high)), float(np.median(to_train)), float(np.median(to_held_out)), count
    )
