"""Whether samples look real where a judge's precision cannot tell, and whether they are blurred.

    realism_scores   R(g) = max over real images r of  rho(r) / |g - r|,  rho(r) the distance of r to its k-th nearest
                     real image; half of the real images, those of the largest rho, are left out
                     (Kynkaanniemi et al. 2019, eq. 3 and section 5)
    gradient_energy  mean squared difference of neighbouring pixels: what a blur takes away

Precision asks for a neighbour among all real images, and the odd ones among them have wide balls: on a judge's features
of digits the mean image has precision 1.00, noise of the right spectrum 0.99, held-out images 0.89. Without the wide
half of the balls the shares with R >= 1 are 0.00, 0.02 and 0.49.
"""

from __future__ import annotations

import numpy as np

from ...data import Dataset
from . import null_models
from .classifier import Classifier, judge, prepared, shrunk
from .distances import radii, squared_distances


def realism_scores(fake: np.ndarray, real: np.ndarray, k: int = 3) -> np.ndarray:
    """R (N,) of samples' features (N, F) among real images' (M, F): at least 1 inside a ball of the narrower half.

    Raises ValueError for other shapes, and unless k is below M.
    """
    fake, real = np.asarray(fake, np.float64), np.asarray(real, np.float64)
    if fake.ndim != 2 or real.ndim != 2 or fake.shape[1] != real.shape[1]:
        raise ValueError(f"realism_scores: needs two sets of rows of equal width, got {fake.shape} and {real.shape}")
    rho = np.sqrt(radii(real, k))
    narrow = rho <= np.median(rho)
    distance = np.sqrt(squared_distances(fake, real[narrow]))
    return (rho[narrow] / np.maximum(distance, 1e-12)).max(1)


def realistic(sets: dict[str, np.ndarray], model: Classifier, dataset: Dataset, k: int = 3) -> dict[str, float]:
    """Name -> share of images (N, C, S, S) with R >= 1 on the judge's features, for the given sets and, beside them,
    held-out images ("held_out"), noise of the images' spectrum ("noise") and the mean image ("mean_image").

    All are of as many images, and measured against as many training images, as there are held-out ones.
    """
    train = prepared(dataset, dataset.train)
    count = min(len(dataset.held_out), len(train))
    random = np.random.default_rng(0)
    beside = {
        "held_out": prepared(dataset, dataset.held_out),
        "noise": null_models.noise(train, count, random),
        "mean_image": null_models.mean_image(train, 1, random).astype(train.dtype),
    }
    real = _features(train[np.linspace(0, len(train) - 1, count).round().astype(int)], model)
    return {
        name: float((realism_scores(_features(x[:count], model), real, k) >= 1).mean())
        for name, x in (sets | beside).items()
    }


def gradient_energy(images: np.ndarray) -> float:
    """The mean squared difference of neighbouring pixels of images (N, C, S, S), down and across."""
    x = np.asarray(images, np.float64)
    return float((np.square(np.diff(x, axis=2)).mean() + np.square(np.diff(x, axis=3)).mean()) / 2)


def _features(images: np.ndarray, model: Classifier) -> np.ndarray:
    return np.concatenate([features for features, _ in judge(model, shrunk(images))])
