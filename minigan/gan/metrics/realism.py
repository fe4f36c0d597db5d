"""Whether samples look real where precision on a judge's features cannot tell, and whether they are blurred.

    realistic        precision (distances.py) on the judge's features divided by their length
    gradient_energy  mean squared difference of neighbouring pixels: what a blur takes away

An image that the judge sees little in has short features, and is near to all real images of short features. So on
plain features of digits the mean image has precision 1.00 and noise of the images' spectrum 0.99, above held-out
images' 0.90. On features of length 1 the three are 0.00, 0.17 and 0.84.
"""

from __future__ import annotations

import numpy as np

from ...data import Dataset
from . import null_models
from .classifier import Classifier, judge, prepared, shrunk
from .distances import precision_recall


def realistic(sets: dict[str, np.ndarray], model: Classifier, dataset: Dataset, k: int = 3) -> dict[str, float]:
    """Name -> share of images (N, C, S, S) that lie in the ball of a training image, which reaches to its k-th nearest
    other one, on features of length 1: for the given sets and, beside them, held-out images ("held_out"), noise of the
    images' spectrum ("noise") and the mean image ("mean_image").

    All are of as many images, and measured against as many training images, as there are held-out ones.
    """
    train = prepared(dataset, dataset.train)
    count = min(len(dataset.held_out), len(train))
    random = np.random.default_rng(0)
    beside = {
        "held_out": prepared(dataset, dataset.held_out),
        "noise": null_models.noise(train, count, random),
        "mean_image": null_models.mean_image(train, k + 1, random).astype(train.dtype),
    }
    real = directions(train[np.linspace(0, len(train) - 1, count).round().astype(int)], model)
    return {name: precision_recall(directions(x[:count], model), real, k)[0] for name, x in (sets | beside).items()}


def directions(images: np.ndarray, model: Classifier) -> np.ndarray:
    """The judge's features (N, F) of images (N, C, S, S), each divided by its length; zeros stay."""
    features = np.concatenate([part for part, _ in judge(model, shrunk(images))]).astype(np.float64)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def gradient_energy(images: np.ndarray) -> float:
    """The mean squared difference of neighbouring pixels of images (N, C, S, S), down and across."""
    x = np.asarray(images, np.float64)
    return float((np.square(np.diff(x, axis=2)).mean() + np.square(np.diff(x, axis=3)).mean()) / 2)
