"""How many of very many classes samples are of: the modes of stacked digits (Metz et al. 2017; Lin et al. 2018).

    modes        classes that the judge sees in at least one sample
    sure         the same, of samples that the judge is confident of only
    reverse KL   KL(classes of the samples || classes of the training images) in nats: 0 for the same shares, ln K
                 where all are of one class of K alike

Any samples are of some class, so noise holds modes too; and of few samples not even real ones are of every class. So
beside the figures stand those of as many images that have learnt nothing, and of as many draws of the training images'
classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...data import Dataset
from . import null_models
from .classifier import Classifier, judge, prepared, shrunk
from .distances import Interval

MANY = 100
"""More classes than this are counted here."""

PUBLISHED = {
    "DCGAN": 30.6,
    "unrolled, 1 step": 65.4,
    "unrolled, 5 steps": 236.4,
    "unrolled, 10 steps": 327.2,
    "PacDCGAN2": 484.5,
    "PacDCGAN3": 601.3,
    "PacDCGAN4": 667.4,
}
"""Modes of 1,000 with a critic of a quarter of the generator's size and 25,600 samples (Lin et al. 2018, table 4)."""

NULL_MODELS = ("one image", "noise", "mixed")
CONFIDENT, PART = 0.9, 2000


@dataclass(frozen=True)
class Modes:
    """The figures of one set of samples; see this module's first lines."""

    modes: int
    sure: int
    reverse_kl: float

    def __str__(self) -> str:
        return f"{self.modes} modes, {self.sure} of them sure, reverse KL {self.reverse_kl:.2f}"


def modes_of(probabilities: np.ndarray, shares: np.ndarray) -> Modes:
    """The figures of samples by the judge's probabilities (N, K), for classes of these shares (K,), none of them 0."""
    guesses, count = probabilities.argmax(1), len(shares)
    sure = guesses[probabilities.max(1) > CONFIDENT]
    histogram = np.bincount(guesses, minlength=count)
    return Modes(int((histogram > 0).sum()), len(np.unique(sure)), reverse_kl(histogram, shares))


def reverse_kl(histogram: np.ndarray, shares: np.ndarray) -> float:
    """KL(histogram / N || shares) in nats, for counts and shares (K,). Raises ValueError for no count at all."""
    if not histogram.sum() > 0:
        raise ValueError("reverse_kl: there are no samples")
    p, there = histogram / histogram.sum(), histogram > 0
    return float((p[there] * np.log(p[there] / shares[there])).sum())


def of_real_classes(shares: np.ndarray, count: int, rounds: int = 200, seed: int = 0) -> dict[str, Interval]:
    """What `count` draws of classes of these shares (K,) come to, whose every image is right: modes and reverse KL, the
    mean of `rounds` sets and the range of the middle 95 % of them."""
    random = np.random.default_rng(seed)
    draws = [random.multinomial(count, shares) for _ in range(rounds)]
    values = {"modes": [(d > 0).sum() for d in draws], "reverse_kl": [reverse_kl(d, shares) for d in draws]}
    return {k: Interval(float(np.mean(v)), *map(float, np.quantile(v, (0.025, 0.975)))) for k, v in values.items()}


def observe_modes(
    images: np.ndarray, model: Classifier, dataset: Dataset, seed: int = 0, details: bool = False
) -> tuple[dict, list[str]]:
    """(figures, lines) of images (N, C, S, S) in [-1, 1]: modes and reverse KL beside real classes, published figures
    and, with `details`, as many images of each null model."""
    names, count = dataset.class_names, len(images)
    shares = np.bincount(dataset.labels[dataset.train], minlength=len(names)) + 1.0  # every class has some share
    shares /= shares.sum()
    ours, real = modes_of(_probabilities(model, shrunk(images)), shares), of_real_classes(shares, count, seed=seed)
    nulls = {}
    if details:
        train = prepared(dataset, dataset.train[:: max(1, len(dataset.train) // PART)])
        rows = [row for row in null_models.SAMPLES if row.name in NULL_MODELS]
        nulls = {r.name: _of_null_model(r, train, count, model, shares, seed) for r in rows}
    lines = [
        f"{ours} of {len(names)} in {count} samples; as many real classes {real['modes'].value:.0f} modes, reverse KL"
        f" {real['reverse_kl'].value:.2f}",
        *(f"beside: {name} {modes}" for name, modes in nulls.items()),
        "published, of 25,600 samples: " + ", ".join(f"{name} {value}" for name, value in PUBLISHED.items()),
    ]
    figures = vars(ours) | {"samples": count, "of": len(names)}
    figures["real"] = {name: interval._asdict() for name, interval in real.items()}
    figures["published"] = PUBLISHED
    figures["null_models"] = {name: vars(modes) for name, modes in nulls.items()}
    return {"modes": figures}, lines


def _of_null_model(
    row: null_models.NullModel, train: np.ndarray, count: int, model: Classifier, shares: np.ndarray, seed: int
) -> Modes:
    """A null model's figures, its images drawn in parts of `PART`."""
    random = np.random.default_rng(seed)
    images = (row.draw(train, min(PART, count - i), random) for i in range(0, count, PART))
    return modes_of(np.concatenate([_probabilities(model, x.astype(np.float32)) for x in images]), shares)


def _probabilities(model: Classifier, images: np.ndarray) -> np.ndarray:
    return np.concatenate([p for _, p in judge(model, images)])
