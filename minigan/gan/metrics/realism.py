"""Whether samples look real where precision on a judge's features cannot tell, and whether they are blurred.

    realistic        precision (distances.py) on the judge's features divided by their length
    realistic_class  the same, of samples that were asked for a class, among training images of that class alone; and
                     coverage (distances.py) of those
    gradient_energy  mean squared difference of neighbouring pixels: what a blur takes away

An image that the judge sees little in has short features, and is near to all real images of short features. So on
plain features of digits the mean image has precision 1.00 and noise of the images' spectrum 0.99, above held-out
images' 0.90. On features of length 1 the three are 0.00, 0.17 and 0.84.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...data import Dataset, evenly_spaced
from . import null_models
from .classifier import Classifier, features, prepared, shrunk
from .distances import Interval, density_coverage, precision_recall, share_interval

FEW = 10
"""Images of a class, below which it is left out."""


def realistic(sets: dict[str, np.ndarray], model: Classifier, dataset: Dataset, k: int = 3) -> dict[str, float]:
    """Name -> share of images (N, C, S, S) that lie in the ball of a training image, which reaches to its k-th nearest
    other one, on features of length 1: for the given sets and, beside them, held-out images ("held_out"), noise of the
    images' spectrum ("noise") and the mean image ("mean_image").

    All are of as many images, and measured against as many training images, as there are held-out ones. Raises
    ValueError for fewer than k + 1 images.
    """
    if min(map(len, sets.values())) <= k:
        raise ValueError(
            f"realistic: {min(map(len, sets.values()))} images are too few for a share: take {FEW} or more"
        )
    train = prepared(dataset, dataset.train)
    count = min(len(dataset.held_out), len(train))
    random = np.random.default_rng(0)
    beside = {
        "held_out": prepared(dataset, dataset.held_out),
        "noise": null_models.noise(train, count, random),
        "mean_image": null_models.mean_image(train, k + 1, random).astype(train.dtype),
    }
    real = directions(evenly_spaced(train, count), model)
    return {name: precision_recall(directions(x[:count], model), real, k)[0] for name, x in (sets | beside).items()}


class Standing(NamedTuple):
    """Of a set of images for classes: the share that looks like training images of its class, and the share of those
    that it covers, that is, which have one of its images near."""

    realistic: float
    covered: float


@dataclass(frozen=True)
class ClassRealism:
    """How images look beside training images of the class that was asked for.

    samples: of a generator, with intervals; held_out: of as many held-out images of the classes; copies: of the
    training image of the class that is nearest to each sample; class_mean: of the mean of its training images, over and
    over; another_class: of held-out images of other classes.
    """

    count: int
    realistic: Interval
    covered: Interval
    held_out: Standing
    copies: Standing
    class_mean: Standing
    another_class: Standing

    @property
    def winners(self) -> list[str]:
        """The null models that the samples do not beat by more than their interval, each in the figure that tells it
        from real images: the mean of a class passes for one, and covers little."""
        wins = {
            "class mean": not self.covered.low > self.class_mean.covered,
            "another class": not self.realistic.low > self.another_class.realistic,
        }
        return [name for name, won in wins.items() if won]

    def line(self) -> str:
        """One line for a person."""
        won = f"; red: no better than {', '.join(self.winners)}" if self.winners else ""
        return (
            f"like real images of the class that was asked for: {_range(self.realistic)} of {self.count} samples (↑,"
            f" held-out images {self.held_out.realistic:.1%}, nearest training images {self.copies.realistic:.1%},"
            f" another class {self.another_class.realistic:.1%}); of those real images they cover"
            f" {_range(self.covered)} (↑, held-out images {self.held_out.covered:.1%}, the class's mean"
            f" {self.class_mean.covered:.1%}){won}"
        )

    def as_dict(self) -> dict:
        """The figures, ready for JSON."""
        values = {name: value._asdict() for name, value in vars(self).items() if name != "count"}
        return {"count": self.count, **values, "winners": self.winners}


def _range(share: Interval) -> str:
    return f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}]"


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
    hits, total = dict[str, np.ndarray](), 0
    train_labels, held_labels = (dataset.labels[rows] for rows in (dataset.train, dataset.held_out))
    for number in np.unique(labels):
        train = dataset.train[train_labels == number]
        held_out, others = dataset.held_out[held_labels == number], dataset.held_out[held_labels != number]
        count = min(int((labels == number).sum()), len(train), len(held_out))
        if count < FEW or len(others) < FEW:
            continue
        samples, whole = shrunk(images[labels == number][:count]), prepared(dataset, train)
        sets = {
            "samples": samples,
            "held_out": prepared(dataset, evenly_spaced(held_out, count)),
            "copies": null_models.nearest_of(samples, whole),
            "class_mean": null_models.mean_image(whole, FEW, np.random.default_rng(0)).astype(whole.dtype),
            "another_class": prepared(dataset, evenly_spaced(others, count)),
        }
        real = directions(evenly_spaced(whole, count), model)
        for name, x in sets.items():
            fake = directions(x, model)
            shares = precision_recall(fake, real, k)[0], density_coverage(fake, real)[1]
            hits[name] = hits.get(name, 0) + count * np.array(shares)
        total += count
    if not total:
        return None
    realistic, covered = (share_interval(round(value), total) for value in hits.pop("samples"))
    return ClassRealism(
        total, realistic, covered, **{name: Standing(*(x / total).tolist()) for name, x in hits.items()}
    )


def directions(images: np.ndarray, model: Classifier) -> np.ndarray:
    """The judge's features (N, F) of images (N, C, S, S), each divided by its length; zeros stay."""
    rows = features(model, images).astype(np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def gradient_energy(images: np.ndarray) -> float:
    """The mean squared difference of neighbouring pixels of images (N, C, S, S), down and across."""
    x = np.asarray(images, np.float64)
    return float((np.square(np.diff(x, axis=2)).mean() + np.square(np.diff(x, axis=3)).mean()) / 2)
