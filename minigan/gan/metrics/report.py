"""How samples are judged, by a classifier that minigan trained on the same data set (gan/metrics/classifier.py).

With p(y|x) its probabilities and p(y) their mean over the samples:
    confident share    of samples whose largest p(y|x) exceeds 0.9
    class histogram    share of samples per class, by largest p(y|x); a class is present above 0.5 %
    classifier score   exp E KL(p(y|x) || p(y)), between 1 and the number of classes: the inception score's form
                       (Salimans et al. 2016)
    distances          of the 64 features before the last layer: Frechet, kernel, precision and recall, density and
                       coverage, nearest training image; and of the images' spectra (gan/metrics/distances.py)

`evaluate` gives the first half, quickly; `examine` the distances with their intervals. No score is comparable with
published ones, which use another network; the held-out real images are the yardstick instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

import numpy as np

from ...data import Dataset
from .classifier import Classifier, judge, prepared, shrunk
from .distances import (
    Interval,
    density_coverage,
    frechet_distance,
    frechet_interval,
    kernel_distance,
    nearest_training,
    precision_recall,
    share_interval,
    spectral_distance,
)

CONFIDENT, PRESENT = 0.9, 0.005


@dataclass(frozen=True)
class Report:
    """The figures of one set of samples; real_ ones are of held-out images, as many (`frechet_samples`) for both
    distances."""

    samples: int
    classes: int
    confident: float
    present: int
    histogram: list[float]
    largest_class: float
    score: float
    frechet: float
    frechet_samples: int
    real_confident: float
    real_score: float
    real_frechet: float

    def line(self) -> str:
        """One line for a person."""
        return (
            f"{self.present} of {self.classes} classes present, the largest {self.largest_class:.1%};"
            f" {self.confident:.1%} of {self.samples}"
            f" samples confident (real {self.real_confident:.1%}); score {self.score:.2f} (real {self.real_score:.2f});"
            f" Frechet distance of {self.frechet_samples} {self.frechet:.1f} (real {self.real_frechet:.1f})"
        )

    def as_dict(self) -> dict:
        """The figures, ready for JSON."""
        return asdict(self)


def classifier_score(probabilities: np.ndarray) -> float:
    """exp E_x KL(p(y|x) || p(y)) of rows p(y|x) (N, K)."""
    p = np.asarray(probabilities, np.float64)
    log_p = np.log(np.maximum(p, 1e-300))
    return float(np.exp((p * (log_p - np.log(np.maximum(p.mean(0), 1e-300)))).sum(1).mean()))


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
        frechet_samples=count,
        real_confident=_confident(held_probabilities),
        real_score=classifier_score(held_probabilities),
        real_frechet=frechet_distance(held_features[:count], train_features),
    )


@dataclass(frozen=True)
class Details:
    """The distances of one set of samples to the real images; `real` holds the same figures of held-out images.

    frechet and kernel: to the training images, with 95 % intervals; precision, recall, density, coverage: against as
    many training images; nearest_ratio and copies: see `distances.Nearest`; spectral: decibels between the spectra.
    confident: the share of confident samples with its interval.
    """

    samples: int
    frechet: Interval
    kernel: Interval
    precision: float
    recall: float
    density: float
    coverage: float
    nearest_ratio: float
    copies: float
    spectral: float
    confident: Interval
    real: Details | None = None

    def line(self) -> str:
        """One line for a person, where there are no classes to speak of."""
        real = self.real
        return (
            f"precision {self.precision:.3f} and recall {self.recall:.3f} of {self.samples} samples (real"
            f" {real.precision:.3f}, {real.recall:.3f}); Frechet distance of them {self.frechet.value:.1f} (real"
            f" {real.frechet.value:.1f})"
        )

    def lines(self) -> list[str]:
        """A line for each figure, beside the held-out images' own, and one before them that says of how many."""
        real = self.real
        columns = [
            ("Frechet distance", "{0.value:.2f}  [{0.low:.2f}, {0.high:.2f}]", "frechet"),
            ("kernel distance x 1000", "{0.value:.3f}  [{0.low:.3f}, {0.high:.3f}]", "kernel"),
            ("confident", "{0.value:.1%}  [{0.low:.1%}, {0.high:.1%}]", "confident"),
            ("precision, recall", "{0:.3f}", "precision recall"),
            ("density, coverage", "{0:.3f}", "density coverage"),
            ("nearest training image, ratio to held-out", "{0:.3f}", "nearest_ratio"),
            ("nearer than 99 % of held-out are", "{0:.1%}", "copies"),
            ("spectrum, mean dB apart", "{0:.2f}", "spectral"),
        ]
        rows = [f"of {self.samples} samples and {real.samples} held-out images; most figures depend on the number:"]
        for name, form, keys in columns:
            ours, theirs = (", ".join(form.format(_shown(x, k)) for k in keys.split()) for x in (self, real))
            rows.append(f"{name:<42} {ours}   (real {theirs})")
        return rows

    def as_dict(self) -> dict:
        """The figures, ready for JSON; an interval is {value, low, high}."""
        figures = {k: v._asdict() if isinstance(v, Interval) else v for k, v in vars(self).items() if k != "real"}
        return figures | ({} if self.real is None else {"real": self.real.as_dict()})


def _shown(details: Details, key: str) -> float | Interval:
    value = getattr(details, key)
    return Interval(*(1000 * v for v in value)) if key == "kernel" else value


def examine(
    images: np.ndarray, model: Classifier, dataset: Dataset, seed: int = 0, groups: Iterable[slice] | None = None
) -> Details:
    """All distances of images (N, C, S, S) in [-1, 1] to `dataset`, and of its held-out images. S is a multiple of 32,
    or 32 of it.

    groups: the columns of each attribute for a classifier of attributes (`attributes.groups`); a sample is confident
    where every attribute is. The samples and the held-out images are cut to the same number, since most figures depend
    on it. Raises ValueError for fewer than 10 of either.
    """
    fakes, held_out, train = shrunk(images), prepared(dataset, dataset.held_out), prepared(dataset, dataset.train)
    count = min(len(fakes), len(held_out), len(train))
    if count < 10:
        raise ValueError(
            f"examine: need at least 10 samples and 10 held-out images, got {len(fakes)} and {len(held_out)}"
        )
    train_features, _ = _judged(model, train)
    groups = [slice(None)] if groups is None else list(groups)
    some = np.linspace(0, len(train) - 1, count).round().astype(int)  # as many training images, from all of the file
    outputs = [_judged(model, x[:count]) for x in (fakes, held_out)]
    rows = []
    for (features, probabilities), x in zip(outputs, (fakes, held_out), strict=True):
        sure = np.min([_within(probabilities[:, part]) for part in groups], 0)
        precision, recall = precision_recall(features, train_features[some])
        density, coverage = density_coverage(features, train_features[some])
        near = nearest_training(features, train_features, outputs[1][0])
        rows.append(
            Details(
                samples=count,
                frechet=frechet_interval(features, train_features, seed=seed),
                kernel=kernel_distance(features, train_features, subsets=50, seed=seed),
                precision=precision,
                recall=recall,
                density=density,
                coverage=coverage,
                nearest_ratio=near.ratio,
                copies=near.copies,
                spectral=spectral_distance(x[:count], train[some]),
                confident=share_interval(int((sure > CONFIDENT).sum()), count),
            )
        )
    return replace(rows[0], real=rows[1])


@dataclass(frozen=True)
class Standing:
    """What samples are held to beside null models (null_models.py): higher is better of confident, present and
    coverage, lower of frechet and of copies, the share of samples nearer to a training image than 99 % of held-out ones
    are."""

    confident: float
    present: int
    frechet: float
    coverage: float
    copies: float

    def line(self) -> str:
        """The figures in columns."""
        return (
            f"{self.confident:>9.1%} {self.present:>8} {self.frechet:>9.1f} {self.coverage:>9.3f} {self.copies:>7.1%}"
        )

    def reaches(self, other: Standing) -> bool:
        """Whether it is at least as good in every figure; of copies, as long as there are no more than by chance."""
        better = self.confident >= other.confident and self.present >= other.present
        few = self.copies <= max(other.copies, 2 * CHANCE)
        return better and few and self.frechet <= other.frechet and self.coverage >= other.coverage


CHANCE = 0.01
"""The share of held-out images that are nearer to a training image than 99 % of them are."""


def standings(sets: dict[str, np.ndarray], model: Classifier, dataset: Dataset) -> dict[str, Standing]:
    """The standing of each set of images (N, C, S, S) in [-1, 1], all of one size N, at most that of the held-out
    images. ValueError for fewer than 10."""
    count = min(map(len, sets.values()))
    if count < 10:
        raise ValueError(f"standings: need at least 10 images of each, got {count}")
    train, _ = _judged(model, prepared(dataset, dataset.train))
    held_out, _ = _judged(model, prepared(dataset, dataset.held_out[:count]))
    some = np.linspace(0, len(train) - 1, count).round().astype(int)
    results = {}
    for name, images in sets.items():
        features, probabilities = _judged(model, shrunk(images))
        histogram = np.bincount(probabilities.argmax(1), minlength=probabilities.shape[1]) / len(images)
        results[name] = Standing(
            confident=_confident(probabilities),
            present=int((histogram > PRESENT).sum()),
            frechet=frechet_distance(features, train),
            coverage=density_coverage(features, train[some])[1],
            copies=nearest_training(features, train, held_out).copies,
        )
    return results


def _judged(model: Classifier, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features, probabilities = zip(*judge(model, images), strict=True)
    return np.concatenate(features), np.concatenate(probabilities)


def _within(probabilities: np.ndarray) -> np.ndarray:
    """The largest probability of each row (N,), the row taken as all there is."""
    return probabilities.max(1) / np.maximum(probabilities.sum(1), np.finfo(probabilities.dtype).tiny)


def _confident(probabilities: np.ndarray) -> float:
    return float((probabilities.max(1) > CONFIDENT).mean())
