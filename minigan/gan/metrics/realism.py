"""Whether samples look real where precision on a judge's features cannot tell, and whether they are blurred.

    realistic        precision (distances.py) on the judge's features divided by their length
    realistic_class  the same, of samples that were asked for a class, among training images of that class alone
    gradient_energy  mean squared difference of neighbouring pixels: what a blur takes away

An image that the judge sees little in has short features, and is near to all real images of short features. So on
plain features of digits the mean image has precision 1.00 and noise of the images' spectrum 0.99, above held-out
images' 0.90. On features of length 1 the three are 0.00, 0.17 and 0.84.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass

import numpy as np

from ...data import Dataset
from . import null_models
from .classifier import Classifier, judge, prepared, shrunk
from .distances import Interval, precision_recall, share_interval

FEW = 10
"""Images of a class, below which it is left out."""


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
    real = directions(_spread(train, count), model)
    return {name: precision_recall(directions(x[:count], model), real, k)[0] for name, x in (sets | beside).items()}


@dataclass(frozen=True)
class ClassRealism:
    """Shares of images that look like training images of the class that was asked for.

    samples: of a generator's; held_out: of as many held-out images of the classes; copies: of the training image of the
    class that is nearest to each sample; null_models: of the class's mean image, and of real images of other classes.
    """

    count: int
    samples: Interval
    held_out: float
    copies: float
    null_models: dict[str, float]

    @property
    def winners(self) -> list[str]:
        """The null models that the samples do not beat by more than their interval."""
        return [name for name, share in self.null_models.items() if not self.samples.low > share]

    def line(self) -> str:
        """One line for a person."""
        others = ", ".join(f"{name} {share:.1%}" for name, share in self.null_models.items())
        won = f"; red: no better than {', '.join(self.winners)}" if self.winners else ""
        return (
            f"{self.samples.value:.1%} [{self.samples.low:.1%}, {self.samples.high:.1%}] of {self.count} samples look"
            f" like real images of the class that was asked for (↑, held-out images of it {self.held_out:.1%}, its"
            f" training images nearest to the samples {self.copies:.1%}; {others}){won}"
        )

    def as_dict(self) -> dict:
        """The figures, ready for JSON."""
        return asdict(self) | {"samples": self.samples._asdict(), "winners": self.winners}


def realistic_class(
    images: np.ndarray, labels: np.ndarray, model: Classifier, dataset: Dataset, k: int = 3
) -> ClassRealism | None:
    """Of images (N, C, S, S) of the classes `labels` (N,) that were asked for; None where no class has FEW images.

    A class's sets are of one size: of the samples as many as there are held-out images of it, and as many of its
    training images, from all of the file, whose balls reach to their k-th nearest other one. Raises ValueError for
    another number of labels than images.
    """
    if len(images) != len(labels):
        raise ValueError(f"realistic_class: {len(images)} images have {len(labels)} labels")
    hits, total = Counter[str](), 0
    train_labels, held_labels = (dataset.labels[rows] for rows in (dataset.train, dataset.held_out))
    for number in np.unique(labels):
        train = dataset.train[train_labels == number]
        held_out, others = dataset.held_out[held_labels == number], dataset.held_out[held_labels != number]
        count = min((labels == number).sum(), len(train), len(held_out))
        if count < FEW or len(others) <= k:
            continue
        samples, whole = shrunk(images[labels == number][:count]), prepared(dataset, train)
        sets = {
            "samples": samples,
            "held_out": prepared(dataset, held_out[:count]),
            "copies": null_models.nearest_of(samples, whole),
            "class mean": null_models.mean_image(whole, k + 1, np.random.default_rng(0)).astype(whole.dtype),
            "another class": prepared(dataset, _spread(others, count)),
        }
        real = directions(_spread(whole, count), model)
        for name, x in sets.items():
            hits[name] += count * precision_recall(directions(x, model), real, k)[0]
        total += count
    if not total:
        return None
    shares = {name: value / total for name, value in hits.items()}
    return ClassRealism(
        total,
        share_interval(round(hits["samples"]), total),
        shares["held_out"],
        shares["copies"],
        {name: shares[name] for name in ("class mean", "another class")},
    )


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    """At most `count` rows, evenly from first to last."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]


def directions(images: np.ndarray, model: Classifier) -> np.ndarray:
    """The judge's features (N, F) of images (N, C, S, S), each divided by its length; zeros stay."""
    features = np.concatenate([part for part, _ in judge(model, shrunk(images))]).astype(np.float64)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def gradient_energy(images: np.ndarray) -> float:
    """The mean squared difference of neighbouring pixels of images (N, C, S, S), down and across."""
    x = np.asarray(images, np.float64)
    return float((np.square(np.diff(x, axis=2)).mean() + np.square(np.diff(x, axis=3)).mean()) / 2)
