"""How samples are judged, by a classifier that minigan trained on the same data set (gan/metrics/classifier.py).

With p(y|x) its probabilities and p(y) their mean over the samples:
    confident share    of samples whose largest p(y|x) exceeds 0.9
    class histogram    share of samples per class, by largest p(y|x); a class is present above 0.5 %, and of 200 classes
                       or more with one sample
    classifier score   exp E KL(p(y|x) || p(y)), between 1 and the number of classes: the inception score's form
                       (Salimans et al. 2016)
    distances          of the 64 features before the last layer: Frechet, kernel, precision and recall, density and
                       coverage, nearest training image; and of the images' spectra (gan/metrics/distances.py)
    disguised          share of training images moved, mirrored or blended (gan/metrics/disguises.py)

`evaluate` gives the first half, quickly; `examine` all of it with intervals, of held-out images and null models too
(gan/metrics/standing.py). No score is comparable with published ones, which use another network; the held-out real
images are the yardstick instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np

from ...data import Dataset, evenly_spaced
from .classifier import Classifier, judge, prepared, shrunk
from .disguises import directions_of, disguised
from .distances import (
    Interval,
    bootstrap,
    decibels,
    densities_coverage,
    density_coverage,
    frechet_distance,
    frechet_interval,
    kernel_distance,
    mean_interval,
    nearest_training,
    precision_recall,
    share_interval,
    spectra,
    spectrum,
)
from .null_models import NullModel
from .restoration import BEYOND
from .standing import Details, Examination, Inside

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
        share = share_interval(round(self.confident * self.samples), self.samples)
        typical = ", so too typical" if share.low > self.real_confident else ""
        return (
            f"{self.present} of {self.classes} classes present, the largest {self.largest_class:.1%};"
            f" {self.confident:.1%} of {self.samples} samples confident (real {self.real_confident:.1%}{typical});"
            f" score {self.score:.2f} (real {self.real_score:.2f});"
            f" Frechet distance {self.frechet:.1f} ({self.frechet_samples} samples; real {self.real_frechet:.1f})"
        )

    def as_dict(self) -> dict:
        """The figures, ready for JSON."""
        return asdict(self)


def classifier_score(probabilities: np.ndarray) -> float:
    """exp E_x KL(p(y|x) || p(y)) of rows p(y|x) (N, K)."""
    p = np.asarray(probabilities, np.float64)
    log_p = np.log(np.maximum(p, 1e-300))
    return float(np.exp((p * (log_p - np.log(np.maximum(p.mean(0), 1e-300)))).sum(1).mean()))


def training_features(model: Classifier, dataset: Dataset) -> np.ndarray:
    """The judge's features (N, F) of the training images."""
    return _judged(model, prepared(dataset, dataset.train))[0]


def evaluate(
    images: np.ndarray, model: Classifier, dataset: Dataset, train_features: np.ndarray | None = None
) -> Report:
    """Judge images (N, C, S, S) in [-1, 1] against `dataset`, S a multiple of 32. train_features: of its training
    images, where they are at hand. Raises ValueError below two, or where one is not finite."""
    _require_finite("evaluate", images)
    if len(images) < 2:
        raise ValueError(f"evaluate: need at least 2 images, got {len(images)}")
    if len(dataset.held_out) < 2:
        raise ValueError(
            f"evaluate: need at least 2 held-out images of {dataset.name!r}, got {len(dataset.held_out)}; judge by all"
            " of them, or take more images"
        )
    features, probabilities = _judged(model, shrunk(images))
    held_features, held_probabilities = _judged(model, prepared(dataset, dataset.held_out))
    train_features = training_features(model, dataset) if train_features is None else train_features
    # The distance falls with the number of samples, so both sides of the comparison use the same number.
    count = min(len(features), len(held_features))
    classes, histogram = probabilities.shape[1], _histogram(probabilities)
    return Report(
        samples=len(images),
        classes=classes,
        confident=_confident(probabilities),
        present=_present(histogram),
        histogram=[round(float(h), 6) for h in histogram],
        largest_class=float(histogram.max()),
        score=classifier_score(probabilities),
        frechet=frechet_distance(features[:count], train_features),
        frechet_samples=count,
        real_confident=_confident(held_probabilities),
        real_score=classifier_score(held_probabilities),
        real_frechet=frechet_distance(evenly_spaced(held_features, count), train_features),
    )


def examine(
    images: np.ndarray,
    model: Classifier,
    dataset: Dataset,
    seed: int = 0,
    groups: Iterable[slice] | None = None,
    null_models: Iterable[NullModel] = (),
    train_features: np.ndarray | None = None,
    seen: np.ndarray | None = None,
) -> Examination:
    """All figures of images (N, C, S, S) in [-1, 1], of held-out images of `dataset` and of null models. S is a
    multiple of 32, or 32 of it.

    groups: the columns of each attribute for a classifier of attributes (`attributes.groups`); a sample is confident
    where every attribute is. All sets are cut to the same number, since most figures depend on it. seed: of the
    intervals and the null models. train_features: as for `evaluate`. seen: the rows of `dataset.train` that a generator
    was shown, where those are not all: copies are of these, and null models draw from them. Raises ValueError for fewer
    than 10, or where one is not finite.
    """
    _require_finite("examine", images)
    fakes, held_out, train = shrunk(images), prepared(dataset, dataset.held_out), prepared(dataset, dataset.train)
    shown = slice(None) if seen is None else np.isin(dataset.train, seen)
    own, count = train[shown], min(len(fakes), len(held_out), len(train))
    if count < 10:
        raise ValueError(
            f"examine: need at least 10 samples, held-out and training images, got {len(fakes)}, {len(held_out)} and"
            f" {len(train)}"
        )
    some = evenly_spaced(np.arange(len(train)), count)  # as many training images
    sets = {"samples": fakes[:count], "real": evenly_spaced(held_out, count)}
    for row in null_models:
        sets[row.name] = row.draw(own, count, np.random.default_rng(seed)).astype(np.float32)
    features = _judged(model, train)[0] if train_features is None else train_features
    directions = directions_of(own)
    views = {name: _View(*_judged(model, x), spectra(x), disguised(x, own, directions)) for name, x in sets.items()}
    columns = None if groups is None else list(groups)
    target = _Target(features, features[shown], features[some], spectrum(train[some]), views["real"].features)
    tables = {name: _measured(view, target, seed, columns) for name, view in views.items()}
    inside = {}
    if columns is None and dataset.labels is not None:
        labels = dataset.labels[evenly_spaced(dataset.held_out, count)]
        samples = (views["samples"].features, views["samples"].probabilities)
        real = (views["real"].features, labels)
        inside = inside_classes(samples, real, (features, dataset.labels[dataset.train]), dataset)
    return Examination(tables.pop("samples"), tables.pop("real"), tables, inside)


@dataclass(frozen=True)
class _View:
    """N images as a judge sees them: features (N, F), probabilities (N, K), spectra (N, R), and which are training
    images in disguise (N,)."""

    features: np.ndarray
    probabilities: np.ndarray
    spectra: np.ndarray
    in_disguise: np.ndarray


@dataclass(frozen=True)
class _Target:
    """What images are compared with: the features of all training images, and of those that a generator was shown;
    those and the mean spectrum of `some`, as many as there are images; and the features of held-out ones."""

    train: np.ndarray
    shown: np.ndarray
    some: np.ndarray
    spectrum: np.ndarray
    held_out: np.ndarray


def _measured(view: _View, target: _Target, seed: int, groups: list[slice] | None) -> Details:
    """The figures of one set of images."""
    features, probabilities = view.features, view.probabilities
    count = len(features)
    sure = np.min([_within(probabilities[:, part]) for part in groups or [slice(None)]], 0)
    precision, recall = precision_recall(features, target.some)
    densities, covered = densities_coverage(features, target.some)
    near = nearest_training(features, target.shown, target.held_out)
    classes = {}
    if groups is None:
        score = bootstrap(
            lambda rows: classifier_score(probabilities[rows]), count, classifier_score(probabilities), seed=seed
        )
        present = float(_present(_histogram(probabilities)))
        classes = {"present": Interval(present, present, present), "score": score}
    return Details(
        samples=count,
        features=features.shape[1],
        confident=share_interval(int((sure > CONFIDENT).sum()), count),
        frechet=frechet_interval(features, target.train, seed=seed),
        kernel=kernel_distance(features, target.train, subsets=50, subset_size=min(1000, count // 2), seed=seed),
        precision=share_interval(round(precision * count), count),
        recall=share_interval(round(recall * count), count),
        density=mean_interval(densities),
        coverage=share_interval(int(covered.sum()), count),
        nearest_ratio=bootstrap(
            lambda rows: float(np.median(near.distance[rows])) / near.usual,
            count,
            near.ratio,
            seed=seed,
        ),
        copies=share_interval(round(near.copies * count), count),
        disguised=share_interval(int(view.in_disguise.sum()), count),
        spectral=bootstrap(
            lambda rows: decibels(view.spectra[rows].mean(0), target.spectrum),
            count,
            decibels(view.spectra.mean(0), target.spectrum),
            seed=seed,
        ),
        **classes,
    )


def inside_classes(
    samples: tuple[np.ndarray, np.ndarray],
    held_out: tuple[np.ndarray, np.ndarray],
    train: tuple[np.ndarray, np.ndarray],
    dataset: Dataset,
) -> dict[str, Inside]:
    """Class -> `Inside`, for the features and probabilities of samples, and features and labels of held-out and of
    training images; classes with fewer than 10 images of a kind are left out."""
    guesses, table = samples[1].argmax(1), {}
    for k, name in enumerate(dataset.class_names):
        sets = [x[labels == k] for x, labels in ((samples[0], guesses), held_out, train)]
        count = min(map(len, sets))
        if count < 10:
            continue
        fake, real, target = (evenly_spaced(x, count) for x in sets)
        reach = [(precision_recall(x, target)[1], density_coverage(x, target)[1]) for x in (fake, real)]
        table[name] = Inside(count, *reach[0], *reach[1])
    return table


def _require_finite(where: str, images: np.ndarray) -> None:
    good = np.isfinite(images).reshape(len(images), -1).all(1)
    if not good.all():
        raise ValueError(
            f"{where}: {(~good).sum()} of {len(good)} images {images.shape} have values that are not finite; the"
            " generator has diverged: take an earlier checkpoint, or train anew with lower rates"
        )


def _histogram(probabilities: np.ndarray) -> np.ndarray:
    """The share of samples of each class, by largest probability."""
    return np.bincount(probabilities.argmax(1), minlength=probabilities.shape[1]) / len(probabilities)


def _present(histogram: np.ndarray) -> int:
    """How many classes are present; a share that each of very many cannot have is not asked of them."""
    return int((histogram > (PRESENT if PRESENT * len(histogram) < 1 else 0)).sum())


def _judged(model: Classifier, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(features, probabilities). Raises ValueError for images that are no floats in [-1, 1]."""
    if images.dtype.kind != "f" or np.abs(images).max(initial=0) > BEYOND:
        raise ValueError(
            f"judge: images must be floats in [-1, 1], got {images.dtype} from {images.min()} to {images.max()}"
        )
    images = images.astype(np.float32, copy=False)
    features, probabilities = zip(*judge(model, images), strict=True)
    return np.concatenate(features), np.concatenate(probabilities)


def _within(probabilities: np.ndarray) -> np.ndarray:
    """The largest probability of each row (N,), the row taken as all there is."""
    return probabilities.max(1) / np.maximum(probabilities.sum(1), np.finfo(probabilities.dtype).tiny)


def _confident(probabilities: np.ndarray) -> float:
    return float((probabilities.max(1) > CONFIDENT).mean())
