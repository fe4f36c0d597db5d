"""How samples are judged, by a classifier that minigan trained on the same data set (gan/classifier.py).

With p(y|x) its probabilities and p(y) their mean over the samples:
    confident share    of samples whose largest p(y|x) exceeds 0.9
    class histogram    share of samples per class, by largest p(y|x); a class is present above 0.5 %
    classifier score   exp E KL(p(y|x) || p(y)), between 1 and the number of classes: the inception score's form
    (Salimans et al. 2016) Frechet distance   |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) between Gaussians fitted to 64
    features (Heusel et al. 2017)

Neither score is comparable with published ones, which use another network; the held-out real images are the yardstick
instead.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from ..data import Dataset
from .classifier import Classifier, judge, prepared, shrunk

CONFIDENT, PRESENT = 0.9, 0.005


@dataclass(frozen=True)
class Report:
    """The figures of one set of samples; real_ ones are of held-out images, as many for both distances."""

    samples: int
    classes: int
    confident: float
    present: int
    histogram: list[float]
    largest_class: float
    score: float
    frechet: float
    real_confident: float
    real_score: float
    real_frechet: float

    def line(self) -> str:
        """One line for a person."""
        return (
            f"{self.present} of {self.classes} classes present, the largest {self.largest_class:.1%};"
            f" {self.confident:.1%} of {self.samples}"
            f" samples confident (real {self.real_confident:.1%}); score {self.score:.2f} (real {self.real_score:.2f});"
            f" Frechet distance {self.frechet:.1f} (real {self.real_frechet:.1f})"
        )

    def as_dict(self) -> dict:
        """The figures, ready for JSON."""
        return asdict(self)


def classifier_score(probabilities: np.ndarray) -> float:
    """exp E_x KL(p(y|x) || p(y)) of rows p(y|x) (N, K)."""
    p = np.asarray(probabilities, np.float64)
    log_p = np.log(np.maximum(p, 1e-300))
    return float(np.exp((p * (log_p - np.log(np.maximum(p.mean(0), 1e-300)))).sum(1).mean()))


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Between Gaussians fitted to two sets of features (N, F) and (M, F). Raises ValueError for fewer than two rows."""
    if min(len(a), len(b)) < 2 or a.shape[1:] != b.shape[1:]:
        raise ValueError(
            f"frechet_distance: need two sets of at least 2 rows of equal width, got {a.shape} and {b.shape}"
        )
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # tr (S1 S2)^(1/2) = tr (R S2 R)^(1/2) with R = S1^(1/2): symmetric, so eigenvalues do, also where features never
    # fire.
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0)).sum()
    return float(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)


def evaluate(images: np.ndarray, model: Classifier, dataset: Dataset) -> Report:
    """Judge images (N, C, S, S) in [-1, 1] against `dataset`, S a multiple of 32. Raises ValueError below two."""
    if len(images) < 2:
        raise ValueError(f"evaluate: need at least 2 images, got {len(images)}")
    features, probabilities = _judged(model, shrunk(images))
    held_features, held_probabilities = _judged(model, prepared(dataset, dataset.held_out))
    train_features, _ = _judged(model, prepared(dataset, dataset.train))
    # The distance falls with the number of samples, so both sides of the comparison use the same number.
    count = min(len(features), len(held_features))
    classes = probabilities.shape[1]
    histogram = np.bincount(probabilities.argmax(1), minlength=classes) / len(images)
    return Report(
        samples=len(images),
        classes=classes,
        confident=_confident(probabilities),
        present=int((histogram > PRESENT).sum()),
        histogram=[round(float(h), 6) for h in histogram],
        largest_class=float(histogram.max()),
        score=classifier_score(probabilities),
        frechet=frechet_distance(features[:count], train_features),
        real_confident=_confident(held_probabilities),
        real_score=classifier_score(held_probabilities),
        real_frechet=frechet_distance(held_features[:count], train_features),
    )


def _judged(model: Classifier, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features, probabilities = zip(*judge(model, images), strict=True)
    return np.concatenate(features), np.concatenate(probabilities)


def _confident(probabilities: np.ndarray) -> float:
    return float((probabilities.max(1) > CONFIDENT).mean())
